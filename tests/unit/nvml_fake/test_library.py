from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pynvml
import pytest

from tests.nvml import library as builder
from tests.nvml import profiles
from tests.nvml.client import RefusedError
from tests.nvml.fake import FakeNvml, build, newer_than

if TYPE_CHECKING:
    from tests.nvml.client import Client
    from tests.unit.nvml_fake.conftest import StartClient, StartMachine


def exported(library: Path) -> set[str]:
    listing = subprocess.run(
        ("nm", "-D", "--defined-only", library), capture_output=True, text=True, check=True
    )
    return {line.split()[2] for line in listing.stdout.splitlines()}


def test_a_second_build_of_the_same_sources_is_the_first_one(build_cache: Path, library: Path) -> None:
    made = library.stat().st_mtime_ns
    assert build(build_cache) == library
    assert library.stat().st_mtime_ns == made


def test_a_build_without_a_symbol_lies_beside_the_whole_one_and_lacks_only_that(
    build_cache: Path, library: Path
) -> None:
    without = build(build_cache, without=["nvmlDeviceGetTemperature"])
    assert without != library
    assert exported(library) - exported(without) == {"nvmlDeviceGetTemperature"}


def test_only_nvml_functions_are_exported(library: Path) -> None:
    assert len(exported(library)) >= 100
    assert all(name.startswith("nvml") for name in exported(library))


def test_every_exported_function_is_one_that_pynvml_knows_or_an_older_name_of_one(library: Path) -> None:
    source = Path(pynvml.__file__).read_text()
    unknown = {name for name in exported(library) if f'"{name}"' not in source}
    assert unknown == {
        "nvmlInit_v2",
        "nvmlDeviceGetComputeRunningProcesses",
        "nvmlDeviceGetGraphicsRunningProcesses",
        "nvmlDeviceGetMPSComputeRunningProcesses",
    }


def test_the_symbols_said_to_be_newer_than_525_are_those_of_the_headers_since() -> None:
    assert "nvmlDeviceGetProcessesUtilizationInfo" in newer_than(525)
    assert "nvmlDeviceGetProcessesUtilizationInfo" not in newer_than(550)
    assert newer_than(580) == ()
    assert not [name for name in newer_than(525) if name.startswith("nvmlGpm")]


@pytest.mark.parametrize(
    ("branch", "field"), [(525, 169), (535, 196), (550, 199), (560, 229), (570, 268), (580, 273), (999, 302)]
)
def test_each_branch_knows_fields_up_to_its_own_greatest(branch: int, field: int) -> None:
    assert builder.greatest_field(branch) == field


def test_without_a_library_pynvml_says_that_it_is_not_found(
    machine: StartMachine, client: StartClient
) -> None:
    fake = machine(profiles.L4)
    fake.remove_library()
    late = client(fake, initialise=False)
    assert late.code("n.nvmlInit()") == pynvml.NVML_ERROR_LIBRARY_NOT_FOUND


def test_a_library_that_appears_later_is_found_by_the_same_process(
    machine: StartMachine, client: StartClient, library: Path
) -> None:
    fake = machine(profiles.L4)
    fake.remove_library()
    late = client(fake, initialise=False)
    assert late.code("n.nvmlInit()") == pynvml.NVML_ERROR_LIBRARY_NOT_FOUND
    fake.install_library(library)
    assert late.code("n.nvmlInit()") == 0


def test_a_missing_symbol_surfaces_as_function_not_found_and_its_neighbours_work(
    library_525: Path, tmp_path: Path, client: StartClient
) -> None:
    with FakeNvml(tmp_path / "old", [profiles.H100], library=library_525, driver="525.147.05") as fake:
        old = client(fake)
        old.run("g = n.nvmlDeviceGetHandleByIndex(0)")
        assert old("n.nvmlSystemGetDriverVersion()") == "525.147.05"
        assert old.code("n.nvmlDeviceGetCurrentClocksEventReasons(g)") == pynvml.NVML_ERROR_FUNCTION_NOT_FOUND
        assert old("n.nvmlDeviceGetCurrentClocksThrottleReasons(g)") == 1
        assert old.code("n.nvmlDeviceGetTemperatureV(g, 0)") == pynvml.NVML_ERROR_FUNCTION_NOT_FOUND
        assert old("n.nvmlDeviceGetTemperature(g, 0)") == 32


def test_nothing_but_error_names_and_the_library_version_works_before_init(
    machine: StartMachine, client: StartClient
) -> None:
    early = client(machine(profiles.L4), initialise=False)
    early.run("n._LoadNvmlLibrary()")
    assert early("n.nvmlErrorString(15)") == "GPU is lost"
    assert early("n.nvmlSystemGetNVMLVersion()") == "13.580.65.06"
    assert early.code("n.nvmlDeviceGetCount()") == pynvml.NVML_ERROR_UNINITIALIZED


def test_init_is_counted_so_that_the_library_is_up_until_the_last_shutdown(
    on_h100: Client, h100: FakeNvml
) -> None:
    on_h100.run("n.nvmlInit()")
    assert h100.census().init_references == 2
    on_h100.run("n.nvmlShutdown()")
    assert on_h100("n.nvmlDeviceGetCount()") == 1
    on_h100.run("n.nvmlShutdown()")
    assert on_h100.code("n.nvmlDeviceGetCount()") == pynvml.NVML_ERROR_UNINITIALIZED
    assert h100.census().init_references == 0


def test_versions_of_driver_and_cuda_are_told(on_h100: Client) -> None:
    assert on_h100("n.nvmlSystemGetDriverVersion()") == "580.65.06"
    assert on_h100("[n.nvmlSystemGetCudaDriverVersion(), n.nvmlSystemGetCudaDriverVersion_v2()]") == [
        13000,
        13000,
    ]


def test_every_call_is_counted_by_name(on_h100: Client, h100: FakeNvml) -> None:
    h100.reset_calls()
    on_h100.run("for _ in range(3): n.nvmlDeviceGetTemperature(g, 0)")
    on_h100.run("n.nvmlDeviceGetName(g)")
    assert h100.calls() == {"nvmlDeviceGetTemperature": 3, "nvmlDeviceGetName": 1}


def test_counters_lose_no_call_among_threads_and_processes(
    machine: StartMachine, client: StartClient
) -> None:
    fake = machine(profiles.H100)
    work = """
g = n.nvmlDeviceGetHandleByIndex(0)
def read():
    for _ in range(500): n.nvmlDeviceGetTemperature(g, 0); n.nvmlDeviceGetSerial(g)
threads = [threading.Thread(target=read) for _ in range(4)]
for t in threads: t.start()
for t in threads: t.join()
"""
    both = [client(fake), client(fake)]
    for one in both:
        one.send(work, value=False)
    for one in both:
        one.receive()
    calls = fake.calls()
    assert calls["nvmlDeviceGetTemperature"] == calls["nvmlDeviceGetSerial"] == 4000
    assert fake.census().processes == 2


def test_live_objects_are_those_of_the_newest_process(machine: StartMachine, client: StartClient) -> None:
    fake = machine(profiles.H100)
    with client(fake) as first:
        first.run("samples = [n.nvmlGpmSampleAlloc() for _ in range(3)]; events = n.nvmlEventSetCreate()")
        assert (fake.census().gpm_samples, fake.census().event_sets) == (3, 1)
        first.run("n.nvmlGpmSampleFree(samples.pop()); n.nvmlEventSetFree(events)")
        assert (fake.census().gpm_samples, fake.census().event_sets) == (2, 0)
    client(fake)
    assert fake.census().gpm_samples == 0


def test_a_client_sees_a_change_of_state_at_its_next_call_and_never_half_of_it(
    h100: FakeNvml, on_h100: Client
) -> None:
    with h100.one_change():
        h100.set_gpu(0, temperature=50)
        assert on_h100("n.nvmlDeviceGetTemperature(g, 0)") == 32
        h100.set_gpu(0, memory_temperature=60)
    assert on_h100("n.nvmlDeviceGetTemperature(g, 0)") == 50


def test_readers_keep_working_while_the_state_is_rewritten_without_pause(
    machine: StartMachine, client: StartClient
) -> None:
    fake = machine(profiles.H100)
    reader = client(fake)
    reader.run("g = n.nvmlDeviceGetHandleByIndex(0)")
    reader.send("{n.nvmlDeviceGetTemperature(g, 0) for _ in range(20000)}.issubset(range(32, 200))")
    for temperature in range(33, 133):
        fake.set_gpu(0, temperature=temperature)
    assert reader.receive() is True


def test_a_state_that_cannot_be_read_ends_the_client_loudly(machine: StartMachine) -> None:
    fake = machine(profiles.L4)
    fake.set_gpu(0, no_such_attribute=1)
    ended = subprocess.run(
        (sys.executable, "-c", "import pynvml; pynvml.nvmlInit()"),
        env=fake.env(),
        capture_output=True,
        check=False,
    )
    assert ended.returncode < 0
    assert b"no_such_attribute" in ended.stderr


def test_a_buffer_too_small_for_a_name_is_refused_not_overrun(on_h100: Client) -> None:
    on_h100.run("small = ctypes.create_string_buffer(4)")
    expression = "n.nvmlLib.nvmlDeviceGetName(g, small, ctypes.c_uint(4))"
    assert on_h100(expression) == pynvml.NVML_ERROR_INSUFFICIENT_SIZE


def test_time_moves_only_by_hand_on_a_manual_clock(machine: StartMachine) -> None:
    fake = machine(profiles.L4)
    before = fake.now_ns()
    fake.advance(1.5)
    assert fake.now_ns() - before == 1_500_000_000


def test_the_systems_time_cannot_be_moved(machine: StartMachine) -> None:
    with pytest.raises(ValueError, match="manual_clock"):
        machine(profiles.L4, manual_clock=False).advance(1)


def test_a_refusal_reaches_the_test_with_its_code(on_h100: Client) -> None:
    with pytest.raises(RefusedError) as refusal:
        on_h100("n.nvmlDeviceGetHandleByIndex(7)")
    assert refusal.value.code == pynvml.NVML_ERROR_INVALID_ARGUMENT
