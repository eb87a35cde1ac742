"""Leaves and samples for the tests of the pure rooms, with the fields a test is about and no others."""

from __future__ import annotations

from fractions import Fraction
from typing import TYPE_CHECKING

from gpusteward.clock import Moment
from gpusteward.model import (
    Allocation,
    Device,
    GpuReading,
    Holder,
    HolderKind,
    Leaf,
    LeafKind,
    NodeReadings,
    Process,
    Signal,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

T0 = Moment(wall=1_800_000_000.0, monotonic=1_000.0)
POD = Holder("team-a", "train-0", "main")
OTHER_POD = Holder("team-b", "notebook-1", "jupyter")
OLD = T0.wall - 24 * 3600


def held(
    holder: Holder = POD,
    share: Fraction | int = 1,
    started_at: float | None = OLD,
    **facts: float | bool | HolderKind | None,
) -> Allocation:
    """An allocation of an old pod, unless said otherwise."""
    return Allocation(holder, Fraction(share), started_at=started_at, **facts)  # type: ignore[arg-type]  # facts are Allocation's own optional fields


def leaf(
    signals: Mapping[Signal, float] | None = None,
    allocations: tuple[Allocation, ...] | None = (),
    *,
    kind: LeafKind = LeafKind.WHOLE,
    profile: str = "",
    processes: tuple[Process, ...] | None = None,
) -> Leaf:
    """A leaf of the GPU `GPU-0` on `n1`."""
    device = Device(node="n1", uuid="GPU-0", gpu="0", kind=kind, model="NVIDIA L4", mig_profile=profile)
    return Leaf(device=device, signals=signals or {}, allocations=allocations, processes=processes)


def gpu(n: int, **facts: object) -> GpuReading:
    """The nth GPU of a node."""
    return GpuReading(uuid=f"GPU-{n}", gpu=str(n), model="NVIDIA L4", **facts)  # type: ignore[arg-type]  # facts are GpuReading's own optional fields


def node(*gpus: GpuReading) -> NodeReadings:
    """The node `n1` with these GPUs."""
    return NodeReadings(node="n1", gpus=gpus)
