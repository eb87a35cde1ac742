from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from gpusteward.model import CapacityType, NodeFacts
from gpusteward.pricing import NodeGpus, explain
from tests.unit.pricing.cases import H100, L4, book, catalogue, gpus, node, rate, seen, text

if TYPE_CHECKING:
    from tests.conftest import Golden

GOLDEN = "tests/unit/pricing/golden"
SPOT = node("g6.xlarge", region="eu-west-1", capacity=CapacityType.SPOT, annotation="abc")


def test_a_node_is_explained_by_what_the_agent_charges_and_the_steps_to_it(golden: Golden) -> None:
    own = book(basis="fitted")
    nodes = [seen(own, NodeFacts(name="n0"), gpus()), seen(own, SPOT, gpus(L4, 1))]
    report = explain(own, "n1", nodes)
    assert report.ok
    golden(text(report), f"{GOLDEN}/node.txt")


def test_an_agent_that_runs_on_another_config_is_told_apart(golden: Golden) -> None:
    theirs = book(book=[{"instance_type": "p5.*", "node_per_hour": "32", "note": "contract 7"}])
    report = explain(book(), "n1", [seen(theirs, node("p5.48xlarge"), gpus())])
    assert report.ok
    golden(text(report), f"{GOLDEN}/node_of_another_config.txt")


def test_a_price_that_only_one_of_the_two_has_is_a_difference() -> None:
    own, none = book(book=[{"gpu_per_hour": "2"}]), book()
    unknown = (node("", "", ""), gpus("", 2))
    theirs = explain(none, "n1", [seen(own, *unknown)])
    assert theirs.ok
    assert theirs.lines[-1] == "next: give the agent's config with --config FILE"
    assert "  next   add an entry to `pricing.book`" in theirs.lines
    ours = explain(own, "n1", [seen(none, *unknown)])
    assert not ours.ok
    assert ours.lines[3] == "  price  missing"
    assert ours.lines[-1] == "next: give the agent's config with --config FILE"


@pytest.mark.parametrize(
    ("change", "differs"),
    [
        ({}, False),
        ({"detail": "aws p5.48xlarge (/etc/gpusteward/prices.csv:2)"}, False),
        ({"confidence": "low"}, True),
        ({"currency": "EUR"}, True),
        ({"as_of": None}, True),
    ],
)
def test_only_the_wording_may_differ(change: dict[str, str | None], *, differs: bool) -> None:
    agents = seen(book(), node("p5.48xlarge"), gpus())
    charged = rate(agents.charged)  # type: ignore[arg-type]  # it must be there, which rate() asserts
    changed = replace(agents, charged=replace(charged, rate=replace(charged.rate, **change)))  # type: ignore[arg-type]  # fields of Rate
    assert (
        "next: give the agent's config with --config FILE" in explain(book(), "n1", [changed]).lines
    ) is differs


def test_a_gpu_that_is_a_micro_unit_dearer_is_a_difference() -> None:
    agents = seen(book(), node("p5.48xlarge"), gpus())
    charged = rate(agents.charged)  # type: ignore[arg-type]  # it must be there, which rate() asserts
    each = (*charged.gpu_micro_per_hour[:7], 6_880_001)
    changed = replace(agents, charged=replace(charged, gpu_micro_per_hour=each))
    assert "The two differ" in explain(book(), "n1", [changed]).lines[-2]


def test_the_boards_measured_watts_are_part_of_the_question() -> None:
    formula = {"capex": "0", "kw": 0.1, "pue": 1, "price_per_kwh": "1", "measured_power": True}
    own = book(on_prem=[formula])
    loaded = replace(gpus(L4, 1), measured_watts=50.0)
    report = explain(own, "n1", [seen(own, node(""), loaded)])
    assert "  node        0.078 USD an hour" in report.lines  # 50 W, and 100 W less the 72 W of an L4
    assert "which would charge" not in report.lines


def test_a_missing_price_is_explained_with_the_next_step(golden: Golden) -> None:
    report = explain(book(), "n1", [seen(book(), node("", "", ""), gpus("", 2, seen=1))])
    assert not report.ok
    golden(text(report), f"{GOLDEN}/missing.txt")


def test_a_node_of_several_models_shows_the_range_of_its_gpus() -> None:
    mixed = NodeGpus(models=(H100, "Tesla T4"), nominal=2)
    lines = explain(book(), "n1", [seen(book(), node(""), mixed)]).lines
    assert "2 GPUs (H100-SXM5-80GB, T4)" in lines[0]
    assert any(line.startswith("  each GPU") and line.endswith("to 6.88 × 2") for line in lines)


def test_a_node_without_gpus_is_explained_too() -> None:
    report = explain(book(), "n1", [seen(book(), node("p5.48xlarge"), NodeGpus(models=(), nominal=0))])
    assert not report.ok
    assert report.lines[-1] == "next: set `node.gpus`"


def test_a_family_lists_its_instance_types(golden: Golden) -> None:
    report = explain(book(), "P5")
    assert report.ok
    golden(text(report), f"{GOLDEN}/family.txt")
    listed = [line.split()[1] for line in explain(book(), "g4").lines if line.startswith("  gcp")]
    assert listed
    assert all(name.startswith("g4-") for name in listed)
    assert not explain(book(), "p").ok


def test_a_short_name_is_open_between_the_models_that_it_begins(golden: Golden) -> None:
    report = explain(book(), "A100")
    assert report.ok
    golden(text(report), f"{GOLDEN}/open_model.txt")


@pytest.mark.parametrize(
    ("short", "begun"),
    [
        ("NVIDIA V100", ["V100-PCIe-16GB", "V100-PCIe-32GB", "V100-SXM2-16GB", "V100-SXM2-32GB"]),
        ("v100-sxm", ["V100-SXM2-16GB", "V100-SXM2-32GB"]),
        ("gh200", ["GH200-144GB", "GH200-96GB"]),
    ],
)
def test_what_a_short_name_begins_is_told_in_whole_words(short: str, begun: list[str]) -> None:
    lines = explain(book(), short).lines
    assert [line.split()[0] for line in lines if line.startswith("  ")][1:] == begun


@pytest.mark.parametrize("nothing", ["a1", "v", "nvidia", "", "p5.4"])
def test_a_part_of_a_word_begins_no_model_and_no_family(nothing: str) -> None:
    assert not explain(book(), nothing).ok


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
