"""States with their vetoes and hysteresis, and the cause that each part of a leaf's money goes to.

Pure: a leaf's history is its only memory, time comes in as an argument.

Activity is the greatest of one activity signal (the first known of SM active, graphics-engine active, GPU
utilization) and the codec engines. A sample is *quiet* when activity is below the idle threshold, the buses
carry little and power is near the device's own idle floor. A held device is idle when every sample of the
idle window was quiet and no veto stands; underused when mean activity of the longer window is below the
threshold of its signal. An unknown signal never makes a device idle.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from fractions import Fraction
from typing import TYPE_CHECKING

from gpusteward.model import (
    Cause,
    Confidence,
    Holder,
    LeafKind,
    Portion,
    Signal,
    State,
    Verdict,
)
from gpusteward.units import PPB, largest_remainder

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from typing import TypeAlias

    from gpusteward.clock import Moment
    from gpusteward.config import UnderuseSettings
    from gpusteward.model import Allocation, Leaf

    _CausesOf: TypeAlias = Callable[[Allocation, int], list[tuple[Cause, int]]]

ACTIVITY_SIGNALS = (Signal.SM_ACTIVE, Signal.ENGINE_ACTIVE, Signal.GPU_UTILIZATION)
"""In order of trust. GPU utilization is last: one busy SM of 132 can read 100 %."""

CODEC_SIGNALS = (
    Signal.ENCODER_UTILIZATION,
    Signal.DECODER_UTILIZATION,
    Signal.JPEG_UTILIZATION,
    Signal.OFA_UTILIZATION,
)
TRAFFIC_SIGNALS = (Signal.PCIE_TX, Signal.PCIE_RX, Signal.NVLINK)

_NEEDED = frozenset((*CODEC_SIGNALS, *TRAFFIC_SIGNALS, Signal.POWER))
_WORSE = frozenset({State.UNDERUSED, State.IDLE_HELD, State.IDLE_EMPTY})
_IDLE = frozenset({State.IDLE_HELD, State.IDLE_EMPTY})
_BUCKET_SECONDS = 10.0


@dataclass(slots=True)
class _Bucket:
    """Samples of up to ten seconds, summed: windows stay small at any sampling interval."""

    start: float
    end: float
    known: float
    active: float


@dataclass(slots=True)
class History:
    """What is remembered of one leaf between samples.

    Attributes:
        buckets: known time and activity of the longer window.
        window_start: monotonic seconds at which the present holders or signal were first seen.
        last_noise: monotonic seconds of the last sample that was not quiet; None = none since the start.
        reported: corroborating signals that this leaf has reported before.
        floor: least power in watts while nobody held it and nothing ran; None until seen.
        floor_samples: how many such samples there were.
        first_held: monotonic seconds at which each present holder was first seen.
        signal: the activity signal the window was sampled with.
        state: the present state, None before the first verdict.
        since: monotonic seconds at which it began.
        candidate: a worse state waiting to be entered, and for how many samples it has held.
    """

    buckets: deque[_Bucket] = field(default_factory=deque)
    window_start: float = 0.0
    last_noise: float | None = None
    reported: set[Signal] = field(default_factory=set)
    floor: float | None = None
    floor_samples: int = 0
    first_held: dict[Holder, float] = field(default_factory=dict)
    signal: Signal | None = None
    state: State | None = None
    since: float = 0.0
    candidate: tuple[State, int] | None = None


@dataclass(frozen=True, slots=True)
class _Sample:
    """One sample, judged on its own."""

    at: Moment
    seconds: float
    activity: float | None
    signal: Signal | None
    noise: str


def activity_of(leaf: Leaf) -> tuple[Signal | None, float | None]:
    """The leaf's activity signal and its activity, 0 to 1; (None, None) when no activity signal is known.

    A codec engine alone cannot tell that nothing runs, but it can tell that something does.
    """
    signal = next((s for s in ACTIVITY_SIGNALS if s in leaf.signals), None)
    if signal is None:
        return None, None
    values = [leaf.signals[s] for s in (signal, *CODEC_SIGNALS) if s in leaf.signals]
    return signal, min(1.0, max(values))


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
    _follow_holders(leaf, history, at, signal)
    sample = _Sample(at, seconds, activity, signal, _noise(leaf, history, settings, activity))
    _observe(leaf, history, settings, sample)
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
        idle_seconds=_quiet_for(history, at.monotonic) if quiet else None,
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
    slices = leaf.device.mig_profile.partition("g.")[0]
    if signal is Signal.ENGINE_ACTIVE and slices.isdecimal():
        return by_signal[signal] / max(1, int(slices))
    return by_signal[signal]


def portions(leaf: Leaf, verdict: Verdict, settings: UnderuseSettings) -> tuple[Portion, ...]:
    """Where the leaf's money goes now, by the closed list of causes; the parts sum to one billion."""
    nobody = Holder()
    if leaf.fault is not None:
        return _by_holder(leaf, lambda _, ppb: [(Cause.UNHEALTHY, ppb)], Cause.UNHEALTHY)
    if leaf.device.kind is LeafKind.STRANDED:
        return (Portion(nobody, Cause.STRANDED, PPB),)
    if leaf.device.kind is LeafKind.FREE:
        return (Portion(nobody, Cause.UNALLOCATED, PPB),)
    if leaf.allocations is None:
        return (Portion(nobody, Cause.UNMEASURED, PPB),)
    if not leaf.allocations:
        cause = Cause.ORPHANED if _occupied(leaf, verdict, settings) else Cause.UNALLOCATED
        return (Portion(nobody, cause, PPB),)
    return _by_holder(leaf, lambda allocation, ppb: _causes_of(allocation, ppb, verdict), Cause.UNALLOCATED)


def _causes_of(allocation: Allocation, ppb: int, verdict: Verdict) -> list[tuple[Cause, int]]:
    if allocation.running is False:
        return [(Cause.NOT_RUNNING, ppb)]
    if verdict.activity is None:
        return [(Cause.UNMEASURED, ppb)]
    if verdict.state in _IDLE:
        return [(Cause.IDLE, ppb)]
    used = ppb * round(verdict.activity * PPB) // PPB
    rest = Cause.UNDERUSED if verdict.state is State.UNDERUSED else Cause.HEADROOM
    return [(Cause.USED, used), (rest, ppb - used)]


def _by_holder(leaf: Leaf, causes_of: _CausesOf, rest_cause: Cause) -> tuple[Portion, ...]:
    """Each holder's share by its causes, and the seats that nobody holds under `rest_cause`."""
    allocations = leaf.allocations or ()
    rest = 1 - sum((allocation.share for allocation in allocations), Fraction(0))
    *shares, unheld = largest_remainder(PPB, [*(allocation.share for allocation in allocations), rest])
    result = [
        Portion(allocation.holder, cause, part)
        for allocation, ppb in zip(allocations, shares, strict=True)
        for cause, part in causes_of(allocation, ppb)
        if part
    ]
    if unheld:
        result.append(Portion(Holder(), rest_cause, unheld))
    return tuple(result)


def _occupied(leaf: Leaf, verdict: Verdict, settings: UnderuseSettings) -> bool:
    """Whether something is on a device that nobody was given: memory held, or work running."""
    active = verdict.activity is not None and verdict.activity >= settings.idle_activity
    return active or _memory_held(leaf, settings)


def _memory_held(leaf: Leaf, settings: UnderuseSettings) -> bool:
    return leaf.signals.get(Signal.MEMORY_USED, 0.0) > settings.memory_held_bytes


def _follow_holders(leaf: Leaf, history: History, at: Moment, signal: Signal | None) -> None:
    """A window is about one set of holders and one signal: a new pod is not judged by the one before it.

    A sample that does not know the holders or the signal says nothing against them: the window goes on.
    """
    changed = history.state is None
    if leaf.allocations is not None:
        present = {allocation.holder for allocation in leaf.allocations}
        changed |= present != history.first_held.keys() and not present & history.first_held.keys()
        history.first_held = {holder: history.first_held.get(holder, at.monotonic) for holder in present}
    if signal is not None:
        changed |= signal is not history.signal
        history.signal = signal
    if changed:
        history.buckets.clear()
        history.window_start, history.last_noise, history.candidate = at.monotonic, None, None


def _noise(leaf: Leaf, history: History, settings: UnderuseSettings, activity: float | None) -> str:
    """Why this sample is not quiet, in words; empty when it is."""
    if activity is None:
        return "activity is not known"
    if activity >= settings.idle_activity:
        return f"activity {activity:.1%}"
    traffic = [leaf.signals[s] for s in TRAFFIC_SIGNALS if s in leaf.signals]
    if sum(traffic) > settings.traffic_bytes_per_second:
        return f"the buses carry {sum(traffic) / 1e6:.0f} MB/s"
    power = leaf.signals.get(Signal.POWER)
    floor = _learnt_floor(history, settings)
    if power is not None and floor is not None and power > floor * (1 + settings.power_floor_margin):
        return f"power {power:.0f} W is above the idle floor of {floor:.0f} W"
    return ""


def _learnt_floor(history: History, settings: UnderuseSettings) -> float | None:
    return history.floor if history.floor_samples >= settings.power_floor_samples else None


def _observe(leaf: Leaf, history: History, settings: UnderuseSettings, sample: _Sample) -> None:
    """Take one sample into the history."""
    now = sample.at.monotonic
    if sample.activity is not None:
        _add(history.buckets, sample, now)
    while history.buckets and history.buckets[0].end <= now - settings.underused_window_seconds:
        history.buckets.popleft()
    if sample.noise and sample.activity is not None:
        history.last_noise = now
    power = leaf.signals.get(Signal.POWER)
    empty = leaf.allocations == () and not _memory_held(leaf, settings)
    still = sample.activity is not None and sample.activity < settings.idle_activity
    if power is not None and empty and still:
        history.floor = power if history.floor is None else min(history.floor, power)
        history.floor_samples += 1
    history.reported |= _NEEDED & leaf.signals.keys()


def _add(buckets: deque[_Bucket], sample: _Sample, now: float) -> None:
    active = sample.seconds * (sample.activity or 0.0)
    if buckets and now - buckets[-1].start <= _BUCKET_SECONDS:
        last = buckets[-1]
        last.end, last.known, last.active = now, last.known + sample.seconds, last.active + active
    else:
        buckets.append(_Bucket(now - sample.seconds, now, sample.seconds, active))


def _covered(history: History, now: float, window: float, settings: UnderuseSettings) -> bool:
    """Whether enough of the window that ends now was sampled with known activity."""
    known = sum(bucket.known for bucket in history.buckets if bucket.end > now - window)
    return known >= settings.window_coverage * window


def _quiet_for(history: History, now: float) -> float:
    return now - (history.window_start if history.last_noise is None else history.last_noise)


def _mean(history: History) -> float:
    known = sum(bucket.known for bucket in history.buckets)
    return sum(bucket.active for bucket in history.buckets) / known


def _wanted(leaf: Leaf, history: History, settings: UnderuseSettings, sample: _Sample) -> tuple[State, str]:
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
    leaf: Leaf, history: History, settings: UnderuseSettings, sample: _Sample
) -> tuple[State, str]:
    now = sample.at.monotonic
    activity = sample.activity or 0.0
    window = settings.idle_window_seconds
    quiet = history.last_noise is None or now - history.last_noise >= window
    veto = _veto(leaf, history, settings, sample)
    if quiet and not veto and _covered(history, now, window, settings):
        state = State.IDLE_HELD if _memory_held(leaf, settings) else State.IDLE_EMPTY
        return state, f"no activity for {_quiet_for(history, now) / 60:.0f} min"
    if _covered(history, now, settings.underused_window_seconds, settings):
        return _mean_state(leaf, history, settings, sample)
    if activity >= settings.idle_activity:
        return State.BUSY, f"activity {activity:.1%}; too little was sampled for a mean"
    return State.UNKNOWN, veto or "no activity now; too little was sampled to judge"


def _mean_state(
    leaf: Leaf, history: History, settings: UnderuseSettings, sample: _Sample
) -> tuple[State, str]:
    limit = threshold(leaf, sample.signal or Signal.GPU_UTILIZATION, settings)
    if history.state is State.UNDERUSED:
        limit *= 1 + settings.underused_exit_margin
    mean = _mean(history)
    text = f"mean activity {mean:.1%} over {settings.underused_window_seconds / 60:.0f} min"
    if mean >= limit:
        return State.BUSY, text
    why_not_idle = _veto(leaf, history, settings, sample) or sample.noise
    return State.UNDERUSED, f"{text}, below {limit:.1%}" + (f"; {why_not_idle}" if why_not_idle else "")


def _veto(leaf: Leaf, history: History, settings: UnderuseSettings, sample: _Sample) -> str:
    """Why a quiet device may not be called idle, in words; empty when it may."""
    missing = sorted(history.reported - leaf.signals.keys())
    if missing:
        return f"{missing[0]} is not known now"
    for allocation in leaf.allocations or ():
        who = allocation.holder.pod or "its holder"
        if allocation.exempt_until is not None and allocation.exempt_until > sample.at.wall:
            return f"{who} is exempt"
        age = sample.at.monotonic - history.first_held[allocation.holder]
        if allocation.started_at is not None:
            age = max(age, sample.at.wall - allocation.started_at)
        if age < settings.grace_seconds:
            return f"{who} is younger than {settings.grace_seconds / 60:.0f} min"
    return ""


def _with_hysteresis(
    history: History, settings: UnderuseSettings, state: State, reason: str
) -> tuple[State, str]:
    """A worse state must hold for several samples; a better one is taken at once."""
    if state not in _WORSE or state is history.state:
        history.candidate = None
        return state, reason
    held = history.candidate[1] + 1 if history.candidate and history.candidate[0] is state else 1
    if held >= settings.enter_samples:
        history.candidate = None
        return state, reason
    history.candidate = (state, held)
    kept = history.state if history.state in {*_WORSE, State.BUSY} else State.UNKNOWN
    return kept or State.UNKNOWN, f"{reason} (for {held} of {settings.enter_samples} samples)"


def _confidence(
    leaf: Leaf, history: History, settings: UnderuseSettings, signal: Signal | None
) -> Confidence:
    """High when power and bus traffic corroborate; medium when one is missing; low otherwise."""
    lacking = (_learnt_floor(history, settings) is None) + all(s not in leaf.signals for s in TRAFFIC_SIGNALS)
    if signal is None or lacking == 2:  # noqa: PLR2004 - both of two
        return Confidence.LOW
    return Confidence.MEDIUM if lacking or signal is Signal.GPU_UTILIZATION else Confidence.HIGH
