"""What /usage answers: pieces that add up, prices beside the rows, and the shape itself."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import msgspec
import pytest

from gpusteward.journal import UsageLog, usage_document
from gpusteward.journal.usage import MOST_ROWS
from gpusteward.model import Cause
from tests.unit.journal.windows import FIRST, NOW, PRICE, row, window

if TYPE_CHECKING:
    from tests.conftest import Golden
    from tests.unit.journal.conftest import SmallDisk


@pytest.fixture
def log(disk: SmallDisk) -> UsageLog:
    made = UsageLog(disk)
    made.append(window(row(200_000), row(100_000, Cause.HEADROOM)), "21d469ff-87f4-4849-b037-f2e984196258")
    made.append(
        window(row(300_000, Cause.UNALLOCATED, None, uuid="GPU-1", namespace="", pod="")),
        "21d469ff-87f4-4849-b037-f2e984196258",
    )
    made.flush(NOW)
    return made


def test_the_reply_has_this_shape(log: UsageLog, golden: Golden) -> None:
    text = msgspec.json.format(msgspec.json.encode(usage_document(log, 0, 10)), indent=2).decode()
    golden(f"{text}\n", "tests/golden/journal/usage.json")


@pytest.mark.parametrize("limit", [1, 2, 3, 4])
def test_pieces_of_any_size_make_the_whole(log: UsageLog, limit: int) -> None:
    whole = usage_document(log, 0, 100)
    rows, after, more = [], 0, True
    while more:
        piece = usage_document(log, after, limit)
        assert len(piece.rows) <= limit
        rows += piece.rows
        after, more = piece.next, piece.more
    assert rows == whole.rows
    assert after == whole.next == FIRST + 2
    assert not usage_document(log, after, limit).rows
    assert usage_document(log, after, limit).next == after


def test_each_piece_names_the_prices_of_its_rows_and_no_others(log: UsageLog) -> None:
    assert [p.id for p in usage_document(log, 0, 1).prices] == [PRICE.id]
    unpriced = usage_document(log, FIRST + 1, 10)
    assert ([r.price for r in unpriced.rows], unpriced.prices) == ([""], [])


def test_a_reply_is_bounded_whatever_is_asked_for(disk: SmallDisk) -> None:
    log = UsageLog(disk)
    log.append(window(*(row(n) for n in range(MOST_ROWS + 1))), "boot-1")
    log.flush(NOW)
    piece = usage_document(log, 0, 10**9)
    assert (len(piece.rows), piece.more) == (MOST_ROWS, True)


def test_equal_prices_have_equal_ids_and_any_difference_makes_another() -> None:
    others = (
        replace(PRICE, micro_per_hour=1),
        replace(PRICE, currency="EUR"),
        replace(PRICE, source="model"),
        replace(PRICE, basis="fitted"),
        replace(PRICE, capacity_type="spot"),
        replace(PRICE, confidence="low"),
        replace(PRICE, as_of=""),
    )
    assert len({PRICE.id, *(price.id for price in others)}) == len(others) + 1
    assert replace(PRICE).id == PRICE.id
