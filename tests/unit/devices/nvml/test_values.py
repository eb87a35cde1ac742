"""What the source reads of healthy boards, against what the fake driver was told to show."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING

import pytest

from gpusteward.model import Signal
from tests.nvml.fake import Field
from tests.nvml.profiles import A10G, A100, B200, BOARDS, H100, L4, T4

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.nvml.fake import Board
    from tests.unit.devices.nvml.conftest import Bench

GIB = float(1 << 30)
MIB = float(1 << 20)
GPM_RATIOS = {
    Signal.ENGINE_ACTIVE: "graphics",
    Signal.SM_ACTIVE: "sm",
    Signal.SM_OCCUPANCY: "occupancy",
    Signal.TENSOR_ACTIVE: "tensor",
    Signal.DRAM_ACTIVE: "dram",
    Signal.FP64_ACTIVE: "fp64",
    Signal.FP32_ACTIVE: "fp32",
    Signal.FP16_ACTIVE: "fp16",
}


def test_a_gpu_is_who_the_driver_says_it_is(bench: Callable[..., Bench]) -> None:
    on = bench([H100, T4], driver="570.86.15")
    first, second = on.gpus()
    assert [first.gpu, second.gpu] == ["0", "1"]
    assert first.uuid == on.fake.gpu(0).uuid
    assert first.model == "NVIDIA H100 80GB HBM3"
    assert first.pci_bus_id == "00000000:10:00.0"
    assert first.driver_version == "570.86.15"
    assert (first.fault, first.mig, first.instances) == (None, False, ())


def test_boards_keep_their_identity_when_the_driver_counts_them_in_another_order(
    bench: Callable[..., Bench],
) -> None:
    on = bench([H100, T4])
    on.fake.set_activity(0, pcie_tx=1e9)
    on.gpus()
    on.fake.reorder([1, 0])
    first, second = on.gpus()
    assert [first.model, second.model] == ["Tesla T4", "NVIDIA H100 80GB HBM3"]
    assert second.signals[Signal.PCIE_TX] == pytest.approx(1e9)


def test_gpm_tells_the_mean_over_the_whole_interval(bench: Callable[..., Bench]) -> None:
    on = bench([H100])
    assert Signal.SM_ACTIVE not in on.gpu().signals, "one sample tells no mean"
    levels = {name: 0.1 * (place + 1) for place, name in enumerate(GPM_RATIOS.values())}
    on.fake.set_activity(0, gi=None, **levels)
    on.fake.advance(3)
    on.at = on.at.plus(3)
    on.fake.set_activity(0, gi=None, **dict.fromkeys(levels, 0.0))
    signals = on.gpu(1.0).signals
    for signal, name in GPM_RATIOS.items():
        assert signals[signal] == pytest.approx(levels[name] * 3 / 4), signal


def test_below_hopper_there_is_utilization_and_no_gpm(bench: Callable[..., Bench]) -> None:
    on = bench([A10G])
    on.gpu()
    on.fake.set_activity(0, gpu=0.4, memory=0.2, sm=0.9)
    signals = on.gpu().signals
    assert signals[Signal.GPU_UTILIZATION] == pytest.approx(0.4)
    assert signals[Signal.MEMORY_COPY_UTILIZATION] == pytest.approx(0.2)
    assert signals.keys().isdisjoint(GPM_RATIOS)
    assert "nvmlGpmSampleGet" not in on.fake.calls()


def test_engines_that_a_board_lacks_are_absent_and_not_zero(bench: Callable[..., Bench]) -> None:
    on = bench([T4, L4])
    for index in (0, 1):
        on.fake.set_activity(index, encoder=0.3, decoder=0.2)
    turing, ada = on.gpus()
    assert turing.signals[Signal.ENCODER_UTILIZATION] == pytest.approx(0.3)
    assert turing.signals[Signal.DECODER_UTILIZATION] == pytest.approx(0.2)
    assert Signal.JPEG_UTILIZATION not in turing.signals
    assert Signal.OFA_UTILIZATION not in turing.signals
    assert ada.signals[Signal.JPEG_UTILIZATION] == 0.0
    assert ada.signals[Signal.OFA_UTILIZATION] == 0.0


def test_what_a_board_does_not_have_is_asked_for_once_and_is_no_error(bench: Callable[..., Bench]) -> None:
    on = bench([T4])
    assert on.readings().errors == {}
    on.fake.reset_calls()
    for _ in range(3):
        assert on.readings().errors == {}
    calls = on.fake.calls()
    assert calls["nvmlDeviceGetUtilizationRates"] == 3
    for name in ("nvmlDeviceGetJpgUtilization", "nvmlDeviceGetMigMode", "nvmlGpmQueryDeviceSupport"):
        assert name not in calls


def test_memory_keeps_what_the_driver_reserves_apart(bench: Callable[..., Bench]) -> None:
    on = bench([A10G])
    on.fake.set_gpu(0, memory_used=int(3 * GIB), memory_reserved=int(GIB))
    signals = on.gpu().signals
    total = 23028 * MIB
    assert signals[Signal.MEMORY_USED] == 3 * GIB
    assert signals[Signal.MEMORY_RESERVED] == GIB
    assert signals[Signal.MEMORY_TOTAL] == total
    assert signals[Signal.MEMORY_FREE] == total - 4 * GIB


def test_the_first_version_of_memory_serves_where_the_second_is_refused(bench: Callable[..., Bench]) -> None:
    on = bench([A10G])
    on.fake.set_gpu(0, memory_used=int(3 * GIB), memory_reserved=int(GIB))
    on.fake.fault("nvmlDeviceGetMemoryInfo_v2", 13)
    for _ in range(2):
        signals = on.gpu().signals
        assert signals[Signal.MEMORY_USED] == 4 * GIB, "the first version counts what is reserved as used"
        assert Signal.MEMORY_RESERVED not in signals
    assert on.fake.calls()["nvmlDeviceGetMemoryInfo_v2"] == 1


def test_power_is_the_mean_of_a_second_and_beside_it_the_instant(bench: Callable[..., Bench]) -> None:
    on = bench([H100])
    on.gpu()
    on.fake.set_activity(0, power=400.0)
    on.fake.advance(0.5)
    on.at = on.at.plus(0.5)
    signals = on.gpu(0.0).signals
    assert signals[Signal.POWER_INSTANT] == 400.0
    assert signals[Signal.POWER] == pytest.approx((400 + H100.idle_watts) / 2, abs=0.01)
    assert signals[Signal.POWER_LIMIT] == 700.0


def test_the_a100_has_no_mean_power_so_that_the_instant_stands_for_it(bench: Callable[..., Bench]) -> None:
    signals = bench([A100]).gpu().signals
    assert signals[Signal.POWER] == signals[Signal.POWER_INSTANT] == A100.idle_watts


def test_energy_is_the_integral_of_power(bench: Callable[..., Bench]) -> None:
    on = bench([H100])
    before = on.gpu().signals[Signal.ENERGY_TOTAL]
    on.fake.set_activity(0, power=500.0)
    assert on.gpu(10).signals[Signal.ENERGY_TOTAL] - before == pytest.approx(5000.0)


def test_throttled_time_is_told_in_seconds_by_reason(bench: Callable[..., Bench]) -> None:
    on = bench([H100])
    reasons = {
        Signal.THROTTLED_POWER_TOTAL: "throttle_power",
        Signal.THROTTLED_THERMAL_TOTAL: "throttle_thermal",
        Signal.THROTTLED_SYNC_BOOST_TOTAL: "throttle_sync_boost",
        Signal.THROTTLED_BOARD_LIMIT_TOTAL: "throttle_board_limit",
        Signal.THROTTLED_LOW_UTILIZATION_TOTAL: "throttle_low_utilization",
        Signal.THROTTLED_RELIABILITY_TOTAL: "throttle_reliability",
    }
    before = on.gpu().signals
    shares = {name: 0.1 * (place + 1) for place, name in enumerate(reasons.values())}
    on.fake.set_activity(0, gi=None, **shares)
    after = on.gpu(10).signals
    for place, signal in enumerate(reasons):
        assert after[signal] - before[signal] == pytest.approx(place + 1), signal


def test_temperatures_are_told_where_the_board_has_them(bench: Callable[..., Bench]) -> None:
    stacked, gddr = bench([H100, L4]).gpus()
    assert stacked.signals[Signal.TEMPERATURE] == 32.0
    assert stacked.signals[Signal.MEMORY_TEMPERATURE] == 38.0
    assert stacked.signals[Signal.TEMPERATURE_MARGIN] == 50.0
    assert Signal.MEMORY_TEMPERATURE not in gddr.signals, "GDDR boards answer 0 and have none: absent"
    assert Signal.TEMPERATURE_MARGIN not in gddr.signals


def test_clocks_are_in_hertz(bench: Callable[..., Bench]) -> None:
    on = bench([H100])
    on.fake.set_gpu(0, clock_sm=1980, clock_memory=2619)
    signals = on.gpu().signals
    assert signals[Signal.SM_CLOCK] == 1.98e9
    assert signals[Signal.MEMORY_CLOCK] == 2.619e9


def test_pcie_and_nvlink_bytes_are_counters_and_rates(bench: Callable[..., Bench]) -> None:
    on = bench([H100])
    on.fake.set_activity(0, pcie_tx=1e9, pcie_rx=2e9, nvlink_tx=10e9, nvlink_rx=20e9)
    first, second = on.gpu().signals, on.gpu().signals
    assert Signal.PCIE_TX not in first
    assert second[Signal.PCIE_TX] == pytest.approx(1e9)
    assert second[Signal.PCIE_RX] == pytest.approx(2e9)
    assert second[Signal.NVLINK] == pytest.approx(30e9, rel=1e-6)
    assert second[Signal.PCIE_TX_TOTAL] - first[Signal.PCIE_TX_TOTAL] == pytest.approx(5e9)
    moved = second[Signal.NVLINK_RX_TOTAL] - first[Signal.NVLINK_RX_TOTAL]
    assert moved == pytest.approx(100e9, rel=1e-6)
    assert "nvmlDeviceGetPcieThroughput" not in on.fake.calls(), "it blocks for 20 ms"


def test_nvlink_of_the_fifth_generation_is_read_from_its_own_fields(bench: Callable[..., Bench]) -> None:
    on = bench([B200])
    on.fake.set_activity(0, nvlink_tx=300e9, nvlink_rx=400e9)
    on.gpu()
    assert on.gpu().signals[Signal.NVLINK] == pytest.approx(700e9)


def test_a_board_without_nvlink_has_no_nvlink(bench: Callable[..., Bench]) -> None:
    on = bench([L4])
    on.gpu()
    assert Signal.NVLINK not in on.gpu().signals


def test_a_pcie_counter_that_wraps_has_its_rate_and_is_told_as_it_is(bench: Callable[..., Bench]) -> None:
    on = bench([L4])
    on.fake.set_gpu(0, pcie_wrap_bits=34)
    on.fake.set_activity(0, pcie_tx=1e9)
    totals = [on.gpu().signals[Signal.PCIE_TX_TOTAL]]
    for _ in range(12):
        signals = on.gpu(3).signals
        assert signals[Signal.PCIE_TX] == pytest.approx(1e9)
        totals.append(signals[Signal.PCIE_TX_TOTAL])
    assert max(totals) < 2**34 < 12 * 3e9, "it did wrap"
    assert sum(after < before for before, after in pairwise(totals)) == 2


def test_a_worker_that_begins_anew_tells_the_same_totals(bench: Callable[..., Bench]) -> None:
    """A counter that fell by what an old worker had added to it would be traffic to Prometheus."""
    on = bench([H100])
    on.fake.set_gpu(0, pcie_wrap_bits=34)
    on.fake.set_activity(0, pcie_tx=1e9, nvlink_tx=1e9)
    names = (Signal.PCIE_TX_TOTAL, Signal.NVLINK_TX_TOTAL)
    before = [on.gpu(3).signals for _ in range(8)][-1]
    on.source.close()
    after = on.gpu(3).signals
    assert [after[name] - before[name] for name in names] == pytest.approx([3e9, 3e9])
    assert on.gpu(3).signals[Signal.PCIE_TX] == pytest.approx(1e9)


def test_errors_of_memory_are_told_where_the_generation_counts_them(bench: Callable[..., Bench]) -> None:
    on = bench([H100, T4])
    on.fake.set_gpu(0, ecc_corrected_volatile=3, ecc_uncorrected_volatile=1, remapped_corrected=5,
                    remapped_uncorrected=6, remap_pending=1, remap_failure=1, pcie_replay=9)  # fmt: skip
    on.fake.set_gpu(1, retired_single=7, retired_double=8, retired_pending=1)
    hopper, turing = (gpu.signals for gpu in on.gpus())
    assert hopper[Signal.ECC_CORRECTED_TOTAL] == 3
    assert hopper[Signal.ECC_UNCORRECTED_TOTAL] == 1
    assert hopper[Signal.ROWS_REMAPPED_CORRECTABLE_TOTAL] == 5
    assert hopper[Signal.ROWS_REMAPPED_UNCORRECTABLE_TOTAL] == 6
    assert hopper[Signal.ROW_REMAP_PENDING] == hopper[Signal.ROW_REMAP_FAILURE] == 1
    assert hopper[Signal.PCIE_REPLAYS_TOTAL] == 9
    assert Signal.PAGES_RETIRED_SINGLE_BIT_TOTAL not in hopper
    assert turing[Signal.PAGES_RETIRED_SINGLE_BIT_TOTAL] == 7
    assert turing[Signal.PAGES_RETIRED_DOUBLE_BIT_TOTAL] == 8
    assert turing[Signal.PAGES_RETIREMENT_PENDING] == 1
    assert Signal.ROWS_REMAPPED_CORRECTABLE_TOTAL not in turing


@pytest.mark.parametrize(("driver", "told"), [("570.86.15", 2.0), ("565.57.01", None)])
def test_the_recovery_action_is_told_from_driver_570_on(
    bench: Callable[..., Bench], driver: str, told: float | None
) -> None:
    on = bench([H100], driver=driver)
    on.fake.set_gpu(0, recovery_action=2)
    assert on.gpu().signals.get(Signal.RECOVERY_ACTION) == told


def test_a_field_that_fails_costs_itself_and_is_counted(bench: Callable[..., Bench]) -> None:
    on = bench([H100])
    on.fake.set_field(0, Field(82, code=999))
    readings = on.readings()
    (gpu,) = readings.nodes[0].gpus
    assert readings.errors == {("nvmlDeviceGetFieldValues[82]", "UNKNOWN"): 1}
    assert Signal.MEMORY_TEMPERATURE not in gpu.signals
    assert Signal.ENERGY_TOTAL in gpu.signals
    assert gpu.fault is None


def test_a_call_that_fails_costs_its_value_is_counted_and_asked_again(bench: Callable[..., Bench]) -> None:
    on = bench([H100])
    fault = on.fake.fault("nvmlDeviceGetUtilizationRates", 27)
    readings = on.readings()
    assert readings.errors == {("nvmlDeviceGetUtilizationRates", "NOT_READY"): 1}
    assert Signal.GPU_UTILIZATION not in readings.nodes[0].gpus[0].signals
    on.fake.clear_faults(fault)
    assert Signal.GPU_UTILIZATION in on.gpu().signals


@pytest.mark.parametrize("board", BOARDS, ids=lambda board: board.name)
def test_every_board_is_read_without_an_error(bench: Callable[..., Bench], board: Board) -> None:
    on = bench([board])
    on.fake.add_gpu(board, loaded=True)
    on.readings()
    readings = on.readings()
    assert readings.errors == {}
    idle, loaded = readings.nodes[0].gpus
    assert idle.signals[Signal.GPU_UTILIZATION] == 0.0
    assert loaded.signals[Signal.GPU_UTILIZATION] == pytest.approx(0.97)
    assert (Signal.SM_ACTIVE in loaded.signals) is (board.architecture >= H100.architecture)
