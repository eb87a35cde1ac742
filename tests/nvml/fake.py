"""Drives the fake NVML: a machine of boards whose state a test changes while the client runs.

`env()` goes to the client's process; there the real `pynvml` loads our library by its soname. Every change is
one atomic rewrite of the state file, seen by the client's next call.
"""

from __future__ import annotations

import contextlib
import mmap
import os
import struct
import time
import uuid
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final, Self

from tests.nvml.library import SONAME, build, greatest_field, newer_than
from tests.nvml.machine import (
    ANY_GPU,
    HANG,
    NO_INSTANCE,
    RETURN,
    SLOW,
    STALL,
    Event,
    Fault,
    Field,
    Gpu,
    Machine,
    MigInstance,
    MigProfile,
    Process,
    Rate,
    Utilization,
)
from tests.nvml.profiles import IDLE, Board, install

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from pathlib import Path

__all__ = ["Board", "Census", "FakeNvml", "Field", "Process", "Utilization", "build", "newer_than"]

GPU_IS_LOST: Final = 15
RESET_REQUIRED: Final = 16
XID_EVENT: Final = 0x8
MIG_CHANGED_EVENT: Final = 0x100
UNKNOWN_XID: Final = 999
RECOVERY_EVENTS: Final = 0x4000 | 0x8000  # GPU unavailable, recovery action
_RECOVERY_EVENTS_SINCE: Final = 570

_COUNTER: Final = struct.Struct("<56sQ")
_HEADER: Final = struct.Struct("<QQQqqq")
_FUNCTIONS: Final = 255
_FIRST_COUNTER: Final = 64
_AHEAD_NS: Final = (
    20_000_000  # a change of level begins after the client can have read of it: counters never fall
)
_MOST_EVENTS: Final = 256


@dataclass(frozen=True, slots=True)
class Census:
    """What is alive in the process that loaded the library last; `processes` counts all that ever did."""

    pid: int
    processes: int
    init_references: int
    gpm_samples: int
    event_sets: int


class FakeNvml:
    """A machine with the given boards, in `directory`.

    With `manual_clock` time stands still until `advance`; otherwise it is the system's. `driver` decides
    which fields exist; give `library` built without `newer_than(branch)` to lack the functions too.
    """

    def __init__(
        self, directory: Path, boards: Iterable[Board] = (), *, library: Path, driver: str = "580.65.06",
        manual_clock: bool = False,
    ) -> None:  # fmt: skip
        self.state_path = directory / "nvml.state"
        self.library_dir = directory / "lib"
        self.library_dir.mkdir(parents=True)
        self.install_library(library)
        self.machine = Machine(driver, greatest_field(_branch(driver)), wall_offset_us=1_700_000_000_000_000)
        if manual_clock:
            self.machine.clock_ns = 1_000_000_000_000
        self._batched = False
        self._made = 0
        self._shared = self._map_shared()
        for board in boards:
            self.add_gpu(board)
        self._write()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._shared.close()

    # --------------------------------------------------------------- the client's surroundings

    def env(self) -> dict[str, str]:
        """The variables that make a process find this machine; merge them into its environment."""
        return {"LD_LIBRARY_PATH": str(self.library_dir), "FAKE_NVML_STATE": str(self.state_path)}

    def install_library(self, library: Path) -> None:
        """Puts a library where the client looks; a running client keeps the one that it has mapped."""
        self.remove_library()
        (self.library_dir / SONAME).symlink_to(library)

    def remove_library(self) -> None:
        """As on a node whose driver container is not there yet."""
        (self.library_dir / SONAME).unlink(missing_ok=True)

    def upgrade_driver(self, version: str) -> None:
        """Swaps the driver under its clients: what is mapped answers 18 for ever, a new process is well."""
        self.machine.driver, self.machine.epoch = version, self.machine.epoch + 1
        self.machine.greatest_field = greatest_field(_branch(version))
        self._write()

    def set_privileged(self, privileged: bool) -> None:
        """Whether the client may see GPU instances and all of a MIG GPU's processes at once."""
        self.machine.privileged = privileged
        self._write()

    # --------------------------------------------------------------- time

    def now_ns(self) -> int:
        """The machine's monotonic clock."""
        return time.monotonic_ns() if self.machine.clock_ns is None else self.machine.clock_ns

    def wall_us(self) -> int:
        """The machine's CPU time stamps, in microseconds."""
        if self.machine.clock_ns is None:
            return time.time_ns() // 1000
        return self.machine.clock_ns // 1000 + self.machine.wall_offset_us

    def advance(self, seconds: float) -> None:
        """Moves a manual clock; counters grow by their level times this."""
        if self.machine.clock_ns is None:
            raise ValueError("time is the system's: make the fake with manual_clock=True")
        self.machine.clock_ns += int(seconds * 1e9)
        self._write()

    # --------------------------------------------------------------- boards and what they read

    def gpu(self, index: int) -> Gpu:
        return self.machine.gpus[index]

    def add_gpu(self, board: Board, *, loaded: bool = False) -> Gpu:
        """Plugs in one more board."""
        gpu = install(board, self._made, self.now_ns(), loaded=loaded)
        self._made += 1
        if _branch(self.machine.driver) >= _RECOVERY_EVENTS_SINCE:
            gpu.numbers["event_types"] |= RECOVERY_EVENTS
        self.machine.gpus.append(gpu)
        self._write()
        return gpu

    def remove_gpu(self, index: int) -> Gpu:
        """The count shrinks, later boards move up, and handles of this one answer that it is lost."""
        gpu = self.machine.gpus.pop(index)
        self._write()
        return gpu

    def reorder(self, order: Sequence[int]) -> None:
        """Gives each board a new index, as a reboot may."""
        self.machine.gpus = [self.machine.gpus[at] for at in order]
        self._write()

    def set_gpu(self, index: int, **numbers: int | None) -> None:
        """Sets attributes of c/state.h by name; None makes one unsupported."""
        for name, value in numbers.items():
            if value is None:
                self.gpu(index).numbers.pop(name, None)
            else:
                self.gpu(index).numbers[name] = value
        self._write()

    def set_activity(self, index: int, *, gi: int | None = None, **levels: float) -> None:
        """Sets levels of c/state.h's channels from now on, of a whole GPU or of its instance `gi`."""
        rates = self.gpu(index).rates if gi is None else self.instance(index, gi).rates
        ahead = 0 if self.machine.clock_ns is not None else _AHEAD_NS
        pending = max((rate.since_ns for rate in rates.values()), default=0) - self.now_ns()
        time.sleep(max(0, pending) / 1e9)  # a change that is still ahead comes first
        at = self.now_ns() + ahead
        for name, value in levels.items():
            rates.setdefault(name, Rate(0.0, at)).change(value, at)
        self._write()

    def set_field(self, index: int, wanted: Field) -> None:
        """Makes one field read this value or fail with this code; the others go on as they were."""
        self.gpu(index).fields[wanted.ident, wanted.scope] = wanted
        self._write()

    # --------------------------------------------------------------- MIG

    def instance(self, index: int, gi: int) -> MigInstance:
        return next(instance for instance in self.gpu(index).mig if instance.gi == gi)

    def set_mig_layout(
        self, index: int, profiles: Sequence[str] | None, *, slots: Sequence[int] | None = None
    ) -> list[MigInstance]:
        """Divides the GPU anew; None turns MIG off, `slots` are the device slots to use (default 0, 1, …).

        Every instance is a new one, also where its profile was there before: old handles are dead.
        """
        gpu = self.gpu(index)
        by_name = {profile.name: profile for profile in gpu.profiles}
        wanted = [by_name[name] for name in profiles or ()]
        starts = _place(wanted)
        gpu.mig = [
            self._instance(gpu, profile, start, slot)
            for profile, start, slot in zip(wanted, starts, slots or range(len(wanted)), strict=True)
        ]
        gpu.processes = []
        gpu.numbers["mig_mode"] = gpu.numbers["mig_pending"] = int(profiles is not None)
        self.event(index, MIG_CHANGED_EVENT, 0)
        return gpu.mig

    def _instance(self, gpu: Gpu, profile: MigProfile, start: int, slot: int) -> MigInstance:
        self._made += 1
        name = uuid.uuid5(uuid.NAMESPACE_OID, f"{gpu.uuid} {self._made}")
        gi = {8: 0, 4: 1 + start // 4, 2: 3 + start // 2, 1: 7 + start}[profile.size]
        rates = {channel: Rate(0.0, self.now_ns()) for channel in IDLE if channel in gpu.rates}
        return MigInstance(slot, gi, start, f"MIG-{name}", profile, rates=rates)

    # --------------------------------------------------------------- processes

    def add_process(self, index: int, process: Process) -> None:
        """Starts a process; its samples begin now unless it says otherwise."""
        self.gpu(index).processes.append(replace(process, start_us=process.start_us or self.wall_us()))
        self._write()

    def remove_process(self, index: int, pid: int) -> None:
        gpu = self.gpu(index)
        gpu.processes = [process for process in gpu.processes if process.pid != pid]
        self._write()

    def add_sample(self, index: int, pid: int, timestamp_us: int, using: Utilization) -> None:
        """Puts one utilization sample into the driver's buffer, beside those of the processes themselves."""
        self.gpu(index).samples.append((pid, timestamp_us, using))
        self._write()

    # --------------------------------------------------------------- events and faults

    def event(self, index: int, kind: int, data: int, *, gi: int | None = None) -> None:
        """Raises an event, for every set that is registered by now."""
        sequence = self.machine.events[-1].sequence + 1 if self.machine.events else 1
        event = Event(sequence, self.gpu(index).uuid, kind, data, NO_INSTANCE if gi is None else gi)
        self.machine.events = [*self.machine.events, event][-_MOST_EVENTS:]
        self._write()

    def xid(self, index: int, code: int, *, gi: int | None = None) -> None:
        """Raises an XID; `UNKNOWN_XID` is what NVML says when it does not know which."""
        self.event(index, XID_EVENT, code, gi=gi)

    def fault(self, function: str, code: int, *, gpu: int | None = None) -> Fault:
        """Makes calls return `code`; `function` is a name, its beginning and `*`, or `*` for all of them."""
        return self._fault(Fault(function, self._whose(gpu), RETURN, code))

    def hang(self, function: str, *, gpu: int | None = None) -> Fault:
        """Calls never return, whatever happens; only the end of the process ends them."""
        return self._fault(Fault(function, self._whose(gpu), HANG))

    def stall(self, function: str, *, gpu: int | None = None) -> Fault:
        """Calls return, and then as usual, once the fault is cleared."""
        return self._fault(Fault(function, self._whose(gpu), STALL))

    def slow(self, function: str, milliseconds: int, *, gpu: int | None = None) -> Fault:
        """Calls take so much longer."""
        return self._fault(Fault(function, self._whose(gpu), SLOW, milliseconds))

    def lose(self, gpu: int) -> Fault:
        """The GPU falls off the bus: its handle and every call on it answer 15, the count stays."""
        return self.fault("*", GPU_IS_LOST, gpu=gpu)

    def clear_faults(self, *faults: Fault) -> None:
        """Takes away the given faults, or all."""
        self.machine.faults = [fault for fault in self.machine.faults if faults and fault not in faults]
        self._write()

    def _whose(self, gpu: int | None) -> str:
        return ANY_GPU if gpu is None else self.gpu(gpu).uuid

    def _fault(self, fault: Fault) -> Fault:
        self.machine.faults.append(fault)
        self._write()
        return fault

    # --------------------------------------------------------------- what was called

    def calls(self) -> dict[str, int]:
        """How often each function was called, by all processes since the start or `reset_calls`."""
        found = {}
        for at in range(_FUNCTIONS):
            raw, count = _COUNTER.unpack_from(self._shared, _FIRST_COUNTER + at * _COUNTER.size)
            name = raw.split(b"\0", 1)[0].decode()
            if count:
                found[name] = count
        return found

    def reset_calls(self) -> None:
        """Counts from zero again; a call made meanwhile may be lost, so do it while the client rests."""
        for at in range(_FUNCTIONS):
            struct.pack_into("<Q", self._shared, _FIRST_COUNTER + at * _COUNTER.size + 56, 0)

    def census(self) -> Census:
        return Census(*_HEADER.unpack_from(self._shared, 0)[1:])

    # --------------------------------------------------------------- the state file

    @contextlib.contextmanager
    def one_change(self) -> Iterator[None]:
        """Everything changed in the block reaches the client at once."""
        self._batched = True
        try:
            yield
        finally:
            self._batched = False
            self._write()

    def _map_shared(self) -> mmap.mmap:
        path = self.state_path.with_name(self.state_path.name + ".calls")
        path.write_bytes(bytes(_FIRST_COUNTER + _FUNCTIONS * _COUNTER.size))
        with path.open("r+b") as file:
            return mmap.mmap(file.fileno(), 0)

    def _write(self) -> None:
        """Replaces the file, then says so: a reader that saw the old number reads once more, never less."""
        if self._batched:
            return
        fresh = self.state_path.with_suffix(".new")
        fresh.write_text(self.machine.text())
        os.replace(fresh, self.state_path)  # noqa: PTH105 - the rename is the point
        (generation,) = struct.unpack_from("<Q", self._shared, 0)
        struct.pack_into("<Q", self._shared, 0, generation + 1)


def _branch(version: str) -> int:
    return int(version.partition(".")[0])


def _place(profiles: Sequence[MigProfile], taken: int = 0) -> list[int]:
    """First starts at which all profiles fit beside each other, in memory slices.

    Raises:
        ValueError: They do not fit on one GPU.
    """
    if not profiles:
        return []
    first, *rest = profiles
    for start in first.starts:
        wanted = ((1 << first.size) - 1) << start
        if not taken & wanted:
            with contextlib.suppress(ValueError):
                return [start, *_place(rest, taken | wanted)]
    raise ValueError(f"no room for {first.name} on this GPU")
