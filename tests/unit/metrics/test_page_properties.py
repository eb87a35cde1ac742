"""Whatever the snapshot, the page reads back: no series twice, no text broken, no money lost."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gpusteward.metrics.page import render
from gpusteward.model import (
    Allocation,
    Cause,
    Charge,
    Device,
    DeviceTotals,
    Fault,
    GpuReading,
    GpuSnapshot,
    Holder,
    Leaf,
    LeafSnapshot,
    Portion,
    Signal,
    State,
)
from gpusteward.units import PPB, largest_remainder
from tests import snapshots
from tests.pages import labels_of, parsed, parsed_openmetrics, value, values

# Any text at all, lone surrogates included: labels come from pages that others write.
TEXTS = st.text(st.characters(codec=None) | st.sampled_from('"\\\n\udc80{},='), max_size=8)
ANY = settings(max_examples=60, deadline=None)  # a draw is a whole fleet, and machines differ
HOLDERS = st.builds(Holder, TEXTS, TEXTS, TEXTS)
SIGNALS = st.dictionaries(st.sampled_from(Signal), st.floats(), max_size=6)


@st.composite
def portions(draw: st.DrawFn) -> tuple[Portion, ...]:
    parts = draw(
        st.lists(st.tuples(HOLDERS, st.sampled_from(Cause), st.integers(0, 100)), min_size=1, max_size=4)
    )
    weights = [weight for _, _, weight in parts]
    ppbs = largest_remainder(PPB, weights if any(weights) else [1] * len(weights))
    return tuple(Portion(holder, cause, ppb) for (holder, cause, _), ppb in zip(parts, ppbs, strict=True))


@st.composite
def leaves(draw: st.DrawFn, uuid: str, gi: str) -> LeafSnapshot:
    priced = draw(st.booleans())
    micro = draw(st.integers(0, 10**9))
    charges = draw(
        st.lists(
            st.builds(
                Charge,
                holder=HOLDERS,
                cause=st.sampled_from(Cause),
                held=st.integers(0, 10**24),
                cost=st.integers(0, 10**33),
                priced=st.booleans(),
            ),
            max_size=3,
        )
    )
    allocations = draw(st.none() | st.lists(HOLDERS, max_size=2))
    return LeafSnapshot(
        leaf=Leaf(
            device=Device(node=draw(TEXTS), uuid=uuid, gi=gi, gpu=draw(st.sampled_from(["0", "1", ""]))),
            signals=draw(SIGNALS),
            allocations=None if allocations is None else tuple(map(Allocation, allocations)),
        ),
        rate=snapshots.rate(micro) if priced else None,
        verdict=snapshots.verdict(
            draw(st.sampled_from(State)), idle_seconds=draw(st.none() | st.floats(0, 1e9))
        ),
        portions=draw(portions()),
        charges=tuple(charges),
        totals=DeviceTotals(
            active_us=draw(st.none() | st.integers(0, 10**24)),
            state_us=draw(st.dictionaries(st.sampled_from(State), st.integers(0, 10**15), max_size=3)),
        ),
    )


@st.composite
def gpus(draw: st.DrawFn, uuid: str) -> GpuSnapshot:
    mig = draw(st.booleans())
    ids = ["1", "2", "free", "stranded"][: draw(st.integers(1, 4))] if mig else [""]
    reading = GpuReading(uuid=uuid, gpu="0", model=draw(TEXTS), mig=mig, signals=draw(SIGNALS))
    return GpuSnapshot(
        reading=reading,
        fault=draw(st.none() | st.sampled_from(Fault)),
        leaves=tuple(draw(leaves(uuid, gi)) for gi in ids),
        xids=draw(st.dictionaries(st.integers(0, 200), st.integers(0, 9), max_size=2)),
    )


@st.composite
def fleets(draw: st.DrawFn) -> tuple[GpuSnapshot, ...]:
    return tuple(draw(gpus(f"GPU-{n}")) for n in range(draw(st.integers(0, 3))))


@ANY
@given(fleets())
def test_any_snapshot_gives_a_page_that_reads_back_without_a_series_twice(
    fleet: tuple[GpuSnapshot, ...],
) -> None:
    page = render(snapshots.snapshot(*fleet), snapshots.EXPOSURE)
    series = parsed(page.text)
    assert value(series, "series") == sum(map(len, series.values()))
    openmetrics = page.rendering("application/openmetrics-text;version=1.0.0").body
    assert parsed_openmetrics(openmetrics) == series


@ANY
@given(fleets())
def test_the_cost_of_a_gpus_leaves_is_the_gpus_price(fleet: tuple[GpuSnapshot, ...]) -> None:
    series = parsed(render(snapshots.snapshot(*fleet), snapshots.EXPOSURE).text)
    for gpu in fleet:
        price = sum(leaf.rate.micro_per_hour for leaf in gpu.leaves if leaf.rate is not None) / 1e6
        costs = values(series, "gpu_cost_per_hour", uuid=gpu.reading.uuid)
        assert sum(costs) == pytest.approx(price, rel=1e-12, abs=1e-12)


@ANY
@given(fleets())
def test_holder_labels_are_always_present_and_only_on_holder_series(fleet: tuple[GpuSnapshot, ...]) -> None:
    series = parsed(render(snapshots.snapshot(*fleet), snapshots.EXPOSURE).text)
    for name in ("gpu_allocation_share", "gpu_cost_per_hour", "gpu_held_seconds_total", "gpu_cost_total"):
        assert all({"namespace", "pod", "container"} <= row.keys() for row in labels_of(series, name))


@ANY
@given(fleets(), st.integers(1, 200))
def test_no_budget_costs_money_or_health_a_series(fleet: tuple[GpuSnapshot, ...], budget: int) -> None:
    snapshot = snapshots.snapshot(*fleet)
    full = parsed(render(snapshot, snapshots.EXPOSURE).text)
    tight = parsed(render(snapshot, replace(snapshots.EXPOSURE, series_budget=budget)).text)
    for name in ("gpu_up", "gpu_state", "gpu_cost_per_hour", "gpu_cost_total", "gpu_held_seconds_total"):
        assert tight.get(f"gpusteward_{name}") == full.get(f"gpusteward_{name}")
