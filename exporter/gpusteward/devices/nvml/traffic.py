"""Rates between two readings of byte counters, which may wrap or be set back.

The counters themselves are told as the driver has them. Carried on over a wrap they would fall by all that
was carried each time that a worker or the agent begins anew, and Prometheus would take what the driver has
counted for traffic of that moment. As they are, a wrap hides at most
what was moved since the scrape before it.

nvmlDeviceGetPcieThroughput is never called: it blocks for a window of 20 ms, for each direction of each GPU.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from gpusteward.model.devices import Signal

if TYPE_CHECKING:
    from collections.abc import Iterable

PCIE_BYTES_PER_SECOND: Final = 64e9
"""Most that a board moves over PCIe each way: 16 lanes of 32 GT/s, generation 5 (PCI-SIG's specification)."""

MOST_BYTES_PER_SECOND: Final = 4e12
"""No board moves more: a faster one is a counter that jumped. NVLink 5 is 1.8e12 both ways together."""

_RATES: Final = (
    (Signal.PCIE_TX, (Signal.PCIE_TX_TOTAL,)),
    (Signal.PCIE_RX, (Signal.PCIE_RX_TOTAL,)),
    (Signal.NVLINK, (Signal.NVLINK_TX_TOTAL, Signal.NVLINK_RX_TOTAL)),
)
_WRAPS: Final = frozenset({Signal.PCIE_TX_TOTAL, Signal.PCIE_RX_TOTAL})
"""Counters that wrap, as nvml.h says of fields 197 and 198; any other that falls was set back."""


class Traffic:
    """The byte counters of one board."""

    def __init__(self) -> None:
        self._last: dict[Signal, float] = {}
        self._at: float | None = None

    def follow(self, signals: dict[Signal, float], at: float) -> None:
        """Add the rates since the time before to `signals`; none of a counter that was set back.

        Args:
            signals: what was read now; the rates are added.
            at: when, in monotonic seconds.
        """
        seconds = at - self._at if self._at is not None else 0.0
        moved = {name: self._step(name, signals.get(name), seconds) for _, names in _RATES for name in names}
        self._at = at
        if seconds <= 0:
            return
        for rate, names in _RATES:
            together = _sum(moved[name] for name in names)
            if together is not None and together / seconds <= MOST_BYTES_PER_SECOND:
                signals[rate] = together / seconds

    def _step(self, name: Signal, now: float | None, seconds: float) -> float | None:
        """Bytes since the reading before; None when there was none, or the counter was set back."""
        before = self._last.pop(name, None)
        if now is None:
            return None
        self._last[name] = now
        if before is None:
            return None
        if now >= before:
            return now - before
        over = now + _width(before) - before
        return over if name in _WRAPS and over <= PCIE_BYTES_PER_SECOND * seconds else None


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
