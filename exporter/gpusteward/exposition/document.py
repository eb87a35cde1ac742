"""A snapshot as the JSON of /snapshot."""

from __future__ import annotations

import json
import math
from typing import TYPE_CHECKING

import msgspec

from gpusteward.exposition import schema
from gpusteward.units import MICROSECONDS_PER_HOUR, PPB

if TYPE_CHECKING:
    from gpusteward.clock import Moment
    from gpusteward.model import (
        Allocation,
        Charge,
        GpuSnapshot,
        Holder,
        LeafSnapshot,
        NodeRate,
        NodeSnapshot,
        Rate,
        Signals,
        Snapshot,
        Verdict,
    )


def encode(snapshot: Snapshot) -> bytes:
    """The document as JSON in UTF-8."""
    built = document(snapshot)
    try:
        return msgspec.json.encode(built)
    except (
        UnicodeEncodeError
    ):  # a lone surrogate, as from an undecodable byte in a label: rare, so slow is fine
        return json.dumps(msgspec.to_builtins(built), ensure_ascii=False).encode("utf-8", "replace")


def document(snapshot: Snapshot) -> schema.SnapshotDocument:
    """The document of a snapshot."""
    health = snapshot.health
    return schema.SnapshotDocument(
        schema=1,
        at=snapshot.at.wall,
        source=snapshot.source,
        mode=snapshot.mode,
        health=schema.HealthDocument(
            success=health.success,
            reason=health.reason,
            message=health.message,
            last_success=health.last_success,
            duration_seconds=health.duration_seconds,
            stuck=health.stuck,
        ),
        nodes=[_node(node, snapshot.at) for node in snapshot.nodes],
    )


def _node(node: NodeSnapshot, at: Moment) -> schema.NodeDocument:
    rate, facts = node.rate, node.facts
    return schema.NodeDocument(
        node=node.node,
        provider=facts.provider,
        instance_type=facts.instance_type,
        region=facts.region,
        capacity_type=facts.capacity_type,
        price_per_gpu_hour=facts.price_per_gpu_hour,
        expected=node.expected,
        seen=node.seen,
        price=None if rate is None else _node_price(rate),
        missing_price=node.missing_price,
        other_cost_micro=_micro(node.other_cost),
        conservation_error_micro=_micro(node.conservation_error),
        gpus=[_gpu(gpu, at) for gpu in node.gpus],
    )


def _node_price(rate: NodeRate) -> schema.NodePriceDocument:
    return schema.NodePriceDocument(
        list_micro_per_hour=rate.list_micro_per_hour, other_micro_per_hour=rate.other_micro_per_hour
    )


def _gpu(gpu: GpuSnapshot, at: Moment) -> schema.GpuDocument:
    reading = gpu.reading
    return schema.GpuDocument(
        uuid=reading.uuid,
        gpu=reading.gpu,
        model=reading.model,
        pci_bus_id=reading.pci_bus_id,
        driver_version=reading.driver_version,
        mig=reading.mig,
        sharing=reading.sharing,
        fault=gpu.fault,
        signals=_known(reading.signals),
        xids={str(xid): count for xid, count in gpu.xids.items()},
        xid_last={str(xid): at for xid, at in gpu.xid_last.items()},
        leaves=[_leaf(leaf, at) for leaf in gpu.leaves],
    )


def _leaf(snapshot: LeafSnapshot, at: Moment) -> schema.LeafDocument:
    leaf, verdict, totals = snapshot.leaf, snapshot.verdict, snapshot.totals
    allocations = leaf.allocations
    return schema.LeafDocument(
        gi=leaf.device.gi,
        kind=leaf.device.kind,
        mig_profile=leaf.device.mig_profile,
        mig_uuid=leaf.mig_uuid,
        share_of_gpu=str(leaf.share_of_gpu),
        signals=_known(leaf.signals),
        allocations=None if allocations is None else [_allocation(held) for held in allocations],
        price=None if snapshot.rate is None else _price(snapshot.rate),
        state=verdict.state,
        state_since=_wall(verdict, at),
        reason=verdict.reason,
        confidence=verdict.confidence,
        signal=verdict.signal,
        activity=verdict.activity,
        idle_seconds=verdict.idle_seconds,
        portions=[
            schema.PortionDocument(**_holder(portion.holder), cause=portion.cause, ppb=portion.ppb)
            for portion in snapshot.portions
        ],
        charges=[_charge(charge) for charge in snapshot.charges],
        active_us=None if totals.active_us is None else _nearest(totals.active_us, PPB),
        state_us={str(state): spent for state, spent in totals.state_us.items()},
        summed_holders=snapshot.summed_holders,
    )


def _allocation(allocation: Allocation) -> schema.AllocationDocument:
    until = allocation.exempt_until
    return schema.AllocationDocument(
        **_holder(allocation.holder),
        share=str(allocation.share),
        running=allocation.running,
        started_at=allocation.started_at,
        exempt_until="always" if until == math.inf else until,
        kind=allocation.kind,
    )


def _price(rate: Rate) -> schema.PriceDocument:
    return schema.PriceDocument(
        micro_per_hour=rate.micro_per_hour,
        currency=rate.currency,
        source=rate.source,
        basis=rate.basis,
        capacity_type=rate.capacity_type,
        confidence=rate.confidence,
        as_of=rate.as_of.isoformat() if rate.as_of else None,
        detail=rate.detail,
    )


def _charge(charge: Charge) -> schema.ChargeDocument:
    return schema.ChargeDocument(
        **_holder(charge.holder),
        cause=charge.cause,
        held_us=_nearest(charge.held, PPB),
        cost_micro=_micro(charge.cost) if charge.priced else None,
    )


def _holder(holder: Holder) -> dict[str, str]:
    return {"namespace": holder.namespace, "pod": holder.pod, "container": holder.container}


def _known(signals: Signals) -> dict[str, float]:
    return {str(signal): value for signal, value in signals.items() if math.isfinite(value)}


def _wall(verdict: Verdict, at: Moment) -> float:
    return at.wall - (at.monotonic - verdict.since)


def _micro(cost: int) -> int:
    """Charged cost (µs × ppb × micro-units an hour) as micro-units."""
    return _nearest(cost, MICROSECONDS_PER_HOUR * PPB)


def _nearest(value: int, divisor: int) -> int:
    return (2 * value + divisor) // (2 * divisor)
