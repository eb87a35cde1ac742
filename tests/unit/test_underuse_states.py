"""Each state, each threshold and each veto with its near miss."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import pytest

from gpusteward.config import UnderuseSettings
from gpusteward.model import Confidence, Fault, LeafKind, Process, Signal, State, Verdict
from gpusteward.underuse import History, activity_of, judge
from tests.leaves import OTHER_POD, POD, T0, held, leaf

if TYPE_CHECKING:
    from gpusteward.clock import Moment
    from gpusteward.model import Leaf

SETTINGS = UnderuseSettings()
MINUTE = 60.0
STEP = 5.0
GIB = float(2**30)
QUIET = {Signal.SM_ACTIVE: 0.0, Signal.MEMORY_USED: 0.0, Signal.PCIE_TX: 0.0, Signal.PCIE_RX: 0.0}


@dataclass
class Watched:
    """A leaf watched by the judge at a steady interval."""

    settings: UnderuseSettings = SETTINGS
    history: History = field(default_factory=History)
    now: Moment = T0
    first: bool = True

    def see(self, seen: Leaf, seconds: float = STEP, step: float = STEP) -> Verdict:
        """The same leaf for so many seconds; the last verdict."""
        verdict = None
        for _ in range(max(1, round(seconds / step))):
            self.now = self.now if self.first else self.now.plus(step)
            verdict = judge(seen, self.history, self.settings, self.now, 0.0 if self.first else step)
            self.first = False
        assert verdict is not None
        return verdict


def sm(activity: float, **others: float) -> Leaf:
    signals = QUIET | {Signal.SM_ACTIVE: activity} | {Signal[name]: value for name, value in others.items()}
    return leaf(signals, (held(),))


def test_a_held_gpu_without_activity_is_idle_after_the_window_and_not_before() -> None:
    gpu = Watched()
    assert gpu.see(sm(0.0), 13 * MINUTE).state is State.UNKNOWN
    verdict = gpu.see(sm(0.0), 3 * MINUTE)
    assert verdict.state is State.IDLE_EMPTY
    assert verdict.reason == "no activity for 16 min"


def test_activity_at_the_idle_threshold_is_not_idle_and_just_below_it_is() -> None:
    at_threshold, below = Watched(), Watched()
    assert at_threshold.see(sm(0.02), 40 * MINUTE).state is State.UNDERUSED
    assert below.see(sm(0.0199), 40 * MINUTE).state is State.IDLE_EMPTY


def test_one_busy_sample_within_the_window_keeps_it_from_being_idle() -> None:
    gpu = Watched()
    gpu.see(sm(0.0), 10 * MINUTE)
    gpu.see(sm(0.5))
    assert gpu.see(sm(0.0), 14.9 * MINUTE).state is not State.IDLE_EMPTY
    assert gpu.see(sm(0.0), 0.3 * MINUTE).state is State.IDLE_EMPTY


def test_idle_with_memory_held_is_idle_held_and_a_near_empty_memory_is_not() -> None:
    more = SETTINGS.memory_held_bytes + 1.0
    assert Watched().see(sm(0.0, MEMORY_USED=more), 20 * MINUTE).state is State.IDLE_HELD
    assert Watched().see(sm(0.0, MEMORY_USED=more - 1), 20 * MINUTE).state is State.IDLE_EMPTY


def test_unknown_memory_is_not_taken_for_held() -> None:
    seen = leaf({Signal.SM_ACTIVE: 0.0}, (held(),))
    assert Watched().see(seen, 20 * MINUTE).state is State.IDLE_EMPTY


def test_idle_seconds_count_from_the_last_activity() -> None:
    gpu = Watched()
    gpu.see(sm(0.9), 5 * MINUTE)
    assert gpu.see(sm(0.0), 2 * MINUTE).idle_seconds == pytest.approx(120.0)
    assert gpu.see(sm(0.9)).idle_seconds == pytest.approx(0.0)


@pytest.mark.parametrize(
    ("signal", "limit"),
    [(Signal.SM_ACTIVE, 0.15), (Signal.ENGINE_ACTIVE, 0.30), (Signal.GPU_UTILIZATION, 0.30)],
)
def test_mean_activity_below_its_signals_threshold_is_underused_and_at_it_is_busy(
    signal: Signal, limit: float
) -> None:
    below = leaf({signal: limit - 0.001}, (held(),))
    at_it = leaf({signal: limit}, (held(),))
    verdict = Watched().see(below, 31 * MINUTE)
    assert (verdict.state, verdict.signal) == (State.UNDERUSED, signal)
    assert Watched().see(at_it, 31 * MINUTE).state is State.BUSY


def test_the_mean_is_over_the_window_not_the_moment() -> None:
    gpu = Watched()
    gpu.see(sm(0.9), 15 * MINUTE)
    verdict = gpu.see(sm(0.03), 15 * MINUTE)
    assert verdict.state is State.BUSY, "mean of 30 min is 46 %"
    assert gpu.see(sm(0.03), 14 * MINUTE).state is State.UNDERUSED


@pytest.mark.parametrize(("profile", "state"), [("3g.40gb", State.BUSY), ("1g.10gb", State.UNDERUSED)])
def test_engine_activity_of_a_mig_instance_is_judged_by_its_slices(profile: str, state: State) -> None:
    seen = leaf({Signal.ENGINE_ACTIVE: 0.11}, (held(),), kind=LeafKind.INSTANCE, profile=profile)
    assert Watched().see(seen, 31 * MINUTE).state is state


def test_the_first_known_signal_counts_and_codecs_count_as_activity() -> None:
    signals = {Signal.GPU_UTILIZATION: 0.9, Signal.ENGINE_ACTIVE: 0.4, Signal.SM_ACTIVE: 0.1}
    assert activity_of(leaf(signals)) == (Signal.SM_ACTIVE, 0.1)
    assert activity_of(leaf(signals | {Signal.DECODER_UTILIZATION: 0.8})) == (Signal.SM_ACTIVE, 0.8)
    assert activity_of(leaf({Signal.DECODER_UTILIZATION: 0.8})) == (None, None)


@pytest.mark.parametrize("codec", ["ENCODER", "DECODER", "JPEG", "OFA"])
def test_a_busy_codec_engine_is_not_idle_and_a_still_one_is(codec: str) -> None:
    assert Watched().see(sm(0.0, **{f"{codec}_UTILIZATION": 0.02}), 16 * MINUTE).state is State.BUSY
    assert Watched().see(sm(0.0, **{f"{codec}_UTILIZATION": 0.01}), 16 * MINUTE).state is State.IDLE_EMPTY


def test_an_unknown_signal_is_never_idle() -> None:
    nothing = leaf({Signal.MEMORY_USED: GIB}, (held(),))
    verdict = Watched().see(nothing, 60 * MINUTE)
    assert (verdict.state, verdict.activity, verdict.idle_seconds) == (State.UNKNOWN, None, None)


def test_a_signal_that_was_there_and_is_missing_keeps_it_from_being_idle() -> None:
    gpu = Watched()
    gpu.see(sm(0.0), 16 * MINUTE)
    without_pcie = leaf({Signal.SM_ACTIVE: 0.0, Signal.MEMORY_USED: 0.0, Signal.PCIE_TX: 0.0}, (held(),))
    verdict = gpu.see(without_pcie)
    assert verdict.state is State.UNKNOWN
    assert "pcie_rx_bytes_per_second is not known now" in verdict.reason


def test_a_gpu_whose_activity_goes_unknown_is_unknown_at_once_and_remembers_its_window() -> None:
    gpu = Watched()
    gpu.see(sm(0.0), 20 * MINUTE)
    assert gpu.see(leaf({}, (held(),))).state is State.UNKNOWN
    assert gpu.see(leaf({}, None)).state is State.UNKNOWN
    assert gpu.see(sm(0.0), 2 * STEP).state is State.IDLE_EMPTY


def test_a_window_with_too_many_unknown_samples_is_not_judged() -> None:
    gpu = Watched()
    gpu.see(sm(0.0), 15 * MINUTE)
    gpu.see(leaf({}, (held(),)), 2 * MINUTE)
    assert gpu.see(sm(0.0), 2 * STEP).state is State.UNKNOWN, "13 of 15 minutes are known"
    assert gpu.see(sm(0.0), 30 * MINUTE).state is State.IDLE_EMPTY


def test_a_pod_younger_than_the_grace_is_not_idle_and_older_is() -> None:
    gpu = Watched()
    pod = (held(started_at=T0.wall),)
    assert gpu.see(leaf(QUIET, pod), 19.9 * MINUTE).state is State.UNKNOWN
    assert gpu.see(leaf(QUIET, pod), 0.4 * MINUTE).state is State.IDLE_EMPTY


def test_a_pod_whose_start_is_unknown_is_as_old_as_it_was_watched() -> None:
    gpu = Watched()
    pod = (held(started_at=None),)
    assert gpu.see(leaf(QUIET, pod), 19.9 * MINUTE).state is State.UNKNOWN
    assert gpu.see(leaf(QUIET, pod), 0.4 * MINUTE).state is State.IDLE_EMPTY


def test_busy_buses_keep_it_from_being_idle_and_a_little_less_does_not() -> None:
    loading = sm(0.0, PCIE_TX=20e6, PCIE_RX=20e6, NVLINK=10e6 + 1)
    almost = sm(0.0, PCIE_TX=20e6, PCIE_RX=20e6, NVLINK=10e6)
    verdict = Watched().see(loading, 31 * MINUTE)
    assert verdict.state is State.UNDERUSED
    assert "the buses carry 50 MB/s" in verdict.reason
    assert Watched().see(almost, 31 * MINUTE).state is State.IDLE_EMPTY


@pytest.mark.parametrize(("later", "idle"), [(-1.0, True), (0.0, True), (1.0, False), (float("inf"), False)])
def test_an_exempt_pod_is_not_idle_until_its_exemption_ends(later: float, idle: bool) -> None:
    end = T0.wall + 20 * MINUTE - 2 * STEP + later
    verdict = Watched().see(leaf(QUIET, (held(exempt_until=end),)), 20 * MINUTE)
    assert (verdict.state is State.IDLE_EMPTY) is idle


@pytest.mark.parametrize(("watts", "state"), [(57.4, State.IDLE_EMPTY), (57.6, State.UNKNOWN)])
def test_power_above_the_learnt_floor_is_not_idle_and_near_it_is(watts: float, state: State) -> None:
    gpu = Watched()
    gpu.see(leaf(QUIET | {Signal.POWER: 50.0}), SETTINGS.power_floor_samples * STEP)
    verdict = gpu.see(sm(0.0, POWER=watts), 21 * MINUTE)
    assert verdict.state is state


def test_a_floor_is_not_learnt_from_a_gpu_that_is_held_or_full_or_busy_or_too_briefly() -> None:
    unheld_but_full = leaf(QUIET | {Signal.POWER: 50.0, Signal.MEMORY_USED: GIB})
    unheld_but_busy = leaf(QUIET | {Signal.POWER: 50.0, Signal.SM_ACTIVE: 0.5})
    for teacher in (sm(0.0, POWER=50.0), unheld_but_full, unheld_but_busy):
        gpu = Watched()
        gpu.see(teacher, 2 * MINUTE)
        assert gpu.see(sm(0.0, POWER=90.0), 25 * MINUTE).state is State.IDLE_EMPTY
    gpu = Watched()
    gpu.see(leaf(QUIET | {Signal.POWER: 50.0}), (SETTINGS.power_floor_samples - 1) * STEP)
    assert gpu.see(sm(0.0, POWER=90.0), 25 * MINUTE).state is State.IDLE_EMPTY


def test_confidence_says_what_corroborated() -> None:
    bare = Watched().see(leaf({Signal.SM_ACTIVE: 0.0}, (held(),)))
    with_buses = Watched().see(sm(0.0))
    gpu = Watched()
    gpu.see(leaf(QUIET | {Signal.POWER: 50.0}), MINUTE)
    with_both = gpu.see(sm(0.0, POWER=50.0))
    utilization_only = gpu.see(
        leaf({Signal.GPU_UTILIZATION: 0.0, Signal.PCIE_TX: 0.0, Signal.POWER: 50.0}, (held(),))
    )
    confidences = [v.confidence for v in (bare, with_buses, with_both, utilization_only)]
    assert confidences == [Confidence.LOW, Confidence.MEDIUM, Confidence.HIGH, Confidence.MEDIUM]


def test_a_worse_state_must_hold_for_two_samples_and_a_better_one_is_taken_at_once() -> None:
    gpu = Watched()
    gpu.see(sm(0.9), 5 * MINUTE)
    gpu.see(sm(0.0), 15 * MINUTE - STEP)
    first = gpu.see(sm(0.0))
    assert first.state is not State.IDLE_EMPTY
    assert "1 of 2 samples" in first.reason
    assert gpu.see(sm(0.0)).state is State.IDLE_EMPTY
    assert gpu.see(sm(0.5)).state is State.BUSY


def test_a_busy_gpu_stays_busy_while_a_worse_state_is_waiting() -> None:
    gpu = Watched()
    gpu.see(sm(0.16), 31 * MINUTE)
    seen = [gpu.see(sm(0.0)).state for _ in range(60)]
    assert State.UNKNOWN not in seen
    assert seen[-1] is State.UNDERUSED


def test_underused_is_left_only_with_a_margin() -> None:
    entered, stayed, left = 0.14, 0.16, 0.17
    gpu = Watched()
    assert gpu.see(sm(entered), 31 * MINUTE).state is State.UNDERUSED
    assert gpu.see(sm(stayed), 31 * MINUTE).state is State.UNDERUSED
    assert gpu.see(sm(left), 31 * MINUTE).state is State.BUSY
    assert gpu.see(sm(stayed), 31 * MINUTE).state is State.BUSY


def test_work_after_idleness_is_not_idle_for_a_single_sample() -> None:
    gpu = Watched()
    assert gpu.see(sm(0.0), 40 * MINUTE).state is State.IDLE_EMPTY
    assert gpu.see(sm(1.0)).state is State.UNDERUSED, "the mean of 30 min is what it is, but it works"


def test_time_that_nobody_measured_is_not_idle_time() -> None:
    gpu = Watched()
    gpu.see(sm(0.0), 15.0)
    gpu.see(leaf({}, None), 3 * 60 * MINUTE, step=10 * MINUTE)
    assert gpu.see(sm(0.0)).idle_seconds == pytest.approx(15.0)
    verdict = gpu.see(sm(0.0), 14 * MINUTE)
    assert verdict.idle_seconds == pytest.approx(14 * MINUTE + 15.0)


@pytest.mark.parametrize("signal", ["GPU_UTILIZATION", "ENGINE_ACTIVE", "TENSOR_ACTIVE", "DRAM_ACTIVE"])
def test_a_profiling_field_that_reads_zero_by_fault_does_not_look_idle(signal: str) -> None:
    working = Watched().see(sm(0.0, **{signal: 0.02}), 31 * MINUTE)
    assert working.state is State.UNDERUSED
    assert signal.lower() in working.reason
    assert Watched().see(sm(0.0, **{signal: 0.019}), 31 * MINUTE).state is State.IDLE_EMPTY


def test_a_signal_that_was_dropped_for_good_stops_to_veto() -> None:
    gpu = Watched()
    gpu.see(sm(0.0), 16 * MINUTE)
    without = leaf({Signal.SM_ACTIVE: 0.0, Signal.MEMORY_USED: 0.0}, (held(),))
    assert gpu.see(without, 29 * MINUTE).state is State.UNDERUSED
    assert gpu.see(without, 2 * MINUTE).state is State.IDLE_EMPTY


def test_an_exempt_pod_is_not_underused_either_until_its_exemption_ends() -> None:
    gpu = Watched()
    exempt = leaf(QUIET | {Signal.SM_ACTIVE: 0.05}, (held(exempt_until=T0.wall + 60 * MINUTE),))
    verdict = gpu.see(exempt, 40 * MINUTE)
    assert verdict.state is State.BUSY
    assert verdict.reason.endswith("train-0 is exempt")
    assert gpu.see(exempt, 21 * MINUTE).state is State.UNDERUSED


@pytest.mark.parametrize("profile", ["", "0g.1gb", "1111111111g.5gb", "xg.5gb"])
def test_a_profile_that_is_none_changes_no_threshold(profile: str) -> None:
    seen = leaf({Signal.ENGINE_ACTIVE: 0.29}, (held(),), kind=LeafKind.INSTANCE, profile=profile)
    assert Watched().see(seen, 31 * MINUTE).state is State.UNDERUSED


def test_since_is_when_the_state_began() -> None:
    gpu = Watched()
    gpu.see(sm(0.5), 5 * MINUTE)
    assert gpu.see(sm(0.5), 5 * MINUTE).since == T0.monotonic


def test_until_a_window_is_full_it_is_busy_when_active_and_unknown_when_not() -> None:
    assert Watched().see(sm(0.02), MINUTE).state is State.BUSY
    assert Watched().see(sm(0.019), MINUTE).state is State.UNKNOWN


def test_a_new_holder_is_not_judged_by_the_one_before_it() -> None:
    gpu = Watched()
    assert gpu.see(sm(0.0), 30 * MINUTE).state is State.IDLE_EMPTY
    next_pod = leaf(QUIET, (held(OTHER_POD),))
    assert gpu.see(next_pod).state is State.UNKNOWN


def test_a_shared_gpu_keeps_its_window_while_one_holder_stays() -> None:
    gpu = Watched()
    half = held().share / 2
    both = leaf(QUIET, (held(POD, half), held(OTHER_POD, half)))
    gpu.see(both, 30 * MINUTE)
    assert gpu.see(leaf(QUIET, (held(POD, half),)), 2 * STEP).state is State.IDLE_EMPTY


def test_another_activity_signal_starts_the_window_anew() -> None:
    gpu = Watched()
    gpu.see(sm(0.0), 30 * MINUTE)
    other = leaf(QUIET | {Signal.ENGINE_ACTIVE: 0.0}, (held(),))
    without_sm = replace(other, signals={k: v for k, v in other.signals.items() if k is not Signal.SM_ACTIVE})
    assert gpu.see(without_sm).state is State.UNKNOWN


def test_nobody_is_unallocated_and_not_knowing_is_unknown() -> None:
    assert Watched().see(leaf(QUIET, ())).state is State.UNALLOCATED
    verdict = Watched().see(leaf(QUIET, None))
    assert (verdict.state, verdict.reason) == (State.UNKNOWN, "who holds it is not known")


MORE = SETTINGS.memory_held_bytes + 1.0
SERVER = (Process(pid=7, command="nvidia-cuda-mps-server"),)


@pytest.mark.parametrize(
    ("unheld", "orphaned"),
    [
        (leaf({Signal.MEMORY_USED: MORE}), True),
        (leaf({Signal.MEMORY_USED: MORE - 1}), False),
        (leaf({Signal.SM_ACTIVE: 0.02}), True),
        (leaf({Signal.SM_ACTIVE: 0.019}), False),
        (leaf({}), False),
        (leaf(processes=(Process(pid=7),)), True),
        (leaf(processes=()), False),
        (leaf(processes=None), False),
        (leaf(processes=SERVER), False),
        (leaf({Signal.MEMORY_USED: MORE}, processes=()), True),
        (leaf({Signal.MEMORY_USED: MORE}, (held(),)), False),
        (leaf({Signal.MEMORY_USED: MORE}, None), False),
        (replace(leaf({Signal.MEMORY_USED: MORE}), fault=Fault.FAILED), False),
    ],
)
def test_something_on_a_gpu_that_nobody_holds_is_orphaned(unheld: Leaf, orphaned: bool) -> None:
    assert Watched().see(unheld).orphaned is orphaned


def test_the_last_work_of_a_pod_that_ended_is_not_orphaned_and_what_stays_is() -> None:
    gpu = Watched()
    gpu.see(sm(0.9, MEMORY_USED=MORE), MINUTE)
    left_over = leaf({Signal.SM_ACTIVE: 0.4, Signal.MEMORY_USED: MORE})
    assert not gpu.see(left_over).orphaned
    assert not gpu.see(leaf(QUIET)).orphaned
    assert not gpu.see(left_over).orphaned
    assert gpu.see(left_over).orphaned


def test_a_faulty_gpu_is_unhealthy_whatever_else_is_known() -> None:
    verdict = Watched().see(replace(sm(0.9), fault=Fault.RESET_REQUIRED))
    assert (verdict.state, verdict.reason) == (State.UNHEALTHY, "the GPU is not healthy: reset required")


def test_a_process_holds_an_idle_gpu_without_memory_and_an_empty_list_does_not() -> None:
    with_process, without = Watched(), Watched()
    running = replace(sm(0.0), processes=(Process(pid=7, command="python"),))
    assert with_process.see(running, 16 * MINUTE).state is State.IDLE_HELD
    assert without.see(replace(sm(0.0), processes=()), 16 * MINUTE).state is State.IDLE_EMPTY


def test_no_idle_floor_is_learnt_while_a_process_is_on_an_unheld_gpu() -> None:
    gpu, empty = Watched(), Watched()
    still = leaf(QUIET | {Signal.POWER: 60.0}, (), processes=(Process(pid=7),))
    gpu.see(still, 2 * MINUTE)
    empty.see(replace(still, processes=()), 2 * MINUTE)
    assert (gpu.history.floor, empty.history.floor) == (None, 60.0)
