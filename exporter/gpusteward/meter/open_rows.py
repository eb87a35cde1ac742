"""The rows of the window that is open: exact sums per device, holder, cause and price, until they are closed.

Whole milliseconds come about only when a window closes, by largest remainder; what of a device's time does
not fill a millisecond goes over into its next window, so that none is lost or made.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, TypeAlias

from gpusteward.model import UsageRow, UsageWindow
from gpusteward.units import PPB, largest_remainder, microseconds

if TYPE_CHECKING:
    from gpusteward.clock import Moment
    from gpusteward.model import Cause, Holder, Price

    Key: TypeAlias = tuple[str, str, str]
    Account: TypeAlias = tuple[Holder, Cause, Price | None]

_US_PER_MS = 1000


@dataclass(slots=True)
class OpenDevice:
    """One device's open rows.

    Attributes:
        elapsed: microseconds of it that were metered.
        end: monotonic seconds at which the last of them ended.
        held: µs × parts per billion by holder, cause and price.
    """

    elapsed: int = 0
    end: float = 0.0
    held: dict[Account, int] = field(default_factory=dict)


class OpenRows:
    """The open window.

    Attributes:
        began: monotonic seconds at which it began; None before the first.
        devices: its devices by key.
        carried: microseconds of each device that did not fill a millisecond of the window before.
    """

    def __init__(self) -> None:
        self.began: float | None = None
        self.devices: dict[Key, OpenDevice] = {}
        self.carried: dict[Key, int] = {}

    def elapse(self, device: Key, elapsed: int, end: float) -> None:
        """Let time go by on a device.

        Args:
            device: its key.
            elapsed: microseconds.
            end: monotonic seconds at which they ended.
        """
        if self.began is None:
            self.began = end - elapsed / 1e6
        opened = self.devices.setdefault(device, OpenDevice())
        opened.elapsed += elapsed
        opened.end = end

    def add(self, device: Key, account: Account, held: int) -> None:
        """Add held time (µs × parts per billion) of time that has gone by."""
        if held:
            accounts = self.devices[device].held
            accounts[account] = accounts.get(account, 0) + held

    def discard(self, now: float) -> None:
        """Begin a new window now; what was open is not billed."""
        self.began, self.devices, self.carried = now, {}, {}

    def close(self, at: Moment) -> UsageWindow:
        """End the window, and begin the next one. Its rows, those of less than a millisecond left out."""
        rows: list[UsageRow] = []
        carried: dict[Key, int] = {}
        for key, device in sorted(self.devices.items()):
            length, carried[key] = divmod(device.elapsed + self.carried.get(key, 0), _US_PER_MS)
            end_ms = microseconds(at.wall - (at.monotonic - device.end)) // _US_PER_MS
            rows += _closed(key, device, length, end_ms)
        began = at.monotonic if self.began is None else self.began
        self.began, self.devices, self.carried = at.monotonic, {}, carried
        return UsageWindow(rows=tuple(rows), end=at.monotonic, seconds=max(0.0, at.monotonic - began))


def _closed(key: Key, device: OpenDevice, length: int, end_ms: int) -> list[UsageRow]:
    """A device's rows: `length` milliseconds, less what of the time was nobody's (downtime)."""
    held = sum(device.held.values())
    if not held or not length:
        return []
    total = length * held // (device.elapsed * PPB)
    accounts = sorted(device.held.items(), key=_order)
    parts = largest_remainder(total, [amount for _, amount in accounts])
    return [
        UsageRow(
            device=key,
            start_ms=end_ms - length,
            end_ms=end_ms,
            holder=holder,
            cause=cause,
            held_ms=part,
            price=price,
        )
        for ((holder, cause, price), _), part in zip(accounts, parts, strict=True)
        if part
    ]


def _order(item: tuple[Account, int]) -> tuple[Holder, Cause, str]:
    holder, cause, price = item[0]
    return holder, cause, "" if price is None else price.id
