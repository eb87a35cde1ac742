"""The meter as a document: whole again after a stop, and only who held what after a crash."""

from __future__ import annotations

import msgspec

from gpusteward.meter import Interval, Meter, MeterState, dump_meter, load_meter
from gpusteward.model import Cause, NodeRate, Signal, State
from tests.leaves import OTHER_POD, POD, gpu, leaf
from tests.unit.meter.test_counters import RATE, SECOND, judged, whole

HOUR = 3600 * SECOND
NODE_RATE = NodeRate(
    list_micro_per_hour=9_000_000, other_micro_per_hour=2_120_000, gpu_micro_per_hour=(6_880_000,), rate=RATE
)


def metered() -> Meter:
    meter = Meter(600)
    for hour in range(1, 9_001, 1_000):
        end = Interval(1_000 * HOUR, hour * 3600.0)
        meter.charge(leaf(), whole(POD if hour < 5000 else OTHER_POD), RATE, end)
        meter.total(leaf({Signal.SM_ACTIVE: 0.25}), judged(activity=0.25), end)
        meter.close_node("n1", NODE_RATE, end)
    meter.count_xids("n1", gpu(0, signals={Signal.LAST_XID: 31.0}), 1.0)
    meter.count_xids("n1", gpu(0, xids=(79,)), 2.0)
    return meter


def again(meter: Meter, *, counters: bool) -> Meter:
    text = msgspec.json.encode(dump_meter(meter))
    fresh = Meter(600)
    load_meter(fresh, msgspec.json.decode(text, type=MeterState), counters=counters)
    return fresh


def test_counters_of_a_year_come_back_to_the_last_digit_and_go_on_alike() -> None:
    meter = metered()
    other = again(meter, counters=True)
    assert dump_meter(other) == dump_meter(meter)
    more = Interval(SECOND, 8_001 * 3600.0 + 1)
    assert other.charge(leaf(), whole(OTHER_POD), RATE, more) == meter.charge(
        leaf(), whole(OTHER_POD), RATE, more
    )
    assert other.total(leaf(), judged(State.BUSY), more) == meter.total(leaf(), judged(State.BUSY), more)
    assert other.close_node("n1", NODE_RATE, more) == meter.close_node("n1", NODE_RATE, more)
    assert other.count_xids("n1", gpu(0, xids=(79,)), 3.0) == ({31: 0, 79: 2}, {79: 3.0})
    assert other.ended("n1", [], 8_001 * 3600.0 + 2) == meter.ended("n1", [], 8_001 * 3600.0 + 2)


def test_after_a_crash_counters_begin_anew_and_downtime_is_still_the_holders() -> None:
    other = again(metered(), counters=False)
    down = Interval(60 * SECOND, 9_000 * 3600.0, sampled=False, running=False)
    (charge,) = other.charge(leaf(), whole(OTHER_POD), RATE, down)
    assert (charge.holder, charge.cause, charge.held) == (OTHER_POD, Cause.UNMEASURED, 60 * SECOND * 10**9)
    assert other.close_node("n1", NODE_RATE, down) == (0, 0)
    assert other.count_xids("n1", gpu(0), 3.0) == ({}, {})


def test_downtime_is_no_time_in_any_state() -> None:
    other = again(metered(), counters=True)
    before = again(other, counters=True).total(leaf(), judged(), Interval(0, 9e7))
    down = Interval(60 * SECOND, 9_000 * 3600.0, sampled=False, running=False)
    assert other.total(leaf({Signal.SM_ACTIVE: 1.0}), judged(), down) == before
