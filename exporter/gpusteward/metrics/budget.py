"""The series budget: whole families go, a tier at a time, so that what stays stays complete.

Process holders, the first tier, are bounded before they reach the page: here is only how many have room.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from gpusteward.metrics.catalogue import CATALOGUE, SERIES, SERIES_BUDGET, Scope, Tier
from gpusteward.metrics.devices import BOARD_SIGNALS, LEAF_SIGNALS, RECOVERY_ACTIONS
from gpusteward.model import HolderKind, State

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from prometheus_client.metrics_core import Metric as Family

    from gpusteward.model import Allocation, GpuReading, NodeReadings, Signals

_TIER_OF: Final = {
    metric.full_name.removesuffix("_total"): metric.tier for metric in CATALOGUE if metric.tier is not None
}
BOOKKEEPING: Final = len((SERIES, SERIES_BUDGET, *Tier))
"""Series that the budget's own account takes."""

HOLDER_SERIES: Final = 1 + 2 + 2 * 7
"""The most series of a holder on a leaf: its share; its cost now, of two causes at once; and of each of the
seven causes that a holder can meet what it held and what that cost."""

_SHOWN_SIGNALS: Final = {metric.name for metric, _ in BOARD_SIGNALS.values()} | {
    metric.name for metric in LEAF_SIGNALS.values()
}
_STATE_SETS: Final = {"state": len(State), "action": len(RECOVERY_ACTIONS) + 1, "xid": 8}
"""Values of a label that may stand side by side; of XIDs more than 8 on one GPU are its least trouble."""


def _most(scope: Scope) -> int:
    """Series of one GPU, leaf or node that no signal stands for."""
    return sum(
        _STATE_SETS.get(metric.extra[0] if metric.extra else "", 1)
        for metric in CATALOGUE
        if metric.scope is scope and metric.name not in _SHOWN_SIGNALS
    )


_GPU: Final = _most(Scope.GPU) + 1  # a MIG parent has gpu_info too
_LEAF: Final = _most(Scope.LEAF) + HOLDER_SERIES  # of the empty holder, by as many causes
_REST_LEAVES: Final = 2  # free and stranded
_NODE: Final = _most(Scope.NODE)
_AGENT: Final = _most(Scope.AGENT) + BOOKKEEPING + 64  # reasons, failed calls, our own process


def process_seats(nodes: Iterable[NodeReadings], budget: int) -> int:
    """How many process holders a page of this budget has room for beside all that these readings become.

    An upper bound of the rest is taken, so that a page is never over its budget for a process's sake.
    """
    rest = _AGENT
    for node in nodes:
        rest += _NODE + sum(map(_series_of, node.gpus))
    return max(0, budget - rest) // HOLDER_SERIES


def _series_of(gpu: GpuReading) -> int:
    """The most series that a GPU may be, without its process holders."""
    board = _GPU + len(gpu.signals.keys() & BOARD_SIGNALS.keys())
    if not gpu.mig:
        return board + _series_of_leaf(gpu.signals, gpu.allocations)
    leaves = sum(_series_of_leaf(instance.signals, instance.allocations) for instance in gpu.instances)
    return board + leaves + _REST_LEAVES * _LEAF


def _series_of_leaf(signals: Signals, allocations: tuple[Allocation, ...] | None) -> int:
    pods = sum(allocation.kind is HolderKind.POD for allocation in allocations or ())
    return _LEAF + len(signals.keys() & LEAF_SIGNALS.keys()) + pods * HOLDER_SERIES


def within_budget(
    families: Sequence[Family], budget: int, summed_holders: int = 0
) -> tuple[list[Family], dict[Tier, int]]:
    """The families that fit, and how many series of each tier were dropped (0 for a tier that stayed).

    A page of exactly `budget` series fits. What has no tier (cost, health, identity) always stays, even
    above the budget. `summed_holders` process holders were left out before.
    """
    kept = list(families)
    dropped = dict.fromkeys(Tier, 0) | {Tier.PROCESS_HOLDERS: summed_holders * HOLDER_SERIES}
    total = BOOKKEEPING + sum(len(family.samples) for family in kept)
    for tier in (Tier.LINKS, Tier.CLOCKS):
        if total <= budget:
            break
        dropped[tier] = sum(len(f.samples) for f in kept if _TIER_OF.get(f.name) is tier)
        kept = [family for family in kept if _TIER_OF.get(family.name) is not tier]
        total -= dropped[tier]
    return kept, dropped
