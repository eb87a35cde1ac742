"""What part of its GPU's price a leaf carries.

A MIG instance carries memory slices / all of them: memory slices are exclusive and discrete, so the shares of
any layout sum to at most 1, which the larger of compute and memory share does not (4g + 3g would be 1.07).
What is left is `free` as far as further instances fit in it, else `stranded`.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import TYPE_CHECKING

from gpusteward.model import Device, Leaf, LeafKind
from gpusteward.pricing.mig import ASSUMED, Geometry, geometries, geometry
from gpusteward.units import largest_remainder

if TYPE_CHECKING:
    from collections.abc import Sequence

    from gpusteward.model import AttributedGpu, Rate
    from gpusteward.pricing.mig import Profile

_REST = ((LeafKind.FREE, "free"), (LeafKind.STRANDED, "stranded"))


@dataclass(frozen=True, slots=True, kw_only=True)
class MigShares:
    """How a MIG GPU's price falls on its parts. All shares sum to exactly 1.

    Attributes:
        instances: share of each instance, in the order asked.
        free: share on which further instances fit.
        stranded: share on which none does.
        detail: the same in words, and what was assumed.
    """

    instances: tuple[Fraction, ...]
    free: Fraction
    stranded: Fraction
    detail: str


def split(model_spelling: str, profiles: Sequence[str]) -> MigShares:
    """The shares of a MIG GPU's instances and of its rest.

    Args:
        model_spelling: the GPU's model in any spelling; one without MIG geometry is taken for a board of 8
            memory slices, and the detail says so.
        profiles: the profile of each instance in any spelling; if one is not understood, all are equal parts.
    """
    known = geometry(model_spelling)
    board = known or geometries()[ASSUMED]
    assumed = (
        "" if known else f"MIG geometry of {model_spelling!r} is not known, {board.memory} slices assumed; "
    )
    found = [board.find(profile) for profile in profiles]
    placed = [profile for profile in found if profile is not None]
    if len(placed) < len(found):
        unknown = next(name for name, profile in zip(profiles, found, strict=True) if profile is None)
        equal = (Fraction(1, len(found)),) * len(found)
        detail = f"{assumed}profile {unknown!r} is not understood, equal parts assumed"
        return MigShares(instances=equal, free=Fraction(0), stranded=Fraction(0), detail=detail)
    return _by_memory(board, placed, assumed)


def _by_memory(board: Geometry, placed: Sequence[Profile], assumed: str) -> MigShares:
    used = sum(profile.memory for profile in placed)
    whole = max(board.memory, used)
    free = _placeable(board, placed)
    stranded = board.memory - used - free if used <= board.memory else 0
    detail = f"{assumed}{used} of {board.memory} memory slices in instances, {free} free, {stranded} stranded"
    if used > board.memory:
        detail = f"{assumed}{used} memory slices in instances of a GPU of {board.memory}, scaled down to 1"
    elif sum(profile.compute for profile in placed) > board.compute:
        detail = f"{detail}; more compute slices than the GPU has"
    return MigShares(
        instances=tuple(Fraction(profile.memory, whole) for profile in placed),
        free=Fraction(free, whole),
        stranded=Fraction(stranded, whole),
        detail=detail,
    )


def _placeable(board: Geometry, placed: Sequence[Profile]) -> int:
    """The most memory slices that further instances can take, by memory, compute and each profile's limit.

    Where on the GPU they would lie is not known here; with placements it can only be less.
    """
    memory = board.memory - sum(profile.memory for profile in placed)
    compute = board.compute - sum(profile.compute for profile in placed)
    counts = Counter(profile.name for profile in placed)
    reached = {(0, 0)}  # memory and compute slices that some set of further instances takes
    for profile in board.profiles.values():
        for _ in range(profile.most - counts[profile.name]):
            further = {(m + profile.memory, c + profile.compute) for m, c in reached}
            fitting = {(m, c) for m, c in further if m <= memory and c <= compute}
            if fitting <= reached:
                break
            reached |= fitting
    return max(m for m, _ in reached)


def with_rest(node: str, gpu: AttributedGpu) -> tuple[Leaf, ...]:
    """The GPU's leaves with their share of its price, and for a MIG GPU the leaves of its rest.

    The rest is held by nobody, shares the GPU's fault, and is left out where there is none of it.

    Args:
        node: name of the node.
        gpu: after attribution; one that is not cut is returned as it is.
    """
    if not gpu.reading.mig:
        return gpu.leaves
    shares = split(gpu.reading.model, [leaf.device.mig_profile for leaf in gpu.leaves])
    leaves = [
        replace(leaf, share_of_gpu=share) for leaf, share in zip(gpu.leaves, shares.instances, strict=True)
    ]
    for (kind, gi), share in zip(_REST, (shares.free, shares.stranded), strict=True):
        if share:
            reading = gpu.reading
            device = Device(
                node=node, uuid=reading.uuid, gi=gi, gpu=reading.gpu, kind=kind, model=reading.model
            )
            leaves.append(Leaf(device=device, allocations=(), fault=gpu.fault, share_of_gpu=share))
    return tuple(leaves)


def leaf_rates(leaves: Sequence[Leaf], gpu_micro: int, rate: Rate) -> tuple[Rate, ...]:
    """The rate of each leaf of one GPU; they sum to the GPU's price exactly.

    Args:
        leaves: all leaves of the GPU, the rest included; at least one.
        gpu_micro: the GPU's price, micro-units an hour.
        rate: the GPU's rate, for its provenance.
    """
    parts = largest_remainder(gpu_micro, [leaf.share_of_gpu for leaf in leaves])
    return tuple(replace(rate, micro_per_hour=part) for part in parts)
