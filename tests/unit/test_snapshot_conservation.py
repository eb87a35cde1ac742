"""Every micro-dollar of a node's price is somebody's, whatever happens to its GPUs.

The expected side is computed here from the catalogue's CSV, not from what was charged.
"""

from __future__ import annotations

import csv
import io
from decimal import Decimal
from fractions import Fraction
from importlib import resources
from typing import TYPE_CHECKING

from hypothesis import given, settings
from hypothesis import strategies as st

from gpusteward.config import Config
from gpusteward.model import (
    CapacityType,
    Cause,
    CollectHealth,
    Fault,
    GpuReading,
    Holder,
    InstanceReading,
    NodeFacts,
    NodeReadings,
    Readings,
    Signal,
    Snapshot,
    State,
)
from gpusteward.pricing import PriceBook, bundled_catalogue
from gpusteward.snapshot import Pipeline
from tests.leaves import OTHER_POD, POD, T0, held

if TYPE_CHECKING:
    from collections.abc import Sequence

    from gpusteward.clock import Moment

HEALTH = CollectHealth(success=True, reason="", message="", last_success=None, duration_seconds=0.0)
UNIT = 10**15 * 3600 * 10**6  # of Charge.cost, per unit of currency

NODES = {
    # instance type: (model as NVML spells it, profiles it can be cut into)
    "p5.48xlarge": ("NVIDIA H100 80GB HBM3", ("1g.10gb", "1g.20gb", "2g.20gb", "3g.40gb")),
    "p4d.24xlarge": ("NVIDIA A100-SXM4-40GB", ("1g.5gb", "2g.10gb", "3g.20gb")),
    "g6.12xlarge": ("NVIDIA L4", ()),
    "g5.12xlarge": ("NVIDIA A10G", ()),
}


def list_prices() -> dict[str, tuple[Decimal, int]]:
    """(price an hour, GPUs) of the types above, read from the CSV by other means than the book's."""
    text = (resources.files("gpusteward.pricing") / "catalogue" / "gpu_prices.csv").read_text()
    rows = csv.DictReader(line for line in io.StringIO(text) if not line.startswith("#"))
    return {
        row["instance_type"]: (Decimal(row["on_demand_usd_per_hour"]), int(row["gpu_count"]))
        for row in rows
        if row["instance_type"] in NODES
    }


PRICES = list_prices()


def readings(instance_type: str, gpus: Sequence[GpuReading], at: Moment) -> Readings:
    facts = NodeFacts(
        name="n1",
        provider="aws",
        instance_type=instance_type,
        region="us-east-1",
        capacity_type=CapacityType.ON_DEMAND,
    )
    return Readings(at=at, source="dcgm", nodes=(NodeReadings(node="n1", gpus=tuple(gpus), facts=facts),))


ratios = st.none() | st.floats(0, 1)
holders = st.none() | st.lists(
    st.builds(
        held,
        st.sampled_from([POD, OTHER_POD]),
        st.sampled_from([Fraction(1), Fraction(1, 2), Fraction(1, 3)]),
        running=st.sampled_from([True, False, None]),
    ),
    max_size=2,
).map(tuple)


def with_activity(activity: float | None) -> dict[Signal, float]:
    return {} if activity is None else {Signal.SM_ACTIVE: activity}


@st.composite
def gpu_readings(draw: st.DrawFn, instance_type: str) -> list[GpuReading]:
    model, profiles = NODES[instance_type]
    gpus = []
    for n in sorted(draw(st.sets(st.integers(0, PRICES[instance_type][1] - 1)))):
        layout = draw(st.lists(st.sampled_from(profiles), max_size=4)) if profiles else []
        mig = bool(layout) or (bool(profiles) and draw(st.booleans()))
        gpus.append(
            GpuReading(
                uuid=f"GPU-{n}",
                gpu=str(n),
                model=model,
                mig=mig,
                signals={} if mig else with_activity(draw(ratios)),
                allocations=None if mig else draw(holders),
                fault=draw(st.sampled_from([None, None, None, Fault.FAILED])),
                instances=tuple(
                    InstanceReading(
                        gi=str(gi),
                        profile=profile,
                        signals=with_activity(draw(ratios)),
                        allocations=draw(holders),
                    )
                    for gi, profile in enumerate(layout)
                ),
            )
        )
    return gpus


@st.composite
def stories(draw: st.DrawFn) -> tuple[str, str, list[tuple[float, list[GpuReading] | None]]]:
    """A node's life: seconds between samples, and what each sample read (None = nothing)."""
    instance_type = draw(st.sampled_from(sorted(NODES)))
    sample = st.none() | gpu_readings(instance_type)
    steps = draw(st.lists(st.tuples(st.sampled_from([0.0, 1.0, 5.0, 29.9, 600.0]), sample), max_size=6))
    basis = draw(st.sampled_from(["whole_node", "fitted"]))
    return instance_type, basis, [(0.0, draw(gpu_readings(instance_type))), *steps]


Account = tuple[tuple[str, str, str], Holder, Cause]


def accounts(snapshot: Snapshot) -> dict[Account, tuple[int, int]]:
    """Held time and cost of every leaf, holder and cause."""
    return {
        (leaf.leaf.device.key, charge.holder, charge.cause): (charge.held, charge.cost)
        for node in snapshot.nodes
        for gpu in node.gpus
        for leaf in gpu.leaves
        for charge in leaf.charges
    }


@settings(max_examples=150, deadline=None)
@given(story=stories())
def test_all_of_a_nodes_price_is_charged_and_no_more(
    story: tuple[str, str, list[tuple[float, list[GpuReading] | None]]],
) -> None:
    instance_type, basis, steps = story
    config = Config.model_validate({"pricing": {"basis": basis}, "metrics": {"ended_holder_seconds": 1e9}})
    pipeline = Pipeline(config, PriceBook(bundled_catalogue(), config.pricing), "real")
    price, gpus = PRICES[instance_type]
    at, elapsed = T0, Fraction(0)
    counters: dict[Account, tuple[int, int]] = {}
    for seconds, read in steps:
        at, elapsed = at.plus(seconds), elapsed + Fraction(str(seconds))
        if read is None:
            snapshot = pipeline.miss(at, "dcgm", HEALTH)
        else:
            snapshot = pipeline.take(readings(instance_type, read, at), HEALTH)
        (node,) = snapshot.nodes
        assert node.expected == gpus
        assert node.conservation_error == 0
        now = accounts(snapshot)
        assert all(now[key] >= before for key, before in counters.items() if key in now)
        counters |= now  # a leaf that is gone takes its counters from the page, not from the bill
        for gpu in node.gpus:
            for leaf in gpu.leaves:
                unknown = leaf.verdict.activity is None
                assert not (unknown and leaf.verdict.state in {State.IDLE_HELD, State.IDLE_EMPTY})
                assert not (unknown and Cause.IDLE in {portion.cause for portion in leaf.portions})
                assert sum(portion.ppb for portion in leaf.portions) == 10**9
        rate = sum(leaf.rate.micro_per_hour for gpu in node.gpus for leaf in gpu.leaves if leaf.rate)
        assert node.rate is not None
        assert rate + node.rate.other_micro_per_hour == int(price * 10**6)
    total = snapshot.nodes[0].other_cost + sum(cost for _, cost in counters.values())
    assert Fraction(total, UNIT) == Fraction(price) * elapsed / 3600


@settings(max_examples=50, deadline=None)
@given(order=st.permutations(range(8)))
def test_the_order_of_gpus_on_the_page_changes_nothing(order: list[int]) -> None:
    gpus = [
        GpuReading(
            uuid=f"GPU-{n}",
            gpu=str(n),
            model="NVIDIA H100 80GB HBM3",
            signals={Signal.SM_ACTIVE: n / 8},
            allocations=(held(),) if n % 2 else (),
        )
        for n in range(8)
    ]
    snapshots = []
    for arrangement in (list(range(8)), order):
        config = Config()
        pipeline = Pipeline(config, PriceBook(bundled_catalogue(), config.pricing), "real")
        for step in range(3):
            at = T0.plus(5.0 * step)
            snapshots.append(
                pipeline.take(readings("p5.48xlarge", [gpus[n] for n in arrangement], at), HEALTH)
            )
    assert snapshots[2] == snapshots[5]
