"""Open rows: whole milliseconds that sum to the time that went by, whatever the clock on the wall does."""

from __future__ import annotations

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from gpusteward.clock import Moment
from gpusteward.meter import Interval, Meter, OpenRows, dump_open, load_open
from gpusteward.model import Cause, Holder, Portion, UsageRow
from gpusteward.units import PPB
from tests.leaves import OTHER_POD, POD, T0, leaf
from tests.unit.meter.test_counters import RATE, SECOND, whole

GPU = ("n1", "GPU-0", "")


def charged(meter: Meter, seconds: float, at: Moment, portions: tuple[Portion, ...] = whole()) -> None:
    meter.charge(leaf(), portions, RATE, Interval(round(seconds * SECOND), at.monotonic))


def told(rows: tuple[UsageRow, ...]) -> list[tuple[str, str, int]]:
    return [(r.holder.pod, r.cause.value, r.held_ms) for r in rows]


def test_a_window_has_a_row_for_each_holder_and_cause_at_its_price() -> None:
    meter = Meter(600)
    half = (Portion(POD, Cause.USED, PPB // 2), Portion(POD, Cause.HEADROOM, PPB // 2))
    charged(meter, 100.0, T0.plus(100), half)
    charged(meter, 200.0, T0.plus(300), whole(OTHER_POD, Cause.IDLE))
    window = meter.open.close(T0.plus(300))
    assert told(window.rows) == [
        ("train-0", "headroom", 50_000),
        ("train-0", "used", 50_000),
        ("notebook-1", "idle", 200_000),
    ]
    first = window.rows[0]
    assert (first.device, first.start_ms, first.end_ms) == (
        GPU,
        int(T0.wall) * 1000,
        int(T0.wall + 300) * 1000,
    )
    assert first.price is not None
    assert (first.price.micro_per_hour, first.price.as_of) == (6_880_000, "")
    assert (window.seconds, window.end) == (300.0, T0.monotonic + 300)
    assert meter.open.close(T0.plus(310)).rows == ()


def test_two_prices_in_a_window_are_two_rows_and_none_is_another() -> None:
    meter = Meter(600)
    charged(meter, 1.0, T0.plus(1))
    meter.charge(leaf(), whole(), None, Interval(2 * SECOND, T0.monotonic + 3))
    rows = meter.open.close(T0.plus(3)).rows
    assert [(r.held_ms, r.price is None) for r in rows] == [(2000, True), (1000, False)]


def test_what_is_discarded_is_not_billed() -> None:
    meter = Meter(600)
    charged(meter, 100.0, T0.plus(100))
    meter.open.discard(T0.monotonic + 100)
    charged(meter, 5.0, T0.plus(105))
    window = meter.open.close(T0.plus(105))
    assert (told(window.rows), window.seconds) == ([("train-0", "used", 5000)], 5.0)


def test_downtime_is_the_holders_that_still_have_the_device_and_its_rest_is_left_out() -> None:
    meter = Meter(600)
    seat = PPB // 4
    shared = (
        Portion(POD, Cause.USED, seat),
        Portion(OTHER_POD, Cause.USED, seat),
        Portion(Holder(), Cause.UNALLOCATED, 2 * seat),
    )
    charged(meter, 10.0, T0, shared)
    meter.open.close(T0)
    after = (Portion(POD, Cause.IDLE, seat), Portion(Holder(), Cause.UNALLOCATED, 3 * seat))
    down = Interval(1000 * SECOND, T0.monotonic + 1000, sampled=False, running=False)
    charges = meter.charge(leaf(), after, RATE, down)
    assert {c.holder.pod for c in charges if c.cause is Cause.UNMEASURED} == {"train-0"}
    (only,) = meter.open.close(T0.plus(1000)).rows
    assert told((only,)) == [("train-0", "unmeasured", 250_000)]
    assert only.end_ms - only.start_ms == 1_000_000
    assert meter.close_node("n1", None, down)[1] == 10 * SECOND * PPB * RATE.micro_per_hour


def test_a_wall_clock_that_steps_moves_rows_and_never_stretches_or_shrinks_one() -> None:
    meter = Meter(600)
    for step, monotonic in ((0.0, 300), (-3600.0, 600), (+86_400.0, 900)):
        at = Moment(T0.wall + monotonic + step, T0.monotonic + monotonic)
        charged(meter, 300.0, at)
        (only,) = meter.open.close(at).rows
        assert only.held_ms == only.end_ms - only.start_ms == 300_000
        assert only.end_ms == int(at.wall * 1000)


accounts = st.tuples(
    st.sampled_from([POD, OTHER_POD, Holder()]),
    st.sampled_from([Cause.USED, Cause.IDLE]),
    st.integers(1, PPB),
)
samples = st.tuples(st.integers(0, 3_000_000), st.lists(accounts, min_size=1, max_size=4), st.booleans())


@given(st.lists(samples, max_size=25), st.floats(-1e5, 1e5))
def test_rows_sum_to_the_time_of_their_device_and_lose_or_make_none(
    steps: list[tuple[int, list[tuple[Holder, Cause, int]], bool]], skew: float
) -> None:
    rows, now, total = OpenRows(), 50.0, 0
    closed: list[tuple[UsageRow, ...]] = []
    for elapsed, parts, close in steps:
        now, total = now + elapsed / 1e6, total + elapsed
        rows.elapse(GPU, elapsed, now)
        left = PPB
        for holder, cause, ppb in parts:
            rows.add(GPU, (holder, cause, None), elapsed * min(ppb, left))
            left -= min(ppb, left)
        rows.add(GPU, (Holder(), Cause.UNALLOCATED, None), elapsed * left)
        if close:
            closed.append(rows.close(Moment(T0.wall + now + skew, now)).rows)
            rows = load_open(dump_open(rows))
    closed.append(rows.close(Moment(T0.wall + now + skew, now)).rows)
    for window in filter(None, closed):
        assert sum(r.held_ms for r in window) == window[0].end_ms - window[0].start_ms
        assert all(r.held_ms > 0 for r in window)
        assert window == tuple(sorted(window, key=lambda r: (r.holder, r.cause)))
    assert sum(r.held_ms for window in closed for r in window) == total // 1000
    ends = [window[0].end_ms for window in closed if window]
    assert all(before <= after for before, after in pairwise(ends))
