"""The checkpoint: what a restarted agent goes on from, in one file that is replaced as a whole."""

from __future__ import annotations

import json
import uuid
from pathlib import Path
from typing import Any, Final

import msgspec
from msgspec import Struct

from gpusteward.meter import OpenState

NAME: Final = "checkpoint.json"
VERSION: Final = 1
BOOT_ID: Final = Path("/proc/sys/kernel/random/boot_id")


class Identity(Struct, frozen=True, kw_only=True):
    """Where figures are from; a checkpoint of another identity is not gone on from.

    Attributes:
        boot: the machine's boot: its monotonic clock begins anew in each.
        node: the agent's node.
        mode: real or simulated.
        currency: what the counters count.
    """

    boot: str
    node: str
    mode: str
    currency: str


class Checkpoint(Struct, frozen=True, kw_only=True):
    """One checkpoint.

    Attributes:
        version: of this shape.
        identity: where it is from.
        wall: Unix seconds at which it was taken.
        monotonic: the same on that boot's clock.
        clean: whether the agent stopped right after it, on request.
        open: the open window.
        state: what the pipeline remembers, as its own document.
    """

    version: int = VERSION
    identity: Identity
    wall: float
    monotonic: float
    clean: bool
    open: OpenState
    state: msgspec.Raw


class _Enclosing(Struct):
    """Only the version, which tells whether the rest is understood."""

    version: int = 0


def encode(checkpoint: Checkpoint) -> bytes:
    """A checkpoint as JSON."""
    return _json(checkpoint)


def decode(data: bytes) -> Checkpoint | None:
    """The checkpoint of a file; None when it is none, or of another version."""
    try:
        if msgspec.json.decode(data, type=_Enclosing).version != VERSION:
            return None
        return msgspec.json.decode(data, type=Checkpoint)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return None


def encode_state(state: Any) -> msgspec.Raw:  # noqa: ANN401 - whatever document the pipeline makes
    """The pipeline's document as it is kept."""
    return msgspec.Raw(_json(state))


def _json(document: Any) -> bytes:  # noqa: ANN401 - any document of ours
    """Lone surrogates (an undecodable byte in a label) become question marks; rare, so slow is fine."""
    try:
        return msgspec.json.encode(document)
    except UnicodeEncodeError:
        plain = msgspec.to_builtins(document, enc_hook=msgspec.json.decode)  # a Raw is JSON already
        return json.dumps(plain, ensure_ascii=False).encode("utf-8", "replace")


def boot_id(path: Path = BOOT_ID) -> str:
    """What Linux calls this boot (random(4)); where it does not say, a name that no other start will have."""
    try:
        return path.read_text(encoding="ascii").strip()
    except (OSError, UnicodeDecodeError):
        return str(uuid.uuid4())
