"""The counters: portions of leaves integrated over time; they never go down.

A sample stands for the interval that ends with it: the values of most sources are means over their last
period. All sums are integers of µs × parts per billion (× micro-units per hour), so nothing is ever rounded
and conservation is exact. Pure: time comes in as arguments.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from gpusteward.meter.open_rows import OpenRows
from gpusteward.model import Cause, Charge, DeviceTotals, EndedLeaf, Holder, Portion, Signal, price_of
from gpusteward.units import PPB

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable

    from gpusteward.model import Device, GpuReading, Leaf, NodeRate, Rate, State, Verdict

NOBODY = Holder()

INTEGRATED = (
    Signal.GPU_UTILIZATION,
    Signal.ENGINE_ACTIVE,
    Signal.SM_ACTIVE,
    Signal.TENSOR_ACTIVE,
    Signal.DRAM_ACTIVE,
)
"""Ratio signals that are also exported as seconds, so that any scrape interval gives an exact mean."""


@dataclass(slots=True)
class Account:
    """What one holder and cause used up, in the units of `Charge`."""

    held: int = 0
    cost: int = 0
    priced: bool = False


@dataclass(slots=True)
class LeafMeter:
    """The counters of one leaf, and who holds it."""

    accounts: dict[Holder, dict[Cause, Account]] = field(default_factory=dict)
    last_held: dict[Holder, float] = field(default_factory=dict)
    holders: frozenset[Holder] = frozenset()
    active: int | None = None
    signals: dict[Signal, int] = field(default_factory=dict)
    states: dict[State, int] = field(default_factory=dict)
    device: Device | None = None
    last_seen: float = 0.0

    def charges(self) -> tuple[Charge, ...]:
        """All accounts, by holder and cause."""
        return tuple(
            Charge(holder=holder, cause=cause, held=a.held, cost=a.cost, priced=a.priced)
            for holder, causes in sorted(self.accounts.items())
            for cause, a in sorted(causes.items())
        )

    def totals(self) -> DeviceTotals:
        """All seconds."""
        return DeviceTotals(active_us=self.active, signal_us=dict(self.signals), state_us=dict(self.states))


@dataclass(slots=True)
class NodeMeter:
    """What was charged to a node's GPUs, to its other parts, and what was due in all."""

    charged: int = 0
    other: int = 0
    due: int = 0


@dataclass(slots=True)
class Xids:
    """XID errors of one GPU.

    Attributes:
        counts: how many were seen to happen, by XID.
        last_at: Unix time of the last of each.
        shown: what LAST_XID stood at; None before it was first seen.
    """

    counts: dict[int, int] = field(default_factory=dict)
    last_at: dict[int, float] = field(default_factory=dict)
    shown: int | None = None

    def happened(self, xid: int, wall: float) -> None:
        """Count one."""
        self.counts[xid] = self.counts.get(xid, 0) + 1
        self.last_at[xid] = wall


@dataclass(frozen=True, slots=True)
class Interval:
    """The time that one sample stands for.

    Attributes:
        microseconds: its length; 0 for the first sample of a node.
        end: monotonic seconds at which it ends.
        sampled: False when it is too long to be told by its last sample (the agent was stuck).
        running: False when the agent did not run: who holds the device still, and held it before, is charged
            for it as unmeasured; the rest is left out here, and is the ledger's to tell.
    """

    microseconds: int
    end: float
    sampled: bool = True
    running: bool = True


class Meter:
    """Counters of every leaf, holder and node since the agent began.

    Args:
        ended_seconds: how long the counters of a holder or leaf that ended are kept.

    Attributes:
        open: the rows of the window that is open, which are billed.
    """

    def __init__(self, ended_seconds: float) -> None:
        self.ended_seconds = ended_seconds
        self.open = OpenRows()
        self.leaves: dict[tuple[str, str, str], LeafMeter] = {}
        self.nodes: dict[str, NodeMeter] = {}
        self.xids: dict[tuple[str, str], Xids] = {}

    def charge(
        self, leaf: Leaf, portions: Iterable[Portion], rate: Rate | None, interval: Interval
    ) -> tuple[Charge, ...]:
        """Add an interval to a leaf's accounts; all its accounts, by holder and cause."""
        meter = self.leaves.setdefault(leaf.device.key, LeafMeter())
        now_held = frozenset(portion.holder for portion in portions)
        if not interval.running:
            portions = _still_held(portions, meter.holders)
        elif not interval.sampled:
            portions = _unmeasured(portions, meter.holders)
        price = price_of(rate)
        self.open.elapse(leaf.device.key, interval.microseconds, interval.end)
        for portion in portions:
            account = meter.accounts.setdefault(portion.holder, {}).setdefault(portion.cause, Account())
            held = interval.microseconds * portion.ppb
            account.held += held
            self.open.add(leaf.device.key, (portion.holder, portion.cause, price), held)
            if rate is not None:
                account.cost += held * rate.micro_per_hour
                account.priced = True
                self._charge_node(leaf.device.node, held * rate.micro_per_hour, interval)
        meter.holders = now_held
        for holder in now_held:
            meter.last_held[holder] = interval.end
        self._forget_ended(meter, interval.end)
        return meter.charges()

    def total(self, leaf: Leaf, verdict: Verdict, interval: Interval) -> DeviceTotals:
        """Add an interval to a leaf's seconds; all its seconds. Unknown activity adds nothing."""
        meter = self.leaves.setdefault(leaf.device.key, LeafMeter())
        meter.device, meter.last_seen = leaf.device, interval.end
        elapsed = interval.microseconds if interval.running else 0
        meter.states[verdict.state] = meter.states.get(verdict.state, 0) + elapsed
        if interval.sampled:
            if verdict.activity is not None:
                meter.active = (meter.active or 0) + elapsed * round(verdict.activity * PPB)
            for signal in INTEGRATED:
                value = leaf.signals.get(signal)
                if value is not None:
                    meter.signals[signal] = meter.signals.get(signal, 0) + elapsed * round(value * PPB)
        return meter.totals()

    def ended(
        self, node: str, present: Collection[tuple[str, str, str]], now: float
    ) -> tuple[EndedLeaf, ...]:
        """The leaves of a node that are kept and not present any more, unchanged since they went."""
        return tuple(
            EndedLeaf(device=meter.device, charges=meter.charges(), totals=meter.totals())
            for key, meter in sorted(self.leaves.items())
            if key[0] == node
            and key not in present
            and meter.device is not None
            and now - meter.last_seen <= self.ended_seconds
        )

    def count_xids(self, node: str, gpu: GpuReading, wall: float) -> tuple[dict[int, int], dict[int, float]]:
        """XID errors that were seen to happen, by XID, and the Unix time of the last of each.

        Where the source tells events, each counts. DCGM shows the last XID for ever, so one that stands there
        at the first sight is old and counts 0; a change counts 1. The same XID twice in a row cannot be told
        from one, from this signal.
        """
        known = self.xids.setdefault((node, gpu.uuid), Xids())
        if gpu.xids is not None:
            for xid in gpu.xids:
                known.happened(xid, wall)
        elif (value := gpu.signals.get(Signal.LAST_XID)) is not None:
            xid, before = int(value), known.shown
            known.shown = xid
            if xid and before is not None and before != xid:
                known.happened(xid, wall)
            elif xid:
                known.counts.setdefault(xid, 0)
        return dict(known.counts), dict(known.last_at)

    def close_node(self, node: str, rate: NodeRate | None, interval: Interval) -> tuple[int, int]:
        """Add an interval to a node; its other cost so far, and its conservation error so far.

        The error compares what was charged with list price × time, and is 0 by construction.
        """
        meter = self._node(node)
        if rate is not None and interval.running:
            whole = interval.microseconds * PPB
            meter.other += whole * rate.other_micro_per_hour
            meter.due += whole * rate.list_micro_per_hour
        return meter.other, meter.charged + meter.other - meter.due

    def forget(self, now: float, nodes: Iterable[str]) -> None:
        """Drop leaves that have not been seen for `ended_seconds`, and nodes that are no longer known."""
        nodes = set(nodes)
        self.leaves = {
            key: meter
            for key, meter in self.leaves.items()
            if now - meter.last_seen <= self.ended_seconds and key[0] in nodes
        }
        self.nodes = {node: meter for node, meter in self.nodes.items() if node in nodes}
        self.xids = {key: known for key, known in self.xids.items() if key[0] in nodes}

    def _charge_node(self, node: str, cost: int, interval: Interval) -> None:
        """What is charged of downtime is all that is due of it: its rest is not ours."""
        meter = self._node(node)
        meter.charged += cost
        if not interval.running:
            meter.due += cost

    def _node(self, node: str) -> NodeMeter:
        return self.nodes.setdefault(node, NodeMeter())

    def _forget_ended(self, meter: LeafMeter, now: float) -> None:
        """Holders that ended stay a while, so that rate() sees their last value; nobody stays for ever."""
        for holder, last in list(meter.last_held.items()):
            if holder != NOBODY and now - last > self.ended_seconds:
                del meter.last_held[holder]
                meter.accounts.pop(holder, None)


def _still_held(portions: Iterable[Portion], before: frozenset[Holder]) -> tuple[Portion, ...]:
    """Downtime: unmeasured for a holder that had the device before and still has; the rest is left out."""
    return tuple(p for p in _unmeasured(portions, before) if p.holder != NOBODY)


def _unmeasured(portions: Iterable[Portion], before: frozenset[Holder]) -> tuple[Portion, ...]:
    """An interval that was not sampled: unmeasured for a holder that had the device before and still has."""
    parts: dict[Holder, int] = {}
    for portion in portions:
        holder = portion.holder if portion.holder in before else NOBODY
        parts[holder] = parts.get(holder, 0) + portion.ppb
    return tuple(Portion(holder, Cause.UNMEASURED, ppb) for holder, ppb in parts.items())
