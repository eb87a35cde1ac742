"""Readings × allocations → who holds which device, which share.

GPUs that should be there and are not keep their leaf, so that they cannot vanish from the bill.
Pure: no I/O, no clock; the roster of GPUs seen before is its only memory.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from fractions import Fraction
from typing import TYPE_CHECKING

from gpusteward.model import (
    Allocation,
    AttributedGpu,
    Device,
    Fault,
    GpuReading,
    Leaf,
    LeafKind,
    NodeReadings,
)

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable

LOST_ALERT_SECONDS = 7 * 24 * 3600.0
"""After this a lost GPU's alert ends by itself; its cost does not."""


MOST_DIGITS = 6


@dataclass(slots=True)
class Roster:
    """The GPUs of one node that were seen before, to tell a lost one from one that never was.

    Attributes:
        known: last reading of each GPU, by UUID, in the order in which they were first seen.
        lost_since: monotonic seconds at which each missing GPU was first missed, by UUID.
        most_seen: the greatest number of GPUs ever seen at once.
    """

    known: dict[str, GpuReading] = field(default_factory=dict)
    lost_since: dict[str, float] = field(default_factory=dict)
    most_seen: int = 0


def attribute(
    node: NodeReadings, roster: Roster, nominal: int | None, acknowledged: Collection[str], monotonic: float
) -> tuple[AttributedGpu, ...]:
    """The node's GPUs with their leaves and holders, missing ones included.

    Args:
        node: what was read this time.
        roster: this node's roster; updated.
        nominal: how many GPUs the node should have; None = as many as were ever seen.
        acknowledged: UUIDs of lost GPUs that the operator knows of.
        monotonic: now, for the age of a loss.
    """
    seen = {gpu.uuid: gpu for gpu in node.gpus}
    roster.most_seen = max(roster.most_seen, len(seen))
    lost = _lost(seen, roster, roster.most_seen if nominal is None else nominal)
    roster.lost_since = {gpu.uuid: roster.lost_since.get(gpu.uuid, monotonic) for gpu in lost}
    roster.known = {gpu.uuid: gpu for gpu in lost if gpu.uuid in roster.known} | seen
    attributed = [_attributed(node.node, gpu, gpu.fault) for gpu in seen.values()]
    for gpu in lost:
        fault = _loss(gpu.uuid, acknowledged, monotonic - roster.lost_since[gpu.uuid])
        attributed.append(_attributed(node.node, gpu, fault))
    return tuple(sorted(attributed, key=lambda gpu: _order(gpu.reading)))


def unread(
    node: str, roster: Roster, nominal: int | None, acknowledged: Collection[str], monotonic: float
) -> tuple[AttributedGpu, ...]:
    """The node's GPUs when nothing could be read: their identities stand, nothing else is known.

    A GPU that was lost before stays lost; of the others nothing is known, least of all that they are lost.
    """
    present = tuple(
        _without_values(gpu) for uuid, gpu in roster.known.items() if uuid not in roster.lost_since
    )
    return attribute(NodeReadings(node=node, gpus=present), roster, nominal, acknowledged, monotonic)


def _lost(seen: dict[str, GpuReading], roster: Roster, nominal: int) -> list[GpuReading]:
    """As many lost GPUs as are missing from the nominal count: known ones first, then unnamed ones."""
    missing = max(0, nominal - len(seen))
    gone = [_without_values(gpu) for uuid, gpu in roster.known.items() if uuid not in seen]
    named = gone[-missing:] if missing else []
    model = next((gpu.model for gpu in (*seen.values(), *named) if gpu.model), "")
    unnamed = [GpuReading(uuid=f"missing-{n + 1}", model=model) for n in range(missing - len(named))]
    return [*named, *unnamed]


def _loss(uuid: str, acknowledged: Collection[str], age: float) -> Fault:
    if uuid in acknowledged:
        return Fault.LOST_ACKNOWLEDGED
    return Fault.LOST_EXPIRED if age > LOST_ALERT_SECONDS else Fault.LOST


def _without_values(gpu: GpuReading) -> GpuReading:
    """A GPU's identity and layout; its values and holders are not known any more."""
    instances = tuple(
        replace(instance, signals={}, allocations=None, processes=None) for instance in gpu.instances
    )
    return replace(
        gpu, signals={}, allocations=None, processes=None, xids=None, instances=instances, fault=None
    )


def _attributed(node: str, gpu: GpuReading, fault: Fault | None) -> AttributedGpu:
    if not gpu.mig:
        device = Device(node=node, uuid=gpu.uuid, gpu=gpu.gpu, model=gpu.model)
        leaf = Leaf(
            device=device,
            signals=gpu.signals,
            allocations=_held(gpu.allocations),
            fault=fault,
            processes=gpu.processes,
        )
        return AttributedGpu(reading=gpu, fault=fault, leaves=(leaf,))
    leaves = tuple(
        Leaf(
            device=Device(
                node=node,
                uuid=gpu.uuid,
                gi=instance.gi,
                gpu=gpu.gpu,
                kind=LeafKind.INSTANCE,
                model=gpu.model,
                mig_profile=instance.profile,
            ),
            signals=instance.signals,
            allocations=_held(instance.allocations),
            fault=fault,
            mig_uuid=instance.mig_uuid,
            processes=instance.processes,
        )
        for instance in gpu.instances
    )
    return AttributedGpu(reading=gpu, fault=fault, leaves=leaves)


def _held(allocations: tuple[Allocation, ...] | None) -> tuple[Allocation, ...] | None:
    """One allocation per holder, in order, shares summing to at most 1; None stays None."""
    if allocations is None:
        return None
    merged: dict[object, Allocation] = {}
    for allocation in allocations:
        before = merged.get(allocation.holder)
        share = allocation.share + before.share if before else allocation.share
        merged[allocation.holder] = replace(before or allocation, share=share)
    total = sum((allocation.share for allocation in merged.values()), Fraction(0))
    held: Iterable[Allocation] = merged.values()
    if total > 1:
        held = (replace(allocation, share=allocation.share / total) for allocation in held)
    return tuple(sorted(held, key=lambda allocation: allocation.holder))


def _order(gpu: GpuReading) -> tuple[int, int, str]:
    """By index where there is a number, then by UUID. A label of many digits is no index."""
    index = gpu.gpu.isdecimal() and len(gpu.gpu) <= MOST_DIGITS
    return (0, int(gpu.gpu), gpu.uuid) if index else (1, 0, gpu.uuid)
