"""A worker's sample as `model.Readings`. Pure but for the names of processes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from gpusteward.devices.nvml import reasons
from gpusteward.devices.nvml.frames import NO_ANSWER
from gpusteward.devices.nvml.holders import allocations
from gpusteward.errors import SourceError
from gpusteward.model import Fault, GpuReading, InstanceReading, NodeReadings, Readings

if TYPE_CHECKING:
    from gpusteward.clock import Moment
    from gpusteward.devices.nvml.frames import Gpu, Instance, RunningProcess, Sample
    from gpusteward.devices.nvml.holders import Processes
    from gpusteward.model import Allocation, Process

# NVML return codes (nvmlReturn_t in nvml.h). The agent's process does not import pynvml.
NO_PERMISSION: Final = 4
GPU_IS_LOST: Final = 15
RESET_REQUIRED: Final = 16

_FAULTS: Final = {
    GPU_IS_LOST: Fault.LOST,
    RESET_REQUIRED: Fault.RESET_REQUIRED,
    NO_ANSWER: Fault.NOT_RESPONDING,
}


class Translator:
    """Makes readings of samples.

    Args:
        node: the node's name.
        processes: tells who runs a process.
        hold: whether processes are holders, as on a plain host; else allocation is not known here.
    """

    def __init__(self, node: str, processes: Processes, *, hold: bool) -> None:
        self._node = node
        self._processes = processes
        self._hold = hold

    def readings(self, sample: Sample, at: Moment) -> Readings:
        """The readings of a sample.

        Raises:
            SourceError: it has no GPU, or none could be read, for a reason of this process and not of theirs.
        """
        _check(sample)
        models = {gpu.model for gpu in sample.gpus if gpu.model}
        gpus = tuple(self._gpu(gpu, sample.driver, models) for gpu in sample.gpus)
        self._processes.forget_unseen()
        errors: dict[tuple[str, str], int] = {(call, code): count for call, code, count in sample.errors}
        return Readings(
            at=at, source="nvml", nodes=(NodeReadings(node=self._node, gpus=gpus),), errors=errors
        )

    def _gpu(self, gpu: Gpu, driver: str, models: set[str]) -> GpuReading:
        processes = self._described(gpu.processes)
        return GpuReading(
            uuid=gpu.uuid or f"unreadable-{gpu.index}",
            gpu=str(gpu.index),
            # One that never said what it is costs what its neighbours do, where they are all alike.
            model=gpu.model or (next(iter(models)) if len(models) == 1 else ""),
            pci_bus_id=gpu.bus_id,
            driver_version=driver,
            signals=gpu.signals,
            mig=gpu.mig,
            instances=tuple(self._instance(instance) for instance in gpu.instances),
            allocations=self._held(processes),
            fault=_FAULTS.get(gpu.code, Fault.UNREADABLE) if gpu.code else None,
            processes=processes,
            device="" if gpu.minor is None else f"nvidia{gpu.minor}",
            xids=None if gpu.xids is None else tuple(gpu.xids),
        )

    def _instance(self, instance: Instance) -> InstanceReading:
        processes = self._described(instance.processes)
        return InstanceReading(
            gi=str(instance.gi),
            profile=instance.profile,
            mig_uuid=instance.uuid,
            signals=instance.signals,
            allocations=self._held(processes),
            processes=processes,
        )

    def _described(self, listed: list[RunningProcess] | None) -> tuple[Process, ...] | None:
        """Processes with names. From another pid namespace an empty list does not mean that nothing runs."""
        if listed is None or (not listed and not self._processes.visible):
            return None
        return self._processes.describe(listed)

    def _held(self, processes: tuple[Process, ...] | None) -> tuple[Allocation, ...] | None:
        return allocations(processes, visible=self._processes.visible) if self._hold else None


def _check(sample: Sample) -> None:
    if not sample.gpus:
        raise SourceError(
            "the driver is there and shows no GPU", reasons.NO_GPUS, reasons.HINTS[reasons.NO_GPUS]
        )
    codes = {gpu.code for gpu in sample.gpus}
    if codes == {NO_ANSWER}:
        raise SourceError("no GPU answers", reasons.TIMEOUT, reasons.HINTS[reasons.TIMEOUT])
    if codes & {0, *_FAULTS} or len(codes) > 1:
        return
    (code,) = codes
    reason = reasons.NO_PERMISSION if code == NO_PERMISSION else reasons.UNKNOWN_ERROR
    raise SourceError(f"NVML answers {code} for every GPU", reason, reasons.HINTS[reason])
