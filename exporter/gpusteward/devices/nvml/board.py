"""One GPU at one moment: what is read of a whole board, of a board with MIG on, and of its instances."""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING, Any, Final, TypeVar

import pynvml as nvml

from gpusteward.devices.nvml.calls import GpuError, Support
from gpusteward.devices.nvml.fields import MILLI, read_fields
from gpusteward.devices.nvml.frames import Instance
from gpusteward.devices.nvml.gpm import ENGINES, RATIOS, TRANSFERS
from gpusteward.devices.nvml.listing import list_processes
from gpusteward.devices.nvml.traffic import Traffic
from gpusteward.model.devices import Signal

if TYPE_CHECKING:
    from collections.abc import Callable

    from gpusteward.devices.nvml.calls import Calls
    from gpusteward.devices.nvml.frames import RunningProcess
    from gpusteward.devices.nvml.gpm import Gpm

T = TypeVar("T")

ASK_AGAIN_SECONDS: Final = 300.0
"""How long a board is believed that it does not have a value: a driver may say so while it is only busy."""

PERCENT: Final = 0.01
MEGA: Final = 1e6

_WHOLE_METRICS: Final = (*RATIOS, *TRANSFERS)
_INSTANCE_METRICS: Final = (*RATIOS, *TRANSFERS, *ENGINES)

_ENGINE_CALLS: Final = (
    (nvml.nvmlDeviceGetEncoderUtilization, Signal.ENCODER_UTILIZATION),
    (nvml.nvmlDeviceGetDecoderUtilization, Signal.DECODER_UTILIZATION),
    (nvml.nvmlDeviceGetJpgUtilization, Signal.JPEG_UTILIZATION),
    (nvml.nvmlDeviceGetOfaUtilization, Signal.OFA_UTILIZATION),
)


def _memory_v2(handle: object) -> Any:  # noqa: ANN401 - a pynvml structure
    return nvml.nvmlDeviceGetMemoryInfo(handle, nvml.nvmlMemory_v2)


_memory_v2.__name__ = "nvmlDeviceGetMemoryInfo_v2"  # under which its absence is remembered


class Board:
    """A GPU in a slot: its identity, and what is remembered of it between samples.

    Attributes:
        bus_id, uuid, model: identity.
        minor: number of its device file; None = it was not told.
        index: where it was enumerated last.
        mig: whether MIG was on; None = it was never known.
        instances: as read last; their identity outlives a fault of the GPU.
        divisions: how often it was divided anew.
        support: what the board has said of late that it does not have.
    """

    def __init__(self, bus_id: str, uuid: str, model: str) -> None:
        self.bus_id = bus_id
        self.uuid = uuid
        self.model = model
        self.minor: int | None = None
        self.index = -1
        self.mig: bool | None = None
        self.instances: list[Instance] = []
        self.divisions = 0
        self._asked_at: float | None = None
        self.forget()

    def forget(self) -> None:
        """Begin anew: the GPU was reset, or its MIG mode changed, and has other abilities."""
        self._ask_again()
        self._traffic = Traffic()

    def expire(self, at: float) -> None:
        """Ask again for all that is lacking, once it was believed for `ASK_AGAIN_SECONDS`."""
        if self._asked_at is None or at - self._asked_at >= ASK_AGAIN_SECONDS:
            self._ask_again()
            self._asked_at = at

    def set_mig(self, *, on: bool) -> None:
        """Take in the MIG mode."""
        if self.mig is not None and on != self.mig:
            self.forget()
            self.instances = []
        self.mig = on

    def divide(self) -> None:
        """It was divided anew: what looks as before is another, and may have other abilities."""
        self.divisions += 1
        self._ask_again()

    def _ask_again(self) -> None:
        self.support = Support()
        self._instance_support: defaultdict[int, Support] = defaultdict(Support)
        self._measurable = False

    def read(self, calls: Calls, gpm: Gpm, handle: object, at: float) -> dict[Signal, float]:
        """Signals of the board; with MIG on only what belongs to the board and not to a leaf.

        Raises:
            GpuError: the GPU answers nothing any more.
            LibraryError: the library does not.
        """
        signals = read_fields(calls, self.support, handle)
        self._read_state(calls, handle, signals)
        self._traffic.follow(signals, at)
        if self.mig:
            for rate in (Signal.PCIE_TX, Signal.PCIE_RX, Signal.NVLINK):
                signals.pop(rate, None)
            return signals
        signals |= read_memory(calls, self.support, handle)
        self._read_utilization(calls, handle, signals)
        measured = self._measure(calls, gpm, at, handle)
        return measured | signals

    def read_processes(self, calls: Calls, handle: object) -> list[RunningProcess] | None:
        """Processes of a whole GPU; None when not known, and with MIG on, where they are the instances'."""
        return None if self.mig else list_processes(calls, self.support, handle)

    def read_instances(self, calls: Calls, gpm: Gpm, handle: object, at: float) -> list[Instance]:
        """The GPU instances, in the order of their ids, and remembered.

        Raises:
            GpuError: the GPU answers nothing any more, or not which instances it has.
            LibraryError: the library does not.
        """
        found: dict[int, Instance] = {}
        slots = int(calls.gpu(nvml.nvmlDeviceGetMaxMigDeviceCount, handle)) if self.mig else 0
        for slot in range(slots):
            mig = _if_there(calls, nvml.nvmlDeviceGetMigDeviceHandleByIndex, handle, slot)
            gi = None if mig is None else _if_there(calls, nvml.nvmlDeviceGetGpuInstanceId, mig)
            if gi is not None and gi not in found:  # several compute instances share one GPU instance
                found[gi] = self._instance(calls, mig, int(gi))
            elif gi is not None:
                _join(found[gi], list_processes(calls, self._instance_support[gi], mig))
        before = [(known.gi, known.uuid) for known in self.instances]
        self.instances = [found[gi] for gi in sorted(found)]
        if before != [(known.gi, known.uuid) for known in self.instances]:
            self._ask_again()
        for instance in self.instances:
            instance.signals |= self._measure_instance(calls, gpm, at, handle, instance)
        return self.instances

    def identities(self) -> list[Instance]:
        """The instances as last seen, without what was measured."""
        return [Instance(known.gi, known.uuid, known.profile, {}, None) for known in self.instances]

    def _instance(self, calls: Calls, mig: object, gi: int) -> Instance:
        support = self._instance_support[gi]
        name = str(calls.ask(support, nvml.nvmlDeviceGetName, mig) or "")
        return Instance(
            gi=gi,
            uuid=str(calls.ask(support, nvml.nvmlDeviceGetUUID, mig) or ""),
            profile=profile_of(name) or _profile_by_size(calls, support, mig),
            signals=read_memory(calls, support, mig),
            processes=list_processes(calls, support, mig),
        )

    def _read_state(self, calls: Calls, handle: object, signals: dict[Signal, float]) -> None:
        """Power, temperature and clocks, where no field has told them."""
        single: tuple[tuple[Signal, Callable[..., Any], tuple[int, ...], float], ...] = (
            (Signal.POWER, nvml.nvmlDeviceGetPowerUsage, (), MILLI),
            (Signal.POWER_LIMIT, nvml.nvmlDeviceGetEnforcedPowerLimit, (), MILLI),
            (Signal.TEMPERATURE, nvml.nvmlDeviceGetTemperatureV, (nvml.NVML_TEMPERATURE_GPU,), 1.0),
            (Signal.TEMPERATURE, nvml.nvmlDeviceGetTemperature, (nvml.NVML_TEMPERATURE_GPU,), 1.0),
            (Signal.TEMPERATURE_MARGIN, nvml.nvmlDeviceGetMarginTemperature, (), 1.0),
        )
        for signal, call, arguments, unit in single:
            if signal not in signals:
                _put(signals, signal, calls.ask(self.support, call, handle, *arguments), unit)
        for signal, clock in (
            (Signal.SM_CLOCK, nvml.NVML_CLOCK_SM),
            (Signal.MEMORY_CLOCK, nvml.NVML_CLOCK_MEM),
        ):
            _put(signals, signal, calls.ask(self.support, nvml.nvmlDeviceGetClockInfo, handle, clock), MEGA)

    def _read_utilization(self, calls: Calls, handle: object, signals: dict[Signal, float]) -> None:
        rates = calls.ask(self.support, nvml.nvmlDeviceGetUtilizationRates, handle)
        if rates is not None:
            signals[Signal.GPU_UTILIZATION] = float(rates.gpu) * PERCENT
            signals[Signal.MEMORY_COPY_UTILIZATION] = float(rates.memory) * PERCENT
        for call, signal in _ENGINE_CALLS:
            answer = calls.ask(self.support, call, handle)  # [percent, sampling period]
            _put(signals, signal, None if answer is None else answer[0], PERCENT)

    def _can_measure(self, calls: Calls, handle: object) -> bool:
        if _GPM in self.support.lacks:
            return False
        if not self._measurable:
            answer = calls.ask(self.support, nvml.nvmlGpmQueryDeviceSupport, handle)
            self._measurable = answer is not None and bool(answer.isSupportedDevice)
            if answer is not None and not self._measurable:
                self.support.lacks.add(_GPM)
        return self._measurable

    def _measure(self, calls: Calls, gpm: Gpm, at: float, handle: object) -> dict[Signal, float]:
        if not self._can_measure(calls, handle):
            return {}
        scope = (self.bus_id, -1, self.uuid, self.divisions)
        return gpm.measure(
            scope,
            at,
            lambda sample: calls.ask(None, nvml.nvmlGpmSampleGet, handle, sample),
            _WHOLE_METRICS,
        )

    def _measure_instance(
        self, calls: Calls, gpm: Gpm, at: float, handle: object, instance: Instance
    ) -> dict[Signal, float]:
        if not self._can_measure(calls, handle):
            return {}

        def take(sample: object) -> object | None:
            return calls.ask(None, nvml.nvmlGpmMigSampleGet, handle, instance.gi, sample)

        scope = (self.bus_id, instance.gi, instance.uuid, self.divisions)
        return gpm.measure(scope, at, take, _INSTANCE_METRICS)


_GPM: Final = "GPM"
"""Under which a board is remembered to have no GPM; there is no such function."""


def read_memory(calls: Calls, support: Support, handle: object) -> dict[Signal, float]:
    """Memory in bytes, of a GPU or an instance.

    The second version keeps what the driver reserves apart; the first counts it as used, untold.
    """
    memory = calls.ask(support, _memory_v2, handle)
    signals: dict[Signal, float] = {}
    if memory is not None:
        signals[Signal.MEMORY_RESERVED] = float(memory.reserved)
    else:
        memory = calls.ask(support, nvml.nvmlDeviceGetMemoryInfo, handle)
    if memory is not None:
        signals[Signal.MEMORY_USED] = float(memory.used)
        signals[Signal.MEMORY_FREE] = float(memory.free)
        signals[Signal.MEMORY_TOTAL] = float(memory.total)
    return signals


def profile_of(name: str) -> str:
    """`1g.10gb` of `NVIDIA A100-SXM4-80GB MIG 1g.10gb`; empty when the name tells none.

    Of a compute instance that is a part of its GPU instance, `MIG 1c.3g.40gb`, the GPU instance's: `3g.40gb`.
    """
    _, known, profile = name.rpartition(" MIG ")
    parts = profile.split(".")
    if not known:
        return ""
    return ".".join(parts[1:]) if parts[0].endswith("c") else profile


def _profile_by_size(calls: Calls, support: Support, mig: object) -> str:
    attributes = calls.ask(support, nvml.nvmlDeviceGetAttributes_v2, mig)
    if attributes is None:
        return ""
    return f"{attributes.gpuInstanceSliceCount}g.{round(attributes.memorySizeMB / 1024)}gb"


def _if_there(calls: Calls, call: Callable[..., T], *arguments: object) -> T | None:
    """What is in a slot for a MIG device; None = a hole, of which there may be some between others.

    Raises:
        GpuError: it is not known, which is not the same: an instance that is not shown is taken for free.
        LibraryError: the library is of no more use.
    """
    try:
        return call(*arguments)
    except (nvml.NVMLError_NotFound, nvml.NVMLError_InvalidArgument):
        return None
    except nvml.NVMLError as error:
        calls.refused(call.__name__, error)
        raise GpuError(error.value) from error


def _join(instance: Instance, processes: list[RunningProcess] | None) -> None:
    if processes:
        known = {process.pid for process in instance.processes or ()}
        instance.processes = [
            *(instance.processes or ()),
            *(process for process in processes if process.pid not in known),
        ]


def _put(signals: dict[Signal, float], signal: Signal, value: float | None, unit: float) -> None:
    if value is not None:
        signals[signal] = float(value) * unit
