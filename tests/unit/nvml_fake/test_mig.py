from __future__ import annotations

from typing import TYPE_CHECKING

import pynvml
import pytest

from tests.nvml import profiles
from tests.nvml.fake import Process

if TYPE_CHECKING:
    from tests.nvml.client import Client
    from tests.nvml.fake import FakeNvml
    from tests.unit.nvml_fake.conftest import StartClient, StartMachine

SLOT = "n.nvmlDeviceGetMigDeviceHandleByIndex(g, {})"


def test_boards_without_mig_do_not_support_the_question_and_others_start_whole(
    machine: StartMachine, client: StartClient
) -> None:
    both = client(machine(profiles.L4, profiles.H100))
    both.run("l, g = (n.nvmlDeviceGetHandleByIndex(i) for i in (0, 1))")
    assert both.code("n.nvmlDeviceGetMigMode(l)") == pynvml.NVML_ERROR_NOT_SUPPORTED
    assert both("n.nvmlDeviceGetMaxMigDeviceCount(l)") == 0
    assert both("[n.nvmlDeviceGetMigMode(g), n.nvmlDeviceGetMaxMigDeviceCount(g)]") == [[0, 0], 7]
    assert both.code(SLOT.format(0)) == pynvml.NVML_ERROR_INVALID_ARGUMENT


def test_slots_are_sparse_and_a_hole_is_not_the_end(h100: FakeNvml, on_h100: Client) -> None:
    h100.set_mig_layout(0, ["3g.40gb", "2g.20gb", "1g.10gb"], slots=[0, 3, 6])
    assert on_h100("n.nvmlDeviceGetMigMode(g)") == [1, 1]
    codes = [on_h100.code(SLOT.format(slot)) for slot in range(8)]
    hole, outside = pynvml.NVML_ERROR_NOT_FOUND, pynvml.NVML_ERROR_INVALID_ARGUMENT
    assert codes == [0, hole, hole, 0, hole, hole, 0, outside]


LAYOUTS = [
    (profiles.A100_40GB, ["1g.5gb"] * 7, list(range(7)), 108),
    (profiles.A100, ["1g.10gb"] * 7, list(range(7)), 108),
    (profiles.H100, ["1g.10gb"] * 7, list(range(7)), 132),
    (profiles.H100, ["4g.40gb", "3g.40gb"], [0, 4], 132),
    (profiles.H100, ["3g.40gb", "2g.20gb", "1g.10gb", "1g.10gb"], [4, 0, 2, 3], 132),
    (profiles.H200, ["7g.141gb"], [0], 132),
    (profiles.B200, ["1g.45gb"] * 4, [0, 2, 4, 6], 148),
]


@pytest.mark.parametrize("case", LAYOUTS, ids=lambda case: f"{case[0].name}: {'+'.join(case[1])}")
def test_a_layout_is_placed_as_the_driver_places_it(
    case: tuple[profiles.Board, list[str], list[int], int], machine: StartMachine, client: StartClient
) -> None:
    board, layout, starts, sms = case
    fake = machine(board)
    made = fake.set_mig_layout(0, layout)
    assert [instance.start for instance in made] == starts
    assert len({instance.gi for instance in made}) == len(layout)
    one = client(fake)
    one.run(f"g = n.nvmlDeviceGetHandleByIndex(0); m = [{SLOT.format('i')} for i in range({len(layout)})]")
    assert one("[n.nvmlDeviceGetName(h) for h in m]") == [f"{board.name} MIG {name}" for name in layout]
    assert one("sum(n.nvmlDeviceGetAttributes(h).multiprocessorCount for h in m)") <= sms
    assert one("sum(n.nvmlDeviceGetMemoryInfo(h).total for h in m)") <= board.memory_mib << 20
    assert one("[n.nvmlDeviceGetAttributes(h).gpuInstanceSliceCount for h in m]") == [
        int(n[0]) for n in layout
    ]


def test_a_layout_that_does_not_fit_is_refused(h100: FakeNvml) -> None:
    with pytest.raises(ValueError, match="no room"):
        h100.set_mig_layout(0, ["4g.40gb", "4g.40gb"])
    with pytest.raises(ValueError, match="no room"):
        h100.set_mig_layout(0, ["1g.10gb"] * 8)


def test_a_mig_handle_answers_what_reference_4_lists(h100: FakeNvml, on_h100: Client) -> None:
    (made,) = h100.set_mig_layout(0, ["3g.40gb"])
    on_h100.run("m = " + SLOT.format(0))
    assert on_h100("n.nvmlDeviceGetUUID(m)") == made.uuid
    assert made.uuid.startswith("MIG-")
    assert on_h100("n.nvmlDeviceGetUUID(n.nvmlDeviceGetHandleByUUID(n.nvmlDeviceGetUUID(m)))") == made.uuid
    assert on_h100("[n.nvmlDeviceGetGpuInstanceId(m), n.nvmlDeviceGetComputeInstanceId(m)]") == [made.gi, 0]
    parent = "n.nvmlDeviceGetUUID(n.nvmlDeviceGetDeviceHandleFromMigDeviceHandle(m))"
    assert on_h100(parent) == h100.gpu(0).uuid
    assert on_h100("[n.nvmlDeviceIsMigDeviceHandle(h).value for h in (m, g)]") == [1, 0]
    assert (
        on_h100("n.nvmlDeviceGetMemoryInfo(m, version=n.nvmlMemory_v2).total")
        == made.profile.memory_mib << 20
    )
    assert on_h100("n.nvmlGpmQueryDeviceSupport(m).isSupportedDevice") == 1
    assert on_h100("n.nvmlDeviceGetComputeRunningProcesses(m)") == []


@pytest.mark.parametrize("handle", ["g", "m"])
@pytest.mark.parametrize(
    "expression",
    [
        "n.nvmlDeviceGetUtilizationRates({})",
        "n.nvmlDeviceGetEncoderUtilization({})",
        "n.nvmlDeviceGetDecoderUtilization({})",
        "n.nvmlDeviceGetJpgUtilization({})",
        "n.nvmlDeviceGetOfaUtilization({})",
        "n.nvmlDeviceGetProcessUtilization({}, 0)",
        "n.nvmlDeviceGetProcessesUtilizationInfo({}, 0)",
        "n.nvmlDeviceGetNumGpuCores({})",
    ],
)
def test_under_mig_these_are_not_supported(
    expression: str, handle: str, h100: FakeNvml, on_h100: Client
) -> None:
    assert on_h100.code(expression.format("g")) in {0, pynvml.NVML_ERROR_NOT_FOUND}
    h100.set_mig_layout(0, ["1g.10gb"])
    on_h100.run("m = " + SLOT.format(0))
    assert on_h100.code(expression.format(handle)) == pynvml.NVML_ERROR_NOT_SUPPORTED


@pytest.mark.parametrize("name", ["PowerUsage", "Serial", "TotalEnergyConsumption", "PciInfo", "MigMode"])
def test_what_belongs_to_the_board_is_not_asked_of_a_mig_device(
    name: str, h100: FakeNvml, on_h100: Client
) -> None:
    h100.set_mig_layout(0, ["1g.10gb"])
    on_h100.run("m = " + SLOT.format(0))
    assert on_h100.code(f"n.nvmlDeviceGet{name}(m)") == pynvml.NVML_ERROR_NOT_SUPPORTED
    assert on_h100.code(f"n.nvmlDeviceGet{name}(g)") == 0


def test_a_handle_dies_with_its_instance(h100: FakeNvml, on_h100: Client) -> None:
    h100.set_mig_layout(0, ["1g.10gb", "1g.10gb"])
    on_h100.run(f"m = {SLOT.format(1)}")
    h100.set_mig_layout(0, ["1g.10gb"])
    assert on_h100.code("n.nvmlDeviceGetMemoryInfo(m)") == pynvml.NVML_ERROR_INVALID_ARGUMENT


def test_a_handle_kept_over_a_reconfiguration_means_the_new_tenant_once_its_slot_is_asked_for_again(
    h100: FakeNvml, on_h100: Client
) -> None:
    h100.set_mig_layout(0, ["1g.10gb"])
    on_h100.run(f"old = {SLOT.format(0)}")
    (made,) = h100.set_mig_layout(0, ["3g.40gb"])
    assert on_h100.code("n.nvmlDeviceGetUUID(old)") == pynvml.NVML_ERROR_INVALID_ARGUMENT
    on_h100.run(f"new = {SLOT.format(0)}")
    assert on_h100("[n.nvmlDeviceGetUUID(h) for h in (old, new)]") == [made.uuid] * 2


def test_mig_turned_off_gives_the_whole_gpu_back(h100: FakeNvml, on_h100: Client) -> None:
    h100.set_mig_layout(0, ["1g.10gb"])
    h100.set_mig_layout(0, None)
    assert on_h100("n.nvmlDeviceGetMigMode(g)") == [0, 0]
    assert on_h100("n.nvmlDeviceGetUtilizationRates(g).gpu") == 0


def test_profiles_come_with_engines_memory_and_a_checked_version(on_h100: Client) -> None:
    on_h100.run("p = n.nvmlDeviceGetGpuInstanceProfileInfo(g, n.NVML_GPU_INSTANCE_PROFILE_3_SLICE)")
    assert on_h100(
        "[p.name, p.id, p.sliceCount, p.instanceCount, p.multiprocessorCount, p.decoderCount]"
    ) == [
        "MIG 3g.40gb",
        9,
        3,
        2,
        60,
        3,
    ]
    assert on_h100("n.nvmlDeviceGetGpuInstanceProfileInfo(g, 0, version=1).memorySizeMB") == int(9.75 * 1024)
    missing = on_h100.code("n.nvmlDeviceGetGpuInstanceProfileInfo(g, n.NVML_GPU_INSTANCE_PROFILE_8_SLICE)")
    assert missing == pynvml.NVML_ERROR_NOT_SUPPORTED
    on_h100.run("p.version = 0x01000098; fn = n.nvmlLib.nvmlDeviceGetGpuInstanceProfileInfoV")
    assert on_h100("fn(g, 0, ctypes.byref(p))") == pynvml.NVML_ERROR_ARGUMENT_VERSION_MISMATCH


def test_placements_and_remaining_room_follow_the_memory_slices(h100: FakeNvml, on_h100: Client) -> None:
    on_h100.run("""
def placements(ident, room):
    count, array = ctypes.c_uint(room), (n.c_nvmlGpuInstancePlacement_t * max(room, 1))()
    n.nvmlDeviceGetGpuInstancePossiblePlacements(g, ident, array if room else None, ctypes.byref(count))
    return [[p.start, p.size] for p in array[:count.value]] if room else count.value
""")
    assert on_h100("placements(19, 0)") == 7
    assert on_h100("placements(9, 8)") == [[0, 4], [4, 4]]
    assert on_h100.code("placements(19, 3)") == pynvml.NVML_ERROR_INSUFFICIENT_SIZE
    h100.set_mig_layout(0, ["1g.10gb"] * 6)
    assert on_h100("n.nvmlDeviceGetGpuInstanceRemainingCapacity(g, 19)") == 1
    assert on_h100("n.nvmlDeviceGetGpuInstanceRemainingCapacity(g, 15)") == 1
    h100.set_mig_layout(0, ["1g.10gb"] * 7)
    assert on_h100("n.nvmlDeviceGetGpuInstanceRemainingCapacity(g, 19)") == 0


def test_gpu_instances_are_shown_to_the_privileged_with_their_place(h100: FakeNvml, on_h100: Client) -> None:
    small, large = h100.set_mig_layout(0, ["1g.10gb", "3g.40gb"])
    on_h100.run(f"i = n.nvmlGpuInstanceGetInfo(n.nvmlDeviceGetGpuInstanceById(g, {large.gi}))")
    assert on_h100("[i.id, i.profileId, i.placement.start, i.placement.size]") == [large.gi, 9, 4, 4]
    on_h100.run("a = (n.c_nvmlGpuInstance_t * 7)(); c = ctypes.c_uint(7)")
    on_h100.run("n.nvmlDeviceGetGpuInstances(g, 19, a, ctypes.byref(c))")
    assert on_h100("[c.value, n.nvmlGpuInstanceGetInfo(a[0]).id]") == [1, small.gi]
    h100.set_privileged(False)
    refused = on_h100.code(f"n.nvmlDeviceGetGpuInstanceById(g, {large.gi})")
    assert refused == pynvml.NVML_ERROR_NO_PERMISSION


def test_processes_are_listed_for_their_instance_and_together_for_the_privileged(
    h100: FakeNvml, on_h100: Client
) -> None:
    first, second = h100.set_mig_layout(0, ["1g.10gb", "2g.20gb"])
    h100.add_process(0, Process(100, 1 << 30, gi=first.gi))
    h100.add_process(0, Process(200, 2 << 30, gi=second.gi))
    on_h100.run(f"a, b = {SLOT.format(0)}, {SLOT.format(1)}")
    listed = "[(p.pid, p.gpuInstanceId) for p in n.nvmlDeviceGetComputeRunningProcesses({})]"
    assert on_h100(listed.format("a")) == [[100, first.gi]]
    assert on_h100(listed.format("b")) == [[200, second.gi]]
    assert on_h100(listed.format("g")) == [[100, first.gi], [200, second.gi]]
    h100.set_privileged(False)
    assert on_h100.code(listed.format("g")) == pynvml.NVML_ERROR_NO_PERMISSION
    assert on_h100(listed.format("a")) == [[100, first.gi]]
