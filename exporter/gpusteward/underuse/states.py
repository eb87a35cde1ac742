"""What a leaf is judged to be, and why: one sample against its history."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from gpusteward.model import Confidence, Signal, State, Verdict
from gpusteward.underuse.history import (
    TRAFFIC_SIGNALS,
    Sample,
    activity_of,
    covered,
    follow_holders,
    learnt_floor,
    mean,
    noise_of,
    observe,
    occupied,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

    from gpusteward.clock import Moment
    from gpusteward.config import UnderuseSettings
    from gpusteward.model import Leaf
    from gpusteward.underuse.history import History

_RANK = {State.BUSY: 0, State.UNDERUSED: 1, State.IDLE_HELD: 2, State.IDLE_EMPTY: 2}
"""How bad a judged state is. The other states are facts, not judgements, and need no hysteresis."""

_PROFILE = re.compile(r"([1-9])g\.")


def judge(leaf: Leaf, history: History, settings: UnderuseSettings, at: Moment, seconds: float) -> Verdict:
    """The leaf's state now, and why.

    Args:
        leaf: what was read and who holds it.
        history: this leaf's history; updated.
        settings: thresholds, windows and vetoes.
        at: now.
        seconds: how long this sample stands for; 0 when nothing is known of the time before it.
    """
    signal, activity = activity_of(leaf)
    follow_holders(leaf, history, at, signal)
    sample = Sample(at, seconds, activity, signal, noise_of(leaf, history, settings, activity))
    observe(leaf, history, settings, sample)
    state, reason = _wanted(leaf, history, settings, sample)
    state, reason = _with_hysteresis(history, settings, state, reason)
    if state is not history.state:
        history.state, history.since = state, at.monotonic
    quiet = leaf.allocations and activity is not None and leaf.fault is None
    return Verdict(
        state=state,
        reason=reason,
        confidence=_confidence(leaf, history, settings, signal),
        since=history.since,
        signal=signal,
        activity=activity,
        idle_seconds=history.quiet if quiet else None,
        orphaned=history.in_use >= settings.enter_samples,
    )


def threshold(leaf: Leaf, signal: Signal, settings: UnderuseSettings) -> float:
    """Mean activity below which the leaf is underused, for the signal its activity was taken from.

    Graphics-engine activity of an Ng MIG instance is a part of N engines, and one busy workload shows as 1/N
    (NVIDIA/DCGM issue 138), so its threshold is divided by N.
    """
    by_signal: Mapping[Signal, float] = {
        Signal.SM_ACTIVE: settings.underused_sm_active,
        Signal.ENGINE_ACTIVE: settings.underused_engine_active,
        Signal.GPU_UTILIZATION: settings.underused_gpu_utilization,
    }
    slices = _PROFILE.match(leaf.device.mig_profile)
    if signal is Signal.ENGINE_ACTIVE and slices:
        return by_signal[signal] / int(slices[1])
    return by_signal[signal]


def _wanted(leaf: Leaf, history: History, settings: UnderuseSettings, sample: Sample) -> tuple[State, str]:
    """The state that this sample and the windows call for, before hysteresis."""
    if leaf.fault is not None:
        return State.UNHEALTHY, f"the GPU is not healthy: {leaf.fault.replace('_', ' ')}"
    if leaf.allocations is None:
        return State.UNKNOWN, "who holds it is not known"
    if not leaf.allocations:
        return State.UNALLOCATED, "nobody holds it"
    if sample.activity is None:
        return State.UNKNOWN, "its activity is not known"
    return _activity_state(leaf, history, settings, sample)


def _activity_state(
    leaf: Leaf, history: History, settings: UnderuseSettings, sample: Sample
) -> tuple[State, str]:
    now = sample.at.monotonic
    activity = sample.activity or 0.0
    window = settings.idle_window_seconds
    quiet = history.last_noise is None or now - history.last_noise >= window
    veto = _veto(leaf, history, settings, sample)
    if quiet and not veto and covered(history, now, window, settings):
        state = State.IDLE_HELD if occupied(leaf, settings) else State.IDLE_EMPTY
        return state, f"no activity for {history.quiet / 60:.0f} min"
    if covered(history, now, settings.underused_window_seconds, settings):
        return _mean_state(leaf, history, settings, sample)
    if activity >= settings.idle_activity:
        return State.BUSY, f"activity {activity:.1%}; too little was sampled for a mean"
    return State.UNKNOWN, veto or sample.noise or "no activity now; too little was sampled to judge"


def _mean_state(
    leaf: Leaf, history: History, settings: UnderuseSettings, sample: Sample
) -> tuple[State, str]:
    limit = threshold(leaf, sample.signal or Signal.GPU_UTILIZATION, settings)
    if history.state is State.UNDERUSED:
        limit *= 1 + settings.underused_exit_margin
    average = mean(history)
    text = f"mean activity {average:.1%} over {settings.underused_window_seconds / 60:.0f} min"
    if average >= limit:
        return State.BUSY, text
    if exempt := _exempt(leaf, sample):
        return State.BUSY, f"{text}; {exempt}"
    why_not_idle = _veto(leaf, history, settings, sample) or sample.noise
    return State.UNDERUSED, f"{text}, below {limit:.1%}" + (f"; {why_not_idle}" if why_not_idle else "")


def _veto(leaf: Leaf, history: History, settings: UnderuseSettings, sample: Sample) -> str:
    """Why a quiet device may not be called idle, in words; empty when it may."""
    if missing := sorted(history.reported.keys() - leaf.signals.keys()):
        return f"{missing[0]} is not known now"
    if exempt := _exempt(leaf, sample):
        return exempt
    for allocation in leaf.allocations or ():
        age = sample.at.monotonic - history.first_held[allocation.holder]
        if allocation.started_at is not None:
            age = max(age, sample.at.wall - allocation.started_at)
        if age < settings.grace_seconds:
            who = allocation.holder.pod or "its holder"
            return f"{who} is younger than {settings.grace_seconds / 60:.0f} min"
    return ""


def _exempt(leaf: Leaf, sample: Sample) -> str:
    """Which holder asked not to be called idle, in words; empty when none did.

    It is not called underused either: who says that a device may lie still means it.
    """
    for allocation in leaf.allocations or ():
        if allocation.exempt_until is not None and allocation.exempt_until > sample.at.wall:
            return f"{allocation.holder.pod or 'its holder'} is exempt"
    return ""


def _with_hysteresis(
    history: History, settings: UnderuseSettings, state: State, reason: str
) -> tuple[State, str]:
    """A worse state must hold for several samples; a better one, or a fact, is taken at once."""
    before = _RANK.get(history.state, -1) if history.state else -1
    if _RANK.get(state, 0) <= max(before, 0):
        history.candidate = None
        return state, reason
    held = history.candidate[1] + 1 if history.candidate and history.candidate[0] is state else 1
    if held >= settings.enter_samples:
        history.candidate = None
        return state, reason
    history.candidate = (state, held)
    kept = history.state if history.state in _RANK else State.UNKNOWN
    return kept or State.UNKNOWN, f"{reason} (for {held} of {settings.enter_samples} samples)"


def _confidence(
    leaf: Leaf, history: History, settings: UnderuseSettings, signal: Signal | None
) -> Confidence:
    """High when power and bus traffic corroborate; medium when one is missing; low otherwise."""
    lacking = (learnt_floor(history, settings) is None) + all(s not in leaf.signals for s in TRAFFIC_SIGNALS)
    if signal is None or lacking == 2:  # noqa: PLR2004 - both of two
        return Confidence.LOW
    return Confidence.MEDIUM if lacking or signal is Signal.GPU_UTILIZATION else Confidence.HIGH
