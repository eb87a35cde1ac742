from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from gpusteward.pricing import check_file, list_prices
from gpusteward.pricing.models import packaged
from tests.unit.pricing.cases import book, catalogue, csv_text, text

if TYPE_CHECKING:
    from tests.conftest import Golden

GOLDEN = "tests/unit/pricing/golden"


def test_the_list_is_aligned_and_shows_source_and_date_of_each_row(golden: Golden) -> None:
    report = list_prices(book(), "AWS", "h100")
    assert report.ok
    golden(text(report), f"{GOLDEN}/list.txt")


def test_the_list_leaves_out_what_was_not_asked_for() -> None:
    everything = list_prices(book())
    assert len(everything.lines) == 220 + 3
    lambdas = list_prices(book(), "lambda").lines[3:]
    assert len(lambdas) == 17
    assert all(line.startswith("lambda ") for line in lambdas)
    assert len(list_prices(book(), model="NVIDIA H200").lines) == 3 + 5


def test_what_is_not_known_is_a_dash_and_not_a_0() -> None:
    row = next(line for line in list_prices(book()).lines if " a3-ultragpu-8g " in line)
    assert row.split()[4:11] == ["8", "-", "-", "-", "-", "-", "-"]
    unpriced = {"on_demand_usd_per_hour": "", "on_demand_kind": "", "spot_usd_per_hour": "", "as_of": ""}
    listed = book(catalogue(unpriced | {"spot_confidence": "", "gpu_count": ""}))
    assert list_prices(listed).lines[0] == "test.csv, USD an hour, newest row -"
    assert list_prices(listed).lines[3].split()[4:11] == ["-"] * 7


@pytest.mark.parametrize(
    ("provider", "model", "said"),
    [("hetzner", "", "No price row for hetzner."), ("aws", "h2000", "No price row for aws h2000.")],
)
def test_a_list_of_nothing_says_so(provider: str, model: str, said: str) -> None:
    report = list_prices(book(), provider, model)
    assert not report.ok
    assert report.lines[0] == said
    assert report.lines[-1].startswith("next: ")


def test_a_file_that_passes_is_summed_up_with_its_notes() -> None:
    report = check_file(csv_text({"spot_usd_per_hour": "55.04"}), "mine.csv")
    assert report.ok
    assert report.lines == (
        "mine.csv: 1 rows pass, 0 of them unpriced; newest row 2026-07-20.",
        "  note: mine.csv:2: spot equals on-demand, so spot counts as not known",
    )
    bundled = check_file(packaged("gpu_prices.csv"), "gpu_prices.csv")
    assert bundled.lines == ("gpu_prices.csv: 220 rows pass, 4 of them unpriced; newest row 2026-08-03.",)


def test_a_file_that_fails_shows_every_problem_and_its_remedy(golden: Golden) -> None:
    bad = check_file(
        csv_text(
            {"source": "", "gpu_count": "12"},
            {"region": "b", "on_demand_usd_per_hour": "700"},
            {"region": "c", "gpu_model": "a100"},
        ),
        "mine.csv",
    )
    assert not bad.ok
    golden(text(bad), f"{GOLDEN}/check.txt")
    assert check_file(csv_text({"source": ""}), "f.csv").lines[0].startswith("f.csv: 1 problem;")


def test_a_file_of_unpriced_rows_has_no_date() -> None:
    unpriced = {"on_demand_usd_per_hour": "", "on_demand_kind": "", "spot_usd_per_hour": "", "as_of": ""}
    report = check_file(csv_text(unpriced | {"spot_confidence": ""}), "mine.csv")
    assert report.lines == ("mine.csv: 1 rows pass, 1 of them unpriced; newest row -.",)
