"""Each fault on demand: what it breaks, what it leaves alone, and that it ends when it is cleared."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import pynvml
import pytest

from tests.nvml import profiles
from tests.nvml.fake import GPU_IS_LOST, RESET_REQUIRED

if TYPE_CHECKING:
    from tests.nvml.client import Client
    from tests.nvml.fake import FakeNvml
    from tests.unit.nvml_fake.conftest import StartClient, StartMachine

TEMPERATURE = "n.nvmlDeviceGetTemperature(g, 0)"


def wait_for_call(fake: FakeNvml, name: str, count: int) -> None:
    deadline = time.monotonic() + 30
    while fake.calls().get(name, 0) < count:
        assert time.monotonic() < deadline, f"{name} was not called"
        time.sleep(0.005)


@pytest.fixture
def pair(machine: StartMachine) -> FakeNvml:
    return machine(profiles.H100, profiles.H100)


@pytest.fixture
def on_pair(pair: FakeNvml, client: StartClient) -> Client:
    """A client with handles `g` and `other`; the first is the one that tests break."""
    assert len(pair.machine.gpus) == 2
    started = client(pair)
    started.run("g, other = n.nvmlDeviceGetHandleByIndex(0), n.nvmlDeviceGetHandleByIndex(1)")
    return started


@pytest.mark.parametrize("code", [3, 4, 10, 15, 16, 17, 27, 999])
def test_one_named_call_can_return_any_code_and_others_go_on(
    code: int, h100: FakeNvml, on_h100: Client
) -> None:
    fault = h100.fault("nvmlDeviceGetTemperature", code)
    assert on_h100.code(TEMPERATURE) == code
    assert on_h100.code("n.nvmlDeviceGetPowerUsage(g)") == 0
    h100.clear_faults(fault)
    assert on_h100(TEMPERATURE) == 32


@pytest.mark.parametrize("code", [GPU_IS_LOST, RESET_REQUIRED])
def test_a_lost_gpu_or_one_to_reset_fails_in_every_call_and_its_neighbour_in_none(
    code: int, pair: FakeNvml, on_pair: Client
) -> None:
    pair.fault("*", code, gpu=0)
    assert on_pair.code(TEMPERATURE) == code
    assert on_pair.code("n.nvmlDeviceGetUUID(g)") == code
    assert on_pair.code("n.nvmlDeviceGetFieldValues(g, [83])") == code
    assert on_pair.code("n.nvmlDeviceGetHandleByIndex(0)") == code
    assert on_pair("n.nvmlDeviceGetTemperature(other, 0)") == 32
    assert on_pair("n.nvmlDeviceGetCount()") == 2
    pair.clear_faults()
    assert on_pair(TEMPERATURE) == 32


def test_a_mig_device_is_lost_with_its_gpu(h100: FakeNvml, on_h100: Client) -> None:
    h100.set_mig_layout(0, ["1g.10gb"])
    on_h100.run("m = n.nvmlDeviceGetMigDeviceHandleByIndex(g, 0)")
    h100.lose(0)
    assert on_h100.code("n.nvmlDeviceGetMemoryInfo(m)") == pynvml.NVML_ERROR_GPU_IS_LOST


def test_a_bad_gpu_at_start_fails_at_its_handle_and_init_does_not_notice(
    pair: FakeNvml, client: StartClient
) -> None:
    pair.fault("nvmlDeviceGetHandleBy*", 999, gpu=0)
    fresh = client(pair)
    assert fresh("n.nvmlDeviceGetCount()") == 2
    assert fresh.code("n.nvmlDeviceGetHandleByIndex(0)") == 999
    assert fresh.code(f"n.nvmlDeviceGetHandleByUUID({pair.gpu(0).uuid!r})") == 999
    assert fresh.code("n.nvmlDeviceGetHandleByIndex(1)") == 0


def test_a_gpu_that_was_pulled_is_lost_to_its_handles_and_the_count_shrinks(
    pair: FakeNvml, on_pair: Client
) -> None:
    pair.remove_gpu(0)
    assert on_pair("n.nvmlDeviceGetCount()") == 1
    assert on_pair.code(TEMPERATURE) == pynvml.NVML_ERROR_GPU_IS_LOST
    assert on_pair("n.nvmlDeviceGetIndex(other)") == 0
    pair.add_gpu(profiles.L4)
    assert on_pair("n.nvmlDeviceGetName(n.nvmlDeviceGetHandleByIndex(1))") == "NVIDIA L4"


@pytest.mark.parametrize("code", [9, 18, 4, 999], ids=["not loaded", "mismatch", "no permission", "unknown"])
def test_init_can_fail_and_succeeds_once_the_cause_is_gone(
    code: int, h100: FakeNvml, client: StartClient
) -> None:
    h100.fault("nvmlInit*", code)
    early = client(h100, initialise=False)
    assert early.code("n.nvmlInit()") == code
    assert early.code("n.nvmlDeviceGetCount()") == pynvml.NVML_ERROR_UNINITIALIZED
    h100.clear_faults()
    assert early.code("n.nvmlInit()") == 0


def test_a_driver_upgraded_underneath_breaks_the_mapped_library_for_ever_and_no_new_process(
    h100: FakeNvml, on_h100: Client, client: StartClient
) -> None:
    h100.upgrade_driver("590.44.01")
    mismatch = pynvml.NVML_ERROR_LIB_RM_VERSION_MISMATCH
    assert [on_h100.code(TEMPERATURE), on_h100.code("n.nvmlInit()")] == [mismatch, mismatch]
    h100.set_gpu(0, temperature=40)
    assert on_h100.code(TEMPERATURE) == mismatch
    assert client(h100)("n.nvmlSystemGetDriverVersion()") == "590.44.01"


def test_permission_lost_with_the_cgroup_is_unknown_error_everywhere_but_in_shutdown(
    h100: FakeNvml, on_h100: Client
) -> None:
    h100.fault("*", 999)
    assert on_h100.code(TEMPERATURE) == 999
    assert on_h100.code("n.nvmlDeviceGetCount()") == 999
    assert on_h100.code("n.nvmlShutdown()") == 0
    assert on_h100.code("n.nvmlInit()") == 999


def test_a_refused_struct_version_leaves_the_older_call_to_fall_back_on(
    h100: FakeNvml, on_h100: Client
) -> None:
    h100.fault("nvmlDeviceGetMemoryInfo_v2", pynvml.NVML_ERROR_ARGUMENT_VERSION_MISMATCH)
    refused = on_h100.code("n.nvmlDeviceGetMemoryInfo(g, version=n.nvmlMemory_v2)")
    assert refused == pynvml.NVML_ERROR_ARGUMENT_VERSION_MISMATCH
    assert on_h100("n.nvmlDeviceGetMemoryInfo(g).total") == 81559 << 20


def test_a_hanging_call_never_returns_not_even_when_the_fault_is_cleared(
    h100: FakeNvml, on_h100: Client
) -> None:
    h100.hang("nvmlDeviceGetTemperature")
    on_h100.run(f"hung = threading.Thread(target=lambda: {TEMPERATURE}, daemon=True); hung.start()")
    wait_for_call(h100, "nvmlDeviceGetTemperature", 1)
    h100.clear_faults()
    on_h100.run("hung.join(0.05)")
    assert on_h100("hung.is_alive()") is True
    assert on_h100(TEMPERATURE) == 32  # other threads go on: ctypes lets go of the interpreter's lock


def test_a_process_hanging_in_a_call_dies_by_kill(h100: FakeNvml, client: StartClient) -> None:
    h100.hang("nvmlDeviceGetCount_v2")
    with client(h100) as stuck:
        stuck.send("n.nvmlDeviceGetCount()")
        wait_for_call(h100, "nvmlDeviceGetCount_v2", 1)
    assert stuck._process.returncode == -9


def test_a_hang_on_one_gpu_leaves_the_other_alone(pair: FakeNvml, on_pair: Client) -> None:
    pair.hang("nvmlDeviceGetTemperature", gpu=0)
    assert on_pair("n.nvmlDeviceGetTemperature(other, 0)") == 32
    on_pair.send(TEMPERATURE)
    wait_for_call(pair, "nvmlDeviceGetTemperature", 2)


def test_a_stalled_call_goes_on_with_the_new_state_once_the_fault_is_cleared(
    h100: FakeNvml, on_h100: Client
) -> None:
    fault = h100.stall("nvmlDeviceGetTemperature")
    on_h100.send(TEMPERATURE)
    wait_for_call(h100, "nvmlDeviceGetTemperature", 1)
    with h100.one_change():
        h100.set_gpu(0, temperature=61)
        h100.clear_faults(fault)
    assert on_h100.receive() == 61


def test_a_slow_call_takes_at_least_as_long_as_asked_and_then_answers(
    h100: FakeNvml, on_h100: Client
) -> None:
    h100.slow("nvmlDeviceGetTemperature", 40)
    took = on_h100(f"(lambda t: ({TEMPERATURE}, time.monotonic() - t))(time.monotonic())")
    assert took[0] == 32
    assert took[1] >= 0.04


def test_slowness_and_failure_add_up(h100: FakeNvml, on_h100: Client) -> None:
    h100.slow("nvmlDeviceGet*", 30)
    h100.fault("nvmlDeviceGetTemperature", 10)
    on_h100.run("t = time.monotonic()")
    assert on_h100.code(TEMPERATURE) == pynvml.NVML_ERROR_TIMEOUT
    assert on_h100("time.monotonic() - t") >= 0.03


def test_an_attribute_taken_away_is_not_supported_and_the_rest_is(h100: FakeNvml, on_h100: Client) -> None:
    h100.set_gpu(0, fan=30)
    assert on_h100("n.nvmlDeviceGetFanSpeed(g)") == 30
    h100.set_gpu(0, fan=None)
    assert on_h100.code("n.nvmlDeviceGetFanSpeed(g)") == pynvml.NVML_ERROR_NOT_SUPPORTED


def test_hundreds_of_changes_and_faults_leave_no_memory_or_descriptor_behind(
    h100: FakeNvml, on_h100: Client
) -> None:
    on_h100.run(
        "import os, pathlib\n"
        "def held(): return [len(os.listdir('/proc/self/fd')), "
        "int(pathlib.Path('/proc/self/statm').read_text().split()[1]) * 4096]"
    )

    def rounds(count: int) -> None:
        for at in range(count):
            h100.set_mig_layout(0, ["1g.10gb"] * (at % 7 + 1))
            h100.fault("nvmlDeviceGetTemperature", 15)
            on_h100.code(TEMPERATURE)
            on_h100.code("[n.nvmlDeviceGetMigDeviceHandleByIndex(g, i) for i in range(7)]")
            h100.clear_faults()

    rounds(50)
    descriptors, memory = on_h100("held()")
    rounds(300)
    assert on_h100("held()")[0] == descriptors
    assert on_h100("held()")[1] - memory < 8 << 20  # 900 states leaked would be above 40 MiB
