"""Usage as it is billed: closed rows of held time, and what each row's hour cost."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from gpusteward.model.devices import Holder
    from gpusteward.model.judgement import Cause
    from gpusteward.model.money import Rate


@dataclass(frozen=True, slots=True, kw_only=True)
class Price:
    """What of a rate a bill must tell apart; equal prices have equal ids, on every node and in every boot.

    Attributes:
        micro_per_hour: micro-units of `currency` an hour, for the whole leaf.
        currency: ISO 4217.
        source: which step found it.
        basis: how a node's price became this one's.
        capacity_type: how the node was bought.
        confidence: high, medium or low.
        as_of: ISO date of the figure; empty when its owner stated none.
    """

    micro_per_hour: int
    currency: str
    source: str
    basis: str
    capacity_type: str
    confidence: str
    as_of: str

    @property
    def id(self) -> str:
        """16 hexadecimal digits of what it says."""
        fields = (self.currency, self.source, self.basis, self.capacity_type, self.confidence, self.as_of)
        text = "\n".join((str(self.micro_per_hour), *fields))
        return hashlib.sha256(text.encode("utf-8", "replace")).hexdigest()[:16]


def price_of(rate: Rate | None) -> Price | None:
    """The price that a rate charges; None when there is none."""
    if rate is None:
        return None
    return Price(
        micro_per_hour=rate.micro_per_hour,
        currency=rate.currency,
        source=str(rate.source),
        basis=str(rate.basis),
        capacity_type=str(rate.capacity_type),
        confidence=str(rate.confidence),
        as_of=rate.as_of.isoformat() if rate.as_of else "",
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class UsageRow:
    """What one holder and cause used of one leaf between two moments, at one price.

    Attributes:
        device: the leaf's key: node, physical UUID, GPU-instance id.
        start_ms: Unix milliseconds at which the device's metered time of this window begins:
            `end_ms` less the time that went by on the monotonic clock, so a stepping wall clock moves a
            row, and never stretches one.
        end_ms: Unix milliseconds at which it ends.
        holder: whose; empty for nobody.
        cause: what it went to.
        held_ms: milliseconds × share; over all rows of a device and window they sum to its length, but for
            a window of downtime, whose rest is nobody's.
        price: None when there was none.
    """

    device: tuple[str, str, str]
    start_ms: int
    end_ms: int
    holder: Holder
    cause: Cause
    held_ms: int
    price: Price | None


@dataclass(frozen=True, slots=True, kw_only=True)
class UsageWindow:
    """What was metered between two closes.

    Attributes:
        rows: ordered by device, holder, cause.
        end: monotonic seconds at which it was closed.
        seconds: how long it was.
    """

    rows: tuple[UsageRow, ...]
    end: float
    seconds: float


@dataclass(frozen=True, slots=True, kw_only=True)
class JournalHealth:
    """How the journal does.

    Attributes:
        rows: rows that can be read now.
        bytes: its size on disk.
        waiting_rows: closed rows in memory that could not be written yet.
        lost_rows: rows given up since the agent began, because memory for them was full too.
        corrupt: damaged places found in its files, each skipped.
        write_errors: writes of rows or checkpoints that failed since the agent began.
        last_write: Unix time of the last write that reached the disk; None before the first.
        oldest: Unix time at which the oldest row begins; None while there is none.
    """

    rows: int = 0
    bytes: int = 0
    waiting_rows: int = 0
    lost_rows: int = 0
    corrupt: int = 0
    write_errors: int = 0
    last_write: float | None = None
    oldest: float | None = None
