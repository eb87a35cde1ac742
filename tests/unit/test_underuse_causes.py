"""Where money goes: the closed list of causes in its order of precedence."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gpusteward.model import (
    Cause,
    Confidence,
    Fault,
    Holder,
    Leaf,
    LeafKind,
    Portion,
    State,
    Verdict,
)
from gpusteward.underuse import portions
from gpusteward.units import PPB
from tests.leaves import OTHER_POD, POD, held, leaf

NOBODY = Holder()


def verdict(state: State = State.BUSY, activity: float | None = 0.25) -> Verdict:
    return Verdict(state=state, reason="", confidence=Confidence.HIGH, since=0.0, activity=activity)


def parts(seen: Leaf, judged: Verdict) -> list[tuple[Holder, Cause, float]]:
    return [(p.holder, p.cause, p.ppb / PPB) for p in portions(seen, judged)]


def test_a_busy_holder_uses_its_activity_and_the_rest_is_headroom() -> None:
    assert parts(leaf({}, (held(),)), verdict()) == [(POD, Cause.USED, 0.25), (POD, Cause.HEADROOM, 0.75)]


def test_an_underused_holder_uses_its_activity_and_the_rest_is_underused() -> None:
    got = parts(leaf({}, (held(),)), verdict(State.UNDERUSED, 0.1))
    assert got == [(POD, Cause.USED, 0.1), (POD, Cause.UNDERUSED, 0.9)]


def test_full_activity_leaves_no_headroom_and_none_no_use() -> None:
    assert parts(leaf({}, (held(),)), verdict(activity=1.0)) == [(POD, Cause.USED, 1.0)]
    assert parts(leaf({}, (held(),)), verdict(State.UNKNOWN, 0.0)) == [(POD, Cause.HEADROOM, 1.0)]


@pytest.mark.parametrize("state", [State.IDLE_HELD, State.IDLE_EMPTY])
def test_an_idle_holder_wastes_its_whole_share(state: State) -> None:
    got = parts(leaf({}, (held(share=Fraction(1, 4)),)), verdict(state, 0.01))
    assert got == [(POD, Cause.IDLE, 0.25), (NOBODY, Cause.UNALLOCATED, 0.75)]


def test_unknown_activity_is_unmeasured_not_idle_and_not_unallocated() -> None:
    assert parts(leaf({}, (held(),)), verdict(State.UNKNOWN, None)) == [(POD, Cause.UNMEASURED, 1.0)]


def test_unknown_allocation_is_unmeasured_for_nobody_even_when_it_works() -> None:
    assert parts(leaf({}, None), verdict(State.UNKNOWN, 0.9)) == [(NOBODY, Cause.UNMEASURED, 1.0)]


def test_a_pod_that_never_ran_is_not_running_and_a_phase_unknown_is_not() -> None:
    waiting = leaf({}, (held(running=False),))
    unknown = leaf({}, (held(running=None),))
    assert parts(waiting, verdict(State.IDLE_EMPTY, 0.0)) == [(POD, Cause.NOT_RUNNING, 1.0)]
    assert parts(unknown, verdict(State.IDLE_EMPTY, 0.0)) == [(POD, Cause.IDLE, 1.0)]


def test_an_unhealthy_gpu_costs_its_holder_whatever_it_does() -> None:
    broken = replace(leaf({}, (held(running=False, share=Fraction(1, 2)),)), fault=Fault.FAILED)
    got = parts(broken, verdict(State.UNHEALTHY, 0.5))
    assert got == [(POD, Cause.UNHEALTHY, 0.5), (NOBODY, Cause.UNHEALTHY, 0.5)]
    lost = replace(leaf({}, None), fault=Fault.LOST)
    assert parts(lost, verdict(State.UNHEALTHY, None)) == [(NOBODY, Cause.UNHEALTHY, 1.0)]


@pytest.mark.parametrize(
    ("kind", "cause"), [(LeafKind.FREE, Cause.UNALLOCATED), (LeafKind.STRANDED, Cause.STRANDED)]
)
def test_the_rest_of_a_mig_gpu_is_free_or_stranded_or_unhealthy(kind: LeafKind, cause: Cause) -> None:
    rest = leaf({}, (), kind=kind)
    assert parts(rest, verdict(State.UNALLOCATED, None)) == [(NOBODY, cause, 1.0)]
    broken = replace(rest, fault=Fault.LOST)
    assert parts(broken, verdict(State.UNHEALTHY, None)) == [(NOBODY, Cause.UNHEALTHY, 1.0)]


def test_an_unheld_gpu_is_orphaned_when_it_is_judged_so() -> None:
    unheld = verdict(State.UNALLOCATED, 0.5)
    assert parts(leaf(), unheld) == [(NOBODY, Cause.UNALLOCATED, 1.0)]
    assert parts(leaf(), replace(unheld, orphaned=True)) == [(NOBODY, Cause.ORPHANED, 1.0)]


def test_four_pods_at_a_quarter_sum_to_exactly_one_gpu() -> None:
    pods = tuple(held(Holder("ns", f"pod-{n}", "main"), Fraction(1, 4)) for n in range(4))
    got = portions(leaf({}, pods), verdict())
    assert sum(portion.ppb for portion in got) == PPB
    assert {p.holder for p in got} == {a.holder for a in pods}


shares = st.lists(st.fractions(min_value=Fraction(1, 1000), max_value=1), min_size=0, max_size=5)


@given(
    parts_of_one=shares,
    state=st.sampled_from(State),
    activity=st.none() | st.floats(0, 1),
    running=st.sampled_from([True, False, None]),
    fault=st.none() | st.sampled_from(Fault),
)
def test_portions_always_sum_to_the_whole(
    parts_of_one: list[Fraction],
    state: State,
    activity: float | None,
    running: bool | None,
    fault: Fault | None,
) -> None:
    total = sum(parts_of_one, Fraction(0))
    scale = total if total > 1 else Fraction(1)
    pods = tuple(
        held(Holder("ns", f"pod-{n}", ""), share / scale, running=running)
        for n, share in enumerate(parts_of_one)
    )
    got = portions(replace(leaf({}, pods), fault=fault), verdict(state, activity))
    assert sum(portion.ppb for portion in got) == PPB
    assert all(portion.ppb > 0 for portion in got)
    if activity is None:
        assert Cause.IDLE not in {portion.cause for portion in got}


def test_a_portion_is_one_holder_and_one_cause() -> None:
    pods = (held(POD, Fraction(1, 2)), held(OTHER_POD, Fraction(1, 2)))
    got = portions(leaf({}, pods), verdict())
    assert len({(p.holder, p.cause) for p in got}) == len(got) == 4
    assert got[0] == Portion(POD, Cause.USED, PPB // 8)
