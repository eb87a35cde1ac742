"""The shape of /snapshot, version 1. Stable: fields are added, never renamed or given another meaning.

Times are Unix seconds, durations seconds, money whole micro-units of `currency` (1 USD = 1,000,000).
null is "not known", as an absent key of `signals` is; it never stands for 0.
"""

from __future__ import annotations

from typing import Literal

from msgspec import Struct


class HealthDocument(Struct, frozen=True, kw_only=True):
    """How the collecting goes.

    Attributes:
        success: whether the last cycle gave readings.
        reason: why not, one word; empty on success.
        message: why not, in words with a next step; empty on success.
        last_success: time of the last good sample.
        duration_seconds: how long the last reading took.
        stuck: whether a driver call that never returned is being waited out; null = there are no such calls.
    """

    success: bool
    reason: str
    message: str
    last_success: float | None
    duration_seconds: float
    stuck: bool | None


class AllocationDocument(Struct, frozen=True, kw_only=True):
    """One holder's part of a leaf.

    Attributes:
        namespace: of the pod; the user on a plain host.
        pod: its name; the command on a plain host.
        container: its name.
        share: part of the leaf as a fraction, `1` or `1/4`.
        running: false while the pod has never run.
        started_at: when its container started.
        exempt_until: until when it may not be called idle: a time, or `always`; null = not exempt.
        kind: pod or process.
    """

    namespace: str
    pod: str
    container: str
    share: str
    running: bool | None
    started_at: float | None
    exempt_until: float | Literal["always"] | None
    kind: str


class PriceDocument(Struct, frozen=True, kw_only=True):
    """Price of a leaf and where it is from.

    Attributes:
        micro_per_hour: micro-units an hour.
        currency: ISO 4217.
        source: which rule found it: annotation, price_book, catalogue, ...
        basis: how a node's price became this one's.
        capacity_type: on-demand, spot, reserved or unknown.
        confidence: high, medium or low.
        as_of: date of the figure.
        detail: one sentence.
    """

    micro_per_hour: int
    currency: str
    source: str
    basis: str
    capacity_type: str
    confidence: str
    as_of: str | None
    detail: str


class PortionDocument(Struct, frozen=True, kw_only=True):
    """Where a leaf's time goes now.

    Attributes:
        namespace: of the holder; empty for nobody.
        pod: of the holder.
        container: of the holder.
        cause: of the closed list.
        ppb: parts per billion; the portions of a leaf sum to 1,000,000,000.
    """

    namespace: str
    pod: str
    container: str
    cause: str
    ppb: int


class ChargeDocument(Struct, frozen=True, kw_only=True):
    """What a holder and cause have used up since the agent began.

    Attributes:
        namespace: of the holder; empty for nobody.
        pod: of the holder.
        container: of the holder.
        cause: of the closed list.
        held_us: microseconds times share of the leaf, to the nearest.
        cost_micro: micro-units, to the nearest; null while there was no price.
    """

    namespace: str
    pod: str
    container: str
    cause: str
    held_us: int
    cost_micro: int | None


class LeafDocument(Struct, frozen=True, kw_only=True):
    """A whole GPU, a MIG instance, or the free or stranded rest of a MIG GPU.

    Attributes:
        gi: GPU-instance id; empty for a whole GPU; `free`, `stranded`.
        kind: whole, instance, free or stranded.
        mig_profile: as in `1g.10gb`; empty when not an instance.
        mig_uuid: the instance's own UUID; empty when not an instance or not known.
        share_of_gpu: its part of the GPU's price as a fraction; the leaves of a GPU sum to 1.
        signals: measured values by name, in base units.
        allocations: who holds it; empty = nobody; null = not known.
        price: null = there is none.
        state: what it is doing.
        state_since: when that began.
        reason: the rule that decided, with its figures.
        confidence: high, medium or low.
        signal: the signal that activity is judged by.
        activity: 0 to 1, now.
        idle_seconds: how long activity has been below the idle threshold.
        portions: where its time goes now.
        charges: where it went so far.
        active_us: microseconds of activity since the agent began.
        state_us: microseconds by state since the agent began.
        summed_holders: how many process holders are summed under pod `other`.
    """

    gi: str
    kind: str
    mig_profile: str
    mig_uuid: str
    share_of_gpu: str
    signals: dict[str, float]
    allocations: list[AllocationDocument] | None
    price: PriceDocument | None
    state: str
    state_since: float
    reason: str
    confidence: str
    signal: str | None
    activity: float | None
    idle_seconds: float | None
    portions: list[PortionDocument]
    charges: list[ChargeDocument]
    active_us: int | None
    state_us: dict[str, int]
    summed_holders: int


class GpuDocument(Struct, frozen=True, kw_only=True):
    """A physical GPU.

    Attributes:
        uuid: physical UUID; `missing-<n>` for one that was never seen.
        gpu: index as the source enumerates it; empty when not known.
        model: as the source spells it; empty when not known.
        pci_bus_id: empty when not known.
        driver_version: empty when not known.
        mig: whether MIG is on.
        sharing: time-slicing, mps, vgpu; empty = exclusive or not known.
        fault: why it is not healthy; null = it is, as far as is known.
        signals: the board's values by name, in base units.
        xids: XID errors seen since the agent began, by code.
        xid_last: when the last of each was seen.
        leaves: one for a whole GPU.
    """

    uuid: str
    gpu: str
    model: str
    pci_bus_id: str
    driver_version: str
    mig: bool
    sharing: str
    fault: str | None
    signals: dict[str, float]
    xids: dict[str, int]
    xid_last: dict[str, float]
    leaves: list[LeafDocument]


class NodePriceDocument(Struct, frozen=True, kw_only=True):
    """Price of a node.

    Attributes:
        list_micro_per_hour: the whole node's; its leaves' and the other price sum to it.
        other_micro_per_hour: what is not the GPUs'.
    """

    list_micro_per_hour: int
    other_micro_per_hour: int


class NodeDocument(Struct, frozen=True, kw_only=True):
    """A node.

    Attributes:
        node: name.
        provider: empty when not known.
        instance_type: empty when not known.
        region: empty when not known.
        capacity_type: on-demand, spot, reserved or unknown.
        price_per_gpu_hour: its price annotation as written; empty when there is none.
        expected: GPUs it should have.
        seen: GPUs that were read; null = nothing was.
        price: null = there is none.
        missing_price: why there is none; empty when there is one.
        other_cost_micro: cost of its other parts since the agent began.
        conservation_error_micro: what was charged less what was due; 0, or there is a defect.
        gpus: seen and lost ones.
    """

    node: str
    provider: str
    instance_type: str
    region: str
    capacity_type: str
    price_per_gpu_hour: str = ""
    expected: int
    seen: int | None
    price: NodePriceDocument | None
    missing_price: str
    other_cost_micro: int
    conservation_error_micro: int
    gpus: list[GpuDocument]


class SnapshotDocument(Struct, frozen=True, kw_only=True):
    """Everything known at one moment.

    Attributes:
        schema: version of this shape.
        at: when the sample was taken.
        source: nvml, dcgm, simulated or none.
        mode: real or simulated.
        health: how the collecting goes.
        nodes: in the order of their names.
    """

    schema: Literal[1]
    at: float
    source: str
    mode: str
    health: HealthDocument
    nodes: list[NodeDocument]
