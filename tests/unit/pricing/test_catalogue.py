from __future__ import annotations

import csv
import io
from fractions import Fraction

import pytest

from gpusteward.errors import CatalogueError
from gpusteward.pricing import bundled_catalogue, check, load_catalogue
from gpusteward.pricing.models import packaged
from gpusteward.pricing.prices import bundled_bands, load_bands
from tests.unit.pricing.cases import GOOD_ROW, catalogue, csv_text

BAND_HEADER = "model,low_usd_per_hour,high_usd_per_hour,max_gpus,source,as_of\n"

BAD_AND_NEAR = [
    # what is checked, a row that must be refused with these words, its near miss that must pass
    ("no price of 0", {"on_demand_usd_per_hour": "0", "spot_usd_per_hour": ""}, "is 0", {}),
    ("no spot of 0", {"spot_usd_per_hour": "0"}, "spot price is 0", {"spot_usd_per_hour": "0.01"}),
    (
        "spot at most on-demand",
        {"spot_usd_per_hour": "55.05"},
        "above on-demand",
        {"spot_usd_per_hour": "55.03"},
    ),
    ("a source", {"source": ""}, "without a source", {"source": "x"}),
    ("a date", {"as_of": ""}, "without a date", {"as_of": "2020-01-01"}),
    ("a readable date", {"as_of": "20 July"}, "not a date", {}),
    ("a kind of sale", {"on_demand_kind": ""}, "without its kind", {"on_demand_kind": "flex"}),
    ("a spot confidence", {"spot_confidence": "good"}, "'good'", {"spot_confidence": "stale"}),
    ("a known model", {"gpu_model": "H1000"}, "not a known model", {"gpu_model": "h100"}),
    ("one model", {"gpu_model": "a100"}, "stands for several", {"gpu_model": "h100"}),
    ("some model", {"gpu_model": ""}, "`gpu_model` is empty", {}),
    ("a provider", {"provider": ""}, "`provider` is empty", {"provider": "ours"}),
    ("a region", {"region": ""}, "`region` is empty", {"region": "cellar"}),
    ("plain numbers", {"on_demand_usd_per_hour": "$55"}, "not a plain number", {}),
    (
        "price at most twice the greatest known",
        {"on_demand_usd_per_hour": "196.65", "spot_usd_per_hour": ""},
        "not within 1.645 to 24.58",
        {"on_demand_usd_per_hour": "196.64", "spot_usd_per_hour": ""},
    ),
    (
        "price at least half the least known",
        {"on_demand_usd_per_hour": "13.15", "spot_usd_per_hour": ""},
        "not within 1.645 to 24.58",
        {"on_demand_usd_per_hour": "13.16", "spot_usd_per_hour": ""},
    ),
    (
        "a placeholder of 700",
        {"on_demand_usd_per_hour": "700", "spot_usd_per_hour": ""},
        "check price and `gpu_count`",
        {},
    ),
    (
        "a spot price alone at most twice the greatest known",
        {"on_demand_usd_per_hour": "", "on_demand_kind": "", "spot_usd_per_hour": "196.65"},
        "spot 24.58",
        {"on_demand_usd_per_hour": "", "on_demand_kind": "", "spot_usd_per_hour": "0.01"},
    ),
    ("12 GPUs on a node of 8", {"gpu_count": "12"}, "at most 8", {"gpu_count": "8"}),
    ("6 linked boards", {"gpu_count": "6"}, "sold in 1, 2, 4, 8 or 16", {"gpu_count": "4"}),
    (
        "36 GPUs of a rack",
        {"gpu_model": "GB200", "gpu_memory_gib": "186", "gpu_count": "36", "on_demand_usd_per_hour": "400"},
        "at most 4",
        {"gpu_model": "GB200", "gpu_memory_gib": "186", "gpu_count": "4", "on_demand_usd_per_hour": "42"},
    ),
    (
        "33 GPUs of a model without a limit",
        {"gpu_model": "L40S", "gpu_memory_gib": "48", "gpu_count": "33", "on_demand_usd_per_hour": "99"},
        "at most 32",
        {"gpu_model": "L40S", "gpu_memory_gib": "48", "gpu_count": "10", "on_demand_usd_per_hour": "30"},
    ),
    (
        "a count of a model without a band",
        {"gpu_model": "A40", "gpu_memory_gib": "48", "gpu_count": "33", "on_demand_usd_per_hour": "99"},
        "at most 32",
        {"gpu_model": "A40", "gpu_memory_gib": "48", "gpu_count": "3", "on_demand_usd_per_hour": "99"},
    ),
    ("a count of 0", {"gpu_count": "0"}, "write the part", {"gpu_count": ""}),
    (
        "one and a half GPUs",
        {"gpu_count": "1.5", "on_demand_usd_per_hour": "12", "spot_usd_per_hour": ""},
        "neither whole GPUs nor a part",
        {"gpu_count": "2", "on_demand_usd_per_hour": "12", "spot_usd_per_hour": ""},
    ),
    ("more GPUs than vCPUs", {"vcpus": "7"}, "more than its 7 vCPUs", {"vcpus": "8"}),
    (
        "a part called a whole GPU",
        {
            "gpu_model": "L4",
            "gpu_count": "1",
            "gpu_memory_gib": "11.18",
            "on_demand_usd_per_hour": "0.95",
            "spot_usd_per_hour": "",
        },
        "does not go with 11.18 GiB",
        {
            "gpu_model": "L4",
            "gpu_count": "0.5",
            "gpu_memory_gib": "11.18",
            "on_demand_usd_per_hour": "0.95",
            "spot_usd_per_hour": "",
        },
    ),
    (
        "a part that is not its part of the memory",
        {
            "gpu_model": "A10",
            "gpu_count": "0.1",
            "gpu_memory_gib": "4",
            "on_demand_usd_per_hour": "0.3",
            "spot_usd_per_hour": "",
        },
        "0.1667 here",
        {
            "gpu_model": "A10",
            "gpu_count": "0.1667",
            "gpu_memory_gib": "4",
            "on_demand_usd_per_hour": "0.454",
            "spot_usd_per_hour": "",
        },
    ),
    ("memory of another model", {"gpu_memory_gib": "40"}, "has 80 GB", {"gpu_memory_gib": "74.5"}),
]


@pytest.mark.parametrize(
    ("bad", "said", "near"),
    [case[1:] for case in BAD_AND_NEAR],
    ids=[str(case[0]) for case in BAD_AND_NEAR],
)
def test_each_check_refuses_a_seeded_row_and_passes_its_near_miss(
    bad: dict[str, str], said: str, near: dict[str, str]
) -> None:
    problems = check(csv_text(bad), "mine.csv")
    assert [problem.path for problem in problems] == ["mine.csv:2"]
    assert said in str(problems[0])
    assert check(csv_text(near), "mine.csv") == ()


@pytest.mark.parametrize(
    ("second", "said"),
    [
        ({}, "already at mine.csv:2"),
        ({"instance_type": "P5.48XLARGE", "on_demand_usd_per_hour": "60"}, "already at mine.csv:2"),
    ],
)
def test_a_row_that_is_there_twice_is_refused(second: dict[str, str], said: str) -> None:
    (problem,) = check(csv_text({}, second), "mine.csv")
    assert problem.path == "mine.csv:3"
    assert said in problem.message
    assert check(csv_text({}, {"region": "us-west-2"}), "mine.csv") == ()


def test_a_region_at_more_than_three_times_another_is_refused() -> None:
    base = {"on_demand_usd_per_hour": "50", "spot_usd_per_hour": ""}
    dear = base | {"region": "eu-west-1", "on_demand_usd_per_hour": "150.01"}
    (problem,) = check(csv_text(base, dear), "mine.csv")
    assert problem.path == "mine.csv:3"
    assert "more than 3 times the 50 of us-east-1 (mine.csv:2)" in problem.message
    assert check(csv_text(base, dear | {"on_demand_usd_per_hour": "150"}), "mine.csv") == ()


def test_spot_equal_to_on_demand_counts_as_not_known_and_is_noted() -> None:
    listed = catalogue({"spot_usd_per_hour": "55.04"})
    assert listed.rows[0].spot_micro is None
    assert listed.rows[0].spot_confidence == ""
    assert [note.path for note in listed.notes] == ["test.csv:2"]
    assert catalogue({"spot_usd_per_hour": "55.03"}).notes == ()


def test_a_row_without_a_price_is_allowed_for_its_count() -> None:
    unpriced = {
        "on_demand_usd_per_hour": "",
        "on_demand_kind": "",
        "spot_usd_per_hour": "",
        "spot_confidence": "",
        "as_of": "",
        "source": "",
    }
    listed = catalogue(unpriced)
    assert not listed.rows[0].priced
    assert listed.rows[0].gpus == 8
    assert listed.as_of is None


def test_what_is_absent_is_not_checked() -> None:
    assert check(csv_text({"gpu_memory_gib": "", "vcpus": "", "memory_gib": "", "gpu_count": ""}), "f") == ()
    v710 = {"gpu_model": "Radeon-Pro-V710", "gpu_count": "1", "gpu_memory_gib": "24"}
    assert check(csv_text(v710 | {"on_demand_usd_per_hour": "2", "spot_usd_per_hour": ""}), "f") == ()


def test_all_problems_are_told_at_once_in_the_order_of_the_file() -> None:
    text = csv_text(
        {"source": ""}, {"region": "b", "gpu_count": "x"}, {"region": "c", "spot_usd_per_hour": "99"}
    )
    problems = check(text + "short,row\n", "mine.csv")
    assert [problem.path for problem in problems] == ["mine.csv:2", "mine.csv:3", "mine.csv:4", "mine.csv:5"]


def test_loading_refuses_a_file_with_problems_and_says_how_to_go_on() -> None:
    with pytest.raises(CatalogueError) as caught:
        load_catalogue(csv_text({"source": ""}), "mine.csv")
    assert caught.value.problems == check(csv_text({"source": ""}), "mine.csv")
    assert "prices check mine.csv" in caught.value.hint


def test_a_file_without_rows_is_a_problem() -> None:
    (problem,) = check(csv_text(), "mine.csv")
    assert (problem.path, problem.message) == ("mine.csv:1", "no price rows")


def test_an_empty_file_says_which_columns_it_lacks() -> None:
    (problem,) = check("", "mine.csv")
    assert "missing: provider, instance_type" in problem.message


def test_the_bundled_catalogue_passes_its_own_checks() -> None:
    assert check(packaged("gpu_prices.csv"), "gpu_prices.csv") == ()
    assert len(bundled_catalogue().rows) == len(packaged("gpu_prices.csv").splitlines()) - 1
    assert str(bundled_catalogue().as_of) == "2026-08-03"


def test_every_bundled_row_with_a_price_has_its_source_and_date() -> None:
    for row in csv.DictReader(io.StringIO(packaged("gpu_prices.csv"))):
        if row["on_demand_usd_per_hour"] or row["spot_usd_per_hour"]:
            assert row["source"]
            assert row["as_of"]


def test_the_bands_are_what_the_bundled_rows_span() -> None:
    prices: dict[str, list[Fraction]] = {}
    for row in bundled_catalogue().rows:
        if row.gpus and row.gpus >= 1 and row.on_demand_micro and row.on_demand_kind == "on-demand":
            prices.setdefault(row.model, []).append(row.on_demand_micro / row.gpus / 1_000_000)
    bands = bundled_bands()
    assert prices.keys() <= bands.keys()
    cent = Fraction(1, 100)
    for model, known in prices.items():
        assert bands[model].low_micro / Fraction(1_000_000) <= min(known) + cent, model
        assert bands[model].high_micro / Fraction(1_000_000) >= max(known) - cent, model


@pytest.mark.parametrize(
    ("row", "said"),
    [
        ("H1000,1,2,8,s,2026-01-01", "not a known model"),
        ("T4,0,2,8,s,2026-01-01", "0 < low"),
        ("T4,3,2,8,s,2026-01-01", "0 < low"),
        ("T4,1,2,8,,2026-01-01", "`source` is empty"),
        ("T4,1,2,8,s,soon", "not a date"),
        ("T4,1,2,8.5,s,2026-01-01", "not a whole number"),
    ],
)
def test_a_band_that_bounds_nothing_is_refused(row: str, said: str) -> None:
    with pytest.raises(CatalogueError) as caught:
        load_bands(f"{BAND_HEADER}{row}\n", "bands.csv")
    assert said in str(caught.value.problems[0])
    assert load_bands(f"{BAND_HEADER}T4,1,1,,s,2026-01-01\n", "bands.csv")["T4"].max_gpus is None


def test_a_model_has_one_band() -> None:
    row = "T4,1,2,8,s,2026-01-01\n"
    with pytest.raises(CatalogueError, match="twice"):
        load_bands(f"{BAND_HEADER}{row}{row}", "bands.csv")


def test_rows_are_found_by_type_without_regard_to_case() -> None:
    listed = bundled_catalogue()
    assert [row.region for row in listed.of_type("Azure", "standard_nc24ads_a100_v4")] == ["eastus"]
    assert listed.of_type("gcp", "p5.48xlarge") == ()
    assert {row.provider for row in listed.of_type("", "p5.48xlarge")} == {"aws"}
    assert len(listed.of_type("gcp", "n1-standard-8")) == 7
    assert GOOD_ROW["instance_type"] in {row.instance_type for row in listed.rows}
