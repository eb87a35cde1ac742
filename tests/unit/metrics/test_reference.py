from __future__ import annotations

from typing import TYPE_CHECKING

from gpusteward.metrics.catalogue import CATALOGUE
from gpusteward.metrics.reference import metrics_reference

if TYPE_CHECKING:
    from tests.conftest import Golden


def test_the_reference_page_is_the_catalogue(golden: Golden) -> None:
    golden(metrics_reference(), "docs/metrics.md")


def test_every_metric_has_one_row() -> None:
    lines = metrics_reference().splitlines()
    for metric in CATALOGUE:
        assert sum(line.startswith(f"| `{metric.full_name}` |") for line in lines) == 1


def test_no_cell_breaks_its_row() -> None:
    rows = [line for line in metrics_reference().splitlines() if line.startswith("| `")]
    assert {row.count("|") for row in rows} == {7}
