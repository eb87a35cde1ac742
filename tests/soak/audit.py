"""What must hold of every snapshot and every page, however long the agent runs.

Each check is made from the outside: money against the list price, held pods against what was read, series
against the text of the page.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from fractions import Fraction
from typing import TYPE_CHECKING, TypeAlias

from gpusteward.model import Cause, Holder

if TYPE_CHECKING:
    from collections.abc import Mapping

    from gpusteward.model import Snapshot

COST_UNIT = 10**15 * 3600
"""Charge.cost per micro-unit of currency: µs × parts per billion in a second, times seconds in an hour."""

NOBODY = Holder()
Account: TypeAlias = "tuple[tuple[str, str, str], Holder, Cause]"
_POD = re.compile(r'[{,]pod="([^"]+)"')


@dataclass(slots=True)
class Books:
    """All the money that was ever shown, kept apart from the agent's own books.

    Attributes:
        open: cost of each account at the last snapshot that had it.
        closed: cost of accounts that are gone from the snapshot.
        other: cost of the nodes' other parts.
        last_held: monotonic seconds at which each holder last held anything, for those of the last hour.
        pods: how many holders there were.
    """

    open: dict[Account, int] = field(default_factory=dict)
    closed: int = 0
    other: int = 0
    last_held: dict[Holder, float] = field(default_factory=dict)
    pods: int = 0

    def enter(self, snapshot: Snapshot) -> None:
        """Take a snapshot into the books; counters must not go down."""
        leaves = [leaf for node in snapshot.nodes for gpu in node.gpus for leaf in gpu.leaves]
        now = {
            (leaf.leaf.device.key, charge.holder, charge.cause): charge.cost
            for leaf in leaves
            for charge in leaf.charges
        }
        for account, cost in self.open.items():
            if account not in now:
                self.closed += cost
            else:
                assert now[account] >= cost, f"{account} went down from {cost} to {now[account]}"
        self.open = now
        self.other = sum(node.other_cost for node in snapshot.nodes)
        for node in snapshot.nodes:
            assert node.conservation_error == 0, f"{node.node} is off by {node.conservation_error}"
        self._note({portion.holder for leaf in leaves for portion in leaf.portions}, snapshot.at.monotonic)

    @property
    def micro(self) -> Fraction:
        """All of it, in micro-units of currency, exactly."""
        return Fraction(self.closed + sum(self.open.values()) + self.other, COST_UNIT)

    def _note(self, held: set[Holder], now: float) -> None:
        held.discard(NOBODY)
        self.pods += len(held - self.last_held.keys())
        self.last_held |= dict.fromkeys(held, now)
        self.last_held = {holder: last for holder, last in self.last_held.items() if now - last <= 3600}


def series_of(page: str) -> set[str]:
    """The page's series, names and labels; fails when one appears twice."""
    lines = [line.rpartition(" ")[0] for line in page.splitlines() if not line.startswith("#")]
    series = set(lines)
    assert len(series) == len(lines), (
        f"twice: {sorted({line for line in lines if lines.count(line) > 1})[:3]}"
    )
    return series


def pods_of(series: set[str], name: str) -> set[str]:
    """Pods that have a series of this name."""
    return {pod for line in series if line.startswith(name + "{") for pod in _POD.findall(line)}


def check_holders(series: set[str], held_ago: Mapping[str, float], gauges: float, counters: float) -> None:
    """Whoever holds nothing has no gauge; whoever has held nothing for long has no counter either.

    Args:
        series: of the page.
        held_ago: how many seconds before the page's sample each pod last held something.
        gauges: how many seconds the gauges of a pod that ended may stay.
        counters: how many seconds its counters may stay.
    """
    for name, seconds in (
        ("gpusteward_gpu_cost_per_hour", gauges),
        ("gpusteward_gpu_allocation_share", gauges),
        ("gpusteward_gpu_cost_total", counters),
        ("gpusteward_gpu_held_seconds_total", counters),
    ):
        stale = {pod: held_ago.get(pod) for pod in pods_of(series, name)}
        stale = {pod: ago for pod, ago in stale.items() if ago is None or ago > seconds}
        assert not stale, f"{name} of pods that ended more than {seconds:g} s ago: {stale}"
