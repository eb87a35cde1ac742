"""The worker's life: asked, late, killed, unkillable, dead; at most one, and none that outlives its agent."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from gpusteward.clock import Moment, SystemClock
from gpusteward.config import NvmlSettings
from gpusteward.devices.nvml import reasons
from gpusteward.devices.nvml.child import Child, launch
from gpusteward.devices.nvml.source import NvmlSource
from gpusteward.errors import SourceError
from tests.nvml.profiles import H100
from tests.nvml.waits import only_waits

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from gpusteward.devices.nvml.child import Launch
    from tests.unit.devices.nvml.conftest import Bench

SHORT = NvmlSettings(deadline_seconds=1.0, start_seconds=20)


def refusal(on: Bench, seconds: float = 5.0) -> SourceError:
    with pytest.raises(SourceError) as caught:
        on.readings(seconds)
    return caught.value


def settled(on: Bench) -> None:
    """Until a worker, started now, has answered once."""
    for seconds in (100.0, *[0.01] * 200):
        try:
            on.readings(seconds)
        except SourceError as error:
            if not only_waits(error):
                raise
        else:
            return
    raise AssertionError("it does not start")


def test_a_call_that_never_returns_is_waited_for_no_longer_than_the_deadline(
    bench: Callable[..., Bench],
) -> None:
    on = bench([H100], settings=SHORT)
    settled(on)
    on.fake.hang("nvmlDeviceGetUtilizationRates")
    error = refusal(on)
    assert error.reason == reasons.TIMEOUT
    assert error.message == "NVML did not answer within 1 s"
    on.fake.clear_faults()
    settled(on)
    assert on.fake.census().processes == 2
    assert not on.source.stuck


def test_a_driver_that_takes_long_to_wake_is_waited_for(bench: Callable[..., Bench]) -> None:
    """Without a persistence daemon the first handle takes seconds: one worker, not a new one each cycle."""
    on = bench([H100], settings=SHORT)
    asleep = on.fake.stall("nvmlDeviceGetHandleByIndex_v2")
    for _ in range(3):
        error = refusal(on)
        assert error.reason == reasons.STARTING
    on.fake.clear_faults(asleep)
    settled(on)
    assert on.fake.census().processes == 1


def test_a_driver_that_does_not_wake_in_time_is_given_up(bench: Callable[..., Bench]) -> None:
    on = bench([H100], settings=SHORT)
    on.fake.hang("nvmlInit*")
    told = [refusal(on).reason for _ in range(5)]
    assert told == [reasons.STARTING] * 4 + [reasons.TIMEOUT], "20 s of starting are 4 cycles of 5 s"


def test_until_a_new_worker_answers_what_ended_the_one_before_it_stands(bench: Callable[..., Bench]) -> None:
    """On a slow node, where each takes longer than the deadline: lost devices are told without a gap."""
    on = bench([H100], settings=SHORT)
    settled(on)
    lost = on.fake.fault("nvmlDeviceGetCount_v2", 999)
    assert refusal(on).reason == reasons.UNKNOWN_ERROR
    asleep = on.fake.stall("nvmlInit*")
    for _ in range(3):
        error = refusal(on)
        assert error.reason == reasons.UNKNOWN_ERROR
        assert "DeviceGetCount answered UNKNOWN; a new worker has not answered yet, since" in error.message
        assert "recreate the pod" in error.hint
    on.fake.clear_faults(asleep, lost)
    settled(on)
    on.source.close()
    on.fake.stall("nvmlInit*")
    assert refusal(on).reason == reasons.STARTING, "it was well since"


def test_a_new_worker_that_never_answers_ends_what_was_said_of_the_one_before(
    bench: Callable[..., Bench],
) -> None:
    on = bench([H100], settings=SHORT)
    settled(on)
    on.fake.fault("nvmlDeviceGetCount_v2", 999)
    refusal(on)
    on.fake.hang("nvmlInit*")
    told = [refusal(on).reason for _ in range(6)]
    assert told == [reasons.UNKNOWN_ERROR] * 4 + [reasons.TIMEOUT] * 2, "it has 20 s, which are 4 cycles"


def test_the_late_first_answer_is_not_taken_for_that_of_now(bench: Callable[..., Bench]) -> None:
    on = bench([H100], settings=SHORT)
    asleep = on.fake.stall("nvmlDeviceGetHandleByIndex_v2")
    assert refusal(on).reason == reasons.STARTING
    on.fake.clear_faults(asleep)
    time.sleep(0.2)  # the answer to the first question is there now
    on.fake.set_gpu(0, temperature=77)
    readings = on.readings()
    assert readings.at == on.at
    assert 77.0 in readings.nodes[0].gpus[0].signals.values()


class Unkillable(subprocess.Popen[bytes]):
    """A process that a signal does not reach, as one that sleeps in the driver."""

    def kill(self) -> None:
        """Nothing happens."""


def launch_unkillable(library: str, driver_root: str) -> subprocess.Popen[bytes]:
    """The real worker, out of the reach of signals."""
    command = (sys.executable, "-m", "gpusteward.devices.nvml.worker", library, driver_root)
    return Unkillable(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, bufsize=0)


@pytest.fixture
def unkillable(bench: Callable[..., Bench]) -> Iterator[Bench]:
    on = bench([H100])
    launched: list[subprocess.Popen[bytes]] = []

    def start(library: str, driver_root: str) -> subprocess.Popen[bytes]:
        launched.append(launch_unkillable(library, driver_root))
        return launched[-1]

    on.source = NvmlSource(SHORT, "node-1", SystemClock(), launch=start)
    on.launched = launched  # type: ignore[attr-defined]  # for these tests only
    yield on
    on.source.close()
    for process in launched:
        process.send_signal(signal.SIGKILL)
        process.wait()


def test_a_worker_that_cannot_be_killed_is_left_alone_and_no_other_is_started(unkillable: Bench) -> None:
    on = unkillable
    launched: list[subprocess.Popen[bytes]] = on.launched  # type: ignore[attr-defined]  # see the fixture
    settled(on)
    os.kill(launched[0].pid, signal.SIGSTOP)  # stopped, it does not see the end of its pipe either
    assert refusal(on).reason == reasons.TIMEOUT
    assert not on.source.stuck, "that is only known once it had time to die"
    for _ in range(3):
        error = refusal(on, 100.0)
        assert error.reason == reasons.STUCK
        assert f"pid {launched[0].pid}" in error.message
        assert on.source.stuck
    assert len(launched) == 1
    os.kill(launched[0].pid, signal.SIGKILL)
    launched[0].wait()
    settled(on)
    assert not on.source.stuck
    assert len(launched) == 2


def scripted(code: str) -> Launch:
    """A worker that runs this Python instead."""

    def start(library: str, driver_root: str) -> subprocess.Popen[bytes]:  # noqa: ARG001 - Launch names them
        return subprocess.Popen(
            (sys.executable, "-c", code), stdin=subprocess.PIPE, stdout=subprocess.PIPE, bufsize=0
        )

    return start


@pytest.mark.parametrize(
    ("code", "message"),
    [
        ("raise SystemExit(3)", "it ended without a word"),
        ("import sys; sys.stdin.buffer.read(5); raise SystemExit", "it ended without a word"),
        ("print('hello', flush=True); import time; time.sleep(9)", "is longer than"),
        (r"import os, time; os.write(1, b'\1\0\0\0\xc1'); time.sleep(9)", "it sent no answer"),
    ],
)
def test_a_worker_that_dies_or_talks_nonsense_is_replaced(code: str, message: str) -> None:
    source = NvmlSource(NvmlSettings(deadline_seconds=10), "node-1", SystemClock(), launch=scripted(code))
    at = Moment(0.0, 100.0)
    for _ in range(2):
        with pytest.raises(SourceError, match="worker died") as caught:
            source.read(at)
        assert caught.value.reason == reasons.WORKER_DIED
        assert message in caught.value.message
        at = at.plus(60)
    source.close()


def test_a_worker_that_cannot_be_started_is_said() -> None:
    def refuse(library: str, driver_root: str) -> subprocess.Popen[bytes]:  # noqa: ARG001 - Launch names them
        raise BlockingIOError(11, "Resource temporarily unavailable")

    source = NvmlSource(NvmlSettings(), "node-1", SystemClock(), launch=refuse)
    with pytest.raises(SourceError, match="cannot be started: Resource temporarily unavailable"):
        source.read(Moment(0.0, 0.0))
    source.close()


def test_a_worker_that_is_killed_from_outside_is_replaced(bench: Callable[..., Bench]) -> None:
    on = bench([H100])
    on.gpu()
    os.kill(on.fake.census().pid, signal.SIGKILL)
    assert refusal(on).reason == reasons.WORKER_DIED
    assert on.gpu().fault is None


def test_close_ends_the_worker_and_a_later_read_starts_another(bench: Callable[..., Bench]) -> None:
    on = bench([H100])
    on.gpu()
    worker = on.fake.census().pid
    on.source.close()
    on.source.close()
    assert not alive(worker)
    assert on.gpu().fault is None
    assert on.fake.census().pid != worker


def test_close_ends_a_read_that_waits(bench: Callable[..., Bench]) -> None:
    on = bench([H100], settings=NvmlSettings(deadline_seconds=60))
    on.gpu()
    on.fake.hang("nvmlDeviceGetUtilizationRates")
    told: list[str] = []
    waiting = threading.Thread(target=lambda: told.append(refusal(on).reason))
    waiting.start()
    until(lambda: on.source._child is not None and on.source._child.pending)
    on.source.close()
    waiting.join(20)
    assert told == [reasons.WORKER_DIED]
    assert on.source._child is None


@pytest.mark.parametrize("hanging", [False, True])
def test_no_worker_outlives_its_agent(bench: Callable[..., Bench], *, hanging: bool) -> None:
    """An agent that is killed outright closes nothing, but its pipes end, whether or not a call hangs."""
    on = bench([H100])
    code = (
        "import sys, time\n"
        "from gpusteward.clock import Moment, SystemClock\n"
        "from gpusteward.config import NvmlSettings\n"
        "from gpusteward.devices.nvml.source import NvmlSource\n"
        "source = NvmlSource(NvmlSettings(deadline_seconds=50), 'n', SystemClock())\n"
        "source.read(Moment(0.0, 0.0))\n"
        "print('read', flush=True)\n"
        "sys.stdin.readline()\n"
        "source.read(Moment(0.0, 5.0))\n"
    )
    with subprocess.Popen(
        (sys.executable, "-c", code), stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as agent:
        assert agent.stdin is not None
        assert agent.stdout is not None
        assert agent.stdout.readline() == "read\n"
        worker = on.fake.census().pid
        assert alive(worker)
        if hanging:
            on.fake.reset_calls()
            on.fake.hang("nvmlDeviceGetUtilizationRates")
            agent.stdin.write("\n")
            agent.stdin.flush()
            until(lambda: "nvmlDeviceGetUtilizationRates" in on.fake.calls())
        agent.kill()
    until(lambda: not alive(worker))


def test_the_agents_process_never_loads_pynvml() -> None:
    code = (
        "import sys, gpusteward.agent, gpusteward.standalone\n"
        "assert 'gpusteward.devices.nvml.source' in sys.modules\n"
        "assert 'pynvml' not in sys.modules"
    )
    subprocess.run((sys.executable, "-c", code), check=True)


def test_the_worker_imports_no_more_than_it_needs() -> None:
    code = (
        "import sys, gpusteward.devices.nvml.worker\n"
        "for heavy in ('pydantic', 'asyncio', 'urllib3', 'uvicorn', 'logging'):\n"
        "    assert heavy not in sys.modules, heavy"
    )
    environment = {name: value for name, value in os.environ.items() if not name.startswith("COV")}
    subprocess.run((sys.executable, "-c", code), check=True, env=environment)


def test_what_the_library_prints_does_not_get_between_the_frames(bench: Callable[..., Bench]) -> None:
    on = bench([H100])
    on.gpu()
    assert Path(f"/proc/{on.fake.census().pid}/fd/1").readlink() == Path("/proc/self/fd/2").readlink()


def test_a_process_without_pipes_is_no_worker() -> None:
    with subprocess.Popen(("true",)) as process, pytest.raises(ValueError, match="needs pipes"):
        Child(process, 0.0)


def test_the_real_worker_is_started_with_pipes_and_ends_with_them() -> None:
    process = launch("/nowhere/libnvidia-ml.so.1", "")
    child = Child(process, 0.0)
    child.end()
    assert child.gone()
    assert process.returncode == 0


def alive(pid: int) -> bool:
    """Whether the process runs; one that nobody has reaped yet does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def until(condition: Callable[[], object], seconds: float = 20.0) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not come to pass"
        time.sleep(0.01)
