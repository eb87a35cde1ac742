from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gpusteward.devices.simulated.timeline import Curve, Segment, Span, Timeline, without
from tests.unit.devices.simulated.fleets import UNTIMED

LEVELS = st.floats(0, 1)
SEGMENTS = st.lists(
    st.builds(
        Segment,
        seconds=st.integers(1, 90).map(float),
        rates=st.just({}),
        activity=LEVELS,
        watts=LEVELS,
    ),
    min_size=1,
    max_size=8,
)
TIMES = st.floats(-5_000, 50_000)


@st.composite
def timelines(draw: st.DrawFn) -> Timeline:
    edges = sorted(draw(st.sets(st.integers(0, 1000), min_size=2, max_size=6)))
    pairs = list(zip(edges[::2], edges[1::2], strict=False))
    spans = [
        Span(start, end, Curve(draw(SEGMENTS)), start - draw(st.integers(0, 500))) for start, end in pairs
    ]
    return Timeline(1000.0, spans)


@given(timeline=timelines(), t0=TIMES, length=st.floats(0, 10_000))
@UNTIMED
def test_walking_the_segments_and_the_antiderivative_agree(
    timeline: Timeline, t0: float, length: float
) -> None:
    t1 = t0 + length
    walked = sum(seconds * segment.activity for seconds, segment in timeline.over(t0, t1))
    difference = timeline.integral("activity", t1) - timeline.integral("activity", t0)
    assert difference == pytest.approx(walked, rel=1e-9, abs=1e-6)


@given(timeline=timelines(), t0=TIMES, first=st.floats(0, 3_000), second=st.floats(0, 3_000))
@UNTIMED
def test_an_interval_is_the_sum_of_its_parts(
    timeline: Timeline, t0: float, first: float, second: float
) -> None:
    def walked(start: float, end: float) -> float:
        return sum(seconds * segment.watts for seconds, segment in timeline.over(start, end))

    middle, end = t0 + first, t0 + first + second
    assert walked(t0, middle) + walked(middle, end) == pytest.approx(walked(t0, end), abs=1e-6)


@given(segments=SEGMENTS, x=TIMES)
@UNTIMED
def test_a_curve_at_a_moment_is_what_it_is_right_after(segments: list[Segment], x: float) -> None:
    curve = Curve(segments)
    seconds, segment = next(curve.over(x, x + 1e-3))
    assert seconds > 0
    assert curve.at(x) is segment or curve.at(x + 1e-6) is segment


def test_a_curve_ends_one_segment_where_the_next_begins() -> None:
    first, second = Segment(10.0, {}, 0.25, 100.0), Segment(20.0, {}, 0.75, 200.0)
    curve = Curve([first, second])
    assert [curve.at(x) for x in (0.0, 9.999, 10.0, 29.999, 30.0)] == [first, first, second, second, first]
    assert list(curve.over(5.0, 35.0)) == [(5.0, first), (20.0, second), (5.0, first)]
    assert curve.integral("activity", 35.0) == pytest.approx(10 * 0.25 + 20 * 0.75 + 5 * 0.25)
    assert list(curve.over(5.0, 5.0)) == []


def test_between_spans_there_is_rest() -> None:
    curve = Curve([Segment(10.0, {}, 0.5, 1.0)])
    timeline = Timeline(100.0, [Span(20.0, 40.0, curve, 20.0)])
    assert timeline.at(19.9) is None
    assert timeline.at(20.0) is not None
    assert timeline.at(139.9) is not None
    assert timeline.at(140.0) is None
    assert timeline.integral("watts", 230.0) == pytest.approx(20.0 + 20.0 + 10.0)


@pytest.mark.parametrize(
    ("gap", "left"),
    [
        ((0.0, 10.0), [(10.0, 50.0)]),
        ((50.0, 60.0), [(10.0, 50.0)]),
        ((20.0, 30.0), [(10.0, 20.0), (30.0, 50.0)]),
        ((0.0, 30.0), [(30.0, 50.0)]),
        ((30.0, 90.0), [(10.0, 30.0)]),
        ((0.0, 90.0), []),
    ],
)
def test_a_gap_takes_its_part_of_a_span_and_no_more(
    gap: tuple[float, float], left: list[tuple[float, float]]
) -> None:
    curve = Curve([Segment(1.0, {}, 1.0, 1.0)])
    spans = without([Span(10.0, 50.0, curve, 10.0)], [gap])
    assert [(span.start, span.end) for span in spans] == left
    assert all(span.origin == 10.0 for span in spans)


def test_no_part_is_empty_where_an_edge_rounds_to_the_beginning() -> None:
    curve = Curve([Segment(0.1, {}, 1.0, 1.0), Segment(0.2, {}, 0.5, 1.0)])
    parts = list(curve.over(0.4, 0.45))  # 4 x 0.1 lies a rounding before the edge at 0.4
    assert all(seconds > 0 for seconds, _ in parts)
    assert sum(seconds * segment.activity for seconds, segment in parts) == pytest.approx(0.05 * 0.5)
