from __future__ import annotations

import datetime as dt

import pytest

from gpusteward.model import Basis, Confidence, PriceSource
from gpusteward.pricing import NodeGpus
from gpusteward.pricing.models import canonical
from tests.unit.pricing.cases import H100, book, gpus, node, rate

OWNED = {
    "capex": "325000",
    "residual": 0.3,
    "years": 4,
    "kw": 10.2,
    "pue": 1.4,
    "price_per_kwh": "0.10",
    "other_per_year": "30000",
    "as_of": "2026-05-01",
}


def measured(watts: float | None, model: str = H100) -> NodeGpus:
    return NodeGpus(models=(model,) * 8, nominal=8, measured_watts=watts)


def test_the_worked_example_costs_1_42_a_gpu_and_hour() -> None:
    found = rate(book(on_prem=[OWNED]).price_node(node("", ""), gpus()))
    assert found.list_micro_per_hour == 11_345_237  # 227500 / 35040 + 1.428 + 30000 / 8760
    assert [round(micro / 1e6, 2) for micro in found.gpu_micro_per_hour] == [1.42] * 8
    assert (found.rate.source, found.rate.basis) == (PriceSource.ON_PREM, Basis.WHOLE_NODE)
    assert found.rate.confidence == Confidence.HIGH
    assert found.rate.as_of == dt.date(2026, 5, 1)
    assert "6.492" in found.rate.detail
    assert "10.2 kW as configured" in found.rate.detail


def test_the_first_formula_whose_nodes_match_counts() -> None:
    entries = [
        OWNED | {"nodes": "x*"},
        OWNED | {"nodes": "n?", "capex": "0", "other_per_year": "87600", "kw": 0},
    ]
    found = rate(book(on_prem=entries).price_node(node("", ""), gpus()))
    assert found.list_micro_per_hour == 10_000_000
    assert found.rate.confidence == Confidence.MEDIUM
    assert "no power is configured" in found.rate.detail
    other = rate(book(on_prem=entries[:1]).price_node(node("", ""), gpus()))
    assert other.rate.source is PriceSource.MODEL


def test_a_listed_price_comes_before_the_formula() -> None:
    own = book(on_prem=[OWNED])
    assert rate(own.price_node(node("p5.48xlarge"), gpus())).rate.source is PriceSource.CATALOGUE


def test_measured_watts_take_the_place_of_the_boards_part_of_the_power() -> None:
    own = book(on_prem=[OWNED | {"measured_power": True, "capex": "0", "other_per_year": "0"}])
    found = rate(own.price_node(node("", ""), measured(2000.0)))
    # 10.2 kW less 8 boards of 0.7 kW leaves 4.6 kW of host; 6.6 kW × 1.4 × 0.10
    assert found.list_micro_per_hour == 924_000
    assert found.rate.confidence == Confidence.HIGH
    assert "GPUs measured at 2 kW and 4.6 kW for the host" in found.rate.detail
    idle = rate(own.price_node(node("", ""), measured(0.0)))
    assert idle.list_micro_per_hour == 644_000


def test_without_host_power_only_the_measured_watts_count_with_medium_confidence() -> None:
    own = book(on_prem=[OWNED | {"measured_power": True, "capex": "0", "other_per_year": "0", "kw": 1}])
    found = rate(own.price_node(node("", ""), measured(2000.0)))
    assert found.list_micro_per_hour == 280_000
    assert found.rate.confidence == Confidence.MEDIUM


@pytest.mark.parametrize("watts", [None, float("nan"), float("inf"), -1.0])
def test_watts_that_are_not_known_leave_the_configured_power(watts: float | None) -> None:
    own = book(on_prem=[OWNED | {"measured_power": True, "capex": "0", "other_per_year": "0"}])
    found = rate(own.price_node(node("", ""), measured(watts)))
    assert found.list_micro_per_hour == 1_428_000
    assert found.rate.confidence == Confidence.MEDIUM
    assert "measured watts are not known" in found.rate.detail


@pytest.mark.parametrize("model", ["NVIDIA X1", "Tesla K80"])
def test_boards_of_unknown_power_leave_the_host_out_and_say_so(model: str) -> None:
    known = canonical(model)
    assert known is None or known.tdp_w is None
    own = book(on_prem=[OWNED | {"measured_power": True, "capex": "0", "other_per_year": "0"}])
    found = rate(own.price_node(node("", ""), measured(2000.0, model)))
    assert found.list_micro_per_hour == 280_000
    assert found.rate.confidence == Confidence.MEDIUM
    assert "no host power" in found.rate.detail
