"""The meter: integrates portions of leaves over time into counters that never go down.

A sample stands for the interval that ends with it: the values of most sources are means over their last
period. All sums are integers of µs × parts per billion (× micro-units per hour), so nothing is ever rounded
and conservation is exact. Pure: time comes in as arguments.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from gpusteward.model import Cause, Charge, DeviceTotals, EndedLeaf, Holder, Portion, Signal
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
class _Account:
    held: int = 0
    cost: int = 0
    priced: bool = False


@dataclass(slots=True)
class _LeafMeter:
    accounts: dict[Holder, dict[Cause, _Account]] = field(default_factory=dict)
    last_held: dict[Holder, float] = field(default_factory=dict)
    holders: frozenset[Holder] = frozenset()
    active: int | None = None
    signals: dict[Signal, int] = field(default_factory=dict)
    states: dict[State, int] = field(default_factory=dict)
    device: Device | None = None
    last_seen: float = 0.0

    def charges(self) -> tuple[Charge, ...]:
        return tuple(
            Charge(holder=holder, cause=cause, held=a.held, cost=a.cost, priced=a.priced)
            for holder, causes in sorted(self.accounts.items())
            for cause, a in sorted(causes.items())
        )

    def totals(self) -> DeviceTotals:
        return DeviceTotals(active_us=self.active, signal_us=dict(self.signals), state_us=dict(self.states))


@dataclass(slots=True)
class _NodeMeter:
    charged: int = 0
    other: int = 0
    due: int = 0


@dataclass(slots=True)
class _Xids:
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
        self.counts[xid] = self.counts.get(xid, 0) + 1
        self.last_at[xid] = wall


@dataclass(frozen=True, slots=True)
class Interval:
    """The time that one sample stands for.

    Attributes:
        microseconds: its length; 0 for the first sample of a node.
        end: monotonic seconds at which it ends.
        sampled: False when it is too long to be told by its last sample (the agent was stopped or stuck).
    """

    microseconds: int
    end: float
    sampled: bool = True


class Meter:
    """Counters of every leaf, holder and node since the agent began.

    Args:
        ended_seconds: how long the counters of a holder or leaf that ended are kept.
    """

    def __init__(self, ended_seconds: float) -> None:
        self.ended_seconds = ended_seconds
        self._leaves: dict[tuple[str, str, str], _LeafMeter] = {}
        self._nodes: dict[str, _NodeMeter] = {}
        self._xids: dict[tuple[str, str], _Xids] = {}

    def charge(
        self, leaf: Leaf, portions: Iterable[Portion], rate: Rate | None, interval: Interval
    ) -> tuple[Charge, ...]:
        """Add an interval to a leaf's accounts; all its accounts, by holder and cause."""
        meter = self._leaves.setdefault(leaf.device.key, _LeafMeter())
        now_held = frozenset(portion.holder for portion in portions)
        if not interval.sampled:
            portions = _unmeasured(portions, meter.holders)
        for portion in portions:
            account = meter.accounts.setdefault(portion.holder, {}).setdefault(portion.cause, _Account())
            held = interval.microseconds * portion.ppb
            account.held += held
            if rate is not None:
                account.cost += held * rate.micro_per_hour
                account.priced = True
                self._node(leaf.device.node).charged += held * rate.micro_per_hour
        meter.holders = now_held
        for holder in now_held:
            meter.last_held[holder] = interval.end
        self._forget_ended(meter, interval.end)
        return meter.charges()

    def total(self, leaf: Leaf, verdict: Verdict, interval: Interval) -> DeviceTotals:
        """Add an interval to a leaf's seconds; all its seconds. Unknown activity adds nothing."""
        meter = self._leaves.setdefault(leaf.device.key, _LeafMeter())
        meter.device, meter.last_seen = leaf.device, interval.end
        elapsed = interval.microseconds
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
            for key, meter in sorted(self._leaves.items())
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
        known = self._xids.setdefault((node, gpu.uuid), _Xids())
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
        if rate is not None:
            whole = interval.microseconds * PPB
            meter.other += whole * rate.other_micro_per_hour
            meter.due += whole * rate.list_micro_per_hour
        return meter.other, meter.charged + meter.other - meter.due

    def forget(self, now: float, nodes: Iterable[str]) -> None:
        """Drop leaves that have not been seen for `ended_seconds`, and nodes that are no longer known."""
        nodes = set(nodes)
        self._leaves = {
            key: meter
            for key, meter in self._leaves.items()
            if now - meter.last_seen <= self.ended_seconds and key[0] in nodes
        }
        self._nodes = {node: meter for node, meter in self._nodes.items() if node in nodes}
        self._xids = {key: known for key, known in self._xids.items() if key[0] in nodes}

    def _node(self, node: str) -> _NodeMeter:
        return self._nodes.setdefault(node, _NodeMeter())

    def _forget_ended(self, meter: _LeafMeter, now: float) -> None:
        """Holders that ended stay a while, so that rate() sees their last value; nobody stays for ever."""
        for holder, last in list(meter.last_held.items()):
            if holder != NOBODY and now - last > self.ended_seconds:
                del meter.last_held[holder]
                meter.accounts.pop(holder, None)


def _unmeasured(portions: Iterable[Portion], before: frozenset[Holder]) -> tuple[Portion, ...]:
    """An interval that was not sampled: unmeasured for a holder that had the device before and still has."""
    parts: dict[Holder, int] = {}
    for portion in portions:
        holder = portion.holder if portion.holder in before else NOBODY
        parts[holder] = parts.get(holder, 0) + portion.ppb
    return tuple(Portion(holder, Cause.UNMEASURED, ppb) for holder, ppb in parts.items())
