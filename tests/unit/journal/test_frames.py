"""Frames: torn at any byte, damaged anywhere, and what is found of them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gpusteward.journal.frames import HEAD_BYTES, MARK, MOST_PAYLOAD_BYTES, frame, frame_at, scan

payloads = st.lists(st.binary(max_size=40), max_size=6)


@given(payloads)
def test_what_was_written_is_found_again(written: list[bytes]) -> None:
    data = b"".join(map(frame, written))
    found = scan(data)
    assert [f.payload for f in found.frames] == written
    assert (found.end, found.corrupt) == (len(data), 0)


def test_a_file_torn_at_any_byte_keeps_its_whole_frames_and_drops_the_rest() -> None:
    written = [b"one", b"", MARK + b"a mark inside", b"four" * 9]
    data = b"".join(map(frame, written))
    ends = [0]
    for payload in written:
        ends.append(ends[-1] + HEAD_BYTES + len(payload))
    for cut in range(len(data) + 1):
        whole = sum(end <= cut for end in ends) - 1
        found = scan(data[:cut])
        assert [f.payload for f in found.frames] == written[:whole]
        assert (found.end, found.corrupt) == (ends[whole], 0)


def test_a_damaged_frame_costs_itself_and_is_counted_wherever_it_is_damaged() -> None:
    first, damaged, last = frame(b"first"), frame(b"damaged one"), frame(b"last")
    for position in range(len(damaged)):
        for flip in (0x01, 0x80):
            bad = bytearray(damaged)
            bad[position] ^= flip
            found = scan(first + bytes(bad) + last)
            assert [f.payload for f in found.frames] == [b"first", b"last"]
            assert (found.end, found.corrupt) == (len(first + damaged + last), 1)


@given(st.binary(max_size=200))
def test_rubbish_holds_no_frame_and_breaks_nothing(rubbish: bytes) -> None:
    found = scan(rubbish + frame(b"after it"))
    assert found.frames[-1].payload == b"after it"
    assert found.corrupt == bool(rubbish)


def test_a_payload_that_is_too_long_is_refused_and_a_length_that_is_too_long_is_no_frame() -> None:
    with pytest.raises(ValueError, match="bytes at most"):
        frame(bytes(MOST_PAYLOAD_BYTES + 1))
    assert frame_at(MARK + b"\xff" * 8 + b"x", 0) is None
    assert frame_at(frame(b"x"), 1) is None
