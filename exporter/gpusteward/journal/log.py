"""The append-only log of closed windows: written by the sampler's thread, read by whoever asks over HTTP."""

from __future__ import annotations

import logging
import threading
from collections import deque
from typing import TYPE_CHECKING, Final

from gpusteward.journal.batches import batch_of, decode, encode
from gpusteward.journal.frames import frame, frame_at
from gpusteward.journal.segments import Segment, entry_of, is_segment, load, outdated, segment_name
from gpusteward.units import microseconds

if TYPE_CHECKING:
    from gpusteward.clock import Moment
    from gpusteward.journal.batches import Batch
    from gpusteward.journal.disk import Disk
    from gpusteward.journal.segments import Entry
    from gpusteward.model import UsageWindow

log = logging.getLogger(__name__)

WAITING_ROWS: Final = 50_000
"""Rows kept in memory while they cannot be written: a day of a full node; then the oldest are given up."""


class UsageLog:
    """The journal's rows on a disk.

    Args:
        disk: where.

    Attributes:
        lost_rows: rows given up because there was no room for them on the disk nor in memory.
        corrupt: damaged places that were found.
        last: the newest batch that is written; None when there is none.
    """

    def __init__(self, disk: Disk) -> None:
        self._disk = disk
        self._lock = threading.Lock()
        self._opened = False
        self._segments: list[Segment] = []
        self._waiting: deque[tuple[UsageWindow, str]] = deque()
        self._next = 0
        self.lost_rows = 0
        self.corrupt = 0
        self.last: Batch | None = None

    def open(self, now: Moment) -> None:
        """Look at what is there. A torn tail is left out, and written over by the next window.

        A new journal begins its sequence at the Unix time in milliseconds: one that was lost, and is begun
        again, never gives a sequence twice.

        Raises:
            OSError: the disk cannot be read.
        """
        found = [(name, load(name, self._disk.read(name))) for name in self._disk.names() if is_segment(name)]
        for name, loaded in found:
            _report(name, loaded.torn, loaded.corrupt)
            self.corrupt += loaded.corrupt
            self.last = loaded.last or self.last
        with self._lock:
            self._segments = [loaded.segment for _, loaded in found]
        self._next = microseconds(now.wall) // 1000 if self.last is None else self.last.after
        self._opened = True

    def append(self, window: UsageWindow, boot: str) -> None:
        """Take a window that was closed in this boot. It is kept in memory until `flush` has written it."""
        if not window.rows:
            return
        self._waiting.append((window, boot))
        while len(self._waiting) > 1 and self.waiting_rows > WAITING_ROWS:
            given_up, _ = self._waiting.popleft()
            self.lost_rows += len(given_up.rows)

    @property
    def waiting_rows(self) -> int:
        """Rows that are not written yet."""
        return sum(len(window.rows) for window, _ in self._waiting)

    def flush(self, now: Moment) -> None:
        """Write what waits. What could not be written waits on, and nothing is written twice.

        Raises:
            OSError: the disk is full, say, or read-only.
        """
        if not self._opened:
            self.open(now)
        while self._waiting:
            batch = batch_of(*self._waiting[0], self._next)
            self._write(batch, frame(encode(batch)))
            self._waiting.popleft()
        self._drop_outdated()

    def _write(self, batch: Batch, data: bytes) -> None:
        fits = self._segments and not self._segments[-1].full()
        segment = self._segments[-1] if fits else Segment(segment_name(batch.first))
        self._disk.write_at(segment.name, segment.size, data)
        with self._lock:
            if not fits:
                self._segments.append(segment)
            segment.entries.append(entry_of(batch, segment.size, len(data)))
            segment.size += len(data)
        self._next, self.last = batch.after, batch

    def _drop_outdated(self) -> None:
        for segment in self._segments[: outdated(self._segments)]:
            self._disk.remove(segment.name)
            with self._lock:
                self._segments.remove(segment)

    def read(self, after: int, limit: int) -> list[Batch]:
        """Written batches that hold rows behind a sequence, until they hold `limit` of them. From any thread.

        Raises:
            OSError: the disk cannot be read.
        """
        found: list[Batch] = []
        rows = 0
        for name, entry in self._entries(after):
            batch = self._batch(name, entry)
            if batch is None:
                continue
            found.append(batch)
            rows += batch.after - max(after + 1, batch.first)
            if rows >= limit:
                break
        return found

    def _entries(self, after: int) -> list[tuple[str, Entry]]:
        with self._lock:
            return [(s.name, entry) for s in self._segments for entry in s.entries if entry.after - 1 > after]

    def _batch(self, name: str, entry: Entry) -> Batch | None:
        """None when it went meanwhile, by rotation, or was damaged after it was written."""
        try:
            whole = frame_at(self._disk.read(name, entry.offset, entry.length), 0)
        except FileNotFoundError:
            return None
        return None if whole is None else decode(whole.payload)

    def sizes(self) -> tuple[int, int, float | None]:
        """Rows and bytes on the disk, and the Unix time at which the oldest row begins."""
        with self._lock:
            entries = [entry for segment in self._segments for entry in segment.entries[:1]]
            oldest = entries[0].start_ms / 1000 if entries else None
            return sum(s.rows for s in self._segments), sum(s.size for s in self._segments), oldest


def _report(name: str, torn: int, corrupt: int) -> None:
    if torn:
        log.warning("journal: %s ends in %d bytes of a write that was cut off; they are dropped", name, torn)
    if corrupt:
        log.error("journal: %s has %d damaged places; the rows in them are lost", name, corrupt)
