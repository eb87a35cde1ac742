"""The series budget: whole families go, a tier at a time, so that what stays stays complete."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from gpusteward.metrics.catalogue import CATALOGUE, SERIES, SERIES_BUDGET, Tier

if TYPE_CHECKING:
    from collections.abc import Sequence

    from prometheus_client.metrics_core import Metric as Family

_TIER_OF: Final = {
    metric.full_name.removesuffix("_total"): metric.tier for metric in CATALOGUE if metric.tier is not None
}
BOOKKEEPING: Final = len((SERIES, SERIES_BUDGET, *Tier))
"""Series that the budget's own account takes."""


def within_budget(families: Sequence[Family], budget: int) -> tuple[list[Family], dict[Tier, int]]:
    """The families that fit, and how many series of each tier were dropped (0 for a tier that stayed).

    A page of exactly `budget` series fits. What has no tier (cost, health, identity) always stays, even
    above the budget.
    """
    kept = list(families)
    dropped = dict.fromkeys(Tier, 0)
    total = BOOKKEEPING + sum(len(family.samples) for family in kept)
    for tier in Tier:
        if total <= budget:
            break
        dropped[tier] = sum(len(f.samples) for f in kept if _TIER_OF.get(f.name) is tier)
        kept = [family for family in kept if _TIER_OF.get(family.name) is not tier]
        total -= dropped[tier]
    return kept, dropped
