"""What is known of the files of the journal without reading them again: which rows lie where, and how old."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from gpusteward.journal.batches import decode
from gpusteward.journal.frames import scan

if TYPE_CHECKING:
    from collections.abc import Sequence

    from gpusteward.journal.batches import Batch

SEGMENT_BYTES: Final = 4 * 1024 * 1024
SEGMENT_SECONDS: Final = 24 * 3600.0
JOURNAL_BYTES: Final = 64 * 1024 * 1024
JOURNAL_SECONDS: Final = 7 * 24 * 3600.0

_PREFIX, _SUFFIX = "usage-", ".journal"


@dataclass(frozen=True, slots=True)
class Entry:
    """Where one batch lies, and what a reader needs to know of it beforehand."""

    offset: int
    length: int
    first: int
    after: int
    seconds: float
    start_ms: int


@dataclass(slots=True)
class Segment:
    """One file.

    Attributes:
        name: its name.
        size: bytes of it that are whole frames; the next one is written there.
        entries: its batches, in order.
    """

    name: str
    size: int = 0
    entries: list[Entry] = field(default_factory=list)

    @property
    def seconds(self) -> float:
        """Metered time in it."""
        return sum(entry.seconds for entry in self.entries)

    @property
    def rows(self) -> int:
        """Rows in it."""
        return sum(entry.after - entry.first for entry in self.entries)

    def full(self) -> bool:
        """Whether the next batch belongs into another file."""
        return self.size >= SEGMENT_BYTES or self.seconds >= SEGMENT_SECONDS


@dataclass(frozen=True, slots=True)
class Loaded:
    """A segment as it was found.

    Attributes:
        segment: what is whole of it.
        last: its last batch; None when there is none.
        torn: bytes behind the last whole frame.
        corrupt: damaged places before that, and records that mean nothing to us.
    """

    segment: Segment
    last: Batch | None
    torn: int
    corrupt: int


def segment_name(first: int) -> str:
    """The file whose first row has this sequence."""
    return f"{_PREFIX}{first:020d}{_SUFFIX}"


def is_segment(name: str) -> bool:
    """Whether a file is one of the journal's."""
    return name.startswith(_PREFIX) and name.endswith(_SUFFIX)


def entry_of(batch: Batch, offset: int, length: int) -> Entry:
    """What is remembered of a batch."""
    start = min(row.start_ms for row in batch.rows)
    return Entry(offset, length, batch.first, batch.after, batch.seconds, start)


def load(name: str, data: bytes) -> Loaded:
    """A segment's content, from the bytes of its file."""
    found = scan(data)
    segment, last, unknown = Segment(name, size=found.end), None, 0
    for frame in found.frames:
        batch = decode(frame.payload)
        if batch is None:
            unknown += 1
            continue
        segment.entries.append(entry_of(batch, frame.offset, frame.end - frame.offset))
        last = batch
    return Loaded(segment, last, len(data) - found.end, found.corrupt + unknown)


def outdated(segments: Sequence[Segment]) -> int:
    """How many of the oldest segments may go: seven metered days lie behind them, or all is too large.

    Age is counted in metered time, so no step of the clock empties the journal.
    """
    count = 0
    while count < len(segments) - 1:
        rest = segments[count + 1 :]
        size = sum(segment.size for segment in segments[count:])
        if size <= JOURNAL_BYTES - SEGMENT_BYTES and sum(s.seconds for s in rest) < JOURNAL_SECONDS:
            break
        count += 1
    return count
