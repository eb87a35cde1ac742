"""docs/metrics.md, generated from the catalogue."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gpusteward.metrics.catalogue import CATALOGUE, CLUSTER, DEVICE, HOLDER, Kind, Scope, Tier

if TYPE_CHECKING:
    from collections.abc import Iterable

    from gpusteward.metrics.catalogue import Metric


def _code(names: Iterable[str]) -> str:
    return ", ".join(f"`{name}`" for name in names)


_HEAD = f"""\
# Metrics

Generated from `exporter/gpusteward/metrics/catalogue.py` by
`python -m pytest tests/unit/metrics/test_reference.py --update-golden`.

- A value that is not known is absent, never 0. Times are seconds, sizes bytes, ratios 0 to 1.
- Money is in the currency of `gpusteward_price_info`. Gauges of cost say what is spent now, counters what was
  spent since the agent began. Both are for dashboards and alerts, not for bills.
- Device labels are {_code(DEVICE)}. `uuid` is always the physical GPU; `gi` is the GPU-instance id,
  empty for a whole GPU or a MIG GPU's parent, `free` or `stranded` for the rest of a MIG GPU.
  A MIG parent has identity, temperature, power, energy and health only, so
  `sum by (uuid) (gpusteward_gpu_cost_per_hour)` is the GPU's price.
- Holder labels are {_code(HOLDER)}, always present, empty when nobody holds the leaf.
  Scrape with `honorLabels: true`, or set `metrics.holder_label_prefix`.
- `{CLUSTER}` is added to every series when `cluster` is set.
- Above `metrics.series_budget` series the page gives up what has a tier, in this order:
  {_code(tier.name.lower() for tier in Tier)}. Cost, state and health have none. The first are the holders of
  a plain host (`namespace` is the user, `pod` the command): who finds no room when first seen is summed under
  `pod="other"` until it ends, so no money is lost and no counter goes down.
- `process_*` are the agent's own CPU, memory and files, as every Prometheus client has them.
"""
_TABLE = "| name | type | unit | labels | meaning | absent |\n|---|---|---|---|---|---|\n"


def metrics_reference() -> str:
    """The page as Markdown."""
    return _HEAD + "".join(_section(scope) for scope in Scope)


def _section(scope: Scope) -> str:
    rows = "".join(_row(metric) for metric in CATALOGUE if metric.scope is scope)
    return f"\n## {scope}\n\n{_TABLE}{rows}"


def _row(metric: Metric) -> str:
    cells = (
        f"`{metric.full_name}`",
        "gauge, always 1" if metric.kind is Kind.INFO else str(metric.kind),
        metric.unit or "–",
        _code(metric.labels) or "–",
        metric.meaning if metric.tier is None else f"{metric.meaning} Tier `{metric.tier.name.lower()}`.",
        metric.absent or "never",
    )
    return f"| {' | '.join(cells)} |\n"
