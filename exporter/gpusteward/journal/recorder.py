"""What is written when: windows closed every five minutes, checkpoints in between; and how a start goes on.

Nothing here stops the metering: a disk that fails is a count, a log line and a retry.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any, Final, Protocol

import msgspec

from gpusteward.clock import Moment
from gpusteward.journal import checkpoint as checkpoints
from gpusteward.journal.checkpoint import Checkpoint, encode_state
from gpusteward.journal.log import UsageLog
from gpusteward.meter import dump_open, load_open
from gpusteward.model import JournalHealth

if TYPE_CHECKING:
    from gpusteward.journal.checkpoint import Identity
    from gpusteward.journal.disk import Disk
    from gpusteward.meter import OpenRows

log = logging.getLogger(__name__)

WINDOW_SECONDS: Final = 300.0
CHECKPOINT_SECONDS: Final = 20.0
"""A second lost in a crash is wrong twice: missing where it was used, and charged as unmeasured. So that at
most 60 s are wrong, at most 30 may be lost: this, and what a sample stands for."""


class Metering(Protocol):
    """What is recorded; the pipeline is one."""

    @property
    def open_rows(self) -> OpenRows:
        """The usage that is not closed yet."""
        ...

    def dump(self) -> Any:  # noqa: ANN401 - a document of its own, which only it understands
        """All that it remembers and that is worth outliving the process."""
        ...


class Resumed(msgspec.Struct, frozen=True, kw_only=True):
    """What a start goes on from.

    Attributes:
        state: the metering's own document.
        stopped: monotonic seconds up to which it was recorded.
        counters: whether its counters go on too; not after a crash.
    """

    state: msgspec.Raw
    stopped: float
    counters: bool


class Recorder:
    """Keeps a journal of one metering.

    Args:
        disk: where.
        identity: of this agent, in this boot.
    """

    def __init__(self, disk: Disk, identity: Identity) -> None:
        self.log = UsageLog(disk)
        self._disk = disk
        self._identity = identity
        self._slot: int | None = None
        self._due = 0.0
        self._errors = 0
        self._failing: dict[str, str] = {}
        self._last_write: float | None = None

    def resume(self, now: Moment) -> Resumed | None:
        """Close what the last agent left open, and tell what to go on from; None when there is nothing."""
        opened = self._attempt("reading the journal", lambda: self.log.open(now))
        found = self._read_checkpoint() if opened else None
        if found is None:  # and where rows cannot be read, none can be told to be new
            return None
        there = found.identity
        rows, last = load_open(found.open), self.log.last
        ended = last.end if last is not None and last.boot == there.boot else 0.0
        closed = rows.began is not None and ended > rows.began
        if not closed:
            self.log.append(rows.close(Moment(found.wall, found.monotonic)), there.boot)
            self._flush(now)
        if there != self._identity or now.monotonic < found.monotonic:
            log.info("journal: the checkpoint is of another boot, node or currency; counters begin anew")
            return None
        counters = found.clean and not closed and self._mark_unclean(found)
        return Resumed(state=found.state, stopped=max(found.monotonic, ended), counters=counters)

    def record(self, metering: Metering, at: Moment) -> None:
        """After each cycle: close the window when it is over, and write what is due."""
        slot = int(at.wall // WINDOW_SECONDS)
        began = metering.open_rows.began
        long = began is not None and at.monotonic - began >= WINDOW_SECONDS
        first = self._slot is None  # then only downtime is open, which is a window of its own
        if slot != self._slot or long:
            self.log.append(metering.open_rows.close(at), self._identity.boot)
            self._due = at.monotonic
        if first or at.monotonic >= self._due:
            self._write(metering, at, clean=False)
            self._due = at.monotonic + CHECKPOINT_SECONDS
        self._slot = slot

    def finish(self, metering: Metering, at: Moment) -> None:
        """At the end: everything up to the last sample, closed and written."""
        self.log.append(metering.open_rows.close(at), self._identity.boot)
        self._write(metering, at, clean=True)

    def health(self) -> JournalHealth:
        """How it does."""
        rows, size, oldest = self.log.sizes()
        return JournalHealth(
            rows=rows,
            bytes=size,
            waiting_rows=self.log.waiting_rows,
            lost_rows=self.log.lost_rows,
            corrupt=self.log.corrupt,
            write_errors=self._errors,
            last_write=self._last_write,
            oldest=oldest,
        )

    def _write(self, metering: Metering, at: Moment, *, clean: bool) -> None:
        """Rows first: a checkpoint never tells of a window as closed that is not on the disk."""
        if not self._flush(at):
            return
        checkpoint = Checkpoint(
            identity=self._identity,
            wall=at.wall,
            monotonic=at.monotonic,
            clean=clean,
            open=dump_open(metering.open_rows),
            state=encode_state(metering.dump()),
        )
        if self._attempt("writing a checkpoint", lambda: self._replace(checkpoint)):
            self._last_write = at.wall

    def _flush(self, now: Moment) -> bool:
        return self._attempt("writing rows", lambda: self.log.flush(now))

    def _replace(self, checkpoint: Checkpoint) -> None:
        self._disk.replace(checkpoints.NAME, checkpoints.encode(checkpoint))

    def _mark_unclean(self, found: Checkpoint) -> bool:
        """From now on a crash is a crash, also before the first checkpoint of our own."""
        marked = msgspec.structs.replace(found, clean=False)
        return self._attempt("writing a checkpoint", lambda: self._replace(marked))

    def _read_checkpoint(self) -> Checkpoint | None:
        try:
            data = self._disk.read(checkpoints.NAME)
        except FileNotFoundError:
            return None
        except OSError as error:
            log.warning("journal: the checkpoint cannot be read (%s); counters begin anew", error)
            return None
        found = checkpoints.decode(data)
        if found is None:
            log.warning("journal: the checkpoint is damaged, or of another version; counters begin anew")
        return found

    def _attempt(self, what: str, action: Action) -> bool:
        """Whether it worked. Why not is said once, until something else is the matter."""
        try:
            action()
        except OSError as error:
            self._errors += 1
            why = error.strerror or str(error)
            if why not in self._failing.values():
                log.warning(
                    "journal: %s failed: %s; metering goes on in memory, and it is tried again", what, why
                )
            self._failing[what] = why
            return False
        if self._failing.pop(what, "") and not self._failing:
            log.info("journal: %s works again", what)
        return True


class Action(Protocol):
    """Something that touches the disk."""

    def __call__(self) -> None:
        """Do it. Raises OSError."""
        ...
