"""What is remembered of a leaf between samples, and what a sample adds to it."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from gpusteward.model import Signal, State

if TYPE_CHECKING:
    from gpusteward.clock import Moment
    from gpusteward.config import UnderuseSettings
    from gpusteward.model import Holder, Leaf

ACTIVITY_SIGNALS = (Signal.SM_ACTIVE, Signal.ENGINE_ACTIVE, Signal.GPU_UTILIZATION)
"""In order of trust. GPU utilization is last: one busy SM of 132 can read 100 %."""

CODEC_SIGNALS = (
    Signal.ENCODER_UTILIZATION,
    Signal.DECODER_UTILIZATION,
    Signal.JPEG_UTILIZATION,
    Signal.OFA_UTILIZATION,
)
OTHER_ACTIVITY_SIGNALS = (*ACTIVITY_SIGNALS, Signal.TENSOR_ACTIVE, Signal.DRAM_ACTIVE)
"""Any of these contradicts that nothing runs: a profiling field that reads 0 by fault must not look idle."""

TRAFFIC_SIGNALS = (Signal.PCIE_TX, Signal.PCIE_RX, Signal.NVLINK)

CORROBORATING = frozenset((*CODEC_SIGNALS, *TRAFFIC_SIGNALS, Signal.POWER))
_BUCKET_SECONDS = 10.0


@dataclass(slots=True)
class Bucket:
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
        last_noise: monotonic seconds of the last sample that was not quiet; None = none since the start.
        quiet: seconds of quiet samples since then; time that nobody measured is not in it.
        reported: corroborating signals of the last window, and when each was last known, monotonic seconds.
        floor: least power in watts while nobody held it and nothing ran; None until seen.
        floor_samples: how many such samples there were.
        first_held: monotonic seconds at which each present holder was first seen.
        signal: the activity signal the window was sampled with.
        state: the present state, None before the first verdict.
        since: monotonic seconds at which it began.
        in_use: for how many samples in a row something was on it while nobody held it.
        candidate: a worse state waiting to be entered, and for how many samples it has held.
    """

    buckets: deque[Bucket] = field(default_factory=deque)
    last_noise: float | None = None
    quiet: float = 0.0
    reported: dict[Signal, float] = field(default_factory=dict)
    floor: float | None = None
    floor_samples: int = 0
    first_held: dict[Holder, float] = field(default_factory=dict)
    signal: Signal | None = None
    state: State | None = None
    since: float = 0.0
    in_use: int = 0
    candidate: tuple[State, int] | None = None


@dataclass(frozen=True, slots=True)
class Sample:
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


def follow_holders(leaf: Leaf, history: History, at: Moment, signal: Signal | None) -> None:
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
        history.last_noise, history.quiet, history.candidate = None, 0.0, None


def noise_of(leaf: Leaf, history: History, settings: UnderuseSettings, activity: float | None) -> str:
    """Why this sample is not quiet, in words; empty when it is."""
    if activity is None:
        return "activity is not known"
    if activity >= settings.idle_activity:
        return f"activity {activity:.1%}"
    for signal in OTHER_ACTIVITY_SIGNALS:
        if leaf.signals.get(signal, 0.0) >= settings.idle_activity:
            return f"{signal} is {leaf.signals[signal]:.1%}"
    traffic = [leaf.signals[s] for s in TRAFFIC_SIGNALS if s in leaf.signals]
    if sum(traffic) > settings.traffic_bytes_per_second:
        return f"the buses carry {sum(traffic) / 1e6:.0f} MB/s"
    power = leaf.signals.get(Signal.POWER)
    floor = learnt_floor(history, settings)
    if power is not None and floor is not None and power > floor * (1 + settings.power_floor_margin):
        return f"power {power:.0f} W is above the idle floor of {floor:.0f} W"
    return ""


def learnt_floor(history: History, settings: UnderuseSettings) -> float | None:
    """The device's own idle power in watts; None until it was seen often enough."""
    return history.floor if history.floor_samples >= settings.power_floor_samples else None


def observe(leaf: Leaf, history: History, settings: UnderuseSettings, sample: Sample) -> None:
    """Take one sample into the history."""
    now = sample.at.monotonic
    if sample.activity is not None:
        _add(history.buckets, sample, now)
    while history.buckets and history.buckets[0].end <= now - settings.underused_window_seconds:
        history.buckets.popleft()
    if sample.noise and sample.activity is not None:
        history.last_noise, history.quiet = now, 0.0
    elif not sample.noise:
        history.quiet += sample.seconds
    power = leaf.signals.get(Signal.POWER)
    empty = leaf.allocations == () and not occupied(leaf, settings)
    still = sample.activity is not None and sample.activity < settings.idle_activity
    if power is not None and empty and still:
        history.floor = power if history.floor is None else min(history.floor, power)
        history.floor_samples += 1
    history.in_use = _in_use(leaf, history, settings, sample)
    history.reported |= dict.fromkeys(CORROBORATING & leaf.signals.keys(), now)
    since = now - settings.underused_window_seconds
    history.reported = {signal: last for signal, last in history.reported.items() if last > since}


def _in_use(leaf: Leaf, history: History, settings: UnderuseSettings, sample: Sample) -> int:
    """For how many samples something has been on a device that nobody was given: a process, memory, work.

    The sample in which a pod ends still holds its last work, and its memory goes a moment later; so one
    sample says nothing, but for the first of all, before which there is no pod that was seen.
    """
    active = sample.activity is not None and sample.activity >= settings.idle_activity
    if leaf.allocations != () or leaf.fault is not None or not (active or occupied(leaf, settings)):
        return 0
    return settings.enter_samples if history.state is None else history.in_use + 1


def _add(buckets: deque[Bucket], sample: Sample, now: float) -> None:
    active = sample.seconds * (sample.activity or 0.0)
    if buckets and now - buckets[-1].start <= _BUCKET_SECONDS:
        last = buckets[-1]
        last.end, last.known, last.active = now, last.known + sample.seconds, last.active + active
    else:
        buckets.append(Bucket(now - sample.seconds, now, sample.seconds, active))


def occupied(leaf: Leaf, settings: UnderuseSettings) -> bool:
    """Whether something is on the device: a process, or memory in use beyond what an empty one shows.

    Memory counts even where no process is listed, since it may be held by one that has died or that the
    driver does not show us. What is not known occupies nothing.
    """
    processes = any(not process.serves_sharing for process in leaf.processes or ())
    return processes or leaf.signals.get(Signal.MEMORY_USED, 0.0) > settings.memory_held_bytes


def covered(history: History, now: float, window: float, settings: UnderuseSettings) -> bool:
    """Whether enough of the window that ends now was sampled with known activity."""
    known = sum(bucket.known for bucket in history.buckets if bucket.end > now - window)
    return known >= settings.window_coverage * window


def mean(history: History) -> float:
    """Mean activity of the known time of the longer window; it must be covered."""
    known = sum(bucket.known for bucket in history.buckets)
    return sum(bucket.active for bucket in history.buckets) / known
