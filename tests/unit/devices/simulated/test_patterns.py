"""Each pattern has the traits that the rules of idleness look for, whatever the seed."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gpusteward.config import UnderuseSettings
from gpusteward.devices.simulated.hardware import HARDWARE
from gpusteward.devices.simulated.patterns import HELD_MEMORY, Pattern, steps, unit
from gpusteward.devices.simulated.signals import CONTEXT_WATTS, at_rest, segment
from gpusteward.model import Signal
from tests.unit.devices.simulated.fleets import UNTIMED, activity, traffic

if TYPE_CHECKING:
    from gpusteward.devices.simulated.hardware import Hardware
    from gpusteward.devices.simulated.timeline import Segment

RULES = UnderuseSettings()
SEEDS = st.integers(0, 2**32)
BOARDS = st.sampled_from(list(HARDWARE.values()))
SILENT = (Pattern.NOTEBOOK, Pattern.EMPTY, Pattern.PULLING, Pattern.LEFTOVER)
LIMITS = {
    "sm": RULES.underused_sm_active,
    "engine": RULES.underused_engine_active,
    "utilization": RULES.underused_gpu_utilization,
}


def period(pattern: Pattern, seed: int, board: Hardware) -> list[Segment]:
    return [segment(step, board) for step in steps(pattern, lambda n: unit(seed, n))]


def mean(segments: list[Segment]) -> float:
    return sum(s.seconds * s.activity for s in segments) / sum(s.seconds for s in segments)


@given(pattern=st.sampled_from(Pattern), seed=SEEDS, board=BOARDS)
@UNTIMED
def test_every_rate_is_in_its_range_and_activity_is_what_the_agent_makes_of_them(
    pattern: Pattern, seed: int, board: Hardware
) -> None:
    for part in period(pattern, seed, board):
        assert part.activity == activity(part.rates)
        assert part.seconds > 0
        for signal, rate in part.rates.items():
            assert rate >= 0
            assert rate <= 1 or signal in {Signal.PCIE_RX, Signal.PCIE_TX, Signal.NVLINK}
        assert 0 <= part.watts <= board.tdp_watts - board.idle_watts


@given(seed=SEEDS, board=BOARDS, pattern=st.sampled_from([Pattern.TRAINING, Pattern.INFERENCE]))
@UNTIMED
def test_training_and_inference_are_busy_by_every_signal(
    seed: int, board: Hardware, pattern: Pattern
) -> None:
    assert mean(period(pattern, seed, board)) > LIMITS[board.activity]


@given(seed=SEEDS, board=BOARDS)
@UNTIMED
def test_underuse_is_below_the_threshold_of_every_signal_and_never_idle(seed: int, board: Hardware) -> None:
    segments = period(Pattern.UNDERUSED, seed, board)
    assert mean(segments) < LIMITS[board.activity]
    assert all(part.activity >= 2 * RULES.idle_activity for part in segments)


@given(seed=SEEDS, board=BOARDS)
@UNTIMED
def test_while_decoding_the_decoder_alone_keeps_it_from_being_idle(seed: int, board: Hardware) -> None:
    for part in period(Pattern.DECODE, seed, board):
        assert part.activity == part.rates[Signal.DECODER_UTILIZATION] > 0.5
        assert part.rates.get(Signal.SM_ACTIVE, 0.0) < RULES.idle_activity
        assert traffic(part.rates) < RULES.traffic_bytes_per_second


@given(seed=SEEDS, board=BOARDS)
@UNTIMED
def test_while_loading_the_bus_alone_keeps_it_from_being_idle(seed: int, board: Hardware) -> None:
    segments = period(Pattern.LOADING, seed, board)
    assert all(part.activity == 0.0 for part in segments)
    assert all(traffic(part.rates) > RULES.traffic_bytes_per_second for part in segments)
    assert sum(part.seconds for part in segments) > RULES.idle_window_seconds


@given(seed=SEEDS, board=BOARDS, pattern=st.sampled_from(SILENT))
@UNTIMED
def test_silent_patterns_leave_nothing_that_could_keep_it_from_being_idle(
    seed: int, board: Hardware, pattern: Pattern
) -> None:
    for part in period(pattern, seed, board):
        assert set(part.rates.values()) == {0.0}
        assert part.watts <= CONTEXT_WATTS * board.idle_watts < RULES.power_floor_margin * board.idle_watts


def test_training_loads_data_and_writes_checkpoints_without_its_sms() -> None:
    board = HARDWARE["NVIDIA H100 80GB HBM3"]
    segments = period(Pattern.TRAINING, 1, board)
    loading = [part for part in segments if part.activity == 0.0]
    checkpoints = [part for part in segments if 0 < part.activity < 0.1]
    assert [part.seconds for part in loading] == [60.0]
    assert loading[0].rates[Signal.PCIE_RX] > 1e9
    assert [part.seconds for part in checkpoints] == [60.0]
    assert checkpoints[0].rates[Signal.PCIE_TX] > 1e9
    assert all(part.rates[Signal.NVLINK] > 1e10 for part in segments if part.activity > 0.1)


def test_inference_falls_silent_between_its_bursts_but_not_for_long() -> None:
    segments = period(Pattern.INFERENCE, 1, HARDWARE["NVIDIA L4"])
    quiet = [part.seconds for part in segments if part.activity == 0.0]
    assert len(quiet) == len(segments) / 2
    assert max(quiet) < RULES.idle_window_seconds / 10


@pytest.mark.parametrize("pattern", list(Pattern))
def test_memory_says_whether_something_is_on_the_device(pattern: Pattern) -> None:
    nothing = {Pattern.EMPTY, Pattern.PULLING}
    smallest = 4 * 1024**3
    assert (HELD_MEMORY[pattern] * smallest > RULES.memory_held_bytes) is (pattern not in nothing)


@pytest.mark.parametrize(
    ("model", "known", "unknown"),
    [
        (
            "NVIDIA H100 80GB HBM3",
            {Signal.SM_ACTIVE, Signal.ENGINE_ACTIVE, Signal.GPU_UTILIZATION, Signal.NVLINK},
            {Signal.ENCODER_UTILIZATION},
        ),
        ("NVIDIA L4", {Signal.SM_ACTIVE, Signal.ENCODER_UTILIZATION}, {Signal.NVLINK}),
        ("Tesla T4", {Signal.ENGINE_ACTIVE, Signal.GPU_UTILIZATION}, {Signal.SM_ACTIVE, Signal.SM_OCCUPANCY}),
        ("NVIDIA GeForce RTX 4090", {Signal.GPU_UTILIZATION}, {Signal.SM_ACTIVE, Signal.ENGINE_ACTIVE}),
    ],
)
def test_a_board_has_the_signals_of_its_kind_and_no_others(
    model: str, known: set[Signal], unknown: set[Signal]
) -> None:
    rates = at_rest(HARDWARE[model]).rates
    assert known <= rates.keys()
    assert not unknown & rates.keys()


def test_a_mig_instance_knows_no_utilization_codec_or_traffic() -> None:
    board = HARDWARE["NVIDIA H100 80GB HBM3"]
    assert set(at_rest(board, slices=1).rates) == {
        Signal.SM_ACTIVE,
        Signal.SM_OCCUPANCY,
        Signal.ENGINE_ACTIVE,
        Signal.TENSOR_ACTIVE,
        Signal.DRAM_ACTIVE,
    }


@given(seed=SEEDS)
@UNTIMED
def test_instances_that_fill_a_gpu_take_the_power_of_the_whole(seed: int) -> None:
    board = HARDWARE["NVIDIA H100 80GB HBM3"]
    for step in steps(Pattern.TRAINING, lambda n: unit(seed, n)):
        parts = [segment(step, board, slices).watts for slices in (3, 2, 1, 1)]
        assert sum(parts) == pytest.approx(segment(step, board).watts)
