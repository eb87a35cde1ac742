"""A page of metrics read back, so that tests speak of series and not of text."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeAlias

from prometheus_client.openmetrics.parser import text_string_to_metric_families as openmetrics_families
from prometheus_client.parser import text_string_to_metric_families

if TYPE_CHECKING:
    from collections.abc import Iterable

    from prometheus_client.metrics_core import Metric

Labels: TypeAlias = "frozenset[tuple[str, str]]"
Series: TypeAlias = "dict[str, dict[Labels, float]]"


def parsed(text: bytes) -> Series:
    """Series by name, then by labels; fails when one appears twice."""
    return by_name(text_string_to_metric_families(text.decode()))


def parsed_openmetrics(text: bytes) -> Series:
    """The same, of a page in OpenMetrics."""
    return by_name(openmetrics_families(text.decode()))  # type: ignore[no-untyped-call]  # it has no annotations


def by_name(families: Iterable[Metric]) -> Series:
    """The same, of families."""
    found: Series = {}
    for family in families:
        for sample in family.samples:
            rows = found.setdefault(sample.name, {})
            labels = frozenset(sample.labels.items())
            assert labels not in rows, f"{sample.name}{sample.labels} appears twice"
            rows[labels] = sample.value
    return found


def values(series: Series, name: str, **wanted: str) -> list[float]:
    """Values of the series `gpusteward_<name>` that carry these labels."""
    return [
        value for labels, value in series.get(f"gpusteward_{name}", {}).items() if wanted.items() <= labels
    ]


def value(series: Series, name: str, **wanted: str) -> float:
    """The value of the one such series."""
    (only,) = values(series, name, **wanted)
    return only


def labels_of(series: Series, name: str, **wanted: str) -> list[dict[str, str]]:
    """Labels of the series `gpusteward_<name>` that carry these labels."""
    return [dict(labels) for labels in series.get(f"gpusteward_{name}", {}) if wanted.items() <= labels]
