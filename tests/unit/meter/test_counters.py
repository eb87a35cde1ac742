"""Counters: exact, never going down, kept a while after their holder."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gpusteward.meter import Interval, Meter
from gpusteward.model import (
    Basis,
    CapacityType,
    Cause,
    Charge,
    Confidence,
    Holder,
    NodeRate,
    Portion,
    PriceSource,
    Rate,
    Signal,
    State,
    Verdict,
)
from gpusteward.units import PPB
from tests.leaves import OTHER_POD, POD, gpu, leaf

NOBODY = Holder()
SECOND = 1_000_000
RATE = Rate(
    micro_per_hour=6_880_000,
    currency="USD",
    source=PriceSource.CATALOGUE,
    basis=Basis.WHOLE_NODE,
    capacity_type=CapacityType.ON_DEMAND,
    confidence="high",
    as_of=None,
    detail="",
)


def judged(state: State = State.BUSY, activity: float | None = 0.5) -> Verdict:
    return Verdict(state=state, reason="", confidence=Confidence.HIGH, since=0.0, activity=activity)


def whole(holder: Holder = POD, cause: Cause = Cause.USED) -> tuple[Portion, ...]:
    return (Portion(holder, cause, PPB),)


def by_key(charges: tuple[Charge, ...]) -> dict[tuple[str, str], tuple[float, object]]:
    """Seconds and dollars by pod and cause."""
    return {(c.holder.pod, c.cause.value): (c.held / 1e15, c.cost / (1e15 * 3600 * 1e6)) for c in charges}


def test_the_first_sample_stands_for_no_time() -> None:
    (charge,) = Meter(600).charge(leaf(), whole(), RATE, Interval(0, 0.0))
    assert (charge.held, charge.cost, charge.priced) == (0, 0, True)


def test_an_hour_of_half_use_at_6_88_costs_3_44_each() -> None:
    meter = Meter(600)
    half = (Portion(POD, Cause.USED, PPB // 2), Portion(POD, Cause.HEADROOM, PPB // 2))
    charges = meter.charge(leaf(), half, RATE, Interval(3600 * SECOND, 3600.0))
    got = by_key(charges)
    assert set(got) == {("train-0", "used"), ("train-0", "headroom")}
    for seconds, dollars in got.values():
        assert seconds == 1800.0
        assert dollars == pytest.approx(3.44)


def test_held_time_counts_without_a_price_and_its_cost_is_unknown_not_zero() -> None:
    meter = Meter(600)
    (charge,) = meter.charge(leaf(), whole(), None, Interval(SECOND, 1.0))
    assert (charge.held, charge.priced) == (SECOND * PPB, False)
    (charge,) = meter.charge(leaf(), whole(), RATE, Interval(SECOND, 2.0))
    assert (charge.held, charge.priced) == (2 * SECOND * PPB, True)
    assert charge.cost == SECOND * PPB * 6_880_000


def test_a_holder_that_ended_keeps_its_counters_unchanged_for_a_while_and_then_goes() -> None:
    meter = Meter(600)
    meter.charge(leaf(), whole(POD), RATE, Interval(SECOND, 1.0))
    kept = by_key(meter.charge(leaf(), whole(OTHER_POD), RATE, Interval(599 * SECOND, 601.0)))
    assert kept[("train-0", "used")][0] == 1.0
    gone = by_key(meter.charge(leaf(), whole(OTHER_POD), RATE, Interval(SECOND, 601.5)))
    assert set(gone) == {("notebook-1", "used")}


def test_nobodys_counters_stay_for_ever() -> None:
    meter = Meter(600)
    meter.charge(leaf(), whole(NOBODY, Cause.UNALLOCATED), RATE, Interval(SECOND, 1.0))
    charges = by_key(meter.charge(leaf(), whole(POD), RATE, Interval(SECOND, 9999.0)))
    assert ("", "unallocated") in charges


def test_time_that_was_not_sampled_is_unmeasured_for_a_holder_that_still_has_the_device() -> None:
    meter = Meter(600)
    meter.charge(leaf(), whole(POD), RATE, Interval(SECOND, 1.0))
    charges = by_key(meter.charge(leaf(), whole(POD), RATE, Interval(100 * SECOND, 101.0, sampled=False)))
    assert charges[("train-0", "unmeasured")][0] == 100.0
    assert charges[("train-0", "used")][0] == 1.0


def test_time_that_was_not_sampled_is_nobodys_when_the_holder_changed_meanwhile() -> None:
    meter = Meter(600)
    meter.charge(leaf(), whole(POD), RATE, Interval(SECOND, 1.0))
    charges = by_key(
        meter.charge(leaf(), whole(OTHER_POD), RATE, Interval(100 * SECOND, 101.0, sampled=False))
    )
    assert charges[("", "unmeasured")][0] == 100.0
    assert ("notebook-1", "used") not in charges


def test_active_seconds_are_the_integral_and_unknown_adds_nothing() -> None:
    meter = Meter(600)
    seen = leaf({Signal.SM_ACTIVE: 0.25})
    first = meter.total(seen, judged(activity=0.25), Interval(10 * SECOND, 10.0))
    unknown = meter.total(leaf(), judged(State.UNKNOWN, None), Interval(10 * SECOND, 20.0))
    unsampled = meter.total(seen, judged(activity=1.0), Interval(10 * SECOND, 30.0, sampled=False))
    assert first.active_us == 10 * SECOND * PPB // 4
    assert first.signal_us == {Signal.SM_ACTIVE: 10 * SECOND * PPB // 4}
    assert unknown.active_us == unsampled.active_us == first.active_us
    assert unsampled.state_us == {State.BUSY: 20 * SECOND, State.UNKNOWN: 10 * SECOND}


def test_a_leaf_whose_activity_was_never_known_has_no_active_seconds() -> None:
    totals = Meter(600).total(leaf(), judged(State.UNKNOWN, None), Interval(SECOND, 1.0))
    assert totals.active_us is None


def test_an_xid_that_stood_there_before_is_not_counted_and_a_new_one_is() -> None:
    meter = Meter(600)
    seen = [
        meter.count_xids("n1", gpu(0, signals={Signal.LAST_XID: xid}), wall)
        for wall, xid in enumerate((79.0, 79.0, 31.0, 0.0, 31.0))
    ]
    counts = [{79: 0}, {79: 0}, {79: 0, 31: 1}, {79: 0, 31: 1}, {79: 0, 31: 2}]
    assert seen == list(zip(counts, [{}, {}, {31: 2}, {31: 2}, {31: 4}], strict=True))
    assert meter.count_xids("n1", gpu(0), 9.0) == seen[-1]
    assert meter.count_xids("n1", gpu(1), 9.0) == ({}, {})


def test_each_xid_event_counts_the_first_and_the_same_one_twice_too() -> None:
    meter = Meter(600)
    assert meter.count_xids("n1", gpu(0, xids=(31, 31, 79)), 1.0) == ({31: 2, 79: 1}, {31: 1.0, 79: 1.0})
    assert meter.count_xids("n1", gpu(0, xids=()), 2.0) == ({31: 2, 79: 1}, {31: 1.0, 79: 1.0})
    assert meter.count_xids("n1", gpu(0, xids=(31,)), 3.0) == ({31: 3, 79: 1}, {31: 3.0, 79: 1.0})


def test_where_events_are_told_the_last_xid_is_not_counted_a_second_time() -> None:
    both = gpu(0, xids=(), signals={Signal.LAST_XID: 79.0})
    assert Meter(600).count_xids("n1", both, 1.0) == ({}, {})


def test_the_node_balances_and_says_by_how_much_it_does_not() -> None:
    meter = Meter(600)
    node = NodeRate(
        list_micro_per_hour=10_000_000,
        other_micro_per_hour=3_120_000,
        gpu_micro_per_hour=(6_880_000,),
        rate=RATE,
    )
    hour = Interval(3600 * SECOND, 3600.0)
    meter.charge(leaf(), whole(), RATE, hour)
    assert meter.close_node("n1", node, hour) == (3600 * SECOND * PPB * 3_120_000, 0)
    _, error = meter.close_node("n1", replace(node, list_micro_per_hour=10_000_001), hour)
    assert error == 3600 * SECOND * PPB * (3_120_000 - 10_000_001)
    assert meter.close_node("n2", None, hour) == (0, 0)


def test_what_is_gone_is_forgotten_after_the_same_while() -> None:
    meter = Meter(600)
    meter.charge(leaf(), whole(), RATE, Interval(SECOND, 1.0))
    meter.total(leaf(), judged(), Interval(SECOND, 1.0))
    meter.count_xids("n1", gpu(0, signals={Signal.LAST_XID: 31.0}), 1.0)
    meter.forget(601.0, ["n1"])
    (charge,) = meter.charge(leaf(), whole(), RATE, Interval(0, 601.0))
    assert charge.held == SECOND * PPB
    meter.forget(601.1, [])
    (charge,) = meter.charge(leaf(), whole(), RATE, Interval(0, 601.1))
    assert charge.held == 0
    assert meter.count_xids("n1", gpu(0), 1.0) == ({}, {})


steps = st.lists(
    st.tuples(st.integers(0, 10_000_000), st.sampled_from([POD, OTHER_POD, NOBODY]), st.sampled_from(Cause)),
    max_size=30,
)


@given(steps=steps)
def test_counters_never_go_down_and_all_time_is_accounted_for(steps: list[tuple[int, Holder, Cause]]) -> None:
    meter, now, elapsed = Meter(1e9), 0.0, 0
    before: dict[tuple[Holder, Cause], Charge] = {}
    for length, holder, cause in steps:
        now, elapsed = now + length / SECOND, elapsed + length
        charges = meter.charge(leaf(), whole(holder, cause), RATE, Interval(length, now))
        after = {(c.holder, c.cause): c for c in charges}
        assert all(after[key].held >= c.held and after[key].cost >= c.cost for key, c in before.items())
        assert sum(c.held for c in charges) == elapsed * PPB
        assert sum(c.cost for c in charges) == elapsed * PPB * RATE.micro_per_hour
        before = after
