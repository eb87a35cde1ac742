"""What only NVML tells: each value under its name, and absent where it was not told."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from gpusteward.metrics.collectors import families
from gpusteward.metrics.devices import RECOVERY_ACTIONS
from gpusteward.model import GpuSnapshot, Signal
from tests import snapshots
from tests.pages import Series, by_name, labels_of, value, values

if TYPE_CHECKING:
    from gpusteward.model import Snapshot

VALUES = {
    # signal: (name, labels beyond the device's)
    Signal.POWER_INSTANT: ("gpu_power_instant_watts", {}),
    Signal.TEMPERATURE_MARGIN: ("gpu_temperature_margin_celsius", {}),
    Signal.PCIE_TX_TOTAL: ("gpu_pcie_transmit_bytes_total", {}),
    Signal.PCIE_RX_TOTAL: ("gpu_pcie_receive_bytes_total", {}),
    Signal.NVLINK_TX_TOTAL: ("gpu_nvlink_transmit_bytes_total", {}),
    Signal.NVLINK_RX_TOTAL: ("gpu_nvlink_receive_bytes_total", {}),
    Signal.ROW_REMAP_PENDING: ("gpu_row_remap_pending", {}),
    Signal.PAGES_RETIRED_SINGLE_BIT_TOTAL: ("gpu_pages_retired_total", {"kind": "single_bit"}),
    Signal.PAGES_RETIRED_DOUBLE_BIT_TOTAL: ("gpu_pages_retired_total", {"kind": "double_bit"}),
    Signal.PAGES_RETIREMENT_PENDING: ("gpu_page_retirement_pending", {}),
    Signal.THROTTLED_POWER_TOTAL: ("gpu_throttled_seconds_total", {"reason": "power"}),
    Signal.THROTTLED_THERMAL_TOTAL: ("gpu_throttled_seconds_total", {"reason": "thermal"}),
    Signal.THROTTLED_SYNC_BOOST_TOTAL: ("gpu_throttled_seconds_total", {"reason": "sync_boost"}),
    Signal.THROTTLED_BOARD_LIMIT_TOTAL: ("gpu_throttled_seconds_total", {"reason": "board_limit"}),
    Signal.THROTTLED_LOW_UTILIZATION_TOTAL: ("gpu_throttled_seconds_total", {"reason": "low_utilization"}),
    Signal.THROTTLED_RELIABILITY_TOTAL: ("gpu_throttled_seconds_total", {"reason": "reliability"}),
}


def shown(snapshot: Snapshot) -> Series:
    return by_name(families(snapshot, snapshots.EXPOSURE))


def board(signals: dict[Signal, float]) -> Series:
    gpu = replace(snapshots.whole_gpu(), reading=snapshots.reading(signals=signals))
    return shown(snapshots.snapshot(gpu))


@pytest.mark.parametrize(("signal", "name", "labels"), [(s, *row) for s, row in VALUES.items()])
def test_a_value_is_shown_once_for_the_board_and_is_absent_when_not_told(
    signal: Signal, name: str, labels: dict[str, str]
) -> None:
    series = board({signal: 12.5})
    assert values(series, name, gi="", **labels) == [12.5]
    assert len(series[f"gpusteward_{name}"]) == 1
    assert values(board({}), name) == []


@pytest.mark.parametrize(("code", "action"), list(enumerate(RECOVERY_ACTIONS)))
def test_the_recovery_action_is_the_one_of_all_that_is_1(code: int, action: str) -> None:
    series = board({Signal.RECOVERY_ACTION: float(code)})
    asked = [row["action"] for row in labels_of(series, "gpu_recovery_action") if value_of(series, row)]
    assert asked == [action]
    assert len(labels_of(series, "gpu_recovery_action")) == len(RECOVERY_ACTIONS) + 1


@pytest.mark.parametrize("code", [6.0, 99.0, -1.0])
def test_an_action_newer_than_this_version_is_other_and_not_none(code: float) -> None:
    series = board({Signal.RECOVERY_ACTION: code})
    assert value(series, "gpu_recovery_action", action="other") == 1.0
    assert value(series, "gpu_recovery_action", action="none") == 0.0


@pytest.mark.parametrize("signals", [{}, {Signal.RECOVERY_ACTION: float("nan")}])
def test_an_action_that_is_not_told_is_absent_and_not_none(signals: dict[Signal, float]) -> None:
    assert values(board(signals), "gpu_recovery_action") == []


def value_of(series: Series, row: dict[str, str]) -> float:
    return value(series, "gpu_recovery_action", **row)


def test_the_last_xid_has_a_time_and_one_that_was_there_before_has_none() -> None:
    gpu = GpuSnapshot(
        reading=snapshots.reading(),
        fault=None,
        leaves=(),
        xids={79: 0, 48: 2},
        xid_last={48: 1_790_000_000.0},
    )
    series = shown(snapshots.snapshot(gpu))
    assert value(series, "gpu_xid_last_timestamp_seconds", xid="48", **{"class": "investigate"}) == (
        1_790_000_000.0
    )
    assert value(series, "gpu_xid_errors_total", xid="48", **{"class": "investigate"}) == 2.0
    assert values(series, "gpu_xid_last_timestamp_seconds", xid="79") == []


def test_failed_driver_calls_are_counted_by_call_and_error() -> None:
    health = replace(
        snapshots.snapshot().health,
        errors={("nvmlDeviceGetPowerUsage", "NOT_SUPPORTED"): 8, ("nvmlDeviceGetMemoryInfo", "UNKNOWN"): 1},
    )
    series = shown(snapshots.snapshot(health=health))
    assert value(series, "nvml_errors_total", call="nvmlDeviceGetPowerUsage", code="NOT_SUPPORTED") == 8.0
    assert value(series, "nvml_errors_total", call="nvmlDeviceGetMemoryInfo", code="UNKNOWN") == 1.0


@pytest.mark.parametrize(("stuck", "expected"), [(True, [1.0]), (False, [0.0]), (None, [])])
def test_stuck_is_said_by_a_source_that_can_be(stuck: bool | None, expected: list[float]) -> None:
    health = replace(snapshots.snapshot().health, stuck=stuck)
    assert values(shown(snapshots.snapshot(health=health)), "collector_stuck") == expected


@pytest.mark.parametrize(("known", "expected"), [(True, [1.0]), (False, [0.0]), (None, [])])
def test_whether_the_pause_labels_can_be_read_is_said_where_they_are(
    known: bool | None, expected: list[float]
) -> None:
    health = replace(snapshots.snapshot().health, hold_known=known)
    assert values(shown(snapshots.snapshot(health=health)), "driver_hold_success") == expected
