"""What is written when, and what a start goes on from, after a stop, a crash, a reboot and a full disk."""

from __future__ import annotations

import errno
from typing import TYPE_CHECKING

import msgspec
import pytest

from gpusteward.clock import Moment
from gpusteward.journal import Identity, Recorder, boot_id, usage_document
from gpusteward.journal import checkpoint as checkpoints
from gpusteward.journal.recorder import CHECKPOINT_SECONDS, WINDOW_SECONDS
from gpusteward.meter import OpenRows
from gpusteward.model import Cause
from gpusteward.units import PPB
from tests.unit.journal.windows import NOW, POD

if TYPE_CHECKING:
    from pathlib import Path

    from gpusteward.journal.recorder import Resumed
    from tests.unit.journal.conftest import SmallDisk

GPU = ("n1", "GPU-0", "")
HERE = Identity(boot="boot-1", node="n1", mode="real", currency="USD")
START = Moment(NOW.wall, 10_000.0)  # at the beginning of a five-minute slot


class Metered:
    """One GPU used by one pod, second by second."""

    def __init__(self) -> None:
        self.open_rows = OpenRows()
        self.seconds = 0

    def dump(self) -> dict[str, int]:
        return {"seconds": self.seconds}

    def meter(self, at: Moment, seconds: int = 5) -> None:
        self.seconds += seconds
        self.open_rows.elapse(GPU, seconds * 1_000_000, at.monotonic)
        self.open_rows.add(GPU, (POD, Cause.USED, None), seconds * 1_000_000 * PPB)


class Agent:
    """A recorder with what it records, sampled every five seconds."""

    def __init__(self, disk: SmallDisk, at: Moment = START, identity: Identity = HERE) -> None:
        self.recorder, self.metered, self.at = Recorder(disk, identity), Metered(), at
        self.resumed: Resumed | None = self.recorder.resume(at)
        self.recorder.record(self.metered, at)

    def run(self, seconds: int) -> Agent:
        for _ in range(0, seconds, 5):
            self.at = self.at.plus(5)
            self.metered.meter(self.at)
            self.recorder.record(self.metered, self.at)
        return self

    def rows(self) -> list[tuple[int, int]]:
        """Start and held time of each row, in seconds after START."""
        document = usage_document(self.recorder.log, 0, 1000)
        return [(round(r.start_ms / 1000 - START.wall), r.held_ms // 1000) for r in document.rows]


def test_windows_close_at_every_fifth_minute_of_the_clock(disk: SmallDisk) -> None:
    agent = Agent(disk, START.plus(100)).run(600)
    assert agent.rows() == [(100, 200), (300, 300)]


def test_a_clock_that_is_set_back_leaves_no_window_open_for_long(disk: SmallDisk) -> None:
    agent = Agent(disk).run(200)
    agent.at = Moment(agent.at.wall - 40_000, agent.at.monotonic)
    agent.run(1_000)
    assert sum(held for _, held in agent.rows()) >= 1_200 - WINDOW_SECONDS
    assert all(0 < held <= WINDOW_SECONDS for _, held in agent.rows())


def test_a_stop_on_request_loses_nothing_and_counters_go_on(disk: SmallDisk) -> None:
    first = Agent(disk).run(123)
    first.recorder.finish(first.metered, first.at)
    second = Agent(disk, first.at.plus(60))
    assert sum(held for _, held in second.rows()) == first.metered.seconds == 125
    assert second.resumed is not None
    assert (second.resumed.counters, second.resumed.stopped) == (True, first.at.monotonic)
    assert msgspec.json.decode(second.resumed.state) == {"seconds": 125}


@pytest.mark.parametrize("seconds", range(0, 700, 35))
def test_a_crash_loses_less_than_a_checkpoints_age_and_counts_nothing_twice(
    disk: SmallDisk, seconds: int
) -> None:
    first = Agent(disk).run(seconds)
    second = Agent(disk, first.at.plus(30))
    assert second.resumed is not None
    kept = sum(held for _, held in second.rows())
    assert 0 <= first.metered.seconds - kept <= CHECKPOINT_SECONDS
    assert second.resumed.stopped == START.monotonic + kept, "downtime begins where the record ends"
    assert not second.resumed.counters


def test_a_crash_right_after_a_clean_start_is_a_crash(disk: SmallDisk) -> None:
    first = Agent(disk).run(50)
    first.recorder.finish(first.metered, first.at)
    Recorder(disk, HERE).resume(first.at.plus(5))
    third = Agent(disk, first.at.plus(10))
    assert third.resumed is not None
    assert not third.resumed.counters
    assert sum(held for _, held in third.rows()) == 50


def test_a_start_that_crashes_before_its_first_sample_closes_nothing_twice(disk: SmallDisk) -> None:
    first = Agent(disk).run(50)
    for later in (5, 6, 7):
        resumed = Recorder(disk, HERE).resume(first.at.plus(later))
        assert resumed is not None
        assert resumed.stopped == START.monotonic + 40
    assert Agent(disk, first.at.plus(9)).rows() == [(0, 40)]


def test_a_window_that_was_closed_after_the_checkpoint_is_not_closed_again(disk: SmallDisk) -> None:
    first = Agent(disk).run(290)
    kept = disk.read(checkpoints.NAME)
    first.run(20)
    disk.replace(checkpoints.NAME, kept)  # as if the crash had come between the two writes
    second = Agent(disk, first.at.plus(5))
    assert second.rows() == [(0, 300)]
    assert second.resumed is not None
    assert second.resumed.stopped == START.monotonic + 300


@pytest.mark.parametrize(
    "other",
    [
        {"boot": "boot-2"},
        {"node": "n2"},
        {"mode": "simulated"},
        {"currency": "EUR"},
    ],
)
def test_another_boot_node_mode_or_currency_begins_anew_and_what_was_open_is_still_billed(
    disk: SmallDisk, other: dict[str, str]
) -> None:
    first = Agent(disk).run(50)
    second = Agent(disk, first.at.plus(9), msgspec.structs.replace(HERE, **other))
    assert second.resumed is None
    assert second.rows() == [(0, 40)]
    assert usage_document(second.recorder.log, 0, 9).rows[0].boot == "boot-1"


def test_a_clock_of_another_boot_under_the_same_name_is_not_gone_on_from(disk: SmallDisk) -> None:
    first = Agent(disk).run(50)
    assert Agent(disk, Moment(first.at.wall, 3.0)).resumed is None


@pytest.mark.parametrize("data", [b"", b"\xff", b"{}", b'{"version": 2}', b'{"version": 1}', b"[]"])
def test_a_checkpoint_that_makes_no_sense_is_said_and_left(
    disk: SmallDisk, data: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    first = Agent(disk).run(300)
    disk.replace(checkpoints.NAME, data)
    second = Agent(disk, first.at.plus(5))
    assert second.resumed is None
    assert second.rows() == [(0, 300)]
    assert "counters begin anew" in caplog.text


@pytest.mark.parametrize("error", [errno.ENOSPC, errno.EROFS, errno.EIO])
def test_a_disk_that_fails_for_a_while_costs_nothing_and_is_said_once(
    disk: SmallDisk, error: int, caplog: pytest.LogCaptureFixture
) -> None:
    agent = Agent(disk).run(100)
    disk.error = error
    agent.run(700)
    health = agent.recorder.health()
    assert health.write_errors > 10
    assert health.waiting_rows == 2
    assert health.last_write == START.wall + 100
    assert caplog.text.count("metering goes on in memory") == 1
    disk.error = 0
    agent.run(100)
    assert agent.rows() == [(0, 300), (300, 300), (600, 300)]
    health = agent.recorder.health()
    assert (health.rows, health.waiting_rows, health.lost_rows, health.corrupt) == (3, 0, 0, 0)
    assert health.last_write == START.wall + 900
    assert health.oldest == START.wall
    assert health.bytes > 0


def test_a_disk_that_fails_at_the_start_costs_what_it_would_have_told_and_no_sample(disk: SmallDisk) -> None:
    Agent(disk).run(300)
    disk.error = errno.EIO
    second = Agent(disk, START.plus(310))
    assert second.resumed is None
    disk.error = 0
    second.run(300)
    assert sum(held for _, held in second.rows()) >= 300 + 290


def test_counters_begin_anew_where_a_crash_could_not_be_told_from_a_stop(disk: SmallDisk) -> None:
    first = Agent(disk).run(50)
    first.recorder.finish(first.metered, first.at)
    disk.room = 0
    resumed = Recorder(disk, HERE).resume(first.at.plus(5))
    assert resumed is not None
    assert not resumed.counters


def test_the_boot_has_the_name_that_linux_gives_it_or_one_of_its_own(tmp_path: Path) -> None:
    assert boot_id() == boot_id() == checkpoints.BOOT_ID.read_text().strip()
    assert boot_id(tmp_path / "none") != boot_id(tmp_path / "none")
