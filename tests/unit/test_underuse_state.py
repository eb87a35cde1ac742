"""A history that was written down and read again goes on as if nothing had happened."""

from __future__ import annotations

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st

from gpusteward.config import UnderuseSettings
from gpusteward.model import Signal
from gpusteward.underuse import History, HistoryState, dump_history, judge, load_history
from tests.leaves import OTHER_POD, POD, T0, held, leaf

UNDERUSE = UnderuseSettings(idle_window_seconds=60, underused_window_seconds=120, grace_seconds=30)
step = st.tuples(
    st.sampled_from([0.0, 0.01, 0.1, 0.9, None]),
    st.sampled_from([(held(POD),), (held(OTHER_POD, started_at=None),), (), None]),
    st.sampled_from([None, 55.0, 300.0]),
)


@settings(max_examples=60, deadline=None)
@given(st.lists(step, min_size=1, max_size=40), st.integers(0, 40))
def test_a_restart_at_any_moment_changes_no_verdict(
    steps: list[tuple[object, object, object]], at: int
) -> None:
    one, other = History(), History()
    for n, (activity, allocations, power) in enumerate(steps):
        if n == at:
            text = msgspec.json.encode(dump_history(other))
            other = load_history(msgspec.json.decode(text, type=HistoryState))
        signals = {Signal.SM_ACTIVE: activity, Signal.POWER: power, Signal.MEMORY_USED: 1e9}
        seen = leaf({s: v for s, v in signals.items() if v is not None}, allocations)  # type: ignore[misc,arg-type]  # drawn as objects
        now = T0.plus(5.0 * n)
        assert judge(seen, one, UNDERUSE, now, 5.0) == judge(seen, other, UNDERUSE, now, 5.0)
    assert dump_history(one) == dump_history(other)
