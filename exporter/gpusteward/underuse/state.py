"""A history as a document that outlives the process; good within one boot, whose monotonic clock it is in."""

from __future__ import annotations

from collections import deque

from msgspec import Struct

from gpusteward.model import Holder, Signal, State
from gpusteward.underuse.history import Bucket, History


class HistoryState(Struct, frozen=True, kw_only=True):
    """The fields of `History`, with pairs for what JSON has no keys for."""

    buckets: list[tuple[float, float, float, float]]
    last_noise: float | None
    quiet: float
    reported: dict[Signal, float]
    floor: float | None
    floor_samples: int
    first_held: list[tuple[Holder, float]]
    signal: Signal | None
    state: State | None
    since: float
    in_use: int
    candidate: tuple[State, int] | None


def dump_history(history: History) -> HistoryState:
    """The history as a document."""
    return HistoryState(
        buckets=[(b.start, b.end, b.known, b.active) for b in history.buckets],
        last_noise=history.last_noise,
        quiet=history.quiet,
        reported=history.reported,
        floor=history.floor,
        floor_samples=history.floor_samples,
        first_held=list(history.first_held.items()),
        signal=history.signal,
        state=history.state,
        since=history.since,
        in_use=history.in_use,
        candidate=history.candidate,
    )


def load_history(state: HistoryState) -> History:
    """The history of a document."""
    return History(
        buckets=deque(Bucket(*bucket) for bucket in state.buckets),
        last_noise=state.last_noise,
        quiet=state.quiet,
        reported=dict(state.reported),
        floor=state.floor,
        floor_samples=state.floor_samples,
        first_held=dict(state.first_held),
        signal=state.signal,
        state=state.state,
        since=state.since,
        in_use=state.in_use,
        candidate=state.candidate,
    )
