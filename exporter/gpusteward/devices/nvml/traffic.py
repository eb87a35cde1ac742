"""Byte counters that may wrap, and the rates between two readings of them.

nvmlDeviceGetPcieThroughput is never called: it blocks for a window of 20 ms, for each direction of each GPU.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from gpusteward.model.devices import Signal

if TYPE_CHECKING:
    from collections.abc import Iterable

MOST_BYTES_PER_SECOND: Final = 4e12
"""No board moves more: a faster one is a counter that was set back. NVLink 5 is 1.8e12 both ways together."""

_RATES: Final = (
    (Signal.PCIE_TX, (Signal.PCIE_TX_TOTAL,)),
    (Signal.PCIE_RX, (Signal.PCIE_RX_TOTAL,)),
    (Signal.NVLINK, (Signal.NVLINK_TX_TOTAL, Signal.NVLINK_RX_TOTAL)),
)


class Traffic:
    """The byte counters of one board."""

    def __init__(self) -> None:
        self._raw: dict[Signal, float] = {}
        self._carried: dict[Signal, float] = {}
        self._at: float | None = None

    def follow(self, signals: dict[Signal, float], at: float) -> None:
        """Make the counters in `signals` go on where they wrapped, and add the rates since the time before.

        Args:
            signals: what was read now; changed.
            at: when, in monotonic seconds.
        """
        seconds = at - self._at if self._at is not None else 0.0
        moved = {name: self._step(name, signals) for _, names in _RATES for name in names}
        self._at = at
        if seconds <= 0:
            return
        for rate, names in _RATES:
            per_second = _sum(moved[name] for name in names)
            if per_second is not None and per_second / seconds <= MOST_BYTES_PER_SECOND:
                signals[rate] = per_second / seconds

    def _step(self, name: Signal, signals: dict[Signal, float]) -> float | None:
        """Bytes since the reading before; None when there was none."""
        now, before = signals.get(name), self._raw.get(name)
        if now is None:
            self._raw.pop(name, None)
            return None
        self._raw[name] = now
        carried = self._carried.get(name, 0.0)
        if before is not None and now < before:
            carried += _width(before)
            self._carried[name] = carried
        signals[name] = now + carried
        if before is None:
            return None
        return now - before if now >= before else now + _width(before) - before


def _width(last: float) -> float:
    """Where a counter wrapped: the least power of two above its last value.

    nvml.h says that the PCIe counters wrap, and not where. The last value before it lay in the upper half of
    the range, as long as less than half of it is moved between two readings.
    """
    return float(1 << int(last).bit_length())


def _sum(parts: Iterable[float | None]) -> float | None:
    total = 0.0
    for part in parts:
        if part is None:
            return None
        total += part
    return total
