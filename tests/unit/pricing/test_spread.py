from __future__ import annotations

import datetime as dt
from fractions import Fraction
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gpusteward.model import Basis, CapacityType, Confidence, NodeFacts, PriceSource
from gpusteward.pricing import Catalogue, NodeGpus, bundled_catalogue
from tests.unit.pricing.cases import H100, L4, book, gpus, node, rate

if TYPE_CHECKING:
    import random

    from gpusteward.pricing.rows import PriceRow

SPOT = CapacityType.SPOT


def test_eight_h100_of_a_p5_cost_6_88_each_and_55_04_together() -> None:
    found = rate(book().price_node(node("p5.48xlarge"), gpus()))
    assert found.gpu_micro_per_hour == (6_880_000,) * 8
    assert (found.list_micro_per_hour, found.other_micro_per_hour) == (55_040_000, 0)
    assert found.rate.source is PriceSource.CATALOGUE
    assert found.rate.basis is Basis.WHOLE_NODE
    assert found.rate.confidence == Confidence.HIGH
    assert found.rate.currency == "USD"
    assert found.rate.as_of == dt.date(2026, 7, 20)
    assert "gpu_prices.csv:" in found.rate.detail


def test_a_lost_gpu_keeps_its_price_and_the_others_do_not_get_dearer() -> None:
    found = rate(book().price_node(node("p5.48xlarge"), gpus(seen=7)))
    assert found.gpu_micro_per_hour == (6_880_000,) * 8


def test_a_price_that_does_not_divide_falls_on_gpus_within_one_micro_unit() -> None:
    found = rate(book().price_node(node("p4d.24xlarge"), gpus("NVIDIA A100-SXM4-40GB")))
    assert found.list_micro_per_hour == 21_957_642
    assert set(found.gpu_micro_per_hour) == {2_744_705, 2_744_706}


def test_more_gpus_than_nominal_share_the_price_with_low_confidence() -> None:
    found = rate(book().price_node(node("p5.48xlarge"), gpus(count=8, seen=9)))
    assert len(found.gpu_micro_per_hour) == 9
    assert found.list_micro_per_hour == 55_040_000
    assert found.rate.confidence == Confidence.LOW
    assert "9 GPUs are seen where 8 are nominal" in found.rate.detail


def test_a_part_of_a_gpu_is_one_device_at_the_nodes_price() -> None:
    facts = node("g6f.large")
    assert book().nominal_gpus(facts) == 1
    for basis in ("whole_node", "fitted"):
        found = rate(book(basis=basis).price_node(facts, gpus(L4, 1)))
        assert found.gpu_micro_per_hour == (202_000,)
        assert found.rate.basis is Basis.WHOLE_NODE
        assert found.rate.confidence == Confidence.HIGH


@pytest.mark.parametrize(
    ("facts", "seen", "price"),
    [
        (node("g6.48xlarge"), gpus(L4, 8), 0.632),
        (node("gr6.4xlarge"), gpus(L4, 1), 0.632),
        (node("g5.12xlarge"), gpus("NVIDIA A10G", 4), 0.80),
        (node("g6e.xlarge"), gpus("NVIDIA L40S", 1), 1.48),
        (node("g2-standard-24", "gcp", "us-central1"), gpus(L4, 2), 0.560),
    ],
)
def test_fitted_gives_the_gpu_term_and_the_rest_of_the_node(
    facts: NodeFacts, seen: NodeGpus, price: float
) -> None:
    found = rate(book(basis="fitted").price_node(facts, seen))
    whole = rate(book().price_node(facts, seen))
    assert found.rate.basis is Basis.FITTED
    assert all(micro / 1e6 == pytest.approx(price, abs=2e-4) for micro in found.gpu_micro_per_hour)
    assert found.other_micro_per_hour > 0
    assert found.list_micro_per_hour == whole.list_micro_per_hour


@pytest.mark.parametrize(
    ("facts", "seen", "reason"),
    [
        (node("p5.48xlarge"), gpus(), "in step"),
        (node("p4d.24xlarge"), gpus("NVIDIA A100-SXM4-40GB"), "one size"),
        (node("a2-highgpu-8g", "gcp", "us-central1"), gpus("NVIDIA A100-SXM4-40GB"), "in step"),
        (node("g4-standard-96", "gcp", "us-central1"), gpus("nvidia-rtx-pro-6000", 2), "in step"),
        (node("g4dn.xlarge"), gpus("Tesla T4", 1), "missed by 11.4%"),
        (node("g7e.2xlarge"), gpus("nvidia-rtx-pro-6000", 1), "below 0"),
    ],
)
def test_fitted_falls_back_to_the_whole_node_and_says_why(
    facts: NodeFacts, seen: NodeGpus, reason: str
) -> None:
    found = rate(book(basis="fitted").price_node(facts, seen))
    assert found.rate.basis is Basis.WHOLE_NODE
    assert found.other_micro_per_hour == 0
    assert "whole_node, for" in found.rate.detail
    assert reason in found.rate.detail


def test_spot_under_fitted_keeps_the_proportion_of_the_on_demand_price() -> None:
    found = rate(book(basis="fitted").price_node(node("g6.xlarge", capacity=SPOT), gpus(L4, 1)))
    assert found.list_micro_per_hour == 410_400
    assert found.gpu_micro_per_hour[0] == pytest.approx(410_400 * 0.632 / 0.8048, abs=1)
    assert "in the proportion of the on-demand price" in found.rate.detail
    on_demand = rate(book(basis="fitted").price_node(node("g6.xlarge"), gpus(L4, 1)))
    assert "proportion" not in on_demand.rate.detail


@pytest.mark.parametrize(
    ("facts", "count", "said"),
    [
        (node("g6.48xlarge"), 4, "the type has 8 GPUs and the node 4"),
        (node("a4-highgpu-8g", "gcp", "us-central1"), 8, "no plain on-demand price to fit"),
        (node("Standard_NC8ads_A10_v4", "azure", "westus3"), 1, "cannot be fitted"),
        (node(annotation="1"), 1, "stated per GPU, so nothing to fit"),
    ],
)
def test_fitted_says_why_it_does_not_apply(facts: NodeFacts, count: int, said: str) -> None:
    found = rate(book(basis="fitted").price_node(facts, gpus("", count)))
    assert found.rate.basis is not Basis.FITTED
    assert said in found.rate.detail


def test_fitted_applies_to_catalogue_prices_only() -> None:
    own = book(basis="fitted", book=[{"node_per_hour": "10"}])
    found = rate(own.price_node(node("g6.xlarge"), gpus(L4, 1)))
    assert found.list_micro_per_hour == 10_000_000
    assert "only catalogue prices can be fitted" in found.rate.detail


priced_rows = st.sampled_from([row for row in bundled_catalogue().rows if row.priced])
capacities = st.sampled_from(list(CapacityType))


@given(
    priced_rows,
    capacities,
    st.tuples(st.sampled_from(["whole_node", "fitted"]), st.sampled_from(["", "0.91"])),
    st.integers(1, 9),
    st.integers(0, 10),
)
def test_gpus_and_the_rest_sum_to_the_list_price(
    row: PriceRow, capacity: CapacityType, settings: tuple[str, str], nominal: int, seen: int
) -> None:
    basis, euro = settings
    currency = {"currency": "EUR", "usd_exchange_rate": euro} if euro else {}
    facts = node(row.instance_type, row.provider, row.region, capacity)
    result = book(basis=basis, **currency).price_node(facts, gpus(row.model, nominal, seen=seen))
    found = rate(result)
    column = row.spot_micro if capacity is SPOT and row.spot_micro else row.on_demand_micro
    if found.rate.source is PriceSource.CATALOGUE:
        assert column is not None
        assert found.list_micro_per_hour == round(column * Fraction(euro or "1"))
    assert len(found.gpu_micro_per_hour) == max(nominal, seen)
    assert max(found.gpu_micro_per_hour) - min(found.gpu_micro_per_hour) <= 1
    assert found.other_micro_per_hour >= 0


@given(st.randoms(use_true_random=False), priced_rows, st.sampled_from(["whole_node", "fitted"]))
def test_the_order_of_catalogue_rows_does_not_matter(order: random.Random, row: PriceRow, basis: str) -> None:
    shuffled = list(bundled_catalogue().rows)
    order.shuffle(shuffled)
    one, other = book(basis=basis), book(Catalogue("gpu_prices.csv", tuple(shuffled)), basis=basis)
    for facts in (
        node(row.instance_type, row.provider, row.region),
        node(row.instance_type, region=""),
        node(""),
    ):
        assert one.price_node(facts, gpus(row.model, 2)) == other.price_node(facts, gpus(row.model, 2))


@given(st.permutations([H100, L4, "Tesla T4", H100, L4]))
def test_the_order_of_gpus_does_not_matter(models: list[str]) -> None:
    found = rate(book().price_node(node(""), NodeGpus(models=tuple(models), nominal=5)))
    ordered = rate(book().price_node(node(""), NodeGpus(models=tuple(sorted(models)), nominal=5)))
    assert found.list_micro_per_hour == ordered.list_micro_per_hour
    assert sorted(found.gpu_micro_per_hour) == sorted(ordered.gpu_micro_per_hour)


@pytest.mark.parametrize(
    ("instance_type", "model", "count", "per_gpu"),
    [
        # OpenCost charged 2.34 per H100 of a p5, for its ratio of GPU to memory price is fixed
        ("p5.48xlarge", H100, 8, 6_880_000),
        ("g6.48xlarge", L4, 8, 1_668_800),
        ("p6-b200.48xlarge", "NVIDIA B200", 8, 14_241_600),
    ],
)
def test_no_fixed_ratio_takes_a_gpus_price_away(
    instance_type: str, model: str, count: int, per_gpu: int
) -> None:
    found = rate(book().price_node(node(instance_type), gpus(model, count)))
    assert found.gpu_micro_per_hour == (per_gpu,) * count


def test_gpus_never_cost_several_times_their_node() -> None:
    """OpenCost, issues 2901, 2523: a node's price was taken per GPU."""
    for row in bundled_catalogue().rows:
        if row.on_demand_micro:
            found = rate(
                book().price_node(node(row.instance_type, row.provider, row.region), gpus(row.model))
            )
            assert sum(found.gpu_micro_per_hour) == row.on_demand_micro


def test_a_family_is_fitted_once_for_all_nodes_of_a_type() -> None:
    prices = book()
    (row,) = prices.catalogue.of_type("aws", "g6.xlarge")
    assert prices.fit(row) is prices.fit(row)
