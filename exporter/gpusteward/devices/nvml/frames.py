"""What the agent and its NVML worker say to each other: four bytes of length, then MessagePack.

Signals travel under their names in `model.Signal`, already in base units.
"""

from __future__ import annotations

import struct
from typing import Final, TypeAlias

import msgspec

from gpusteward.model.devices import Signal

MOST_BYTES: Final = 4 * 1024 * 1024
"""Greatest frame. 16 GPUs of 7 instances with 50 processes each are under half a megabyte."""

LENGTH: Final = struct.Struct("<I")


class Ask(msgspec.Struct, array_like=True):
    """The agent asks for a sample.

    Attributes:
        at: monotonic seconds, of the clock that all processes of a machine share.
    """

    at: float


class RunningProcess(msgspec.Struct, array_like=True):
    """A process as NVML lists it; `memory` in bytes, None = the driver does not say."""

    pid: int
    memory: int | None


class Instance(msgspec.Struct, array_like=True):
    """A MIG GPU instance; `processes` None = not known."""

    gi: int
    uuid: str
    profile: str
    signals: dict[Signal, float]
    processes: list[RunningProcess] | None


class Gpu(msgspec.Struct, array_like=True):
    """A GPU at an index.

    Attributes:
        index: where NVML enumerates it.
        uuid, model, bus_id: identity; empty for a GPU that could never be read.
        code: NVML return code that keeps it from being read; 0 = it was read.
        mig: whether MIG is on.
        signals: of a GPU with MIG on only what belongs to the board.
        processes: on a whole GPU; None = not known.
        xids: since the sample before; None = the board cannot tell.
    """

    index: int
    uuid: str
    model: str
    bus_id: str
    code: int
    mig: bool
    signals: dict[Signal, float]
    instances: list[Instance]
    processes: list[RunningProcess] | None
    xids: list[int] | None


class Sample(msgspec.Struct, tag="sample"):
    """A sample; `errors` are failed calls as (function, code's name, how often)."""

    driver: str
    gpus: list[Gpu]
    errors: list[tuple[str, str, int]]


class Gone(msgspec.Struct, tag="gone"):
    """The worker's last frame: it ends now, since only another process can do better.

    Attributes:
        reason: one of `reasons.HINTS`.
        message: what happened, one sentence.
    """

    reason: str
    message: str


Answer: TypeAlias = Sample | Gone

_encoder = msgspec.msgpack.Encoder()
_ask_decoder = msgspec.msgpack.Decoder(Ask)
_answer_decoder = msgspec.msgpack.Decoder(Answer)


class FrameError(Exception):
    """Bytes that are no frame of ours."""


def packed(frame: Ask | Answer) -> bytes:
    """A frame with its length before it."""
    body = _encoder.encode(frame)
    return LENGTH.pack(len(body)) + body


def length(head: bytes) -> int:
    """Length of the body that follows these four bytes.

    Raises:
        FrameError: more than `MOST_BYTES`.
    """
    (size,) = LENGTH.unpack(head)
    if size > MOST_BYTES:
        raise FrameError(f"a frame of {size} bytes is longer than {MOST_BYTES}")
    return int(size)


def ask_of(body: bytes) -> Ask:
    """The question in this body.

    Raises:
        FrameError: it is none.
    """
    try:
        return _ask_decoder.decode(body)
    except msgspec.DecodeError as error:
        raise FrameError(str(error)) from error


def answer_of(body: bytes) -> Answer:
    """The answer in this body.

    Raises:
        FrameError: it is none.
    """
    try:
        answer: Answer = _answer_decoder.decode(body)
    except msgspec.DecodeError as error:
        raise FrameError(str(error)) from error
    return answer
