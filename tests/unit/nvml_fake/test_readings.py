"""The facts of reference §4 about whole GPUs, each asked of the fake through the real pynvml."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

import pynvml
import pytest

from tests.nvml import profiles
from tests.nvml.fake import Field

if TYPE_CHECKING:
    from tests.nvml.client import Client
    from tests.nvml.fake import FakeNvml
    from tests.unit.nvml_fake.conftest import StartClient, StartMachine

GPU = "g = n.nvmlDeviceGetHandleByIndex(0)"


def fields(client: Client, *idents: int) -> dict[int, tuple[int, int]]:
    """Return code and value of each field, read in one call."""
    rows = client(
        "[(v.fieldId, v.nvmlReturn, v.value.uiVal if v.valueType == 1 else v.value.siVal "
        f"if v.valueType == 5 else v.value.ullVal) for v in n.nvmlDeviceGetFieldValues(g, {list(idents)})]"
    )
    return {ident: (code, value) for ident, code, value in rows}


def field(client: Client, ident: int) -> int:
    code, value = fields(client, ident)[ident]
    assert code == 0
    return value


# ------------------------------------------------------------------- identity


@pytest.mark.parametrize("board", profiles.BOARDS, ids=lambda board: board.name)
def test_a_board_says_who_it_is(board: profiles.Board, machine: StartMachine, client: StartClient) -> None:
    one = client(machine(board))
    one.run(GPU)
    assert one("n.nvmlDeviceGetName(g)") == board.name
    assert one("n.nvmlDeviceGetArchitecture(g)") == board.architecture
    assert one("n.nvmlDeviceGetCudaComputeCapability(g)") == list(board.capability)
    assert one("n.nvmlDeviceGetMemoryInfo(g).total") == board.memory_mib << 20
    assert one("n.nvmlDeviceGetEnforcedPowerLimit(g)") == board.tdp * 1000
    assert one("n.nvmlDeviceGetMaxClockInfo(g, n.NVML_CLOCK_SM)") == board.clocks[0]
    assert one("n.nvmlDeviceGetNumGpuCores(g)") == board.cores


@pytest.mark.parametrize("board", profiles.BOARDS, ids=lambda board: board.name)
def test_only_boards_with_stacked_memory_tell_its_temperature_and_the_others_answer_0(
    board: profiles.Board, machine: StartMachine, client: StartClient
) -> None:
    one = client(machine(board))
    one.run(GPU)
    code, degrees = fields(one, 82)[82]
    assert code == pynvml.NVML_SUCCESS
    assert (degrees > 0) == board.stacked_memory


@pytest.mark.parametrize("board", profiles.BOARDS, ids=lambda board: board.name)
def test_gpm_exists_on_hopper_and_later_only(
    board: profiles.Board, machine: StartMachine, client: StartClient
) -> None:
    one = client(machine(board))
    one.run(GPU)
    assert one("n.nvmlGpmQueryDeviceSupport(g).isSupportedDevice") == int(
        board.architecture >= profiles.HOPPER
    )


def test_a_gpu_is_found_by_index_uuid_and_both_spellings_of_its_bus_address(
    h100: FakeNvml, on_h100: Client
) -> None:
    gpu = h100.gpu(0)
    by = f"[n.nvmlDeviceGetHandleByUUID({gpu.uuid!r}), n.nvmlDeviceGetHandleByPciBusId({gpu.bus_id!r}), "
    by += f"n.nvmlDeviceGetHandleByPciBusId({gpu.bus_id[4:]!r})]"
    assert on_h100(f"[n.nvmlDeviceGetUUID(h) for h in {by}]") == [gpu.uuid] * 3
    assert on_h100.code("n.nvmlDeviceGetHandleByUUID('GPU-none')") == pynvml.NVML_ERROR_NOT_FOUND


def test_the_bus_address_comes_in_its_new_and_its_legacy_form(on_h100: Client) -> None:
    on_h100.run("p = n.nvmlDeviceGetPciInfo(g)")
    assert on_h100("[p.busId, p.busIdLegacy, p.bus, p.pciDeviceId]") == [
        "00000000:10:00.0",
        "0000:10:00.0",
        0x10,
        0x233010DE,
    ]


def test_indexes_move_but_uuids_stay(machine: StartMachine, client: StartClient) -> None:
    fake = machine(profiles.H100, profiles.L4)
    both = client(fake)
    both.run("handles = [n.nvmlDeviceGetHandleByIndex(i) for i in (0, 1)]")
    fake.reorder([1, 0])
    assert both("[n.nvmlDeviceGetIndex(h) for h in handles]") == [1, 0]
    assert both("n.nvmlDeviceGetName(n.nvmlDeviceGetHandleByIndex(0))") == "NVIDIA L4"


# ------------------------------------------------------------------- memory


def test_memory_v1_counts_the_reserved_part_as_used_and_v2_separates_it(
    h100: FakeNvml, on_h100: Client
) -> None:
    h100.set_gpu(0, memory_used=10 << 30, memory_reserved=1 << 30)
    assert on_h100("n.nvmlDeviceGetMemoryInfo(g).used") == 11 << 30
    on_h100.run("m = n.nvmlDeviceGetMemoryInfo(g, version=n.nvmlMemory_v2)")
    assert on_h100("[m.used, m.reserved]") == [10 << 30, 1 << 30]
    assert on_h100("m.total - m.used - m.reserved - m.free") == 0


def test_memory_v2_refuses_another_version_word(on_h100: Client) -> None:
    refused = on_h100.code("n.nvmlDeviceGetMemoryInfo(g, version=0x03000030)")
    assert refused == pynvml.NVML_ERROR_ARGUMENT_VERSION_MISMATCH
    assert on_h100("n.nvmlMemory_v2") == 33554472


# ------------------------------------------------------------------- utilization, power, energy


def test_utilization_and_engines_are_percentages_of_the_level(h100: FakeNvml, on_h100: Client) -> None:
    h100.set_activity(0, gpu=0.42, memory=0.17, encoder=0.05, decoder=0.06, jpeg=0.07, ofa=0.08)
    on_h100.run("u = n.nvmlDeviceGetUtilizationRates(g)")
    assert on_h100("[u.gpu, u.memory]") == [42, 17]
    for name, percent in {"Encoder": 5, "Decoder": 6, "Jpg": 7, "Ofa": 8}.items():
        assert on_h100(f"n.nvmlDeviceGet{name}Utilization(g)[0]") == percent


def test_a_board_without_an_engine_does_not_support_its_utilization(
    machine: StartMachine, client: StartClient
) -> None:
    t4 = client(machine(profiles.T4))
    t4.run(GPU)
    assert t4.code("n.nvmlDeviceGetJpgUtilization(g)") == pynvml.NVML_ERROR_NOT_SUPPORTED
    assert t4("n.nvmlDeviceGetDecoderUtilization(g)[0]") == 0


def test_energy_is_the_integral_of_power_in_millijoules(h100: FakeNvml, on_h100: Client) -> None:
    h100.set_activity(0, power=500)
    before = on_h100("n.nvmlDeviceGetTotalEnergyConsumption(g)")
    h100.advance(10)
    h100.set_activity(0, power=100)
    h100.advance(10)
    assert on_h100("n.nvmlDeviceGetTotalEnergyConsumption(g)") - before == 6_000_000
    assert field(on_h100, 83) == field(on_h100, 191) == before + 6_000_000


def test_energy_never_falls_while_power_changes_on_the_systems_clock(
    machine: StartMachine, client: StartClient
) -> None:
    fake = machine(profiles.H100, manual_clock=False)
    reader = client(fake)
    reader.run(GPU)
    reader.run("read = lambda: n.nvmlDeviceGetTotalEnergyConsumption(g)")
    reader.send("(lambda v: v == sorted(v))([read() for _ in range(20000)])")
    for watts in (700, 70, 650, 80, 700, 72):
        fake.set_activity(0, power=watts)
    assert reader.receive() is True


def test_power_is_a_one_second_mean_on_hopper_and_the_moments_value_on_ga100(
    machine: StartMachine, client: StartClient
) -> None:
    fake = machine(profiles.H100, profiles.A100)
    both = client(fake)
    both.run("h = n.nvmlDeviceGetHandleByIndex(0); a = n.nvmlDeviceGetHandleByIndex(1)")
    for index in (0, 1):
        fake.set_activity(index, power=100)
    fake.advance(10)
    for index in (0, 1):
        fake.set_activity(index, power=300)
    fake.advance(0.5)
    assert both("[n.nvmlDeviceGetPowerUsage(h), n.nvmlDeviceGetPowerUsage(a)]") == [200_000, 300_000]


def test_fields_say_which_power_they_are_and_ga100_has_no_mean(
    machine: StartMachine, client: StartClient
) -> None:
    fake = machine(profiles.H100)
    fake.add_gpu(profiles.A100)
    both = client(fake)
    both.run(GPU)
    fake.set_activity(0, power=100)
    fake.advance(10)
    fake.set_activity(0, power=300)
    fake.advance(0.25)
    assert fields(both, 185, 186) == {185: (0, 150_000), 186: (0, 300_000)}
    both.run("g = n.nvmlDeviceGetHandleByIndex(1)")
    assert [code for code, _ in fields(both, 185, 186).values()] == [pynvml.NVML_ERROR_NOT_SUPPORTED, 0]


def test_pcie_throughput_blocks_for_its_window_and_is_counted(h100: FakeNvml, on_h100: Client) -> None:
    h100.set_activity(0, pcie_tx=1024 * 5000)
    took = on_h100(
        "(lambda t: (n.nvmlDeviceGetPcieThroughput(g, 0), time.monotonic() - t))(time.monotonic())"
    )
    assert took[0] == 5000
    assert took[1] >= 0.02
    assert h100.calls()["nvmlDeviceGetPcieThroughput"] == 1


# ------------------------------------------------------------------- temperatures, clocks, reasons


def test_temperatures_thresholds_and_margin_are_read_by_both_generations_of_calls(on_h100: Client) -> None:
    assert on_h100("[n.nvmlDeviceGetTemperature(g, 0), n.nvmlDeviceGetTemperatureV(g, 0)]") == [32, 32]
    assert on_h100("[n.nvmlDeviceGetTemperatureThreshold(g, t) for t in (0, 1, 3)]") == [95, 90, 87]
    assert on_h100.code("n.nvmlDeviceGetTemperatureThreshold(g, 5)") == pynvml.NVML_ERROR_NOT_SUPPORTED
    assert on_h100("n.nvmlDeviceGetMarginTemperature(g)") == 50
    assert field(on_h100, 193) == -8


def test_clock_event_reasons_have_two_names_for_one_mask(h100: FakeNvml, on_h100: Client) -> None:
    h100.set_gpu(0, clock_reasons=0x64)
    names = ("ClocksEventReasons", "ClocksThrottleReasons")
    assert [on_h100(f"n.nvmlDeviceGetCurrent{name}(g)") for name in names] == [0x64, 0x64]


def test_throttled_time_grows_in_nanoseconds_in_fields_and_violation_status(
    h100: FakeNvml, on_h100: Client
) -> None:
    h100.set_activity(0, throttle_power=0.25, throttle_thermal=1)
    h100.advance(8)
    assert fields(on_h100, 74, 75, 76) == {74: (0, 2 * 10**9), 75: (0, 8 * 10**9), 76: (0, 0)}
    assert on_h100("n.nvmlDeviceGetViolationStatus(g, n.NVML_PERF_POLICY_THERMAL).violationTime") == 8 * 10**9


# ------------------------------------------------------------------- field values


def test_one_bad_field_does_not_take_the_others_with_it(h100: FakeNvml, on_h100: Client) -> None:
    h100.set_field(0, Field(82, code=pynvml.NVML_ERROR_NO_PERMISSION))
    read = fields(on_h100, 82, 83, 9999, 142)
    assert [code for code, _ in read.values()] == [
        pynvml.NVML_ERROR_NO_PERMISSION,
        0,
        pynvml.NVML_ERROR_INVALID_ARGUMENT,
        0,
    ]


def test_any_field_can_be_given_a_value_for_one_scope_or_for_all(h100: FakeNvml, on_h100: Client) -> None:
    h100.set_field(0, Field(206, 17))
    h100.set_field(0, Field(207, 3, scope=2))
    assert field(on_h100, 206) == 17
    read = on_h100(
        "[(v.nvmlReturn, v.value.ullVal) for v in n.nvmlDeviceGetFieldValues(g, [(207, 2), (207, 1)])]"
    )
    assert read == [[0, 3], [pynvml.NVML_ERROR_NOT_SUPPORTED, 0]]


def test_pcie_byte_counters_grow_with_traffic_and_may_wrap(h100: FakeNvml, on_h100: Client) -> None:
    h100.set_activity(0, pcie_tx=2**30, pcie_rx=1000)
    h100.advance(5)
    assert fields(on_h100, 197, 198) == {197: (0, 5 * 2**30), 198: (0, 5000)}
    h100.set_gpu(0, pcie_wrap_bits=32)
    assert fields(on_h100, 197, 198) == {197: (0, 2**30), 198: (0, 5000)}


def test_nvlink_counts_kibibytes_up_to_the_fourth_generation_and_bytes_on_the_fifth(
    machine: StartMachine, client: StartClient
) -> None:
    fake = machine(profiles.H100, profiles.B200)
    both = client(fake)
    for index in (0, 1):
        fake.set_activity(index, nvlink_tx=18 * 2**20)
    fake.advance(2)
    unsupported = pynvml.NVML_ERROR_NOT_SUPPORTED
    for index, expected in (
        (0, [(0, 36 * 1024), (unsupported, 0)]),
        (1, [(unsupported, 0), (0, 36 * 2**20)]),
    ):
        both.run(f"g = n.nvmlDeviceGetHandleByIndex({index})")
        all_links = "[(138, 0xFFFFFFFF), (202, 0xFFFFFFFF)]"
        read = both(f"[(v.nvmlReturn, v.value.ullVal) for v in n.nvmlDeviceGetFieldValues(g, {all_links})]")
        assert [tuple(pair) for pair in read] == expected
    assert both("n.nvmlDeviceGetFieldValues(g, [(202, 17)])[0].value.ullVal") == 2 * 2**20
    beyond = both("n.nvmlDeviceGetFieldValues(g, [(202, 18)])[0].nvmlReturn")
    assert beyond == pynvml.NVML_ERROR_INVALID_ARGUMENT


@pytest.mark.parametrize(("driver", "known"), [("560.35.03", False), ("570.86.15", True)])
def test_the_recovery_action_exists_from_driver_570_on(
    driver: str, known: bool, machine: StartMachine, client: StartClient
) -> None:
    fake = machine(profiles.H100, driver=driver)
    fake.set_gpu(0, recovery_action=2)
    one = client(fake)
    one.run(GPU)
    assert fields(one, 230)[230] == ((0, 2) if known else (pynvml.NVML_ERROR_INVALID_ARGUMENT, 0))


# ------------------------------------------------------------------- health


def test_ecc_rows_and_replays_are_what_was_set(h100: FakeNvml, on_h100: Client) -> None:
    h100.set_gpu(0, ecc_corrected_volatile=1, ecc_uncorrected_aggregate=4, pcie_replay=9)
    h100.set_gpu(0, remapped_corrected=2, remapped_uncorrected=3, remap_pending=1)
    assert on_h100("[n.nvmlDeviceGetTotalEccErrors(g, t, c) for t in (0, 1) for c in (0, 1)]") == [1, 0, 0, 4]
    assert on_h100("n.nvmlDeviceGetRemappedRows(g)") == [2, 3, 1, 0]
    assert fields(on_h100, 3, 6, 142, 143, 144, 145) == {
        3: (0, 1), 6: (0, 4), 142: (0, 2), 143: (0, 3), 144: (0, 1), 145: (0, 0)
    }  # fmt: skip
    assert on_h100("n.nvmlDeviceGetPcieReplayCounter(g)") == 9


def test_without_ecc_there_are_no_error_counts(h100: FakeNvml, on_h100: Client) -> None:
    h100.set_gpu(0, ecc=0, ecc_pending=1)
    assert on_h100("n.nvmlDeviceGetEccMode(g)") == [0, 1]
    assert on_h100.code("n.nvmlDeviceGetTotalEccErrors(g, 0, 0)") == pynvml.NVML_ERROR_NOT_SUPPORTED


def test_old_boards_retire_pages_and_new_ones_remap_rows(machine: StartMachine, client: StartClient) -> None:
    fake = machine(profiles.T4)
    t4 = client(fake)
    t4.run(GPU)
    assert t4("[n.nvmlDeviceGetRetiredPages(g, 1), n.nvmlDeviceGetRetiredPages_v2(g, 1)]") == [[], []]
    fake.set_gpu(0, retired_double=3, retired_pending=1)
    assert t4("[len(n.nvmlDeviceGetRetiredPages(g, 1)), len(n.nvmlDeviceGetRetiredPages_v2(g, 1))]") == [3, 3]
    assert t4("n.nvmlDeviceGetRetiredPagesPendingStatus(g)") == 1
    assert t4.code("n.nvmlDeviceGetRemappedRows(g)") == pynvml.NVML_ERROR_NOT_SUPPORTED


def test_links_and_fabric_are_there_on_boards_that_have_them(
    machine: StartMachine, client: StartClient
) -> None:
    both = client(machine(profiles.H100, profiles.L4))
    both.run(GPU + "; l = n.nvmlDeviceGetHandleByIndex(1); f = n.c_nvmlGpuFabricInfo_v3_t()")
    assert both("[n.nvmlDeviceGetNvLinkState(g, 17), n.nvmlDeviceGetNvLinkVersion(g, 0)]") == [1, 6]
    assert both.code("n.nvmlDeviceGetNvLinkState(g, 18)") == pynvml.NVML_ERROR_INVALID_ARGUMENT
    assert both.code("n.nvmlDeviceGetNvLinkState(l, 0)") == pynvml.NVML_ERROR_NOT_SUPPORTED
    both.run("n.nvmlDeviceGetGpuFabricInfoV(g, ctypes.byref(f))")
    assert both("f.state") == pynvml.NVML_GPU_FABRIC_STATE_COMPLETED
    both.run("f.version = 0x01000024")
    refused = both.code("n._nvmlCheckReturn(n.nvmlLib.nvmlDeviceGetGpuFabricInfoV(g, ctypes.byref(f)))")
    assert refused == pynvml.NVML_ERROR_ARGUMENT_VERSION_MISMATCH


def test_a_loaded_board_reads_hot_busy_and_near_its_limit(machine: StartMachine, client: StartClient) -> None:
    fake = machine()
    fake.add_gpu(profiles.H200, loaded=True)
    loaded = client(fake)
    loaded.run(GPU)
    assert loaded("n.nvmlDeviceGetUtilizationRates(g).gpu") == 97
    assert loaded("n.nvmlDeviceGetPowerUsage(g)") == 595_000
    assert loaded("n.nvmlDeviceGetMemoryInfo(g).used") == (143771 << 20) * 7 // 10 + (512 << 20)


def test_every_board_stands_in_its_own_place() -> None:
    names = [board.name for board in profiles.BOARDS]
    assert len(set(names)) == len(names)
    installed = [profiles.install(board, at, 0) for board in profiles.BOARDS for at in range(2)]
    assert len({gpu.uuid for gpu in installed}) == len(installed)
    assert all(dataclasses.is_dataclass(gpu) for gpu in installed)
