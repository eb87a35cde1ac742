"""What `GET /usage` answers, version 1. Stable: fields are added, never renamed or given another meaning.

Times are Unix milliseconds, money whole micro-units of the price's currency.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from msgspec import Struct

if TYPE_CHECKING:
    from gpusteward.journal.log import UsageLog

MOST_ROWS: Final = 5000
DEFAULT_ROWS: Final = 1000


class RowDocument(Struct, frozen=True, kw_only=True):
    """One row: what a holder and cause used of a leaf between two moments.

    Attributes:
        seq: its sequence; (node, boot, seq) is the same row for ever.
        boot: boot id of the machine.
        node: name.
        uuid: physical GPU.
        gi: GPU-instance id; empty for a whole GPU; `free`, `stranded`.
        start_ms: where the device's metered time of this window begins.
        end_ms: where it ends.
        namespace: of the holder; empty for nobody.
        pod: of the holder.
        container: of the holder.
        cause: of the closed list.
        held_ms: milliseconds × share of the leaf.
        price: id of its price; empty when there was none.
    """

    seq: int
    boot: str
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


class PriceDocument(Struct, frozen=True, kw_only=True):
    """What an hour of a leaf costs: `held_ms × micro_per_hour / 3,600,000` is micro-units.

    Attributes:
        id: as rows name it.
        micro_per_hour: micro-units an hour.
        currency: ISO 4217.
        source: which step found it.
        basis: how a node's price became this one's.
        capacity_type: how the node was bought.
        confidence: high, medium or low.
        as_of: date of the figure; empty when its owner stated none.
    """

    id: str
    micro_per_hour: int
    currency: str
    source: str
    basis: str
    capacity_type: str
    confidence: str
    as_of: str


class UsageDocument(Struct, frozen=True, kw_only=True):
    """A piece of the journal.

    Attributes:
        schema: version of this shape.
        rows: in the order of their sequence.
        prices: those that the rows name.
        next: what to ask for next, as `after`.
        more: whether there is more already.
    """

    schema: int = 1
    rows: list[RowDocument]
    prices: list[PriceDocument]
    next: int
    more: bool


def usage_document(log: UsageLog, after: int, limit: int) -> UsageDocument:
    """Up to `limit` rows behind a sequence, oldest first.

    Args:
        log: the journal.
        after: the last sequence that the reader has; 0 for all.
        limit: at least 1; more than `MOST_ROWS` are never given.

    Raises:
        OSError: the disk cannot be read.
    """
    most = min(limit, MOST_ROWS)
    rows: list[RowDocument] = []
    prices: dict[str, PriceDocument] = {}
    for batch in log.read(after, most + 1):
        known = {price.id: price for price in batch.prices}
        for seq, row in enumerate(batch.rows, batch.first):
            if seq <= after or len(rows) > most:
                continue
            names = {name: getattr(row, name) for name in row.__struct_fields__}
            rows.append(RowDocument(seq=seq, boot=batch.boot, **names))
            if (price := known.get(row.price)) is not None and len(rows) <= most:
                prices[price.id] = PriceDocument(
                    **{name: getattr(price, name) for name in price.__struct_fields__}
                )
    shown = rows[:most]
    return UsageDocument(
        rows=shown,
        prices=[prices[known] for known in sorted(prices)],
        next=shown[-1].seq if shown else after,
        more=len(rows) > most,
    )
