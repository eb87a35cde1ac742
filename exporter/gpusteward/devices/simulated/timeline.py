"""Exact means and integrals over repeating, piecewise constant time.

Each question has two ways to its answer that share only the segments: `over` walks them one by one,
`integral` takes differences of an antiderivative. Tests hold one against the other.
"""

from __future__ import annotations

import math
from bisect import bisect_right
from dataclasses import dataclass
from itertools import accumulate
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from gpusteward.model import Signal

Quantity = Literal["activity", "watts"]


@dataclass(frozen=True, slots=True)
class Segment:
    """What a device shows while its effort is constant.

    Attributes:
        seconds: how long.
        rates: ratio and per-second signals; a signal that is not here is not known.
        activity: greatest of the best activity signal and the codec engines, 0 to 1.
        watts: power above the board's idle power.
    """

    seconds: float
    rates: Mapping[Signal, float]
    activity: float
    watts: float


class Curve:
    """Segments that repeat for ever.

    Args:
        segments: one period, in order; at least one, all longer than 0 s.
    """

    def __init__(self, segments: Sequence[Segment]) -> None:
        self._segments = tuple(segments)
        self._edges = tuple(accumulate((s.seconds for s in segments), initial=0.0))
        self._areas: dict[Quantity, tuple[float, ...]] = {
            "activity": tuple(accumulate((s.seconds * s.activity for s in segments), initial=0.0)),
            "watts": tuple(accumulate((s.seconds * s.watts for s in segments), initial=0.0)),
        }

    def at(self, x: float) -> Segment:
        """The segment at `x` seconds."""
        return self._segments[self._index(x % self._edges[-1])]

    def over(self, x0: float, x1: float) -> Iterator[tuple[float, Segment]]:
        """The parts of segments between `x0` and `x1`, in order, with the seconds of each."""
        period, offset = divmod(x0, self._edges[-1])
        index = self._index(offset)
        start = x0
        while start < x1:
            end = min(x1, period * self._edges[-1] + self._edges[index + 1])
            if end > start:
                yield end - start, self._segments[index]
            start = max(start, end)
            index += 1
            if index == len(self._segments):
                index, period = 0, period + 1

    def integral(self, quantity: Quantity, x: float) -> float:
        """The quantity's integral from 0 to `x` seconds."""
        period, offset = divmod(x, self._edges[-1])
        index = self._index(offset)
        areas = self._areas[quantity]
        within = (offset - self._edges[index]) * getattr(self._segments[index], quantity)
        return float(period * areas[-1] + areas[index] + within)

    def _index(self, offset: float) -> int:
        return min(bisect_right(self._edges, offset), len(self._segments)) - 1


@dataclass(frozen=True, slots=True)
class Span:
    """Part of a cycle in which a curve runs.

    Attributes:
        start: seconds into the cycle.
        end: seconds into the cycle, not included.
        curve: what runs.
        origin: seconds into the cycle at which the curve is at its own 0.
    """

    start: float
    end: float
    curve: Curve
    origin: float


class Timeline:
    """What one device does: spans in a cycle that repeats for ever, and rest between them.

    Args:
        cycle: seconds of a cycle.
        spans: in order, not overlapping, all within the cycle.
    """

    def __init__(self, cycle: float, spans: Sequence[Span]) -> None:
        self.cycle = cycle
        self._spans = tuple(spans)

    def at(self, t: float) -> Segment | None:
        """The segment at simulated second `t`; None at rest."""
        x = t % self.cycle
        span = next((span for span in self._spans if span.start <= x < span.end), None)
        return span.curve.at(x - span.origin) if span else None

    def over(self, t0: float, t1: float) -> Iterator[tuple[float, Segment]]:
        """The parts of segments between two simulated seconds, without rest, with the seconds of each."""
        for number in range(math.floor(t0 / self.cycle), math.floor(t1 / self.cycle) + 1):
            begin = number * self.cycle
            for span in self._spans:
                start, end = max(t0 - begin, span.start), min(t1 - begin, span.end)
                if start < end:
                    yield from span.curve.over(start - span.origin, end - span.origin)

    def integral(self, quantity: Quantity, t: float) -> float:
        """The quantity's integral from simulated second 0 to `t`."""
        number, x = divmod(t, self.cycle)
        return number * self._partial(quantity, self.cycle) + self._partial(quantity, x)

    def _partial(self, quantity: Quantity, x: float) -> float:
        return sum(
            span.curve.integral(quantity, min(x, span.end) - span.origin)
            - span.curve.integral(quantity, span.start - span.origin)
            for span in self._spans
            if span.start < x
        )


def without(spans: Sequence[Span], gaps: Sequence[tuple[float, float]]) -> tuple[Span, ...]:
    """The spans with the gaps cut out; what runs goes on after a gap as if it had run through."""
    for gap_start, gap_end in gaps:
        cut: list[Span] = []
        for span in spans:
            pieces = ((span.start, min(span.end, gap_start)), (max(span.start, gap_end), span.end))
            cut += [Span(start, end, span.curve, span.origin) for start, end in pieces if start < end]
        spans = cut
    return tuple(spans)
