"""Where a leaf's money goes now, by the closed list of causes."""

from __future__ import annotations

from fractions import Fraction
from typing import TYPE_CHECKING

from gpusteward.model import Cause, Holder, LeafKind, Portion, State
from gpusteward.units import PPB, largest_remainder

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import TypeAlias

    from gpusteward.model import Allocation, Leaf, Verdict

    _CausesOf: TypeAlias = Callable[[Allocation, int], list[tuple[Cause, int]]]

_IDLE = frozenset({State.IDLE_HELD, State.IDLE_EMPTY})


def portions(leaf: Leaf, verdict: Verdict) -> tuple[Portion, ...]:
    """Where the leaf's money goes now, by the closed list of causes; the parts sum to one billion."""
    nobody = Holder()
    if leaf.fault is not None:
        return _by_holder(leaf, lambda _, ppb: [(Cause.UNHEALTHY, ppb)], Cause.UNHEALTHY)
    if leaf.device.kind is LeafKind.STRANDED:
        return (Portion(nobody, Cause.STRANDED, PPB),)
    if leaf.device.kind is LeafKind.FREE:
        return (Portion(nobody, Cause.UNALLOCATED, PPB),)
    if leaf.allocations is None:
        return (Portion(nobody, Cause.UNMEASURED, PPB),)
    if not leaf.allocations:
        cause = Cause.ORPHANED if verdict.orphaned else Cause.UNALLOCATED
        return (Portion(nobody, cause, PPB),)
    return _by_holder(leaf, lambda allocation, ppb: _causes_of(allocation, ppb, verdict), Cause.UNALLOCATED)


def _causes_of(allocation: Allocation, ppb: int, verdict: Verdict) -> list[tuple[Cause, int]]:
    if allocation.running is False:
        return [(Cause.NOT_RUNNING, ppb)]
    if verdict.activity is None:
        return [(Cause.UNMEASURED, ppb)]
    if verdict.state in _IDLE:
        return [(Cause.IDLE, ppb)]
    used = ppb * round(verdict.activity * PPB) // PPB
    rest = Cause.UNDERUSED if verdict.state is State.UNDERUSED else Cause.HEADROOM
    return [(Cause.USED, used), (rest, ppb - used)]


def _by_holder(leaf: Leaf, causes_of: _CausesOf, rest_cause: Cause) -> tuple[Portion, ...]:
    """Each holder's share by its causes, and the seats that nobody holds under `rest_cause`."""
    allocations = leaf.allocations or ()
    rest = 1 - sum((allocation.share for allocation in allocations), Fraction(0))
    *shares, unheld = largest_remainder(PPB, [*(allocation.share for allocation in allocations), rest])
    result = [
        Portion(allocation.holder, cause, part)
        for allocation, ppb in zip(allocations, shares, strict=True)
        for cause, part in causes_of(allocation, ppb)
        if part
    ]
    if unheld:
        result.append(Portion(Holder(), rest_cause, unheld))
    return tuple(result)
