from __future__ import annotations

from typing import TYPE_CHECKING

import pynvml
import pytest

from tests.nvml.fake import Process, Utilization

if TYPE_CHECKING:
    from tests.nvml.client import Client
    from tests.nvml.fake import FakeNvml

LISTED = "[(p.pid, p.usedGpuMemory, p.gpuInstanceId) for p in n.nvmlDeviceGet{}(g)]"
NO_INSTANCE = 0xFFFFFFFF


@pytest.mark.parametrize(
    ("kind", "function"),
    [
        ("compute", "ComputeRunningProcesses_v3"),
        ("compute", "ComputeRunningProcesses_v2"),
        ("graphics", "GraphicsRunningProcesses_v3"),
        ("graphics", "GraphicsRunningProcesses_v2"),
        ("mps", "MPSComputeRunningProcesses_v3"),
        ("mps", "MPSComputeRunningProcesses_v2"),
    ],
)
def test_each_kind_of_process_is_in_its_own_list_and_outside_mig_has_no_instance(
    kind: str, function: str, h100: FakeNvml, on_h100: Client
) -> None:
    assert on_h100(LISTED.format(function)) == []
    for at, each in enumerate(("compute", "graphics", "mps")):
        h100.add_process(0, Process(100 + at, 1 << 30, each))
    pid = 100 + ("compute", "graphics", "mps").index(kind)
    assert on_h100(LISTED.format(function)) == [[pid, 1 << 30, NO_INSTANCE]]


def test_the_oldest_list_knows_only_pid_and_memory(h100: FakeNvml, on_h100: Client) -> None:
    h100.add_process(0, Process(42, 3 << 30))
    on_h100.run("""
class Info(ctypes.Structure): _fields_ = [("pid", ctypes.c_uint), ("memory", ctypes.c_ulonglong)]
room, infos = ctypes.c_uint(4), (Info * 4)()
n._nvmlCheckReturn(n.nvmlLib.nvmlDeviceGetComputeRunningProcesses(g, ctypes.byref(room), infos))
""")
    assert on_h100("[room.value, infos[0].pid, infos[0].memory]") == [1, 42, 3 << 30]


def test_the_first_call_says_how_much_room_it_wants(h100: FakeNvml, on_h100: Client) -> None:
    for pid in (1, 2, 3):
        h100.add_process(0, Process(pid, 0))
    on_h100.run("""
def ask(room):
    count, infos = ctypes.c_uint(room), (n.c_nvmlProcessInfo_t * max(room, 1))()
    code = n.nvmlLib.nvmlDeviceGetComputeRunningProcesses_v3(g, ctypes.byref(count), infos if room else None)
    return [code, count.value]
""")
    assert on_h100("[ask(0), ask(2), ask(3), ask(9)]") == [[7, 3], [7, 3], [0, 3], [0, 3]]


def test_a_list_that_grows_between_the_two_calls_overruns_small_slack_only(
    h100: FakeNvml, on_h100: Client
) -> None:
    for pid in range(8):
        h100.add_process(0, Process(pid + 1, 0))
    h100.set_gpu(0, hidden_from_probe=7)
    too_small = on_h100.code("n.nvmlDeviceGetComputeRunningProcesses(g)")
    assert too_small == pynvml.NVML_ERROR_INSUFFICIENT_SIZE  # pynvml asks for 2 × 1 + 5
    h100.set_gpu(0, hidden_from_probe=6)
    assert on_h100("len(n.nvmlDeviceGetComputeRunningProcesses(g))") == 8


def test_memory_that_is_not_available_is_none_and_zero_stays_zero(h100: FakeNvml, on_h100: Client) -> None:
    h100.add_process(0, Process(1, None))
    h100.add_process(0, Process(2, 0))
    assert on_h100(LISTED.format("ComputeRunningProcesses")) == [[1, None, NO_INSTANCE], [2, 0, NO_INSTANCE]]


def test_a_process_that_ends_leaves_the_list_and_its_name_is_gone(h100: FakeNvml, on_h100: Client) -> None:
    h100.add_process(0, Process(7, 1, name="python train.py"))
    assert on_h100("n.nvmlSystemGetProcessName(7)") == "python train.py"
    h100.remove_process(0, 7)
    assert on_h100(LISTED.format("ComputeRunningProcesses")) == []
    assert on_h100.code("n.nvmlSystemGetProcessName(7)") == pynvml.NVML_ERROR_NOT_FOUND


SEEN = "[(s.pid, s.timeStamp, s.smUtil) for s in n.nvmlDeviceGetProcessUtilization(g, {})]"


def test_samples_newer_than_the_last_seen_are_given_and_none_is_not_found(
    h100: FakeNvml, on_h100: Client
) -> None:
    assert on_h100.code(SEEN.format(0)) == pynvml.NVML_ERROR_NOT_FOUND
    h100.add_sample(0, 1, 1000, Utilization(sm=10))
    h100.add_sample(0, 1, 2000, Utilization(sm=30))
    assert on_h100(SEEN.format(0)) == [[1, 1000, 10], [1, 2000, 30]]
    assert on_h100(SEEN.format(1000)) == [[1, 2000, 30]]
    assert on_h100.code(SEEN.format(2000)) == pynvml.NVML_ERROR_NOT_FOUND


def test_only_busy_processes_have_samples_one_a_period_since_they_started(
    h100: FakeNvml, on_h100: Client
) -> None:
    h100.add_process(0, Process(1, 0, using=Utilization(sm=40, decoder=5)))
    h100.add_process(0, Process(2, 0))
    start = h100.wall_us()
    h100.advance(3)
    expected = [[1, start + second * 1_000_000, 40] for second in (1, 2, 3)]
    assert on_h100(SEEN.format(0)) == expected
    assert on_h100(SEEN.format(start + 2_000_000)) == expected[2:]


def test_the_buffer_forgets_what_is_long_past(h100: FakeNvml, on_h100: Client) -> None:
    h100.add_process(0, Process(1, 0, using=Utilization(sm=1)))
    h100.advance(60)
    assert len(on_h100(SEEN.format(0))) == 20


def test_the_newer_call_gives_jpeg_and_ofa_too(h100: FakeNvml, on_h100: Client) -> None:
    asked = "[(s.pid, s.smUtil, s.jpgUtil, s.ofaUtil) for s in n.nvmlDeviceGetProcessesUtilizationInfo(g, 0)]"
    assert on_h100.code(asked) == pynvml.NVML_ERROR_NOT_FOUND
    h100.add_sample(0, 5, 9, Utilization(sm=1, jpeg=2, ofa=3))
    assert on_h100(asked) == [[5, 1, 2, 3]]
    on_h100.run("i = n.c_nvmlProcessesUtilizationInfo_v1_t(version=0x02000018)")
    refused = on_h100("n.nvmlLib.nvmlDeviceGetProcessesUtilizationInfo(g, ctypes.byref(i))")
    assert refused == pynvml.NVML_ERROR_ARGUMENT_VERSION_MISMATCH
