"""The kubelet's word through the whole pipeline: what shared GPUs cost, what a scrape shows of holders."""

from __future__ import annotations

import itertools
from fractions import Fraction
from typing import TYPE_CHECKING

from hypothesis import given, settings
from hypothesis import strategies as st

from gpusteward.config import Config
from gpusteward.metrics.exposure import Exposure
from gpusteward.metrics.page import render
from gpusteward.model import (
    AttributionError,
    CollectHealth,
    GpuReading,
    HeldDevice,
    Holder,
    Holdings,
    KubeletDevices,
    NodeFacts,
    NodeReadings,
    Readings,
    Signal,
)
from gpusteward.pricing import PriceBook, bundled_catalogue
from gpusteward.snapshot import Pipeline
from tests.leaves import T0
from tests.pages import labels_of, parsed, value, values

if TYPE_CHECKING:
    from collections.abc import Iterable

    from gpusteward.clock import Moment
    from gpusteward.model import Snapshot
    from tests.pages import Series

HEALTH = CollectHealth(success=True, reason="", message="", last_success=None, duration_seconds=0.0)
GPU = "GPU-01000100-0000-0000-0000-000000000000"
GIB = float(1 << 30)


class Node:
    """One L4 that costs 3.60 an hour, sampled every five seconds."""

    def __init__(self) -> None:
        config = Config.model_validate({"pricing": {"book": [{"gpu_per_hour": "3.60"}]}})
        self.pipeline = Pipeline(config, PriceBook(bundled_catalogue(), config.pricing), "real")
        self.at = T0

    def sample(self, holdings: Holdings | None, seconds: float = 5.0) -> Snapshot:
        self.at = self.at.plus(seconds)
        gpu = GpuReading(
            uuid=GPU,
            gpu="0",
            model="NVIDIA L4",
            signals={
                Signal.GPU_UTILIZATION: 0.9,
                Signal.MEMORY_USED: 20 * GIB,
                Signal.MEMORY_TOTAL: 24 * GIB,
            },
        )
        node = NodeReadings(node="n1", gpus=(gpu,), facts=NodeFacts(name="n1", gpus=1))
        readings = Readings(at=self.at, source="nvml", nodes=(node,), holdings=holdings)
        return self.pipeline.take(readings, HEALTH)

    def seated(self, pods: Iterable[str], seats: int, at: Moment = T0) -> Holdings:
        """Pods on the first seats of the GPU."""
        held = tuple(HeldDevice(f"{GPU}::{seat}", Holder("ml", pod, "main")) for seat, pod in enumerate(pods))
        advertised = frozenset(f"{GPU}::{seat}" for seat in range(seats))
        return Holdings(node="n1", devices=KubeletDevices(at=at, held=held, advertised=advertised))


def page(snapshot: Snapshot) -> Series:
    exposure = Exposure(mode="real", catalogue_date=None, version="0.0.0-test")
    return parsed(render(snapshot, exposure).text)


def test_four_pods_at_a_quarter_of_one_gpu_are_exactly_one_gpu_hour() -> None:
    node = Node()
    pods = [f"p{number}" for number in range(4)]
    node.sample(node.seated(pods, 4))
    for _ in range(720):
        snapshot = node.sample(node.seated(pods, 4))
    series = page(snapshot)
    held = [sum(values(series, "gpu_held_seconds_total", pod=pod)) for pod in pods]
    assert held == [900.0] * 4
    assert sum(values(series, "gpu_cost_total")) == 3.6
    assert values(series, "gpu_cost_total", cause="unallocated") == []
    (leaf,) = snapshot.nodes[0].gpus[0].leaves
    assert sum(charge.held for charge in leaf.charges) == 3600 * 10**15, "to the last digit"


def test_a_seat_that_nobody_holds_is_unallocated_and_not_its_neighbours() -> None:
    node = Node()
    node.sample(node.seated(["p0"], 4))
    series = page(node.sample(node.seated(["p0"], 4), 1000.0 / 40))
    assert value(series, "gpu_allocation_share", pod="p0") == 0.25
    assert value(series, "gpu_cost_per_hour", cause="unallocated") == 2.7
    assert sum(values(series, "gpu_cost_per_hour", pod="p0")) == 0.9


def test_forty_eight_seats_of_one_gpu_do_not_multiply_its_memory() -> None:
    node = Node()
    series = page(node.sample(node.seated([f"p{number}" for number in range(48)], 48)))
    assert values(series, "gpu_memory_used_bytes") == [20 * GIB]
    assert values(series, "gpu_memory_total_bytes") == [24 * GIB]
    assert len(values(series, "gpu_allocation_share")) == 48
    assert abs(sum(values(series, "gpu_cost_per_hour")) - 3.6) < 1e-9


JUDGED = {"gpusteward_gpu_idle_seconds", "gpusteward_gpu_underused"}
"""What is said of a holder's use of it: not while holders are unknown, which is not 0."""

PODS = st.lists(st.sampled_from(["p0", "p1", "p2", "p3", "p4"]), max_size=4, unique=True)


@settings(max_examples=25)
@given(st.lists(st.none() | PODS, min_size=2, max_size=8))
def test_a_holder_coming_or_going_breaks_no_series_of_the_device(steps: list[list[str] | None]) -> None:
    node, seen = Node(), []
    for pods in steps:
        holdings = Holdings(devices=None) if pods is None else node.seated(pods, 4)
        snapshot = node.sample(holdings)
        series = page(snapshot)
        seen.append(
            {
                (name, labels)
                for name, rows in series.items()
                for labels in rows
                if "uuid" in dict(labels) and "pod" not in dict(labels) and name not in JUDGED
            }
        )
        assert abs(sum(values(series, "gpu_cost_per_hour")) - 3.6) < 1e-9
        assert snapshot.nodes[0].conservation_error == 0
        now = {labels["pod"] for labels in labels_of(series, "gpu_cost_per_hour")} - {""}
        assert now == set(pods or ()), "gauges of a holder go in the snapshot in which it ends"
    assert all(before <= after for before, after in itertools.pairwise(seen)), "a device series went"


def test_while_holders_are_unknown_the_gpu_costs_on_as_unmeasured_and_not_as_unallocated() -> None:
    node = Node()
    node.sample(node.seated(["p0"], 1))
    series = page(node.sample(Holdings(devices=None, errors={AttributionError.RESTARTING: 7})))
    assert value(series, "gpu_cost_per_hour", cause="unmeasured", pod="") == 3.6
    assert values(series, "gpu_cost_per_hour", cause="unallocated") == []
    assert value(series, "gpu_state", state="unknown") == 1.0
    assert value(series, "attribution_errors_total", reason="restarting") == 7.0
    assert values(series, "attribution_timestamp_seconds") == []


def test_what_could_not_be_attributed_is_counted_over_all_samples_and_every_reason_is_there() -> None:
    node = Node()
    lost = KubeletDevices(at=T0, held=(HeldDevice(GPU.replace("000000", "000007"), Holder("ml", "gone")),))
    holdings = Holdings(devices=lost, errors={AttributionError.TIMEOUT: 2})
    node.sample(holdings)
    snapshot = node.sample(holdings)
    series = page(snapshot)
    assert value(series, "attribution_errors_total", reason="device_not_seen") == 2.0
    assert value(series, "attribution_errors_total", reason="timeout") == 2.0
    assert len(values(series, "attribution_errors_total")) == len(AttributionError)
    assert value(series, "attribution_timestamp_seconds") == T0.wall
    missed = node.pipeline.miss(node.at.plus(5.0), "nvml", HEALTH)
    assert missed.health.attribution_errors == snapshot.health.attribution_errors
    assert missed.health.holders_at is None


def test_where_no_kubelet_is_asked_nothing_is_said_of_it() -> None:
    series = page(Node().sample(None))
    assert values(series, "attribution_errors_total") == []
    assert values(series, "attribution_timestamp_seconds") == []


def test_the_seats_of_a_pod_add_up() -> None:
    node = Node()
    snapshot = node.sample(node.seated(["p0", "p0", "p1"], 4))
    (leaf,) = snapshot.nodes[0].gpus[0].leaves
    assert [(one.holder.pod, one.share) for one in leaf.leaf.allocations or ()] == [
        ("p0", Fraction(1, 2)),
        ("p1", Fraction(1, 4)),
    ]
