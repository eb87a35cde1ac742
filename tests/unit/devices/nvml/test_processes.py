"""Processes by the two-call protocol, merged by pid, named from /proc, holders on a plain host."""

from __future__ import annotations

from fractions import Fraction
from typing import TYPE_CHECKING

import pytest

from gpusteward.config import NvmlSettings
from gpusteward.devices.nvml.listing import TRIES
from gpusteward.model import Holder, HolderKind
from tests.nvml.fake import Process
from tests.nvml.profiles import A10G, H100

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.unit.devices.nvml.conftest import Bench

GIB = 1 << 30


class Host:
    """A /proc in a folder."""

    def __init__(self, path: Path) -> None:
        self.path = path
        path.mkdir()

    def start(self, pid: int, command: str, *, uid: int = 0, started: int = 100) -> None:
        directory = self.path / str(pid)
        directory.mkdir(exist_ok=True)
        fields = ["S", *["0"] * 18, str(started), *["0"] * 30]
        (directory / "stat").write_text(f"{pid} ({command}) {' '.join(fields)}\n")
        (directory / "comm").write_text(f"{command}\n")
        (directory / "status").write_text(f"Name:\t{command}\nUid:\t{uid}\t{uid}\t{uid}\t{uid}\n")

    def settings(self, holders: str = "processes") -> NvmlSettings:
        return NvmlSettings.model_validate(
            {"proc": str(self.path), "holders": holders, "deadline_seconds": 10}
        )


@pytest.fixture
def host(tmp_path: Path) -> Host:
    return Host(tmp_path / "proc")


def test_a_process_is_told_with_user_command_and_memory(bench: Callable[..., Bench], host: Host) -> None:
    on = bench([A10G], settings=host.settings())
    host.start(4711, "python3")
    on.fake.add_process(0, Process(4711, 2 * GIB))
    (process,) = on.gpu().processes or ()
    assert (process.pid, process.user, process.command, process.memory_bytes) == (
        4711,
        "root",
        "python3",
        2 * GIB,
    )


def test_one_process_in_several_lists_is_one(bench: Callable[..., Bench], host: Host) -> None:
    on = bench([A10G], settings=host.settings())
    host.start(7, "blender")
    on.fake.add_process(0, Process(7, GIB, kind="compute"))
    on.fake.add_process(0, Process(7, 3 * GIB, kind="graphics"))
    on.fake.add_process(0, Process(9, None, kind="mps"))
    told = on.gpu().processes or ()
    assert [(each.pid, each.memory_bytes) for each in told] == [(7, 3 * GIB), (9, None)]


def test_a_list_that_grows_between_the_two_questions_is_asked_for_again(
    bench: Callable[..., Bench], host: Host
) -> None:
    on = bench([A10G], settings=host.settings())
    for pid in range(30, 60):
        on.fake.add_process(0, Process(pid, 1))
    on.fake.set_gpu(0, hidden_from_probe=20)
    readings = on.readings()
    assert readings.errors == {("nvmlDeviceGetComputeRunningProcesses_v3", "INSUFFICIENT_SIZE"): 1}
    assert readings.nodes[0].gpus[0].processes is None, "one list is there, and tells nothing of the other"
    assert on.fake.calls()["nvmlDeviceGetComputeRunningProcesses_v3"] == 2 * TRIES
    on.fake.set_gpu(0, hidden_from_probe=5)
    readings = on.readings()
    assert readings.errors == {}
    assert len(readings.nodes[0].gpus[0].processes or ()) == 30


def test_nothing_running_is_empty_and_no_list_is_unknown(bench: Callable[..., Bench], host: Host) -> None:
    on = bench([A10G], settings=host.settings())
    gpu = on.gpu()
    assert (gpu.processes, gpu.allocations) == ((), ())
    for kind in ("Compute", "Graphics", "MPSCompute"):
        on.fake.fault(f"nvmlDeviceGet{kind}RunningProcesses_v3", 4)
    gpu = on.gpu()
    assert (gpu.processes, gpu.allocations) == (None, None)
    assert gpu.signals, "the rest is there"


def test_holders_are_users_by_command_in_equal_shares(bench: Callable[..., Bench], host: Host) -> None:
    on = bench([A10G], settings=host.settings())
    for pid, command in ((1, "python"), (2, "python"), (3, "blender")):
        host.start(pid, command)
        on.fake.add_process(0, Process(pid, GIB))
    allocations = on.gpu().allocations
    assert allocations is not None
    assert [(each.holder, each.share) for each in allocations] == [
        (Holder("root", "blender"), Fraction(1, 2)),
        (Holder("root", "python"), Fraction(1, 2)),
    ]
    assert {each.kind for each in allocations} == {HolderKind.PROCESS}


def test_a_user_without_a_name_is_told_by_number(bench: Callable[..., Bench], host: Host) -> None:
    on = bench([A10G], settings=host.settings())
    host.start(1, "python", uid=3_999_999)
    on.fake.add_process(0, Process(1, GIB))
    assert [each.user for each in on.gpu().processes or ()] == ["3999999"]


def test_what_is_left_of_a_process_that_is_gone_is_nobodys(bench: Callable[..., Bench], host: Host) -> None:
    on = bench([A10G], settings=host.settings())
    on.fake.add_process(0, Process(99, GIB))
    assert on.gpu().allocations is None, "nothing shows that this /proc hides none"
    host.start(1, "systemd")
    gpu = on.gpu()
    assert [(each.pid, each.command, each.gone) for each in gpu.processes or ()] == [(99, "", True)]
    assert gpu.allocations == ()


def test_a_pid_that_was_given_to_another_process_is_named_anew(
    bench: Callable[..., Bench], host: Host
) -> None:
    on = bench([A10G], settings=host.settings())
    host.start(5, "train", started=100)
    on.fake.add_process(0, Process(5, GIB))
    assert [each.command for each in on.gpu().processes or ()] == ["train"]
    host.start(5, "serve", started=200)
    assert [each.command for each in on.gpu().processes or ()] == ["serve"]


def test_a_command_with_brackets_and_spaces_does_not_shift_the_fields(
    bench: Callable[..., Bench], host: Host
) -> None:
    on = bench([A10G], settings=host.settings())
    host.start(5, "a) b (c")
    on.fake.add_process(0, Process(5, GIB))
    assert [each.command for each in on.gpu().processes or ()] == ["a) b (c"]


def test_processes_of_an_instance_hold_the_instance(bench: Callable[..., Bench], host: Host) -> None:
    on = bench([H100], settings=host.settings())
    host.start(8, "vllm")
    busy, _ = on.fake.set_mig_layout(0, ["3g.40gb", "1g.10gb"])
    on.fake.add_process(0, Process(8, GIB, gi=busy.gi))
    held, free = on.gpu().instances
    assert [each.holder for each in held.allocations or ()] == [Holder("root", "vllm")]
    assert free.allocations == ()


def test_with_holders_none_allocation_is_unknown_and_processes_are_still_told(
    bench: Callable[..., Bench], host: Host
) -> None:
    on = bench([A10G], settings=host.settings("none"))
    host.start(8, "vllm")
    on.fake.add_process(0, Process(8, GIB))
    gpu = on.gpu()
    assert gpu.allocations is None
    assert [each.command for each in gpu.processes or ()] == ["vllm"]
