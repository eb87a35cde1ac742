"""Who runs a process, from /proc; and on a plain host, whose GPU it therefore is."""

from __future__ import annotations

import os
import pwd
import threading
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Final, NamedTuple

from gpusteward.model import Allocation, Holder, HolderKind, Process

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from gpusteward.devices.nvml.frames import RunningProcess

PROC: Final = "/proc"

HOST_PID_NAMESPACE: Final = 0xEFFFFFFC
"""Inode of the pid namespace that a Linux machine starts with (PROC_PID_INIT_INO in linux/proc_ns.h)."""

NAME_SECONDS: Final = 0.2
"""How long the name of a user is waited for: a directory server may be asked, and may not answer."""

NO_NAME: Final = "?"
"""Stands for a command that is blank: a process may name itself so (PR_SET_NAME in prctl(2))."""

_START_TIME: Final = 19
"""Place of the start time after the command in /proc/PID/stat, where it is field 22 (proc(5))."""


class _Named(NamedTuple):
    """Names of a process; both empty when it cannot be looked up."""

    user: str = ""
    command: str = ""


_UNKNOWN: Final = _Named()


class UserNames:
    """Names of users, by number; one that does not come in time is empty until it has come.

    Args:
        look_up: the name of a user; KeyError when there is none, whose number then stands for the name.
    """

    def __init__(self, look_up: Callable[[int], str] = lambda uid: pwd.getpwuid(uid).pw_name) -> None:
        self._look_up = look_up
        self._names: dict[int, str] = {}
        self._asked: set[int] = set()

    def name(self, uid: int) -> str:
        """The user's name; empty while it is not known."""
        if uid not in self._asked:
            self._asked.add(uid)
            asking = threading.Thread(target=self._ask, args=(uid,), name="user name", daemon=True)
            asking.start()
            asking.join(NAME_SECONDS)
        return self._names.get(uid, "")

    def _ask(self, uid: int) -> None:
        try:
            self._names[uid] = self._look_up(uid)
        except KeyError:
            self._names[uid] = str(uid)


class Processes:
    """Processes that NVML lists, with the user and the command of each that can be seen.

    NVML gives the host's pids. From another pid namespace a number would name a stranger, so nothing is
    looked up there unless `proc` is a mount of the host's /proc.

    Args:
        proc: where the host's /proc is.
        users: names of users.
    """

    def __init__(self, proc: str, users: UserNames | None = None) -> None:
        self._proc = Path(proc)
        self._users = users or UserNames()
        self._known: dict[tuple[int, str], _Named] = {}
        self._seen: set[tuple[int, str]] = set()
        self.visible = proc != PROC or _in_host_namespace()

    def describe(self, listed: Iterable[RunningProcess]) -> tuple[Process, ...]:
        """With names where they are known, else empty user and command; `gone` only where that is certain."""
        return tuple(self._describe(process) for process in listed)

    def forget_unseen(self) -> None:
        """Forget those not described since this was called last."""
        self._known = {key: named for key, named in self._known.items() if key in self._seen}
        self._seen = set()

    def _describe(self, process: RunningProcess) -> Process:
        named = self._named(process.pid) if self.visible else _UNKNOWN
        if named is None:
            return Process(pid=process.pid, memory_bytes=process.memory, gone=True)
        return Process(pid=process.pid, user=named.user, command=named.command, memory_bytes=process.memory)

    def _named(self, pid: int) -> _Named | None:
        """Its names; None when it is gone. A pid that was given to another process has another start time."""
        try:
            started = self._start_time(pid)
            named = self._known.get((pid, started)) or self._read(pid)
            if self._start_time(pid) != started:
                return _UNKNOWN
        except ProcessLookupError:
            return None  # it ended while it was read
        except FileNotFoundError:
            return None if self._ended(pid) else _UNKNOWN
        except (OSError, ValueError, IndexError):
            return _UNKNOWN
        self._seen.add((pid, started))
        if named.user:
            self._known[pid, started] = named
        return named

    def _ended(self, pid: int) -> bool:
        """Whether a pid that /proc does not show is nobody's; with hidepid (proc(5)) it hides some.

        The system itself is asked; of the host's pids seen through a mount, from another pid namespace, it
        cannot tell. There a /proc that shows the host's first process to us hides none.
        """
        if str(self._proc) != PROC:
            return os.access(self._proc / "1" / "stat", os.R_OK)
        try:
            os.kill(pid, 0)  # signal 0 reaches nobody (kill(2))
        except (ProcessLookupError, OverflowError):
            return True
        except PermissionError:
            pass  # it is there, and another's
        return False

    def _start_time(self, pid: int) -> str:
        stat = (self._proc / str(pid) / "stat").read_text(errors="replace")
        return stat.rpartition(")")[2].split()[_START_TIME]

    def _read(self, pid: int) -> _Named:
        directory = self._proc / str(pid)
        command = (directory / "comm").read_text(errors="replace").strip() or NO_NAME
        for line in (directory / "status").read_text(errors="replace").splitlines():
            if line.startswith("Uid:"):
                return _Named(self._users.name(int(line.split()[1])), command)
        raise ValueError("a status without a user")


def allocations(processes: tuple[Process, ...] | None, *, visible: bool) -> tuple[Allocation, ...] | None:
    """Who holds a device of a plain host: the users of the processes on it, each command in equal shares.

    Args:
        processes: what runs on it; None = not known.
        visible: whether processes of the host can be seen from here.

    Returns:
        Empty when nobody holds it: nothing runs there, or only what is left of processes that are gone, or
        an MPS server, which stays when its clients have ended. None when it is not known, be it of one
        process: what it holds is not the others'.
    """
    if processes is None or not visible:
        return None
    holding = [process for process in processes if not (process.gone or process.serves_sharing)]
    if not all(process.command for process in holding):
        return None
    holders = sorted({Holder(process.user, process.command) for process in holding})
    return tuple(
        Allocation(holder, Fraction(1, len(holders)), running=True, kind=HolderKind.PROCESS)
        for holder in holders
    )


def _in_host_namespace() -> bool:
    try:
        return Path("/proc/self/ns/pid").stat().st_ino == HOST_PID_NAMESPACE
    except OSError:
        return False
