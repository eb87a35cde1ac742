"""Realistic snapshots: a whole GPU, a MIG GPU with its rest, a lost GPU, an unpriced one, unknown holders.

Figures are a p5.48xlarge's (55.04 USD an hour, eight H100) unless said otherwise; times are fixed.
"""

from __future__ import annotations

import datetime as dt
from dataclasses import replace
from fractions import Fraction
from typing import TYPE_CHECKING

from gpusteward.clock import Moment
from gpusteward.metrics.exposure import Exposure
from gpusteward.model import (
    Allocation,
    Basis,
    CapacityType,
    Cause,
    Charge,
    CollectHealth,
    Confidence,
    Device,
    DeviceTotals,
    Fault,
    GpuReading,
    GpuSnapshot,
    Holder,
    HolderKind,
    Leaf,
    LeafKind,
    LeafSnapshot,
    NodeFacts,
    NodeRate,
    NodeSnapshot,
    Portion,
    PriceSource,
    Rate,
    Signal,
    Snapshot,
    State,
    Verdict,
)
from gpusteward.units import MICROSECONDS, PPB

if TYPE_CHECKING:
    from collections.abc import Iterable

AT = Moment(wall=1_790_000_000.0, monotonic=5_000.0)
NODE = "gpu-node-a"
TRAINER = Holder("team-vision", "trainer-0", "main")
NOTEBOOK = Holder("team-nlp", "notebook-7", "jupyter")
NOBODY = Holder()
H100_MICRO = 6_880_000
EXPOSURE = Exposure(mode="real", catalogue_date=dt.date(2026, 9, 1), version="0.0.0-test")
HOUR = 3_600 * MICROSECONDS * PPB
"""An hour of a whole device, in the unit of Charge.held."""

BOARD: dict[Signal, float] = {
    Signal.POWER: 612.5,
    Signal.POWER_LIMIT: 700.0,
    Signal.ENERGY_TOTAL: 123_456_789.5,
    Signal.TEMPERATURE: 61.0,
    Signal.MEMORY_TEMPERATURE: 70.0,
    Signal.PCIE_REPLAYS_TOTAL: 0.0,
    Signal.ROWS_REMAPPED_CORRECTABLE_TOTAL: 0.0,
    Signal.ROWS_REMAPPED_UNCORRECTABLE_TOTAL: 1.0,
    Signal.ROW_REMAP_FAILURE: 0.0,
    Signal.ECC_CORRECTED_TOTAL: 3.0,
    Signal.ECC_UNCORRECTED_TOTAL: 0.0,
    Signal.LAST_XID: 31.0,
}
ACTIVITY: dict[Signal, float] = {
    Signal.GPU_UTILIZATION: 0.97,
    Signal.ENGINE_ACTIVE: 0.95,
    Signal.SM_ACTIVE: 0.75,
    Signal.TENSOR_ACTIVE: 0.25,
    Signal.DRAM_ACTIVE: 0.5,
    Signal.MEMORY_USED: 64e9,
    Signal.MEMORY_TOTAL: 85_899_345_920.0,
    Signal.SM_CLOCK: 1.755e9,
    Signal.MEMORY_CLOCK: 2.619e9,
    Signal.PCIE_TX: 1.5e9,
    Signal.PCIE_RX: 0.0,
    Signal.NVLINK: 9e10,
}


def rate(micro_per_hour: int = H100_MICRO) -> Rate:
    """A catalogue price of high confidence."""
    return Rate(
        micro_per_hour=micro_per_hour,
        currency="USD",
        source=PriceSource.CATALOGUE,
        basis=Basis.WHOLE_NODE,
        capacity_type=CapacityType.ON_DEMAND,
        confidence="high",
        as_of=dt.date(2026, 8, 30),
        detail="aws p5.48xlarge us-east-1 on-demand",
    )


def verdict(state: State = State.BUSY, **facts: object) -> Verdict:
    """A judgement of high confidence, ten minutes old."""
    known = {"reason": "activity 0.75", "confidence": Confidence.HIGH, "since": AT.monotonic - 600.0}
    return Verdict(state=state, **{**known, **facts})  # type: ignore[arg-type]  # facts are Verdict's own fields


def portion(holder: Holder, cause: Cause, part: Fraction | int = 1) -> Portion:
    """A part of a leaf, now."""
    return Portion(holder, cause, int(PPB * Fraction(part)))


def charge(holder: Holder, cause: Cause, hours: float, micro_per_hour: int | None) -> Charge:
    """Some hours of a leaf at a price; None = without one."""
    held = int(hours * HOUR)
    return Charge(
        holder=holder,
        cause=cause,
        held=held,
        cost=held * (micro_per_hour or 0),
        priced=micro_per_hour is not None,
    )


def device(uuid: str = "GPU-0000", gi: str = "", **facts: object) -> Device:
    """A leaf's identity on the node."""
    known = {"node": NODE, "uuid": uuid, "gi": gi, "gpu": "0", "model": "NVIDIA H100 80GB HBM3"}
    return Device(**{**known, **facts})  # type: ignore[arg-type]  # facts are Device's own fields


def reading(uuid: str = "GPU-0000", **facts: object) -> GpuReading:
    """A healthy H100's board."""
    known = {
        "uuid": uuid,
        "gpu": "0",
        "model": "NVIDIA H100 80GB HBM3",
        "pci_bus_id": "00000000:53:00.0",
        "driver_version": "570.124.06",
        "signals": {**ACTIVITY, **BOARD},
    }
    return GpuReading(**{**known, **facts})  # type: ignore[arg-type]  # facts are GpuReading's own fields


def busy_leaf(of: Device | None = None, micro_per_hour: int | None = H100_MICRO) -> LeafSnapshot:
    """A leaf that a trainer uses to three quarters, for two hours now; None = without a price."""
    return LeafSnapshot(
        leaf=Leaf(
            device=of or device(),
            signals=ACTIVITY,
            allocations=(Allocation(TRAINER, running=True, started_at=AT.wall - 7_200),),
        ),
        rate=None if micro_per_hour is None else rate(micro_per_hour),
        verdict=verdict(signal=Signal.SM_ACTIVE, activity=0.75, idle_seconds=0.0),
        portions=(
            portion(TRAINER, Cause.USED, Fraction(3, 4)),
            portion(TRAINER, Cause.HEADROOM, Fraction(1, 4)),
        ),
        charges=(
            charge(TRAINER, Cause.USED, 1.5, micro_per_hour),
            charge(TRAINER, Cause.HEADROOM, 0.5, micro_per_hour),
        ),
        totals=DeviceTotals(
            active_us=int(1.5 * HOUR),
            signal_us={Signal.SM_ACTIVE: int(1.5 * HOUR), Signal.TENSOR_ACTIVE: HOUR // 2},
            state_us={State.BUSY: 7_100 * MICROSECONDS, State.UNKNOWN: 100 * MICROSECONDS},
        ),
    )


def whole_gpu() -> GpuSnapshot:
    """A whole GPU in good health that saw two XIDs of its workload."""
    return GpuSnapshot(reading=reading(), fault=None, leaves=(busy_leaf(),), xids={31: 2, 79: 0})


def mig_gpu(uuid: str = "GPU-0001") -> GpuSnapshot:
    """A MIG GPU: one busy 3g instance, one idle 1g, 3/8 free, 1/8 stranded; the leaves sum to its price."""
    parent = reading(uuid, gpu="1", mig=True, signals=BOARD)
    three, one, free, stranded = (H100_MICRO * part // 8 for part in (3, 1, 3, 1))
    busy = busy_leaf(
        device(uuid, "1", gpu="1", kind=LeafKind.INSTANCE, mig_profile="3g.40gb"), micro_per_hour=three
    )
    instance = replace(busy.leaf, share_of_gpu=Fraction(3, 8), mig_uuid="MIG-aaaa")
    return GpuSnapshot(
        reading=parent,
        fault=None,
        leaves=(
            replace(busy, leaf=instance),
            _idle_instance(uuid, one),
            rest(uuid, LeafKind.FREE, Fraction(3, 8), free),
            rest(uuid, LeafKind.STRANDED, Fraction(1, 8), stranded),
        ),
    )


def _idle_instance(uuid: str, micro_per_hour: int) -> LeafSnapshot:
    return LeafSnapshot(
        leaf=Leaf(
            device=device(uuid, "7", gpu="1", kind=LeafKind.INSTANCE, mig_profile="1g.10gb"),
            signals={Signal.ENGINE_ACTIVE: 0.0, Signal.MEMORY_USED: 5e9, Signal.MEMORY_TOTAL: 1e10},
            allocations=(Allocation(NOTEBOOK, running=True, exempt_until=float("inf")),),
            share_of_gpu=Fraction(1, 8),
            mig_uuid="MIG-bbbb",
        ),
        rate=rate(micro_per_hour),
        verdict=verdict(
            State.IDLE_HELD, signal=Signal.ENGINE_ACTIVE, activity=0.0, idle_seconds=1_800.0, reason="idle"
        ),
        portions=(portion(NOTEBOOK, Cause.IDLE), Portion(NOTEBOOK, Cause.USED, 0)),
        charges=(
            charge(NOTEBOOK, Cause.IDLE, 0.5, micro_per_hour),
            Charge(holder=NOTEBOOK, cause=Cause.USED, held=0, cost=0, priced=True),
        ),
        totals=DeviceTotals(active_us=0, state_us={State.IDLE_HELD: 1_800 * MICROSECONDS}),
    )


def rest(uuid: str, kind: LeafKind, share: Fraction, micro_per_hour: int) -> LeafSnapshot:
    """The free or stranded rest of a MIG GPU."""
    cause = Cause.UNALLOCATED if kind is LeafKind.FREE else Cause.STRANDED
    return LeafSnapshot(
        leaf=Leaf(device=device(uuid, kind.value, gpu="1", kind=kind), allocations=(), share_of_gpu=share),
        rate=rate(micro_per_hour),
        verdict=verdict(State.UNALLOCATED, reason="no instance"),
        portions=(portion(NOBODY, cause),),
        charges=(charge(NOBODY, cause, 2.0, micro_per_hour),),
        totals=DeviceTotals(state_us={State.UNALLOCATED: 7_200 * MICROSECONDS}),
    )


def lost_gpu(uuid: str = "missing-1") -> GpuSnapshot:
    """A GPU that was never seen, and costs all the same."""
    identity = GpuReading(uuid=uuid, model="NVIDIA H100 80GB HBM3")
    return GpuSnapshot(
        reading=identity,
        fault=Fault.LOST,
        leaves=(
            LeafSnapshot(
                leaf=Leaf(device=device(uuid, gpu=""), fault=Fault.LOST),
                rate=rate(),
                verdict=verdict(State.UNHEALTHY, reason="lost"),
                portions=(portion(NOBODY, Cause.UNHEALTHY),),
                charges=(charge(NOBODY, Cause.UNHEALTHY, 2.0, H100_MICRO),),
                totals=DeviceTotals(state_us={State.UNHEALTHY: 7_200 * MICROSECONDS}),
            ),
        ),
    )


def unpriced_gpu(uuid: str = "GPU-0002") -> GpuSnapshot:
    """A GPU whose price nobody knows."""
    leaf = busy_leaf(device(uuid, gpu="2"), micro_per_hour=None)
    return GpuSnapshot(reading=reading(uuid, gpu="2"), fault=None, leaves=(leaf,))


def unknown_gpu(uuid: str = "GPU-0003") -> GpuSnapshot:
    """A priced GPU of which a page tells neither activity nor holder."""
    return GpuSnapshot(
        reading=GpuReading(uuid=uuid, gpu="3", signals={Signal.TEMPERATURE: 40.0}),
        fault=None,
        leaves=(
            LeafSnapshot(
                leaf=Leaf(device=device(uuid, gpu="3", model=""), allocations=None),
                rate=rate(),
                verdict=verdict(State.UNKNOWN, reason="no activity signal", confidence=Confidence.LOW),
                portions=(portion(NOBODY, Cause.UNMEASURED),),
                charges=(charge(NOBODY, Cause.UNMEASURED, 2.0, H100_MICRO),),
                totals=DeviceTotals(state_us={State.UNKNOWN: 7_200 * MICROSECONDS}),
            ),
        ),
    )


def node(gpus: Iterable[GpuSnapshot], **facts: object) -> NodeSnapshot:
    """A node whose GPUs cost as much as it does."""
    all_gpus = tuple(gpus)
    known = {
        "node": NODE,
        "facts": NodeFacts(
            name=NODE, provider="aws", instance_type="p5.48xlarge", region="us-east-1", gpus=len(all_gpus)
        ),
        "rate": NodeRate(
            list_micro_per_hour=H100_MICRO * len(all_gpus),
            other_micro_per_hour=0,
            gpu_micro_per_hour=(H100_MICRO,) * len(all_gpus),
            rate=rate(),
        ),
        "missing_price": "",
        "gpus": all_gpus,
        "expected": len(all_gpus),
        "seen": sum(gpu.fault is None for gpu in all_gpus),
        "other_cost": 0,
        "conservation_error": 0,
    }
    return NodeSnapshot(**{**known, **facts})  # type: ignore[arg-type]  # facts are NodeSnapshot's own fields


def snapshot(*gpus: GpuSnapshot, **facts: object) -> Snapshot:
    """One node with these GPUs, sampled well."""
    known = {
        "at": AT,
        "source": "dcgm",
        "mode": "real",
        "nodes": (node(gpus),),
        "health": CollectHealth(
            success=True,
            reason="",
            message="",
            last_success=AT.wall,
            duration_seconds=0.0125,
            cycles={"ok": 1_440, "timeout": 2},
            skipped={"bad_line": 1},
        ),
    }
    return Snapshot(**{**known, **facts})  # type: ignore[arg-type]  # facts are Snapshot's own fields


def failed_snapshot() -> Snapshot:
    """A first cycle that gave nothing."""
    return snapshot(
        source="none",
        nodes=(),
        health=CollectHealth(
            success=False,
            reason="unreachable",
            message="http://127.0.0.1:9400/metrics refused the connection; is dcgm-exporter running?",
            last_success=None,
            duration_seconds=0.001,
            cycles={"unreachable": 1},
        ),
    )


def nvml_snapshot() -> Snapshot:
    """What NVML tells beyond a dcgm page, on a plain host where one command more ran than had room."""
    signals: dict[Signal, float] = {
        **BOARD,
        Signal.POWER_INSTANT: 655.0,
        Signal.TEMPERATURE_MARGIN: 26.0,
        Signal.RECOVERY_ACTION: 1.0,
        Signal.ROW_REMAP_PENDING: 1.0,
        Signal.THROTTLED_POWER_TOTAL: 1_234.5,
        Signal.THROTTLED_THERMAL_TOTAL: 0.0,
        Signal.PCIE_TX_TOTAL: 1.5e12,
        Signal.PCIE_RX_TOTAL: 2.5e12,
        Signal.NVLINK_TX_TOTAL: 9e14,
        Signal.NVLINK_RX_TOTAL: 8e14,
    }
    trainer = Holder("ann", "python")
    leaf = replace(
        busy_leaf(),
        leaf=Leaf(
            device=device(),
            signals=ACTIVITY,
            allocations=(
                Allocation(Holder(pod="other"), Fraction(1, 2), kind=HolderKind.PROCESS),
                Allocation(trainer, Fraction(1, 2), kind=HolderKind.PROCESS),
            ),
        ),
        portions=(
            portion(Holder(pod="other"), Cause.USED, Fraction(1, 2)),
            portion(trainer, Cause.USED, Fraction(1, 2)),
        ),
        charges=(
            charge(Holder(pod="other"), Cause.USED, 1, H100_MICRO),
            charge(trainer, Cause.USED, 1, H100_MICRO),
        ),
        summed_holders=1,
    )
    gpu = GpuSnapshot(
        reading=reading(signals={**ACTIVITY, **signals}),
        fault=None,
        leaves=(leaf,),
        xids={31: 2, 79: 0},
        xid_last={31: AT.wall - 60},
    )
    asked = snapshot(gpu, source="nvml")
    calls = {("nvmlDeviceGetTotalEnergyConsumption", "NOT_SUPPORTED"): 1}
    return replace(asked, health=replace(asked.health, errors=calls, stuck=False))


def mixed_snapshot() -> Snapshot:
    """Everything at once."""
    return snapshot(whole_gpu(), mig_gpu(), unpriced_gpu(), unknown_gpu(), lost_gpu())
