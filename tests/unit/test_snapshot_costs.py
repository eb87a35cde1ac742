"""What things cost, worked out by hand: the figures that a user would check first."""

from __future__ import annotations

import re

import pytest

from gpusteward.config import Config
from gpusteward.metrics.collectors import families
from gpusteward.metrics.exposure import Exposure
from gpusteward.model import (
    CapacityType,
    CollectHealth,
    Fault,
    GpuReading,
    InstanceReading,
    LeafKind,
    NodeFacts,
    NodeReadings,
    NodeSnapshot,
    Readings,
    Snapshot,
)
from gpusteward.pricing import PriceBook, bundled_catalogue
from gpusteward.snapshot import Pipeline
from tests.leaves import T0, held

HEALTH = CollectHealth(success=True, reason="", message="", last_success=None, duration_seconds=0.0)
REGIONS = {"aws": "us-east-1", "gcp": "us-central1"}


def taken(provider: str, instance_type: str, gpus: list[GpuReading], basis: str = "whole_node") -> Snapshot:
    config = Config.model_validate({"pricing": {"basis": basis}})
    pipeline = Pipeline(config, PriceBook(bundled_catalogue(), config.pricing), "real")
    facts = NodeFacts(
        name="n1",
        provider=provider,
        instance_type=instance_type,
        region=REGIONS[provider],
        capacity_type=CapacityType.ON_DEMAND,
    )
    node = NodeReadings(node="n1", gpus=tuple(gpus), facts=facts)
    return pipeline.take(Readings(at=T0, source="dcgm", nodes=(node,)), HEALTH)


def whole(model: str, count: int) -> list[GpuReading]:
    return [GpuReading(uuid=f"GPU-{n}", gpu=str(n), model=model, allocations=(held(),)) for n in range(count)]


def cut(model: str, *profiles: str) -> list[GpuReading]:
    instances = tuple(
        InstanceReading(gi=str(n), profile=profile, allocations=()) for n, profile in enumerate(profiles)
    )
    return [GpuReading(uuid="GPU-0", gpu="0", model=model, mig=True, instances=instances)]


def gpu_rates(node: NodeSnapshot) -> list[int]:
    return [leaf.rate.micro_per_hour for gpu in node.gpus for leaf in gpu.leaves if leaf.rate]


def metric(snapshot: Snapshot, name: str) -> list[tuple[dict[str, str], float]]:
    exposure = Exposure(mode="real")
    (family,) = [f for f in families(snapshot, exposure) if f.name == name]
    return [(sample.labels, sample.value) for sample in family.samples]


def test_p5_is_eight_h100_at_6_88_which_sum_to_55_04() -> None:
    snapshot = taken("aws", "p5.48xlarge", whole("NVIDIA H100 80GB HBM3", 8))
    assert gpu_rates(snapshot.nodes[0]) == [6_880_000] * 8
    costs = metric(snapshot, "gpusteward_gpu_cost_per_hour")
    assert sum(value for _, value in costs) == pytest.approx(55.04)


def test_p5_still_costs_55_04_when_one_is_lost() -> None:
    snapshot = taken("aws", "p5.48xlarge", whole("NVIDIA H100 80GB HBM3", 7))
    (node,) = snapshot.nodes
    assert gpu_rates(node) == [6_880_000] * 8
    assert (node.expected, node.seen) == (8, 7)
    by_cause: dict[str, list[float]] = {}
    for labels, value in metric(snapshot, "gpusteward_gpu_cost_per_hour"):
        by_cause.setdefault(labels["cause"], []).append(value)
    assert by_cause == {"unmeasured": [6.88] * 7, "unhealthy": [6.88]}
    assert [gpu.fault for gpu in node.gpus if gpu.reading.uuid == "missing-1"] == [Fault.LOST]


@pytest.mark.parametrize(
    ("node_type", "model", "count", "per_gpu", "list_price"),
    [
        ("aws/g6.xlarge", "NVIDIA L4", 1, 632_000, 804_800),
        ("aws/g6.48xlarge", "NVIDIA L4", 8, 632_000, 13_350_400),
        ("aws/g5.xlarge", "NVIDIA A10G", 1, 800_000, 1_006_000),
        ("aws/g5.48xlarge", "NVIDIA A10G", 8, 800_000, 16_288_000),
        ("aws/g6e.12xlarge", "NVIDIA L40S", 4, 1_480_000, 10_492_640),
        ("gcp/g2-standard-24", "NVIDIA L4", 2, 560_040, 2_000_833),
    ],
)
def test_fitted_prices_split_gpus_from_the_rest_and_sum_to_the_list_price(
    node_type: str, model: str, count: int, per_gpu: int, list_price: int
) -> None:
    provider, instance_type = node_type.split("/")
    (node,) = taken(provider, instance_type, whole(model, count), "fitted").nodes
    assert node.rate is not None
    assert node.rate.rate.basis == "fitted"
    rates = gpu_rates(node)
    assert all(abs(rate - per_gpu) <= 100 for rate in rates), "the term is a least-squares one"
    assert node.rate.other_micro_per_hour > 0
    assert sum(rates) + node.rate.other_micro_per_hour == node.rate.list_micro_per_hour == list_price


@pytest.mark.parametrize(
    ("provider", "instance_type", "model", "count"),
    [
        ("aws", "p5.48xlarge", "NVIDIA H100 80GB HBM3", 8),
        ("aws", "p4d.24xlarge", "NVIDIA A100-SXM4-40GB", 8),
        ("gcp", "a2-highgpu-8g", "NVIDIA A100-SXM4-40GB", 8),
        ("gcp", "g4-standard-96", "NVIDIA RTX PRO 6000 Blackwell Server Edition", 2),
        ("aws", "g4dn.12xlarge", "Tesla T4", 4),
        ("aws", "g7e.12xlarge", "NVIDIA RTX PRO 6000 Blackwell Server Edition", 2),
    ],
)
def test_families_that_cannot_be_fitted_fall_back_and_say_why(
    provider: str, instance_type: str, model: str, count: int
) -> None:
    (node,) = taken(provider, instance_type, whole(model, count), "fitted").nodes
    assert node.rate is not None
    assert (node.rate.rate.basis, node.rate.other_micro_per_hour) == ("whole_node", 0)
    assert re.search(r"whole_node, for .+ (cannot be fitted|refused|has)", node.rate.rate.detail)
    assert sum(gpu_rates(node)) == node.rate.list_micro_per_hour


@pytest.mark.parametrize(
    ("profiles", "shares"),
    [
        (("4g.40gb", "3g.40gb"), {"0": 4, "1": 4}),
        (("1g.10gb",) * 7, {**{str(n): 1 for n in range(7)}, "stranded": 1}),
        (("1g.10gb",) * 6, {**{str(n): 1 for n in range(6)}, "free": 2}),
        ((), {"free": 8}),
    ],
)
def test_an_h100_is_priced_by_its_eighths_and_no_more(
    profiles: tuple[str, ...], shares: dict[str, int]
) -> None:
    (node,) = taken("aws", "p5.4xlarge", cut("NVIDIA H100 80GB HBM3", *profiles)).nodes
    got = {leaf.leaf.device.gi: leaf.rate for leaf in node.gpus[0].leaves}
    assert {gi: rate and rate.micro_per_hour for gi, rate in got.items()} == {
        gi: eighths * 860_000 for gi, eighths in shares.items()
    }
    causes = {leaf.leaf.device.gi: leaf.portions[0].cause.value for leaf in node.gpus[0].leaves}
    assert causes.get("free", "unallocated") == "unallocated"
    assert causes.get("stranded", "stranded") == "stranded"
    assert {leaf.leaf.device.kind for leaf in node.gpus[0].leaves} <= set(LeafKind)


def test_a_changed_price_counts_from_the_next_sample_and_restates_nothing() -> None:
    config = Config()
    pipeline = Pipeline(config, PriceBook(bundled_catalogue(), config.pricing), "real")

    def sample(seconds: float) -> NodeSnapshot:
        facts = NodeFacts(name="n1", provider="aws", instance_type="g6.xlarge", region="us-east-1")
        node = NodeReadings(node="n1", gpus=tuple(whole("NVIDIA L4", 1)), facts=facts)
        readings = Readings(at=T0.plus(seconds), source="dcgm", nodes=(node,))
        return pipeline.take(readings, HEALTH).nodes[0]

    def cost(node: NodeSnapshot) -> int:
        return sum(charge.cost for charge in node.gpus[0].leaves[0].charges)

    sample(0.0)
    before = cost(sample(10.0))
    assert before == 10_000_000 * 10**9 * 804_800
    dearer = Config.model_validate(
        {"pricing": {"book": [{"instance_type": "g6.*", "node_per_hour": "1.00"}]}}
    )
    pipeline.reconfigure(dearer, PriceBook(bundled_catalogue(), dearer.pricing))
    assert pipeline.book.settings is dearer.pricing
    after = sample(20.0)
    assert cost(after) - before == 10_000_000 * 10**9 * 1_000_000
    assert after.conservation_error == 0


def test_overrides_that_are_withdrawn_leave_no_trace() -> None:
    stated = Config.model_validate({"node": {"provider": "aws", "instance_type": "g6.xlarge", "gpus": 3}})
    pipeline = Pipeline(stated, PriceBook(bundled_catalogue(), stated.pricing), "real")

    def sample(seconds: float) -> NodeSnapshot:
        node = NodeReadings(node="n1", gpus=tuple(whole("NVIDIA L4", 1)))
        return pipeline.take(Readings(at=T0.plus(seconds), source="dcgm", nodes=(node,)), HEALTH).nodes[0]

    before = sample(0.0)
    assert (before.facts.instance_type, before.expected) == ("g6.xlarge", 3)
    pipeline.reconfigure(Config(), PriceBook(bundled_catalogue(), Config().pricing))
    after = sample(5.0)
    assert (after.facts, after.expected) == (NodeFacts(name="n1"), 1)
    assert after.rate is not None
    assert after.rate.rate.source == "model"


def test_counters_survive_any_setting_for_ended_holders() -> None:
    config = Config.model_validate({"metrics": {"ended_holder_seconds": 0}})
    pipeline = Pipeline(config, PriceBook(bundled_catalogue(), config.pricing), "real")
    held_seconds = []
    for step in range(4):
        node = NodeReadings(node="n1", gpus=tuple(whole("NVIDIA L4", 1)))
        readings = Readings(at=T0.plus(5.0 * step), source="dcgm", nodes=(node,))
        (leaf,) = pipeline.take(readings, HEALTH).nodes[0].gpus[0].leaves
        held_seconds.append(sum(charge.held for charge in leaf.charges) / 10**15)
    assert held_seconds == [0.0, 5.0, 10.0, 15.0]


def test_more_gpus_than_nominal_are_shown_as_that() -> None:
    (node,) = taken("aws", "g6.12xlarge", whole("NVIDIA L4", 5)).nodes
    assert (node.expected, node.seen) == (4, 5)
    assert sum(gpu_rates(node)) == 4_601_600


def test_a_mig_layout_that_changes_keeps_the_old_instances_counters_for_a_while() -> None:
    config = Config.model_validate({"metrics": {"ended_holder_seconds": 60}})
    pipeline = Pipeline(config, PriceBook(bundled_catalogue(), config.pricing), "real")

    def sample(seconds: float, *profiles: str) -> Snapshot:
        node = NodeReadings(node="n1", gpus=tuple(cut("NVIDIA H100 80GB HBM3", *profiles)))
        return pipeline.take(Readings(at=T0.plus(seconds), source="dcgm", nodes=(node,)), HEALTH)

    def counted(snapshot: Snapshot) -> dict[str, float]:
        held = metric(snapshot, "gpusteward_gpu_held_seconds")
        return {labels["gi"]: value for labels, value in held}

    sample(0.0, "4g.40gb", "3g.40gb")
    before = sample(10.0, "4g.40gb", "3g.40gb")
    after = sample(20.0, "7g.80gb")
    assert counted(before) == {"0": 10.0, "1": 10.0}
    assert counted(after) == {"0": 20.0, "1": 10.0}, "gi 0 is another instance of the same id; gi 1 is gone"
    assert {labels["gi"] for labels, _ in metric(after, "gpusteward_gpu_cost_per_hour")} == {"0"}
    assert {labels["gi"] for labels, _ in metric(after, "gpusteward_gpu_state_seconds")} == {"0", "1"}
    assert set(counted(sample(69.0, "7g.80gb"))) == {"0", "1"}
    assert set(counted(sample(71.0, "7g.80gb"))) == {"0"}
    assert after.nodes[0].conservation_error == 0
