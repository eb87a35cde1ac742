"""What a GPU costs inside its node: price = a·GPUs + b·vCPUs + c·GiB over a family of instance types.

Providers price many families exactly so. The GPU term is taken only when the family's sizes tell it:

- the GPU column is not a combination of the vCPU and memory columns: rank[vCPU, GiB] < rank[GPU, vCPU, GiB];
- there are more sizes than the rank, so that the fit could have failed;
- no term is negative;
- no size's price is missed by 0.5 % or more.

Where vCPUs and memory always come together (g5: 4 GiB each) their two terms cannot be told apart, but the
GPU's can; memory is then within the vCPU term. All arithmetic is exact (fractions), so rank is rank.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from fractions import Fraction
from typing import TYPE_CHECKING

from gpusteward.pricing.rows import ON_DEMAND

if TYPE_CHECKING:
    from collections.abc import Sequence

    from gpusteward.pricing.rows import PriceRow

MOST_RESIDUAL = Fraction(5, 1000)
"""The greatest relative miss of a size that a fit may have; g4dn, which is not linear, misses by 11 %."""

_AWS_MEMORY_VARIANT = re.compile(r"^([a-z])r(\d)")
_FIRST_NUMBER = re.compile(r"\d+")

Vector = tuple[Fraction, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Fit:
    """The terms of a family's linear price, micro-USD an hour, exact.

    Attributes:
        family: what was fitted, in words.
        gpu: per GPU.
        vcpu: per vCPU; includes memory when `gib` is None.
        gib: per GiB; None when memory cannot be told from vCPUs.
        sizes: how many rows were fitted.
        residual: greatest relative miss.
    """

    family: str
    gpu: Fraction
    vcpu: Fraction
    gib: Fraction | None
    sizes: int
    residual: Fraction

    def __str__(self) -> str:
        gpu, vcpu = float(self.gpu) / 1e6, float(self.vcpu) / 1e6
        per_gib = "" if self.gib is None else f" + {float(self.gib) / 1e6:.6g} a GiB"
        return (
            f"{self.family}: {gpu:.6g} a GPU + {vcpu:.6g} a vCPU{per_gib} "
            f"over {self.sizes} sizes, missed by at most {float(self.residual):.3%}"
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Refusal:
    """Why a family's GPU term cannot be told.

    Attributes:
        family: what was tried, in words.
        reason: the condition that failed, with its figures.
    """

    family: str
    reason: str

    def __str__(self) -> str:
        return f"{self.family} cannot be fitted: {self.reason}"


def family(provider: str, instance_type: str) -> str:
    """The family of an instance type; memory variants of a family are part of it.

    aws `gr6.4xlarge` → `g6`; gcp `g2-standard-4` → `g2`; others: the name with its first number as `*`.
    """
    name = instance_type.casefold()
    if provider.casefold() == "aws":
        return _AWS_MEMORY_VARIANT.sub(r"\1\2", name.partition(".")[0])
    if provider.casefold() == "gcp":
        return name.partition("-")[0]
    return _FIRST_NUMBER.sub("*", name, count=1)


def fit(rows: Sequence[PriceRow], row: PriceRow) -> Fit | Refusal:
    """The linear price of the row's family, or why there is none.

    Args:
        rows: the catalogue; of it count the rows of the same provider, region, family and GPU model that are
            sold on demand with whole GPUs and tell their vCPUs and memory.
        row: whose family.
    """
    name = f"{row.provider} {family(row.provider, row.instance_type)} in {row.region}"
    sizes = [other for other in rows if _same_family(other, row)]
    if row.gpus is not None and row.gpus < 1:
        return Refusal(family=name, reason=f"{row.instance_type} has a part of a GPU")
    if not sizes:
        return Refusal(family=name, reason="no size is sold on demand with its GPUs, vCPUs and memory told")
    return _fit(name, [_Size(other) for other in sizes])


class _Size:
    """What a fit uses of a row."""

    __slots__ = ("price", "shape")

    def __init__(self, row: PriceRow) -> None:
        self.price = Fraction(row.on_demand_micro or 0)
        self.shape: Vector = (
            row.gpus or Fraction(0),
            row.vcpus or Fraction(0),
            row.memory_gib or Fraction(0),
        )


def _same_family(other: PriceRow, row: PriceRow) -> bool:
    same = (
        other.provider.casefold() == row.provider.casefold()
        and other.region.casefold() == row.region.casefold()
        and other.model == row.model
        and family(other.provider, other.instance_type) == family(row.provider, row.instance_type)
    )
    sold = other.on_demand_kind == ON_DEMAND and bool(other.on_demand_micro)
    return same and sold and bool(other.gpus and other.gpus >= 1 and other.vcpus and other.memory_gib)


def _fit(name: str, sizes: Sequence[_Size]) -> Fit | Refusal:
    shapes = [size.shape for size in sizes]
    rank = len(_independent(shapes, (0, 1, 2)))
    if len(_independent(shapes, (1, 2))) == rank:
        step = "GPUs grow in step with vCPUs and memory, so no term stands apart"
        reason = f"over its {len(sizes)} sizes {step}" if len(sizes) > 1 else "it has one size"
        return Refusal(family=name, reason=reason)
    if len(sizes) <= rank:
        return Refusal(family=name, reason=f"{len(sizes)} sizes are too few to test {rank} terms")
    used = _independent(shapes, (0, 1, 2))
    terms = dict(zip(used, _least_squares(sizes, used), strict=True))
    if negative := [(_TERMS[column], term) for column, term in terms.items() if term < 0]:
        worst, term = negative[0]
        return Refusal(family=name, reason=f"the {worst} term would be {float(term) / 1e6:.4g}, below 0")
    residual = max(abs(_priced(size, terms) / size.price - 1) for size in sizes)
    if residual >= MOST_RESIDUAL:
        limit = f"{float(MOST_RESIDUAL):.1%}"
        return Refusal(
            family=name, reason=f"some price is missed by {float(residual):.1%}, {limit} is the limit"
        )
    return Fit(
        family=name, gpu=terms[0], vcpu=terms[1], gib=terms.get(2), sizes=len(sizes), residual=residual
    )


_TERMS = ("GPU", "vCPU", "memory")


def _priced(size: _Size, terms: dict[int, Fraction]) -> Fraction:
    return sum((term * size.shape[column] for column, term in terms.items()), Fraction(0))


def _independent(shapes: Sequence[Vector], columns: Sequence[int]) -> tuple[int, ...]:
    """The columns that are not combinations of the ones before them; their number is the rank."""
    basis: list[tuple[int, Vector]] = []
    kept = []
    for column in columns:
        vector: Vector = tuple(shape[column] for shape in shapes)
        for pivot, base in basis:
            factor = vector[pivot] / base[pivot]
            vector = tuple(a - factor * b for a, b in zip(vector, base, strict=True))
        first = next((i for i, value in enumerate(vector) if value), None)
        if first is not None:
            basis.append((first, vector))
            kept.append(column)
    return tuple(kept)


def _least_squares(sizes: Sequence[_Size], columns: Sequence[int]) -> Vector:
    """The terms that minimise the sum of squared misses, by the normal equations, solved exactly."""
    equations = [
        [
            *(sum((size.shape[i] * size.shape[j] for size in sizes), Fraction(0)) for j in columns),
            sum((size.shape[i] * size.price for size in sizes), Fraction(0)),
        ]
        for i in columns
    ]
    # The columns are independent, so the matrix is positive definite and no pivot is ever 0.
    for i, pivot in enumerate(equations):
        pivot[:] = [value / pivot[i] for value in pivot]
        for j, row in enumerate(equations):
            if j != i:
                row[:] = [a - row[i] * b for a, b in zip(row, pivot, strict=True)]
    return tuple(row[-1] for row in equations)
