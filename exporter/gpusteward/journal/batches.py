"""The record of one closed window: its rows and the prices they name, in one frame, so all or nothing."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec
from msgspec import Struct

if TYPE_CHECKING:
    from gpusteward.model import UsageRow, UsageWindow


class StoredRow(Struct, frozen=True, array_like=True):
    """A row without its sequence, which its place in the batch tells. Fields as in `UsageRow`."""

    node: str
    uuid: str
    gi: str
    start_ms: int
    end_ms: int
    namespace: str
    pod: str
    container: str
    cause: str
    held_ms: int
    price: str


class StoredPrice(Struct, frozen=True, array_like=True):
    """A price. Fields as in `Price`; a row names it by its id, and none by the empty one."""

    id: str
    micro_per_hour: int
    currency: str
    source: str
    basis: str
    capacity_type: str
    confidence: str
    as_of: str


class Batch(Struct, frozen=True, kw_only=True):
    """One closed window.

    Attributes:
        version: of this shape.
        boot: boot id of the machine it was metered in.
        first: sequence of the first row; the others follow one by one.
        end: monotonic seconds of its close, in that boot.
        seconds: its length.
        rows: at least one.
        prices: those that the rows name.
    """

    version: int = 1
    boot: str
    first: int
    end: float
    seconds: float
    rows: list[StoredRow]
    prices: list[StoredPrice]

    @property
    def after(self) -> int:
        """The sequence behind the last row."""
        return self.first + len(self.rows)


_decoder = msgspec.msgpack.Decoder(Batch)


def batch_of(window: UsageWindow, boot: str, first: int) -> Batch:
    """A closed window as a record."""
    prices = {row.price.id: row.price for row in window.rows if row.price is not None}
    return Batch(
        boot=boot,
        first=first,
        end=window.end,
        seconds=window.seconds,
        rows=[_row(row) for row in window.rows],
        prices=[
            StoredPrice(
                known,
                price.micro_per_hour,
                price.currency,
                price.source,
                price.basis,
                price.capacity_type,
                price.confidence,
                price.as_of,
            )
            for known, price in sorted(prices.items())
        ],
    )


def _row(row: UsageRow) -> StoredRow:
    node, uuid, gi = row.device
    holder = row.holder
    return StoredRow(
        _utf8(node),
        _utf8(uuid),
        gi,
        row.start_ms,
        row.end_ms,
        _utf8(holder.namespace),
        _utf8(holder.pod),
        _utf8(holder.container),
        row.cause,
        row.held_ms,
        "" if row.price is None else row.price.id,
    )


def _utf8(text: str) -> str:
    """The text without lone surrogates, as from an undecodable byte in a label."""
    return text if text.isascii() else text.encode("utf-8", "replace").decode()


def encode(batch: Batch) -> bytes:
    """A batch as a frame's payload."""
    return msgspec.msgpack.encode(batch)


def decode(payload: bytes) -> Batch | None:
    """The batch of a payload; None when it is not one of ours: of a later version, say."""
    try:
        batch = _decoder.decode(payload)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return None
    return batch if batch.version == 1 and batch.rows else None
