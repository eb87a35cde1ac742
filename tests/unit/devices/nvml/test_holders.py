"""Names of processes and users: nothing is guessed, and nothing is waited for that may not come."""

from __future__ import annotations

import os
import shutil
import subprocess
import threading
from fractions import Fraction
from pathlib import Path

import pytest

from gpusteward.devices.nvml.frames import RunningProcess
from gpusteward.devices.nvml.holders import HOST_PID_NAMESPACE, PROC, Processes, UserNames, allocations
from gpusteward.model import Holder, Process


def test_a_user_is_looked_up_once() -> None:
    asked: list[int] = []

    def look_up(uid: int) -> str:
        asked.append(uid)
        return "alice"

    names = UserNames(look_up)
    assert [names.name(7), names.name(7)] == ["alice", "alice"]
    assert asked == [7]


def test_a_user_whose_name_does_not_come_is_empty_until_it_does() -> None:
    """A directory server that does not answer must not hold up the sample."""
    answer, asked = threading.Event(), []

    def look_up(uid: int) -> str:
        asked.append(uid)
        answer.wait(20)
        return "alice"

    names = UserNames(look_up)
    assert [names.name(7), names.name(7)] == ["", ""]
    answer.set()
    for thread in threading.enumerate():
        if thread.name == "user name":
            thread.join(20)
    assert names.name(7) == "alice"
    assert asked == [7]


def test_a_number_without_a_name_stands_for_it() -> None:
    def look_up(uid: int) -> str:
        raise KeyError(uid)

    assert UserNames(look_up).name(4000) == "4000"


def test_a_process_of_this_machine_is_named_as_the_machine_names_it() -> None:
    """The real /proc, taken for the host's."""
    processes = Processes(PROC, UserNames(lambda _uid: "me"))
    processes.visible = True
    (own,) = processes.describe([RunningProcess(os.getpid(), 5)])
    assert own.command == Path("/proc/self/comm").read_text().strip()
    assert own.user == "me"


def test_proc_is_only_trusted_in_the_hosts_pid_namespace(tmp_path: Path) -> None:
    in_host = Path("/proc/self/ns/pid").stat().st_ino == HOST_PID_NAMESPACE
    assert Processes(PROC).visible is in_host
    assert Processes(str(tmp_path)).visible, "a mount of the host's is said by the config"


def test_where_processes_cannot_be_seen_none_is_named() -> None:
    processes = Processes(PROC)
    processes.visible = False
    (own,) = processes.describe([RunningProcess(os.getpid(), 5)])
    assert (own.user, own.command) == ("", "")
    assert allocations((own,), visible=False) is None


@pytest.mark.parametrize("stat", ["", "7 (x)", "7 (x) S 1 2"])
def test_a_proc_entry_that_says_too_little_is_of_a_process_that_is_not_known(
    tmp_path: Path, stat: str
) -> None:
    (tmp_path / "7").mkdir()
    (tmp_path / "7" / "stat").write_text(stat)
    (process,) = Processes(str(tmp_path)).describe([RunningProcess(7, None)])
    assert process == Process(pid=7)
    assert allocations((process,), visible=True) is None


def entry(proc: Path, pid: int, command: str, status: str = "Uid:\t0\t0\t0\t0\n") -> Path:
    directory = proc / str(pid)
    directory.mkdir()
    (directory / "stat").write_text(f"{pid} (x) " + " ".join(["0"] * 30))
    (directory / "comm").write_text(f"{command}\n")
    (directory / "status").write_text(status)
    return directory


def test_a_status_without_a_user_names_nobody(tmp_path: Path) -> None:
    entry(tmp_path, 7, "x", status="Name:\tx\n")
    (process,) = Processes(str(tmp_path)).describe([RunningProcess(7, None)])
    assert process == Process(pid=7)


@pytest.mark.parametrize(("comm", "command"), [("", "?"), ("   ", "?"), (" x ", "x"), ("?", "?")])
def test_a_process_that_named_itself_blank_still_holds(tmp_path: Path, comm: str, command: str) -> None:
    entry(tmp_path, 7, comm)
    described = Processes(str(tmp_path), UserNames(lambda _uid: "eve")).describe([RunningProcess(7, 5)])
    (allocation,) = allocations(described, visible=True) or ()
    assert allocation.holder == Holder("eve", command)


def test_a_process_that_a_mounted_proc_does_not_show_is_gone_only_where_that_hides_none(
    tmp_path: Path,
) -> None:
    """Mounted with hidepid=2, it shows the host's first process to nobody but root."""
    entry(tmp_path, 7, "mine")
    processes = Processes(str(tmp_path), UserNames(lambda _uid: "me"))
    listed = [RunningProcess(7, 5), RunningProcess(99, 5)]
    hidden = processes.describe(listed)[1]
    assert hidden == Process(pid=99, memory_bytes=5)
    assert allocations((hidden,), visible=True) is None
    entry(tmp_path, 1, "systemd")
    gone = processes.describe(listed)[1]
    assert gone == Process(pid=99, memory_bytes=5, gone=True)
    assert allocations((gone,), visible=True) == ()


def test_beside_one_that_is_not_known_no_share_is_known_but_what_is_gone_takes_none() -> None:
    mine, unknown, gone = Process(pid=1, user="me", command="x"), Process(pid=2), Process(pid=3, gone=True)
    assert allocations((mine, unknown), visible=True) is None
    (allocation,) = allocations((mine, gone), visible=True) or ()
    assert (allocation.holder, allocation.share) == (Holder("me", "x"), Fraction(1))


def own_proc(monkeypatch: pytest.MonkeyPatch, shown: Path) -> Processes:
    """This machine's processes, of which /proc shows only what is in `shown`."""
    processes = Processes(PROC)
    processes.visible = True
    monkeypatch.setattr(processes, "_start_time", lambda pid: (shown / str(pid)).read_text())
    return processes


def test_one_that_proc_hides_is_not_gone_while_the_system_knows_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As with hidepid=2: nothing is there for a process that lives, of ours or of root's."""
    processes = own_proc(monkeypatch, tmp_path)
    ended = subprocess.Popen(["true"])
    ended.wait()
    listed = [RunningProcess(pid, 5) for pid in (os.getpid(), 1, ended.pid, 0xFFFFFFFF)]
    assert [each.gone for each in processes.describe(listed)] == [False, False, True, True]


@pytest.mark.parametrize(
    ("refusal", "gone"),
    [(PermissionError, False), (ProcessLookupError, True), (OSError, False)],
)
def test_one_that_may_not_be_looked_at_is_not_gone_and_one_that_ends_meanwhile_is(
    monkeypatch: pytest.MonkeyPatch, refusal: type[OSError], *, gone: bool
) -> None:
    """As with hidepid=1, and as /proc answers for an entry that was opened in time."""

    def refuse(_pid: int) -> str:
        raise refusal

    processes = Processes(PROC)
    processes.visible = True
    monkeypatch.setattr(processes, "_start_time", refuse)
    (described,) = processes.describe([RunningProcess(os.getpid(), 5)])
    assert described.gone is gone


def test_where_a_process_may_be_looked_for_and_not_asked_it_is_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(_pid: int, _signal: int) -> None:
        raise PermissionError

    processes = own_proc(monkeypatch, tmp_path)
    monkeypatch.setattr(os, "kill", refuse)
    (described,) = processes.describe([RunningProcess(1, 5)])
    assert not described.gone


def test_a_name_is_read_once_and_forgotten_with_its_process(tmp_path: Path) -> None:
    directory = tmp_path / "7"
    directory.mkdir()
    (directory / "stat").write_text("7 (x) " + " ".join(["0"] * 30))
    (directory / "comm").write_text("before\n")
    (directory / "status").write_text("Uid:\t0\t0\t0\t0\n")
    processes = Processes(str(tmp_path), UserNames(lambda _uid: "root"))
    listed = [RunningProcess(7, None)]
    assert processes.describe(listed)[0].command == "before"
    (directory / "comm").write_text("after\n")
    processes.forget_unseen()
    assert processes.describe(listed)[0].command == "before"
    processes.forget_unseen()
    processes.forget_unseen()
    assert processes.describe(listed)[0].command == "after"


def test_holders_of_nothing_known_are_not_known() -> None:
    assert allocations(None, visible=True) is None
    assert allocations((), visible=True) == ()
    assert allocations((Process(pid=1),), visible=True) is None


def test_an_mps_server_holds_nothing_and_its_client_holds_all() -> None:
    server = Process(pid=1, user="root", command="nvidia-cuda-mps-server")
    client = Process(pid=2, user="alice", command="python")
    assert allocations((server,), visible=True) == ()
    (allocation,) = allocations((server, client), visible=True) or ()
    assert (allocation.holder, allocation.share) == (Holder("alice", "python"), Fraction(1))


@pytest.mark.parametrize("command", ["nvidia-cuda-mp", "nvidia-cuda-mps-", "my-nvidia-cuda-mps-server"])
def test_a_command_that_is_nearly_an_mps_servers_holds_like_any_other(command: str) -> None:
    (allocation,) = allocations((Process(pid=1, user="bob", command=command),), visible=True) or ()
    assert allocation.holder == Holder("bob", command)


def test_an_mps_server_is_known_by_the_name_that_linux_leaves_of_it(tmp_path: Path) -> None:
    """Linux cuts the name of a command; the real /proc shows how."""
    program = tmp_path / "nvidia-cuda-mps-server"
    program.symlink_to(shutil.which("cat") or "/bin/cat")
    running = subprocess.Popen([str(program)], stdin=subprocess.PIPE)
    processes = Processes(PROC, UserNames(lambda _uid: "root"))
    processes.visible = True
    try:
        (server,) = processes.describe([RunningProcess(running.pid, 5)])
    finally:
        running.communicate()
    assert server.command == "nvidia-cuda-mps"
    assert server.serves_sharing
