"""Frames: how records lie in a file, so that a torn or damaged one is told from a whole one.

A frame is a mark, the payload's length and CRC-32 (both little-endian, 4 bytes each), and the payload. The
mark lets a reader find the next frame behind a damaged one.
"""

from __future__ import annotations

import struct
import zlib
from dataclasses import dataclass
from typing import Final

MARK: Final = b"\xf7GSJ"
MOST_PAYLOAD_BYTES: Final = 16 * 1024 * 1024
_HEAD: Final = struct.Struct("<4sII")
HEAD_BYTES: Final = _HEAD.size


@dataclass(frozen=True, slots=True)
class Frame:
    """Where a whole frame lies, and what is in it."""

    offset: int
    payload: bytes

    @property
    def end(self) -> int:
        """The offset behind it."""
        return self.offset + HEAD_BYTES + len(self.payload)


@dataclass(frozen=True, slots=True)
class Scan:
    """What was found in a file.

    Attributes:
        frames: whole frames, in order.
        end: offset behind the last one: what follows is torn.
        corrupt: how many damaged places lie before that.
    """

    frames: tuple[Frame, ...]
    end: int
    corrupt: int


def frame(payload: bytes) -> bytes:
    """A payload as a frame.

    Raises:
        ValueError: it is longer than a frame may be.
    """
    if len(payload) > MOST_PAYLOAD_BYTES:
        raise ValueError(f"a frame holds {MOST_PAYLOAD_BYTES} bytes at most, not {len(payload)}")
    return _HEAD.pack(MARK, len(payload), zlib.crc32(payload)) + payload


def scan(data: bytes) -> Scan:
    """All whole frames of a file, whatever lies between them."""
    frames: list[Frame] = []
    end = corrupt = position = 0
    while (position := data.find(MARK, position)) >= 0:
        found = frame_at(data, position)
        if found is None:
            position += 1
            continue
        corrupt += position > end
        frames.append(found)
        end = position = found.end
    return Scan(tuple(frames), end, corrupt)


def frame_at(data: bytes, offset: int) -> Frame | None:
    """The frame that begins here; None when none does, or it is not whole."""
    if len(data) < offset + HEAD_BYTES:
        return None
    mark, length, checksum = _HEAD.unpack_from(data, offset)
    payload = data[offset + HEAD_BYTES : offset + HEAD_BYTES + length]
    whole = mark == MARK and length <= MOST_PAYLOAD_BYTES and len(payload) == length
    return Frame(offset, payload) if whole and zlib.crc32(payload) == checksum else None
