"""What the agent and its NVML worker say to each other: four bytes of length, then MessagePack.

Signals travel under their names in `model.Signal`, already in base units.
"""

from __future__ import annotations

import struct
from typing import Final, NamedTuple, TypeAlias

import msgspec

from gpusteward.model.devices import Signal

MOST_BYTES: Final = 4 * 1024 * 1024
"""Greatest frame. 16 GPUs of 7 instances with 50 processes each are under half a megabyte."""

NO_ANSWER: Final = -1
"""Instead of a return code: a call for this GPU did not return. NVML's own are 0 and more."""

LENGTH: Final = struct.Struct("<I")


class Ask(msgspec.Struct, array_like=True):
    """The agent asks for a sample.

    Attributes:
        at: monotonic seconds, of the clock that all processes of a machine share.
        skip: indices of GPUs that are not to be touched, since calls for them do not return.
        last: indices of GPUs to read after all others: of these, too, a call may not return.
    """

    at: float
    skip: list[int] = []
    last: list[int] = []


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
        code: NVML return code that keeps it from being read, or `NO_ANSWER`; 0 = it was read.
        mig: whether MIG is on.
        signals: of a GPU with MIG on only what belongs to the board.
        processes: on a whole GPU; None = not known.
        xids: empty, since `Happened` tells them first, until the agent puts them here; None = the board
            cannot tell.
        minor: number of its device file, /dev/nvidia<minor>; None = not known.
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
    minor: int | None = None


class Happened(msgspec.Struct, tag="happened"):
    """XIDs since this was said last, by bus id; said before any GPU is touched, for that may not return."""

    xids: dict[str, list[int]]


class Began(msgspec.Struct, tag="began"):
    """A sample begins; `count` is how many GPUs the driver shows."""

    driver: str
    count: int


class Turn(msgspec.Struct, tag="turn"):
    """The worker turns to the GPU at this index.

    Attributes:
        index: where NVML enumerates it.
        awake: False = it is to be found yet, for which a driver that sleeps may need seconds.
    """

    index: int
    awake: bool


class Read(msgspec.Struct, tag="read"):
    """A GPU, as it was read."""

    gpu: Gpu


class Done(msgspec.Struct, tag="done"):
    """The sample ends; `errors` are failed calls as (function, code's name, how often)."""

    errors: list[tuple[str, str, int]]


class Gone(msgspec.Struct, tag="gone"):
    """The worker's last frame: it ends now, since only another process can do better.

    Attributes:
        reason: one of `reasons.HINTS`.
        message: what happened, one sentence.
    """

    reason: str
    message: str


Part: TypeAlias = Happened | Began | Turn | Read | Done
"""What a sample is sent as, in this order; `Turn` and `Read` for each GPU, `Happened` where there is news."""

Answer: TypeAlias = Part | Gone


class Sample(NamedTuple):
    """A sample, put together.

    Attributes:
        driver: its version.
        total: how many GPUs the driver shows.
        gpus: in the order of their indices.
        errors: as in `Done`.
    """

    driver: str
    total: int
    gpus: list[Gpu]
    errors: list[tuple[str, str, int]]


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
