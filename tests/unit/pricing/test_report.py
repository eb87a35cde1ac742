from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from gpusteward.model import CapacityType, NodeFacts
from gpusteward.pricing import NodeGpus, check_file, explain, list_prices
from gpusteward.pricing.models import packaged
from tests.unit.pricing.cases import H100, L4, book, catalogue, csv_text, gpus, node

if TYPE_CHECKING:
    from gpusteward.pricing import Report
    from tests.conftest import Golden

GOLDEN = "tests/unit/pricing/golden"


def text(report: Report) -> str:
    assert all("\n" not in line and line == line.rstrip() for line in report.lines)
    return "\n".join(report.lines) + "\n"


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


def test_a_node_is_explained_step_by_step(golden: Golden) -> None:
    spot = node("g6.xlarge", region="eu-west-1", capacity=CapacityType.SPOT, annotation="abc")
    report = explain(book(basis="fitted"), "n1", [(NodeFacts(name="n0"), gpus()), (spot, gpus(L4, 1))])
    assert report.ok
    golden(text(report), f"{GOLDEN}/node.txt")


def test_a_missing_price_is_explained_with_the_next_step(golden: Golden) -> None:
    report = explain(book(), "n1", [(node("", "", ""), gpus("", 2, seen=1))])
    assert not report.ok
    golden(text(report), f"{GOLDEN}/missing.txt")


def test_a_node_of_several_models_shows_the_range_of_its_gpus() -> None:
    mixed = NodeGpus(models=(H100, "Tesla T4"), nominal=2)
    lines = explain(book(), "n1", [(node(""), mixed)]).lines
    assert "2 GPUs (H100-SXM5-80GB, T4)" in lines[0]
    assert any(line.startswith("each GPU") and line.endswith("to 6.88 × 2") for line in lines)


def test_a_node_without_gpus_is_explained_too() -> None:
    report = explain(book(), "n1", [(node("p5.48xlarge"), NodeGpus(models=(), nominal=0))])
    assert not report.ok
    assert "next   set `node.gpus`" in report.lines


def test_an_instance_type_shows_its_fit_or_why_there_is_none(golden: Golden) -> None:
    lines = [explain(book(), name) for name in ("g6.xlarge", "p5.48xlarge", "g6f.large", "a3-ultragpu-8g")]
    assert all(report.ok for report in lines)
    golden("\n".join(text(report) for report in lines), f"{GOLDEN}/types.txt")


def test_an_instance_type_is_shown_for_each_of_its_regions() -> None:
    listed = book(catalogue({}, {"region": "eu-west-1", "gpu_count": "", "source": "another"}))
    lines = explain(listed, "P5.48XLARGE").lines
    heads = [line for line in lines if not line.startswith(" ") and line]
    assert heads == [
        "aws p5.48xlarge in us-east-1, USD an hour",
        "aws p5.48xlarge in eu-west-1, USD an hour",
    ]
    assert any("count not verified" in line for line in lines)


def test_a_model_shows_its_range_over_providers(golden: Golden) -> None:
    report = explain(book(), "NVIDIA-H100-80GB-HBM3-SHARED")
    assert report.ok
    golden(text(report), f"{GOLDEN}/model.txt")


def test_a_model_that_nobody_sells_says_how_to_price_it() -> None:
    report = explain(book(), "NVIDIA GeForce RTX 4090")
    assert not report.ok
    assert report.lines[-1] == "next: add an entry to `pricing.book` with `model` and `gpu_per_hour`"
    assert "over 1 provider;" in explain(book(), "MI300X").lines[-1]


def test_a_name_that_is_nothing_gets_suggestions() -> None:
    report = explain(book(), "p5.48xlarg")
    assert not report.ok
    assert report.lines[1] == "did you mean p5.48xlarge, p5e.48xlarge, p5.4xlarge?"
    assert explain(book(), "qqqqqq").lines[1].startswith("next: ")


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
