"""The immutable result of one sample: all that is shown, with its health beside it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

    from gpusteward.clock import Moment
    from gpusteward.model.devices import Device, Fault, GpuReading, Holder, NodeFacts, Signal
    from gpusteward.model.holdings import AttributionError
    from gpusteward.model.judgement import Cause, Leaf, Portion, State, Verdict
    from gpusteward.model.money import NodeRate, Rate


@dataclass(frozen=True, slots=True, kw_only=True)
class Charge:
    """What one (device, holder, cause) has used up since the agent began: counters, never going down.

    Attributes:
        holder: whose; empty for nobody.
        cause: what it went to.
        held: µs × parts per billion of the device: `held / 1e15` is seconds.
        cost: `held` × micro-units per hour: `cost / (1e15 × 3600 × 1e6)` is the currency; 0 while unpriced.
        priced: False when no moment of it had a price; then the cost is unknown, not 0.
    """

    holder: Holder
    cause: Cause
    held: int
    cost: int
    priced: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class DeviceTotals:
    """What a leaf has accumulated since the agent began.

    Attributes:
        active_us: µs × parts per billion of activity; None until activity was first known.
        signal_us: the same for each ratio signal that is integrated.
        state_us: µs in each state that occurred.
    """

    active_us: int | None = None
    signal_us: Mapping[Signal, int] = field(default_factory=dict)
    state_us: Mapping[State, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class LeafSnapshot:
    """One leaf: read, attributed, priced, judged, charged.

    Attributes:
        leaf: identity, signals, holders.
        rate: price; None when there is none.
        verdict: state and why.
        portions: where its money goes now.
        charges: where it went so far, holders that ended within 10 minutes included.
        totals: accumulated seconds.
        summed_holders: how many process holders are summed under one, to keep to the series budget.
    """

    leaf: Leaf
    rate: Rate | None
    verdict: Verdict
    portions: tuple[Portion, ...]
    charges: tuple[Charge, ...]
    totals: DeviceTotals
    summed_holders: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class EndedLeaf:
    """A leaf that is gone (a MIG instance destroyed, a GPU replaced): its counters stay a while, unchanged.

    Attributes:
        device: what it was.
        charges: where its money went.
        totals: its accumulated seconds.
    """

    device: Device
    charges: tuple[Charge, ...]
    totals: DeviceTotals


@dataclass(frozen=True, slots=True, kw_only=True)
class GpuSnapshot:
    """One physical GPU with its leaves.

    Attributes:
        reading: what was read of the board; for a lost GPU, its last known identity without signals.
        fault: why it is not healthy; None when it is.
        leaves: one for a whole GPU; the instances and the rest for a MIG GPU.
        xids: how many XID errors were seen to happen since the agent began, by XID.
        xid_last: Unix time of the sample that saw the last of them, by XID; none for an XID that stood there
            before the agent began.
    """

    reading: GpuReading
    fault: Fault | None
    leaves: tuple[LeafSnapshot, ...]
    xids: Mapping[int, int] = field(default_factory=dict)
    xid_last: Mapping[int, float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeSnapshot:
    """One node.

    Attributes:
        node: name.
        facts: what priced it.
        rate: the node's price; None when there is none.
        missing_price: why there is no price, in words; empty when there is one.
        gpus: seen and lost GPUs.
        expected: nominal number of GPUs; as many as were ever seen where nothing states it.
        seen: how many were read this time; None when the source gave nothing.
        other_cost: accumulated cost of the node's other parts, in the unit of Charge.cost.
        ended: leaves that went within the last 10 minutes.
        conservation_error: (Σ charged + other − list price × time), same unit; 0 by construction.
    """

    node: str
    facts: NodeFacts
    rate: NodeRate | None
    missing_price: str
    gpus: tuple[GpuSnapshot, ...]
    expected: int
    seen: int | None
    other_cost: int
    conservation_error: int
    ended: tuple[EndedLeaf, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class CollectHealth:
    """How the collecting goes, beside the data.

    Attributes:
        success: whether this cycle gave readings.
        reason: why not, one word of a closed list; empty on success.
        message: why not, in words with a next step; empty on success.
        last_success: Unix time of the last good sample; None before the first.
        duration_seconds: how long the cycle's read took.
        cycles: cycles so far, by outcome reason (`ok` or the failure's).
        skipped: inputs left out so far, by reason.
        errors: failed driver calls so far, by (call, code name).
        failing_since: monotonic seconds of the first of the cycles in a row that failed, for whatever reason;
            None on success.
        stuck: whether a driver call that never returned is being waited out; None where that cannot be.
        hold_known: whether it can be told if the driver must be let go; None where nobody asks.
        attribution_errors: what could not be attributed so far, by reason; None where no kubelet is asked.
        holders_at: Unix time of the kubelet's answer that holders are taken from; None while there is none.
    """

    success: bool
    reason: str
    message: str
    last_success: float | None
    duration_seconds: float
    cycles: Mapping[str, int] = field(default_factory=dict)
    skipped: Mapping[str, int] = field(default_factory=dict)
    errors: Mapping[tuple[str, str], int] = field(default_factory=dict)
    failing_since: float | None = None
    stuck: bool | None = None
    hold_known: bool | None = None
    attribution_errors: Mapping[AttributionError, int] | None = None
    holders_at: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Snapshot:
    """Everything known at one moment.

    Attributes:
        at: the moment.
        source: `nvml`, `dcgm`, `simulated` or `none`.
        mode: `real` or `simulated`.
        nodes: in the order of their names.
        health: how the collecting goes.
    """

    at: Moment
    source: str
    mode: str
    nodes: tuple[NodeSnapshot, ...]
    health: CollectHealth
