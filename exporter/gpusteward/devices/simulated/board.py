"""One simulated GPU: its leaves, its troubles, and what a reading of it says."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from gpusteward.devices.simulated.signals import at_rest
from gpusteward.model import Fault, GpuReading, InstanceReading, Signal
from gpusteward.units import MIB

if TYPE_CHECKING:
    from gpusteward.devices.simulated.hardware import Hardware
    from gpusteward.devices.simulated.profile import Event
    from gpusteward.devices.simulated.tenancy import Visit
    from gpusteward.devices.simulated.timeline import Timeline
    from gpusteward.model import Allocation

_MHZ = 1e6
_ROOM_CELSIUS = 28.0
_RISE_CELSIUS = 47.0
_THERMAL_SECONDS = 60.0
"""Temperature follows the mean power of this long."""


@dataclass(frozen=True, slots=True)
class Interval:
    """Simulated seconds that a reading is about: rates are means over it, the rest is as of its end.

    Attributes:
        start: where it begins.
        end: where it ends, after `start`.
        origin: Unix time of simulated second 0.
    """

    start: float
    end: float
    origin: float


@dataclass(frozen=True, slots=True, kw_only=True)
class SimulatedLeaf:
    """A whole GPU or a MIG instance.

    Attributes:
        visits: who comes when.
        timeline: what it does.
        seats: seats that are shared out.
        memory_bytes: all of its memory.
        reserved_bytes: the part that the driver keeps.
        gi, profile, mig_uuid, slices: of an instance; empty and 0 for a whole GPU.
    """

    visits: tuple[Visit, ...]
    timeline: Timeline
    seats: int
    memory_bytes: int
    reserved_bytes: int
    gi: str = ""
    profile: str = ""
    mig_uuid: str = ""
    slices: int = 0

    def allocations(self, interval: Interval) -> tuple[Allocation, ...]:
        """Who holds it at the interval's end."""
        cycle, x = divmod(interval.end, self.timeline.cycle)
        origin = interval.origin + cycle * self.timeline.cycle
        visit = self._visit(x)
        return visit.allocations(int(cycle), x, self.seats, origin) if visit else ()

    def signals(self, interval: Interval, board: Hardware) -> dict[Signal, float]:
        """Mean rates, and memory at the interval's end."""
        seconds = interval.end - interval.start
        rates = dict.fromkeys(at_rest(board, self.slices).rates, 0.0)
        for length, segment in self.timeline.over(interval.start, interval.end):
            for signal, rate in segment.rates.items():
                rates[signal] += rate * (length / seconds)
        usable = self.memory_bytes - self.reserved_bytes
        x = interval.end % self.timeline.cycle
        visit = self._visit(x)
        used = round(usable * visit.memory(x)) if visit else 0
        memory = {
            Signal.MEMORY_USED: float(used),
            Signal.MEMORY_FREE: float(usable - used),
            Signal.MEMORY_TOTAL: float(self.memory_bytes),
        }
        return rates | memory

    def _visit(self, x: float) -> Visit | None:
        return next((visit for visit in self.visits if visit.start <= x < visit.end), None)


@dataclass(frozen=True, slots=True, kw_only=True)
class Board:
    """A physical GPU.

    Attributes:
        uuid, gpu, model, pci_bus_id, driver_version: its identity.
        hardware: what it is made of.
        mig: whether MIG is on.
        leaves: the GPU itself, or its instances in the order of gi.
        events: what happens to it in a cycle.
        cycle: seconds after which the events come again.
    """

    uuid: str
    gpu: str
    model: str
    pci_bus_id: str
    driver_version: str
    hardware: Hardware
    mig: bool
    leaves: tuple[SimulatedLeaf, ...]
    events: tuple[Event, ...]
    cycle: float

    def energy(self, t: float) -> float:
        """Joules from simulated second 0 to `t`."""
        return self.hardware.idle_watts * t + sum(leaf.timeline.integral("watts", t) for leaf in self.leaves)

    def reading(self, interval: Interval) -> GpuReading | None:
        """What a reading says; None while the GPU is lost."""
        fault = self._fault(interval.end)
        if fault is Fault.LOST:
            return None
        return GpuReading(
            uuid=self.uuid,
            gpu=self.gpu,
            model=self.model,
            pci_bus_id=self.pci_bus_id,
            driver_version=self.driver_version,
            signals=self._health(interval) if fault else self._signals(interval),
            mig=self.mig,
            instances=tuple(self._instance(leaf, interval, fault) for leaf in self.leaves)
            if self.mig
            else (),
            allocations=None if self.mig else self.leaves[0].allocations(interval),
            fault=fault,
            sharing="time-slicing" if any(leaf.seats > 1 for leaf in self.leaves) else "",
        )

    def _instance(self, leaf: SimulatedLeaf, interval: Interval, fault: Fault | None) -> InstanceReading:
        return InstanceReading(
            gi=leaf.gi,
            profile=leaf.profile,
            mig_uuid=leaf.mig_uuid,
            signals={} if fault else leaf.signals(interval, self.hardware),
            allocations=leaf.allocations(interval),
        )

    def _signals(self, interval: Interval) -> dict[Signal, float]:
        signals = self._health(interval) | self._thermal(interval)
        if self.mig:
            return signals
        (leaf,) = self.leaves
        signals |= leaf.signals(interval, self.hardware) | self._clocks(leaf, interval.end)
        signals[Signal.MEMORY_RESERVED] = float(leaf.reserved_bytes)
        signals[Signal.PCIE_REPLAYS_TOTAL] = 0.0
        if self.hardware.row_remapping:
            signals[Signal.ROWS_REMAPPED_CORRECTABLE_TOTAL] = 0.0
            signals[Signal.ROWS_REMAPPED_UNCORRECTABLE_TOTAL] = 0.0
            signals[Signal.ROW_REMAP_FAILURE] = 0.0
        return signals

    def _thermal(self, interval: Interval) -> dict[Signal, float]:
        """Power as a mean over the interval, from the segments; energy from the antiderivative."""
        seconds = interval.end - interval.start
        above_idle = sum(
            length * segment.watts
            for leaf in self.leaves
            for length, segment in leaf.timeline.over(interval.start, interval.end)
        )
        recent = (self.energy(interval.end) - self.energy(interval.end - _THERMAL_SECONDS)) / _THERMAL_SECONDS
        celsius = round(_ROOM_CELSIUS + _RISE_CELSIUS * recent / self.hardware.tdp_watts)
        signals = {
            Signal.POWER: self.hardware.idle_watts + above_idle / seconds,
            Signal.POWER_LIMIT: self.hardware.tdp_watts,
            Signal.ENERGY_TOTAL: self.energy(interval.end),
            Signal.TEMPERATURE: float(celsius),
        }
        if self.hardware.hbm:
            signals[Signal.MEMORY_TEMPERATURE] = float(celsius + 7)
        return signals

    def _clocks(self, leaf: SimulatedLeaf, t: float) -> dict[Signal, float]:
        segment = leaf.timeline.at(t)
        working = segment is not None and segment.activity > 0
        board = self.hardware
        return {
            Signal.SM_CLOCK: _MHZ * (board.sm_clock_mhz if working else board.idle_sm_clock_mhz),
            Signal.MEMORY_CLOCK: _MHZ * (board.memory_clock_mhz if working else board.idle_memory_clock_mhz),
        }

    def _health(self, interval: Interval) -> dict[Signal, float]:
        """The last XID is all that a faulty GPU still tells; it shows the last one for ever, 0 before any."""
        cycle, x = divmod(interval.end, self.cycle)
        told = sorted((event.start_minutes * 60, event.xid) for event in self.events if event.xid is not None)
        past = [xid for start, xid in told if start <= x] or [xid for _, xid in told if cycle > 0]
        return {Signal.LAST_XID: float(past[-1]) if past else 0.0}

    def _fault(self, t: float) -> Fault | None:
        x = t % self.cycle
        for event in self.events:
            start = 60 * event.start_minutes
            if event.fault is not None and start <= x < start + 60 * event.minutes:
                return Fault(event.fault)
        return None


def usable_memory(board: Hardware, memory_gib: int) -> int:
    """Bytes of a MIG instance: its name's GiB over the board's round GiB, of what the board has."""
    advertised = round(board.memory_mib / 1024)
    return MIB * (board.memory_mib * memory_gib // advertised)
