"""Which process holders keep a series of their own, and which are summed under one holder.

A host can run thousands of short commands; each that holds a GPU would be eight series. Who finds no room
when it is first seen is summed under `pod="other"`, and stays there until it ends, as one that found room
keeps it until it ends: a counter never moves from one series to another, so none goes down and no money is
lost on the way. Pure: the holders seen before are its only memory.
"""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction
from typing import TYPE_CHECKING, TypeAlias

from gpusteward.model import Allocation, Holder, HolderKind, Portion

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable

    from gpusteward.model import Cause, Leaf

    _Place: TypeAlias = "tuple[tuple[str, str, str], Holder]"  # a leaf's key, and who holds it

OTHER = Holder(pod="other")


class ProcessHolders:
    """The process holders of an agent.

    Args:
        ended_seconds: how long a holder that was seen no more keeps its place, as its counters are kept.
    """

    def __init__(self, ended_seconds: float) -> None:
        self.ended_seconds = ended_seconds
        self._seats = 0
        self._now = 0.0
        self._own: dict[_Place, float] = {}
        self._summed: dict[_Place, float] = {}

    def begin(self, seats: int, now: float) -> None:
        """Begin a sample: this many holders may have series of their own; those that ended give theirs back.

        Args:
            seats: places in all, one for each leaf that a holder is on.
            now: monotonic seconds.
        """
        self._seats, self._now = seats, now
        self._own = self._still_there(self._own)
        self._summed = self._still_there(self._summed)

    def sum_up(self, leaf: Leaf, portions: Iterable[Portion]) -> tuple[Leaf, tuple[Portion, ...], int]:
        """The leaf and its portions as they are shown and charged, and how many holders were summed up.

        Shares and portions are only renamed and added: their sums are those that came in.
        """
        summed = {
            allocation.holder
            for allocation in leaf.allocations or ()
            if allocation.kind is HolderKind.PROCESS and not self._has_own(leaf, allocation.holder)
        }
        if not summed:
            return leaf, tuple(portions), 0
        allocations = _summed_allocations(leaf.allocations or (), summed)
        return replace(leaf, allocations=allocations), _summed_portions(portions, summed), len(summed)

    def _has_own(self, leaf: Leaf, holder: Holder) -> bool:
        place = (leaf.device.key, holder)
        full = len(self._own) >= self._seats
        own = place in self._own or not (full or place in self._summed or holder == OTHER)
        (self._own if own else self._summed)[place] = self._now
        return own

    def _still_there(self, places: dict[_Place, float]) -> dict[_Place, float]:
        return {place: seen for place, seen in places.items() if self._now - seen <= self.ended_seconds}


def _summed_allocations(
    allocations: tuple[Allocation, ...], summed: Collection[Holder]
) -> tuple[Allocation, ...]:
    kept = [allocation for allocation in allocations if allocation.holder not in summed]
    share = sum((a.share for a in allocations if a.holder in summed), Fraction(0))
    together = Allocation(OTHER, share, kind=HolderKind.PROCESS)
    return tuple(sorted([*kept, together], key=lambda allocation: allocation.holder))


def _summed_portions(portions: Iterable[Portion], summed: Collection[Holder]) -> tuple[Portion, ...]:
    parts: dict[tuple[Holder, Cause], int] = {}
    for portion in portions:
        key = (OTHER if portion.holder in summed else portion.holder, portion.cause)
        parts[key] = parts.get(key, 0) + portion.ppb
    return tuple(Portion(holder, cause, ppb) for (holder, cause), ppb in parts.items())
