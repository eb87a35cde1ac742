from __future__ import annotations

import pytest

from gpusteward.model import CapacityType, Confidence, NodeFacts, PriceSource
from gpusteward.pricing import NodeGpus
from tests.unit.pricing.cases import H100, L4, book, catalogue, gpus, missing, node, rate

SPOT, RESERVED, UNKNOWN = CapacityType.SPOT, CapacityType.RESERVED, CapacityType.UNKNOWN
UNPRICED = {
    "on_demand_usd_per_hour": "",
    "on_demand_kind": "",
    "spot_usd_per_hour": "",
    "spot_confidence": "",
    "as_of": "",
}


@pytest.mark.parametrize(
    ("facts", "model", "spot", "confidence"),
    [
        (node("g2-standard-4", "gcp", "us-central1", SPOT), L4, 397_336, Confidence.HIGH),
        (node("g6.xlarge", capacity=SPOT), L4, 410_400, Confidence.MEDIUM),
        (node("Standard_NC4as_T4_v3", "azure", "eastus", SPOT), "Tesla T4", 62_699, Confidence.LOW),
    ],
)
def test_spot_has_the_confidence_of_its_source(
    facts: NodeFacts, model: str, spot: int, confidence: Confidence
) -> None:
    found = rate(book().price_node(facts, gpus(model, 1)))
    assert found.list_micro_per_hour == spot
    assert found.rate.confidence == confidence
    assert found.rate.capacity_type is SPOT


@pytest.mark.parametrize(
    ("capacity", "instance_type", "confidence", "said"),
    [
        (SPOT, "p5.4xlarge", Confidence.LOW, "no spot price is known"),
        (RESERVED, "p5.4xlarge", Confidence.LOW, "your contract is not known"),
        (UNKNOWN, "p5.4xlarge", Confidence.MEDIUM, "capacity type not known"),
    ],
)
def test_what_has_no_price_of_its_own_is_priced_on_demand_and_says_so(
    capacity: CapacityType, instance_type: str, confidence: Confidence, said: str
) -> None:
    found = rate(book().price_node(node(instance_type, capacity=capacity), gpus(count=1)))
    assert found.list_micro_per_hour == 6_880_000
    assert found.rate.capacity_type is capacity
    assert found.rate.confidence == confidence
    assert said in found.rate.detail


def test_a_conditional_sale_is_used_for_its_own_type_with_medium_confidence() -> None:
    found = rate(book().price_node(node("a4-highgpu-8g", "gcp", "us-central1"), gpus("NVIDIA B200")))
    assert found.list_micro_per_hour == 90_216_000
    assert found.rate.confidence == Confidence.MEDIUM
    assert "of kind flex" in found.rate.detail


def test_another_region_is_used_with_low_confidence_and_named() -> None:
    found = rate(book().price_node(node("P5.48xlarge", "AWS", "eu-west-1"), gpus()))
    assert found.rate.source is PriceSource.CATALOGUE_OTHER_REGION
    assert found.rate.confidence == Confidence.LOW
    assert found.list_micro_per_hour == 55_040_000
    assert "taken from us-east-1 for a node in eu-west-1" in found.rate.detail


def test_of_several_other_regions_the_newest_counts_and_then_the_first_by_name() -> None:
    listed = catalogue(
        {"region": "b", "on_demand_usd_per_hour": "50"},
        {"region": "a", "on_demand_usd_per_hour": "60"},
        {"region": "c", "on_demand_usd_per_hour": "70", "as_of": "2026-07-19"},
        {"region": "d"} | UNPRICED,
    )
    found = rate(book(listed).price_node(node("p5.48xlarge", region="x"), gpus()))
    assert found.list_micro_per_hour == 60_000_000


def test_an_unknown_provider_is_told_by_a_type_that_only_one_has() -> None:
    found = rate(book().price_node(node("p5.48xlarge", "", ""), gpus()))
    assert found.rate.source is PriceSource.CATALOGUE_OTHER_REGION
    assert "for a node of unknown region and unknown provider" in found.rate.detail


def test_a_type_that_several_providers_have_does_not_tell_the_provider() -> None:
    listed = catalogue({}, {"provider": "other"})
    resolution = book(listed).resolve(node("p5.48xlarge", ""), gpus())
    assert rate(resolution.result).rate.source is PriceSource.MODEL
    assert resolution.steps[3].outcome == "several providers have p5.48xlarge"


def test_an_unpriced_row_tells_the_count_but_no_price() -> None:
    facts = node("p5e.48xlarge")
    assert book().nominal_gpus(facts) == 8
    resolution = book().resolve(facts, gpus("NVIDIA H200"))
    assert rate(resolution.result).rate.source is PriceSource.MODEL
    assert "has no on-demand price" in resolution.steps[2].outcome
    assert "no priced row" in resolution.steps[3].outcome


def test_a_row_sold_only_as_spot_prices_spot_nodes_only() -> None:
    listed = catalogue({"on_demand_usd_per_hour": "", "on_demand_kind": ""})
    spot = rate(book(listed, basis="fitted").price_node(node("p5.48xlarge", capacity=SPOT), gpus()))
    assert spot.list_micro_per_hour == 26_419_200
    assert "no plain on-demand price to fit" in spot.rate.detail
    assert "no on-demand price" in missing(book(listed).price_node(node("p5.48xlarge"), gpus())).reason
    abroad = missing(book(listed).price_node(node("p5.48xlarge", region="x"), gpus()))
    assert "has no on-demand price" in abroad.reason


def test_a_machine_with_gpus_added_is_found_by_their_count_and_model() -> None:
    facts = node("n1-standard-8", "gcp", "us-central1")
    found = rate(book().price_node(facts, gpus("nvidia-tesla-t4", 2)))
    assert found.list_micro_per_hour == 1_079_998
    assert book().nominal_gpus(facts) is None
    other = rate(book().price_node(facts, gpus("nvidia-tesla-t4", 3)))
    assert other.rate.source is PriceSource.MODEL


def test_a_type_that_cannot_hold_the_gpus_that_are_seen_does_not_price_them() -> None:
    resolution = book().resolve(node("g6.12xlarge"), NodeGpus(models=(H100,) * 8, nominal=4))
    found = rate(resolution.result)
    assert found.rate.source is PriceSource.MODEL
    assert found.gpu_micro_per_hour == (6_880_000,) * 8
    assert resolution.steps[2].outcome == "g6.12xlarge has L4, the node has H100-SXM5-80GB"


def test_a_type_that_cannot_hold_them_does_not_price_them_from_another_region_either() -> None:
    mixed = NodeGpus(models=(H100, "", "Tesla T4", H100), nominal=4)
    resolution = book().resolve(node("g6.12xlarge", region="eu-west-1"), mixed)
    assert resolution.steps[3].outcome == "g6.12xlarge has L4, the node has H100-SXM5-80GB, T4"
    assert "the GPU model is not known" in missing(resolution.result).reason


@pytest.mark.parametrize("models", [(L4, H100), (L4, ""), ("", ""), ("A100", "A100"), ("NVIDIA X1", L4)])
def test_one_gpu_of_the_types_model_or_unknown_ones_do_not_contradict_it(models: tuple[str, str]) -> None:
    found = rate(book().price_node(node("g6.12xlarge"), NodeGpus(models=models, nominal=4)))
    assert found.rate.source is PriceSource.CATALOGUE
    assert found.rate.confidence == Confidence.HIGH


def test_a_board_of_another_form_is_another_model() -> None:
    resolution = book().resolve(node("p5.48xlarge"), gpus("NVIDIA H100 PCIe"))
    assert resolution.steps[2].outcome == "p5.48xlarge has H100-SXM5-80GB, the node has H100-PCIe-80GB"


def test_a_count_that_is_not_the_types_is_said_and_lowers_confidence() -> None:
    found = rate(book().price_node(node("p5.48xlarge"), gpus(count=4)))
    assert found.gpu_micro_per_hour == (13_760_000,) * 4
    assert found.rate.confidence == Confidence.MEDIUM
    assert "the type has 8 GPUs, the node 4" in found.rate.detail


def test_a_type_whose_count_is_not_verified_still_has_its_price() -> None:
    facts = node("Standard_NC128ds_xl_RTXPRO6000BSE_v6", "azure", "eastus")
    assert book().nominal_gpus(facts) is None
    found = rate(book().price_node(facts, gpus("nvidia-rtx-pro-6000", 1)))
    assert found.list_micro_per_hour == 6_380_000
    assert found.rate.confidence == Confidence.HIGH


def test_the_nominal_count_is_the_facts_before_the_types() -> None:
    listed = book()
    assert listed.nominal_gpus(node("p5.48xlarge")) == 8
    assert listed.nominal_gpus(node("p5.48xlarge", region="elsewhere")) == 8
    assert listed.nominal_gpus(NodeFacts(name="n", instance_type="p5.48xlarge", gpus=4)) == 4
    assert listed.nominal_gpus(node("p9.48xlarge")) is None
    assert listed.nominal_gpus(node("")) is None


def test_a_count_on_which_regions_differ_is_that_of_its_region_or_none() -> None:
    listed = book(catalogue({}, {"region": "b", "gpu_count": "4"}))
    assert listed.nominal_gpus(node("p5.48xlarge", region="b")) == 4
    assert listed.nominal_gpus(node("p5.48xlarge", region="c")) is None


def test_a_known_provider_without_region_and_the_reverse_say_what_is_not_known() -> None:
    assert (
        book().resolve(node("p5.48xlarge", region=""), gpus()).steps[2].outcome == "the region is not known"
    )
    assert book().resolve(node("p5.48xlarge", ""), gpus()).steps[2].outcome == "the provider is not known"
