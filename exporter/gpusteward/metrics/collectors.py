"""A snapshot turned into metric families: fresh objects each time, no state kept between pages."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gpusteward.metrics import catalogue as c
from gpusteward.metrics.budget import within_budget
from gpusteward.metrics.costs import put_ended, put_leaf_costs, put_node_costs
from gpusteward.metrics.devices import put_gpu, put_leaf
from gpusteward.metrics.sheet import Sheet

if TYPE_CHECKING:
    from collections.abc import Sequence

    from prometheus_client.metrics_core import Metric as Family

    from gpusteward.metrics.exposure import Exposure
    from gpusteward.model import CollectHealth, JournalHealth, Snapshot


def families(
    snapshot: Snapshot | None, exposure: Exposure, own_process: Sequence[Family] = ()
) -> list[Family]:
    """All families of a page, within the series budget.

    Args:
        snapshot: what to show; None before the first: then only the agent's own health is shown.
        exposure: how to show it.
        own_process: families about our own process, shown as they are but for the `cluster` label.
    """
    sheet = Sheet(exposure.cluster, exposure.holder_label_prefix)
    _put_agent(sheet, snapshot, exposure)
    if snapshot is not None:
        _put_nodes(sheet, snapshot)
    process = [_labelled(family, exposure.cluster) for family in own_process]
    summed = 0 if snapshot is None else _summed_holders(snapshot)
    kept, dropped = within_budget([*sheet.families(), *process], exposure.series_budget, summed)
    return [*_series(kept, dropped, exposure), *kept]


def _put_nodes(sheet: Sheet, snapshot: Snapshot) -> None:
    for node in snapshot.nodes:
        put_node_costs(sheet, node)
        for ended in node.ended:
            put_ended(sheet, ended)
        for gpu in node.gpus:
            put_gpu(sheet, node, gpu, snapshot.source)
            for leaf in gpu.leaves:
                put_leaf(sheet, gpu, leaf, snapshot.source)
                put_leaf_costs(sheet, leaf)


def _summed_holders(snapshot: Snapshot) -> int:
    return sum(leaf.summed_holders for node in snapshot.nodes for gpu in node.gpus for leaf in gpu.leaves)


def _put_agent(sheet: Sheet, snapshot: Snapshot | None, exposure: Exposure) -> None:
    mode = exposure.mode if snapshot is None else snapshot.mode
    date = exposure.catalogue_date
    sheet.put(c.BUILD_INFO, (exposure.version, mode), 1.0)
    sheet.put(c.PRICE_INFO, (exposure.currency, date.isoformat() if date else ""), 1.0)
    sheet.put(c.CONFIG_RELOAD_SUCCESS, (), float(exposure.reload_success))
    sheet.put(c.CONFIG_RELOAD_TIMESTAMP, (), exposure.reloaded_at)
    sheet.put(c.COLLECT_SUCCESS, (), float(snapshot is not None and snapshot.health.success))
    if snapshot is not None:
        _put_collecting(sheet, snapshot.health)
    if exposure.journal is not None:
        _put_journal(sheet, exposure.journal)


def _put_collecting(sheet: Sheet, health: CollectHealth) -> None:
    sheet.put(c.COLLECT_TIMESTAMP, (), health.last_success)
    sheet.put(c.COLLECT_DURATION, (), health.duration_seconds)
    for reason, count in sorted(health.cycles.items()):
        sheet.put(c.COLLECT_CYCLES, (reason,), count)
    for reason, count in sorted(health.skipped.items()):
        sheet.put(c.SOURCE_SKIPPED, (reason,), count)
    for call, count in sorted(health.errors.items()):
        sheet.put(c.NVML_ERRORS, call, count)
    for reason, count in (health.attribution_errors or {}).items():
        sheet.put(c.ATTRIBUTION_ERRORS, (reason,), count)
    sheet.put(c.ATTRIBUTION_TIMESTAMP, (), health.holders_at)
    sheet.put(c.COLLECTOR_STUCK, (), None if health.stuck is None else float(health.stuck))
    sheet.put(c.DRIVER_HOLD_SUCCESS, (), None if health.hold_known is None else float(health.hold_known))


def _put_journal(sheet: Sheet, health: JournalHealth) -> None:
    sheet.put(c.JOURNAL_ROWS, (), health.rows)
    sheet.put(c.JOURNAL_BYTES, (), health.bytes)
    sheet.put(c.JOURNAL_WAITING, (), health.waiting_rows)
    sheet.put(c.JOURNAL_LOST, (), health.lost_rows)
    sheet.put(c.JOURNAL_CORRUPT, (), health.corrupt)
    sheet.put(c.JOURNAL_ERRORS, (), health.write_errors)
    sheet.put(c.JOURNAL_LAST_WRITE, (), health.last_write)
    sheet.put(c.JOURNAL_OLDEST, (), health.oldest)


def _series(kept: list[Family], dropped: dict[c.Tier, int], exposure: Exposure) -> list[Family]:
    sheet = Sheet(exposure.cluster)
    own = len((c.SERIES, c.SERIES_BUDGET)) + len(dropped)
    sheet.put(c.SERIES, (), own + sum(len(family.samples) for family in kept))
    sheet.put(c.SERIES_BUDGET, (), exposure.series_budget)
    for tier, count in dropped.items():
        sheet.put(c.SERIES_DROPPED, (tier.name.lower(),), count)
    return sheet.families()


def _labelled(family: Family, cluster: str) -> Family:
    if cluster:
        family.samples = [
            sample._replace(labels={**sample.labels, c.CLUSTER: cluster}) for sample in family.samples
        ]
    return family
