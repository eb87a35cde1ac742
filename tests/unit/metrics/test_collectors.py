"""What each snapshot becomes, series by series; unknown is absent."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction
from typing import TYPE_CHECKING

import pytest
from prometheus_client.metrics_core import GaugeMetricFamily

from gpusteward.metrics.collectors import families
from gpusteward.model import (
    Allocation,
    Cause,
    CollectHealth,
    Fault,
    Holder,
    JournalHealth,
    NodeRate,
    Signal,
    State,
)
from tests import snapshots
from tests.pages import Series, by_name, labels_of, value, values

if TYPE_CHECKING:
    from gpusteward.metrics.exposure import Exposure
    from gpusteward.model import GpuSnapshot, LeafSnapshot, Snapshot


def shown(snapshot: Snapshot | None, exposure: Exposure = snapshots.EXPOSURE) -> Series:
    return by_name(families(snapshot, exposure))


def with_leaf(leaf: LeafSnapshot) -> GpuSnapshot:
    return replace(snapshots.whole_gpu(), leaves=(leaf,))


# --- health of GPUs -----------------------------------------------------------------------------------------


def test_a_healthy_gpu_is_up_without_a_reason() -> None:
    assert value(shown(snapshots.snapshot(snapshots.whole_gpu())), "gpu_up", reason="") == 1.0


@pytest.mark.parametrize("fault", Fault)
def test_a_fault_is_down_with_its_reason(fault: Fault) -> None:
    gpu = replace(snapshots.whole_gpu(), fault=fault)
    assert value(shown(snapshots.snapshot(gpu)), "gpu_up", reason=fault.value) == 0.0


def test_a_gpu_that_was_not_read_is_neither_up_nor_down() -> None:
    node = snapshots.node((snapshots.whole_gpu(), snapshots.lost_gpu()), seen=None)
    series = shown(snapshots.snapshot(nodes=(node,)))
    assert [row["uuid"] for row in labels_of(series, "gpu_up")] == ["missing-1"]
    assert values(series, "gpu_seen") == []


def test_xids_are_counted_with_their_class() -> None:
    series = shown(snapshots.snapshot(snapshots.whole_gpu()))
    assert value(series, "gpu_xid_errors_total", xid="31", **{"class": "app"}) == 2.0
    assert value(series, "gpu_xid_errors_total", xid="79", **{"class": "reboot"}) == 0.0


# --- MIG ----------------------------------------------------------------------------------------------------


def test_a_mig_parent_has_identity_temperature_power_energy_and_health_only() -> None:
    series = shown(snapshots.snapshot(snapshots.mig_gpu()))
    parent = {name for name, rows in series.items() if any(("gi", "") in labels for labels in rows)}
    assert parent == {
        f"gpusteward_gpu_{name}"
        for name in (
            *("info", "up", "power_watts", "power_limit_watts", "energy_joules_total", "temperature_celsius"),
            *("memory_temperature_celsius", "pcie_replays_total", "row_remaps_total", "row_remap_failed"),
            "ecc_errors_total",
        )
    }


def test_a_board_value_on_an_instance_is_not_counted_a_second_time() -> None:
    gpu = snapshots.mig_gpu()
    first = gpu.leaves[0]
    signals = {**first.leaf.signals, Signal.POWER: 612.5}
    doubled = replace(first, leaf=replace(first.leaf, signals=signals))
    series = shown(snapshots.snapshot(replace(gpu, leaves=(doubled, *gpu.leaves[1:]))))
    assert [row["gi"] for row in labels_of(series, "gpu_power_watts")] == [""]


def test_the_leaves_of_a_mig_gpu_cost_what_the_gpu_costs() -> None:
    series = shown(snapshots.snapshot(snapshots.mig_gpu()))
    assert sum(values(series, "gpu_cost_per_hour", uuid="GPU-0001")) == pytest.approx(6.88, abs=1e-9)
    assert value(series, "gpu_cost_per_hour", gi="stranded") == 0.86
    assert value(series, "gpu_cost_per_hour", gi="free", cause="unallocated") == 2.58


# --- signals ------------------------------------------------------------------------------------------------


def test_zero_is_a_reading_and_what_was_not_read_is_absent() -> None:
    series = shown(snapshots.snapshot(snapshots.whole_gpu()))
    assert value(series, "gpu_pcie_receive_bytes_per_second") == 0.0
    assert values(series, "gpu_encoder_utilization_ratio") == []


def test_a_count_below_zero_is_absent_and_a_temperature_below_zero_is_cold() -> None:
    signals = {Signal.ECC_CORRECTED_TOTAL: -1.0, Signal.TEMPERATURE: -1.0}
    gpu = replace(snapshots.whole_gpu(), reading=snapshots.reading(signals=signals))
    series = shown(snapshots.snapshot(gpu))
    assert values(series, "gpu_ecc_errors_total") == []
    assert value(series, "gpu_temperature_celsius") == -1.0


@pytest.mark.parametrize("unknown", [float("nan"), float("inf")])
def test_a_value_that_is_no_number_is_absent(unknown: float) -> None:
    leaf = snapshots.busy_leaf()
    broken = replace(leaf, leaf=replace(leaf.leaf, signals={Signal.SM_ACTIVE: unknown}))
    assert values(shown(snapshots.snapshot(with_leaf(broken))), "gpu_sm_active_ratio") == []


def test_accumulated_seconds_are_seconds() -> None:
    series = shown(snapshots.snapshot(snapshots.whole_gpu()))
    assert value(series, "gpu_active_seconds_total") == 5_400.0
    assert value(series, "gpu_tensor_active_seconds_total") == 1_800.0
    assert value(series, "gpu_state_seconds_total", state="busy") == 7_100.0
    assert values(series, "gpu_dram_active_seconds_total") == []


def test_activity_that_was_never_known_has_no_seconds() -> None:
    assert values(shown(snapshots.snapshot(snapshots.unknown_gpu())), "gpu_active_seconds_total") == []


# --- states -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("state", State)
def test_exactly_the_state_it_is_in_is_1(state: State) -> None:
    leaf = replace(snapshots.busy_leaf(), verdict=snapshots.verdict(state))
    series = shown(snapshots.snapshot(with_leaf(leaf)))
    assert {row["state"] for row in labels_of(series, "gpu_state")} == set(State)
    assert [row["state"] for row in labels_of(series, "gpu_state") if value(series, "gpu_state", **row)] == [
        state
    ]


@pytest.mark.parametrize(
    ("state", "expected"),
    [
        (State.BUSY, [0.0]),
        (State.UNALLOCATED, [0.0]),
        (State.UNDERUSED, [1.0]),
        (State.IDLE_HELD, [1.0]),
        (State.IDLE_EMPTY, [1.0]),
        (State.UNHEALTHY, []),
        (State.UNKNOWN, []),
    ],
)
def test_underused_is_said_of_what_is_held_and_judged(state: State, expected: list[float]) -> None:
    leaf = replace(snapshots.busy_leaf(), verdict=snapshots.verdict(state))
    assert values(shown(snapshots.snapshot(with_leaf(leaf))), "gpu_underused") == expected


def test_the_signal_that_judges_is_named_with_its_source() -> None:
    series = shown(snapshots.mixed_snapshot())
    assert value(series, "gpu_signal_info", uuid="GPU-0000", signal="sm_active_ratio", source="dcgm") == 1.0
    assert values(series, "gpu_signal_info", uuid="GPU-0003") == []


def test_idle_seconds_are_absent_when_not_known() -> None:
    series = shown(snapshots.mixed_snapshot())
    assert value(series, "gpu_idle_seconds", gi="7") == 1_800.0
    assert values(series, "gpu_idle_seconds", uuid="GPU-0003") == []


# --- holders ------------------------------------------------------------------------------------------------


def test_an_unknown_allocation_has_no_share_and_an_empty_one_is_all_nobodys() -> None:
    series = shown(snapshots.mixed_snapshot())
    assert values(series, "gpu_allocation_share", uuid="GPU-0003") == []
    assert value(series, "gpu_allocation_share", gi="free", namespace="", pod="", container="") == 1.0


def test_what_holders_leave_of_a_shared_leaf_is_nobodys() -> None:
    leaf = snapshots.busy_leaf()
    seats = (
        Allocation(snapshots.TRAINER, Fraction(1, 4)),
        Allocation(snapshots.TRAINER, Fraction(1, 4)),
        Allocation(snapshots.NOTEBOOK, Fraction(1, 4)),
    )
    shared = replace(leaf, leaf=replace(leaf.leaf, allocations=seats))
    series = shown(snapshots.snapshot(with_leaf(shared)))
    shares = {
        row["pod"]: value(series, "gpu_allocation_share", **row)
        for row in labels_of(series, "gpu_allocation_share")
    }
    assert shares == {"trainer-0": 0.5, "notebook-7": 0.25, "": 0.25}


def test_holder_labels_are_there_even_when_nobody_holds() -> None:
    series = shown(snapshots.mixed_snapshot())
    for name in ("gpu_allocation_share", "gpu_cost_per_hour", "gpu_held_seconds_total", "gpu_cost_total"):
        assert all({"namespace", "pod", "container"} <= row.keys() for row in labels_of(series, name))
        assert labels_of(series, name)


def test_no_series_of_a_device_carries_a_holder() -> None:
    series = shown(snapshots.mixed_snapshot())
    with_pod = {name for name, rows in series.items() if any("pod" in dict(labels) for labels in rows)}
    assert with_pod == {
        f"gpusteward_gpu_{name}"
        for name in ("allocation_share", "cost_per_hour", "held_seconds_total", "cost_total")
    }


def test_a_prefix_renames_the_holder_labels_and_no_other() -> None:
    series = shown(
        snapshots.snapshot(snapshots.whole_gpu()), replace(snapshots.EXPOSURE, holder_label_prefix="gpu_")
    )
    (row,) = labels_of(series, "gpu_allocation_share")
    assert set(row) == {"node", "gpu", "uuid", "gi", "gpu_namespace", "gpu_pod", "gpu_container"}


# --- money --------------------------------------------------------------------------------------------------


def test_a_price_says_where_it_is_from() -> None:
    series = shown(snapshots.snapshot(snapshots.whole_gpu()))
    price = value(
        series,
        "gpu_price_per_hour",
        source="catalogue",
        basis="whole_node",
        capacity_type="on-demand",
        confidence="high",
    )
    assert price == 6.88
    assert value(series, "gpu_price_missing") == 0.0


def test_without_a_price_there_is_held_time_and_no_cost() -> None:
    series = shown(snapshots.snapshot(snapshots.unpriced_gpu()))
    assert value(series, "gpu_price_missing") == 1.0
    assert value(series, "gpu_held_seconds_total", cause="used") == 5_400.0
    for name in ("gpu_price_per_hour", "gpu_cost_per_hour", "gpu_cost_total"):
        assert values(series, name) == []


def test_cost_is_split_by_cause_and_counted() -> None:
    series = shown(snapshots.snapshot(snapshots.whole_gpu()))
    assert value(series, "gpu_cost_per_hour", pod="trainer-0", cause="used") == 5.16
    assert value(series, "gpu_cost_per_hour", pod="trainer-0", cause="headroom") == 1.72
    assert value(series, "gpu_cost_total", cause="used") == 10.32
    assert value(series, "gpu_held_seconds_total", cause="headroom") == 1_800.0


def test_a_portion_of_zero_has_no_series_unless_it_is_all_there_is() -> None:
    nothing = snapshots.portion(snapshots.TRAINER, Cause.USED, 0)
    idle = snapshots.portion(snapshots.TRAINER, Cause.IDLE)
    beside = replace(snapshots.busy_leaf(), portions=(nothing, idle), charges=())
    alone = replace(snapshots.busy_leaf(), portions=(nothing,), charges=())
    assert [
        row["cause"] for row in labels_of(shown(snapshots.snapshot(with_leaf(beside))), "gpu_cost_per_hour")
    ] == ["idle"]
    assert values(shown(snapshots.snapshot(with_leaf(alone))), "gpu_cost_per_hour", cause="used") == [0.0]


def test_portions_and_charges_of_the_same_holder_and_cause_are_one_series() -> None:
    half = snapshots.portion(snapshots.TRAINER, Cause.USED, Fraction(1, 2))
    hour = snapshots.charge(snapshots.TRAINER, Cause.USED, 1, snapshots.H100_MICRO)
    leaf = replace(snapshots.busy_leaf(), portions=(half, half), charges=(hour, hour))
    series = shown(snapshots.snapshot(with_leaf(leaf)))
    assert value(series, "gpu_cost_per_hour") == 6.88
    assert value(series, "gpu_cost_total") == 13.76
    assert value(series, "gpu_held_seconds_total") == 7_200.0


def test_a_charge_that_begins_is_shown_as_zero_and_one_that_never_was_is_not() -> None:
    begun = snapshots.charge(snapshots.TRAINER, Cause.USED, 0, snapshots.H100_MICRO)
    never = snapshots.charge(snapshots.TRAINER, Cause.IDLE, 0, snapshots.H100_MICRO)
    portions = (snapshots.portion(snapshots.TRAINER, Cause.USED),)
    leaf = replace(snapshots.busy_leaf(), portions=portions, charges=(begun, never))
    series = shown(snapshots.snapshot(with_leaf(leaf)))
    assert value(series, "gpu_cost_total", cause="used") == 0.0
    assert values(series, "gpu_cost_total", cause="idle") == []


def test_a_lost_gpu_still_costs() -> None:
    series = shown(snapshots.snapshot(snapshots.lost_gpu()))
    assert value(series, "gpu_cost_per_hour", uuid="missing-1", cause="unhealthy", pod="") == 6.88
    assert values(series, "gpu_power_watts") == []


def test_a_node_shows_its_list_price_its_other_cost_and_that_it_adds_up() -> None:
    rate = NodeRate(
        list_micro_per_hour=804_800,
        other_micro_per_hour=172_800,
        gpu_micro_per_hour=(632_000,),
        rate=snapshots.rate(632_000),
    )
    hour = snapshots.HOUR
    node = snapshots.node((), rate=rate, expected=1, seen=1, other_cost=2 * hour * 172_800)
    series = shown(snapshots.snapshot(nodes=(node,)))
    assert value(series, "node_price_per_hour") == 0.8048
    assert value(series, "node_other_cost_per_hour") == 0.1728
    assert value(series, "node_other_cost_total") == 0.3456
    assert value(series, "cost_conservation_error") == 0.0


def test_a_node_without_a_price_keeps_only_the_money_it_had() -> None:
    never = snapshots.node((), rate=None, missing_price="unknown instance type")
    once = replace(never, other_cost=snapshots.HOUR * 1_000_000, conservation_error=snapshots.HOUR * 10**6)
    nothing = shown(snapshots.snapshot(nodes=(never,)))
    for name in (
        *("node_price_per_hour", "node_other_cost_per_hour", "node_other_cost_total"),
        "cost_conservation_error",
    ):
        assert values(nothing, name) == []
    kept = shown(snapshots.snapshot(nodes=(once,)))
    assert value(kept, "node_other_cost_total") == 1.0
    assert value(kept, "cost_conservation_error") == 1.0


# --- the agent ----------------------------------------------------------------------------------------------


def test_before_the_first_sample_there_is_only_the_agents_health() -> None:
    series = shown(None)
    assert set(series) == {
        f"gpusteward_{name}"
        for name in (
            *("series", "series_budget", "series_dropped", "build_info", "price_info"),
            *("config_reload_success", "collect_success"),
        )
    }
    assert value(series, "collect_success") == 0.0
    assert value(series, "build_info", mode="real", version="0.0.0-test") == 1.0


def test_a_failed_cycle_says_so_and_invents_no_time() -> None:
    series = shown(snapshots.failed_snapshot())
    assert value(series, "collect_success") == 0.0
    assert value(series, "collect_cycles_total", reason="unreachable") == 1.0
    assert values(series, "collect_timestamp_seconds") == []


def test_a_simulated_snapshot_is_called_simulated() -> None:
    series = shown(snapshots.snapshot(mode="simulated"))
    assert labels_of(series, "build_info")[0]["mode"] == "simulated"


def test_the_last_reload_is_shown() -> None:
    failed = replace(snapshots.EXPOSURE, reload_success=False, reloaded_at=1_790_000_000.0)
    series = shown(None, failed)
    assert value(series, "config_reload_success") == 0.0
    assert value(series, "config_last_reload_success_timestamp_seconds") == 1_790_000_000.0


def test_no_catalogue_has_no_date() -> None:
    series = shown(None, replace(snapshots.EXPOSURE, catalogue_date=None, currency="EUR"))
    assert labels_of(series, "price_info") == [{"currency": "EUR", "catalogue_date": ""}]


def test_the_cluster_is_on_every_series_of_ours_and_of_our_process() -> None:
    process = GaugeMetricFamily("process_open_fds", "Files.", value=7.0)
    made = families(
        snapshots.mixed_snapshot(), replace(snapshots.EXPOSURE, cluster="prod"), own_process=(process,)
    )
    rows = [dict(labels) for samples in by_name(made).values() for labels in samples]
    assert {row.get("cluster") for row in rows} == {"prod"}


def test_without_a_cluster_no_series_has_the_label() -> None:
    process = GaugeMetricFamily("process_open_fds", "Files.", value=7.0)
    made = families(snapshots.mixed_snapshot(), snapshots.EXPOSURE, own_process=(process,))
    assert not any("cluster" in dict(labels) for samples in by_name(made).values() for labels in samples)


# --- odd input ----------------------------------------------------------------------------------------------


def test_two_gpus_with_one_index_stay_two() -> None:
    twin = replace(snapshots.whole_gpu(), reading=snapshots.reading("GPU-9999"))
    series = shown(snapshots.snapshot(snapshots.whole_gpu(), twin))
    assert len(values(series, "gpu_up", gpu="0")) == 2


def test_one_gpu_listed_twice_is_shown_once_and_charged_twice() -> None:
    series = shown(snapshots.snapshot(snapshots.whole_gpu(), snapshots.whole_gpu()))
    assert values(series, "gpu_power_watts") == [612.5]
    assert sum(values(series, "gpu_cost_per_hour")) == pytest.approx(2 * 6.88)


def test_holders_that_differ_only_in_undecodable_bytes_are_one_series() -> None:
    halves = tuple(
        snapshots.portion(Holder("ns", f"pod-{byte}", "c"), Cause.USED, Fraction(1, 2))
        for byte in ("\udc80", "\udcff")
    )
    leaf = replace(snapshots.busy_leaf(), portions=halves, charges=())
    series = shown(snapshots.snapshot(with_leaf(leaf)))
    assert value(series, "gpu_cost_per_hour", pod="pod-\ufffd") == 6.88


def test_skipped_inputs_are_counted_by_reason() -> None:
    health = CollectHealth(
        success=True, reason="", message="", last_success=1.0, duration_seconds=0.0, skipped={"bad_line": 3}
    )
    assert value(shown(snapshots.snapshot(health=health)), "source_skipped_total", reason="bad_line") == 3.0


def test_a_journal_says_how_it_does_and_where_there_is_none_nothing_is_said() -> None:
    health = JournalHealth(
        rows=1, bytes=2, waiting_rows=3, lost_rows=4, corrupt=5, write_errors=6, last_write=7.0, oldest=8.0
    )
    series = shown(None, replace(snapshots.EXPOSURE, journal=health))
    names = ("rows", "bytes", "waiting_rows", "lost_rows_total", "corrupt", "write_errors_total")
    assert [value(series, f"journal_{name}") for name in names] == [1, 2, 3, 4, 5, 6]
    assert value(series, "journal_last_write_timestamp_seconds") == 7.0
    assert value(series, "journal_oldest_row_timestamp_seconds") == 8.0
    new = shown(None, replace(snapshots.EXPOSURE, journal=JournalHealth()))
    assert values(new, "journal_last_write_timestamp_seconds") == []
    assert values(new, "journal_oldest_row_timestamp_seconds") == []
    assert value(new, "journal_rows") == 0.0
    assert values(shown(None), "journal_rows") == []
