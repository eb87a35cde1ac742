"""/usage over a socket: rows, queries that make no sense, tokens, gzip, and disks that fail."""

from __future__ import annotations

import errno
import gzip
import json
from typing import TYPE_CHECKING

import pytest

from gpusteward.exposition import Exposition
from gpusteward.journal import Disk, UsageLog
from gpusteward.metrics.page import render
from tests import snapshots
from tests.unit.exposition.test_app import SECRET, Asker, Clock, OneToken
from tests.unit.journal.windows import FIRST, NOW, row, window

if TYPE_CHECKING:
    from pathlib import Path

    from gpusteward.exposition import Token
    from tests.unit.exposition.conftest import Site


def asker(site: Site, journal: UsageLog | None, token: Token | None = None) -> Asker:
    return Asker(site, Exposition(Clock(), render(None, snapshots.EXPOSURE), token, journal))


def written(disk: Disk) -> UsageLog:
    log = UsageLog(disk)
    log.append(window(row(1), row(2), row(3)), "boot-1")
    log.flush(NOW)
    return log


@pytest.fixture
def full(site: Site, tmp_path: Path) -> Asker:
    return asker(site, written(Disk(tmp_path)))


def test_rows_behind_a_sequence_are_given_with_what_to_ask_next(full: Asker) -> None:
    answer = full.get(f"/usage?after={FIRST}&limit=1")
    assert (answer.status, answer.header("Content-Type")) == (200, "application/json")
    piece = json.loads(answer.text)
    assert [r["seq"] for r in piece["rows"]] == [FIRST + 1]
    assert (piece["next"], piece["more"], piece["schema"]) == (FIRST + 1, True, 1)
    assert len(json.loads(full.get("/usage").text)["rows"]) == 3


@pytest.mark.parametrize(
    "query",
    [
        "after=-1",
        "after=x",
        "after=",
        "limit=0",
        "limit=1.5",
        "after=1&after=2",
        "after=" + "9" * 19,
        "after=%C2%B2",
    ],
)
def test_a_query_that_makes_no_sense_is_refused(full: Asker, query: str) -> None:
    assert full.get(f"/usage?{query}").status == 400


def test_it_is_zipped_for_who_takes_it(full: Asker) -> None:
    answer = full.get("/usage", Accept_Encoding="gzip")
    assert (answer.header("Content-Encoding"), answer.header("Vary")) == ("gzip", "Accept-Encoding")
    assert gzip.decompress(answer.body) == full.get("/usage").body


def test_without_a_journal_it_says_what_to_set(site: Site) -> None:
    answer = asker(site, None).get("/usage")
    assert (answer.status, "agent.state_dir" in answer.text) == (404, True)


def test_a_token_guards_it(site: Site, tmp_path: Path) -> None:
    guarded = asker(site, written(Disk(tmp_path)), OneToken())
    assert guarded.get("/usage").status == 401
    assert guarded.get("/usage", Authorization=f"Bearer {SECRET}").status == 200


def test_a_disk_that_cannot_be_read_now_is_said_and_costs_nothing_else(site: Site, tmp_path: Path) -> None:
    class Failing(Disk):
        broken = False

        def read(self, name: str, offset: int = 0, length: int | None = None) -> bytes:
            if self.broken:
                raise OSError(errno.EIO, "Input/output error")
            return super().read(name, offset, length)

    disk = Failing(tmp_path)
    app = asker(site, written(disk))
    disk.broken = True
    answer = app.get("/usage")
    assert (answer.status, answer.header("Retry-After")) == (503, "60")
    assert app.get("/metrics").status == 200
