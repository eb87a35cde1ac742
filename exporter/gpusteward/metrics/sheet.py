"""Rows on their way to metric families: no series twice, no unknown value, no label that breaks a page."""

from __future__ import annotations

import math
import re
from typing import TYPE_CHECKING

from prometheus_client.metrics_core import CounterMetricFamily, GaugeMetricFamily

from gpusteward.metrics.catalogue import CLUSTER, HOLDER, Kind

if TYPE_CHECKING:
    from prometheus_client.metrics_core import Metric as Family

    from gpusteward.metrics.catalogue import Metric

_SURROGATE = re.compile("[\ud800-\udfff]")


class Sheet:
    """Collects rows by metric and makes fresh families of them.

    Args:
        cluster: value of the `cluster` label; empty = no such label.
        holder_label_prefix: put before the holder labels.
    """

    def __init__(self, cluster: str = "", holder_label_prefix: str = "") -> None:
        self._cluster = cluster
        self._prefix = holder_label_prefix
        self._metrics: dict[str, Metric] = {}
        self._rows: dict[str, dict[tuple[str, ...], float]] = {}

    def put(self, metric: Metric, labels: tuple[str, ...], value: float | None) -> None:
        """Set a series; of equal ones the first stays.

        None, NaN, infinity, and a count below 0 are unknown, hence absent.
        """
        if value is None or not math.isfinite(value):
            return
        if metric.kind is not Kind.COUNTER or value >= 0:
            self._of(metric).setdefault(_printable(labels), value)

    def add(self, metric: Metric, labels: tuple[str, ...], value: float) -> None:
        """Add to a series: for time, shares and money, where leaving out an equal series would lose some."""
        rows = self._of(metric)
        key = _printable(labels)
        rows[key] = rows.get(key, 0.0) + value

    def families(self) -> list[Family]:
        """One family for each metric that has a row, in the order in which they came."""
        return [self._family(self._metrics[name], rows) for name, rows in self._rows.items() if rows]

    def _of(self, metric: Metric) -> dict[tuple[str, ...], float]:
        self._metrics[metric.name] = metric
        return self._rows.setdefault(metric.name, {})

    def _family(self, metric: Metric, rows: dict[tuple[str, ...], float]) -> Family:
        own = [self._prefix + name if name in HOLDER else name for name in metric.labels]
        names = [*own, CLUSTER] if self._cluster else own
        after = _printable((self._cluster,)) if self._cluster else ()
        unit = metric.unit if metric.name.removesuffix("_total").endswith("_" + metric.unit) else ""
        counter = metric.kind is Kind.COUNTER
        make = CounterMetricFamily if counter else GaugeMetricFamily
        family = make(metric.full_name.removesuffix("_total"), metric.help, labels=names, unit=unit)
        for labels, value in rows.items():
            family.add_metric((*labels, *after), value)
        return family


def _printable(labels: tuple[str, ...]) -> tuple[str, ...]:
    """The labels as UTF-8 can carry them: a lone surrogate, as from an undecodable byte, becomes U+FFFD."""
    if all(map(str.isascii, labels)):
        return labels
    return tuple(_SURROGATE.sub("\ufffd", label) for label in labels)
