"""The log: what is written is read again, and a disk that fails costs nothing that fits in memory."""

from __future__ import annotations

import errno
from typing import TYPE_CHECKING

import pytest

from gpusteward.journal import UsageLog, usage_document
from gpusteward.journal.batches import StoredRow
from gpusteward.journal.frames import frame
from gpusteward.journal.log import WAITING_ROWS
from gpusteward.journal.segments import JOURNAL_BYTES, SEGMENT_BYTES, Entry, Segment, outdated
from gpusteward.model import UsageWindow
from tests.unit.journal.windows import FIRST, NOW, row, window

if TYPE_CHECKING:
    from tests.unit.journal.conftest import SmallDisk

DAY = 24 * 3600.0


def opened(disk: SmallDisk) -> UsageLog:
    log = UsageLog(disk)
    log.open(NOW)
    return log


def seqs(log: UsageLog, after: int = 0, limit: int = 1000) -> list[int]:
    return [r.seq for r in usage_document(log, after, limit).rows]


def held(log: UsageLog) -> list[int]:
    return [r.held_ms for r in usage_document(log, 0, 1000).rows]


def test_rows_are_numbered_on_and_on_also_by_the_next_agent(disk: SmallDisk) -> None:
    log = opened(disk)
    log.append(window(row(1), row(2)), "boot-1")
    log.append(window(row(3)), "boot-1")
    log.flush(NOW)
    later = opened(disk)
    later.append(window(row(4)), "boot-2")
    later.flush(NOW)
    rows = usage_document(later, 0, 10).rows
    assert [(r.seq - FIRST, r.boot, r.held_ms) for r in rows] == [
        (0, "boot-1", 1),
        (1, "boot-1", 2),
        (2, "boot-1", 3),
        (3, "boot-2", 4),
    ]
    assert usage_document(log, 0, 2) == usage_document(later, 0, 2), "two readers read the same"


def test_a_journal_that_was_lost_never_gives_a_sequence_twice(disk: SmallDisk) -> None:
    log = opened(disk)
    log.append(window(), "boot-1")
    log.flush(NOW)
    assert seqs(log) == [FIRST]
    disk.remove(disk.names()[0])
    again = UsageLog(disk)
    again.append(window(), "boot-1")
    again.flush(NOW.plus(60))
    assert seqs(again) == [FIRST + 60_000]


def test_a_window_without_rows_is_not_written(disk: SmallDisk) -> None:
    log = opened(disk)
    log.append(UsageWindow(rows=(), end=1.0, seconds=5.0), "boot-1")
    log.flush(NOW)
    assert disk.names() == []


def test_a_tail_torn_at_any_byte_is_cut_off_said_and_written_over(
    disk: SmallDisk, caplog: pytest.LogCaptureFixture
) -> None:
    log = opened(disk)
    log.append(window(row(1)), "boot-1")
    log.flush(NOW)
    (name,) = disk.names()
    whole = disk.read(name)
    log.append(window(row(2)), "boot-1")
    log.flush(NOW)
    both = disk.read(name)
    for cut in range(len(whole), len(both)):
        (disk.folder / name).write_bytes(both[:cut])
        caplog.clear()
        after = opened(disk)
        assert held(after) == [1]
        assert ("cut off" in caplog.text) == (cut > len(whole))
        after.append(window(row(3)), "boot-1")
        after.flush(NOW)
        assert held(opened(disk)) == [1, 3]
        assert after.corrupt == 0


def test_a_damaged_window_costs_its_own_rows_and_is_counted(
    disk: SmallDisk, caplog: pytest.LogCaptureFixture
) -> None:
    log = opened(disk)
    ends = []
    for n in (1, 2, 3):
        log.append(window(row(n)), "boot-1")
        log.flush(NOW)
        ends.append(log.sizes()[1])
    (name,) = disk.names()
    data = bytearray(disk.read(name))
    data[(ends[0] + ends[1]) // 2] ^= 0xFF
    (disk.folder / name).write_bytes(data)
    assert held(log) == [1, 3], "the agent that wrote it notices too"
    after = opened(disk)
    assert (held(after), after.corrupt) == ([1, 3], 1)
    assert "1 damaged places" in caplog.text
    after.append(window(row(4)), "boot-1")
    after.flush(NOW)
    assert [s - FIRST for s in seqs(after)] == [0, 2, 3], "the gap in the sequence stays visible"


def test_a_record_of_a_later_version_is_left_alone_and_counted(disk: SmallDisk) -> None:
    log = opened(disk)
    log.append(window(row(1)), "boot-1")
    log.flush(NOW)
    (name,) = disk.names()
    disk.write_at(name, log.sizes()[1], frame(b"\x81\xa7version\x02"))
    after = opened(disk)
    assert (held(after), after.corrupt) == ([1], 1)


@pytest.mark.parametrize("room", [0, 1, 50, 150])
def test_a_full_disk_loses_nothing_and_writes_nothing_twice(disk: SmallDisk, room: int) -> None:
    log = opened(disk)
    log.append(window(row(1)), "boot-1")
    log.flush(NOW)
    disk.room = room
    for n in (2, 3):
        log.append(window(row(n)), "boot-1")
        with pytest.raises(OSError, match="No space left"):
            log.flush(NOW)
    assert (held(log), log.waiting_rows) == ([1], 2)
    assert held(opened(disk)) == [1], "after a crash now, what reached the disk is whole"
    disk.room = None
    log.flush(NOW)
    assert (held(log), log.waiting_rows, log.lost_rows) == ([1, 2, 3], 0, 0)
    assert held(opened(disk)) == [1, 2, 3]


def test_a_disk_that_cannot_be_read_at_the_start_is_read_when_it_comes_back(disk: SmallDisk) -> None:
    first = opened(disk)
    first.append(window(row(1)), "boot-1")
    first.flush(NOW)
    disk.error = errno.EIO
    log = UsageLog(disk)
    with pytest.raises(OSError, match="error"):
        log.open(NOW)
    log.append(window(row(2)), "boot-1")
    with pytest.raises(OSError, match="error"):
        log.flush(NOW)
    disk.error = 0
    log.flush(NOW)
    assert held(log) == [1, 2]


def test_memory_for_unwritten_rows_is_bounded_and_what_is_given_up_is_counted(
    disk: SmallDisk,
) -> None:
    log = opened(disk)
    many = tuple(row(n) for n in range(WAITING_ROWS // 2))
    for _ in range(3):
        log.append(window(*many), "boot-1")
    assert (log.waiting_rows, log.lost_rows) == (WAITING_ROWS, WAITING_ROWS // 2)


def test_a_full_segment_is_followed_by_another_and_old_ones_go(disk: SmallDisk) -> None:
    log = opened(disk)
    for day in range(10):
        log.append(window(row(day), seconds=DAY), "boot-1")
        log.flush(NOW)
    assert len(disk.names()) == 7
    assert held(log) == held(opened(disk)) == list(range(3, 10))
    assert log.sizes()[0] == 7


def test_the_journal_keeps_to_its_size_and_to_seven_metered_days() -> None:
    def segment(size: int, seconds: float) -> Segment:
        return Segment("s", size, [Entry(0, size, 1, 2, seconds, 0)])

    assert outdated([]) == outdated([segment(10**9, 99 * DAY)]) == 0
    week = [segment(100, DAY) for _ in range(8)]
    assert outdated(week) == 1
    assert outdated(week[1:]) == 0
    full = [segment(SEGMENT_BYTES, 60.0) for _ in range(JOURNAL_BYTES // SEGMENT_BYTES)]
    assert outdated(full) == 1
    assert outdated(full[1:]) == 0


def test_a_segment_that_went_while_it_was_read_is_left_out(disk: SmallDisk) -> None:
    log = opened(disk)
    log.append(window(row(1)), "boot-1")
    log.flush(NOW)
    disk.remove(disk.names()[0])
    assert held(log) == []


def test_names_that_are_no_utf8_and_other_files_do_no_harm(disk: SmallDisk) -> None:
    disk.replace("README.txt", b"not ours")
    log = opened(disk)
    log.append(window(row(1, namespace="caf\udce9", pod="tür")), "boot-1")
    log.flush(NOW)
    (stored,) = opened(disk).read(0, 10)
    assert isinstance(stored.rows[0], StoredRow)
    assert (stored.rows[0].namespace, stored.rows[0].pod) == ("caf?", "tür")
