"""Closed windows with the figures a test is about."""

from __future__ import annotations

from gpusteward.clock import Moment
from gpusteward.model import Cause, Holder, Price, UsageRow, UsageWindow

POD = Holder("team-a", "train-0", "main")
NOW = Moment(wall=1_800_000_000.0, monotonic=1_000.0)
FIRST = 1_800_000_000_000
PRICE = Price(
    micro_per_hour=6_880_000,
    currency="USD",
    source="catalogue",
    basis="whole_node",
    capacity_type="on-demand",
    confidence="high",
    as_of="2026-08-03",
)


def row(
    held_ms: int = 300_000, cause: Cause = Cause.USED, price: Price | None = PRICE, **names: str
) -> UsageRow:
    end = int(NOW.wall * 1000)
    holder = Holder(names.get("namespace", POD.namespace), names.get("pod", POD.pod), POD.container)
    return UsageRow(
        device=("n1", names.get("uuid", "GPU-0"), ""),
        start_ms=end - 300_000,
        end_ms=end,
        holder=holder,
        cause=cause,
        held_ms=held_ms,
        price=price,
    )


def window(*rows: UsageRow, end: float = 1_000.0, seconds: float = 300.0) -> UsageWindow:
    return UsageWindow(rows=rows or (row(),), end=end, seconds=seconds)
