"""What every price row must satisfy. Each check stands for a fault that a public catalogue really had.

A check says what is wrong in the figures of the row and what to do; a value that is absent is not checked,
for absent is not wrong.
"""

from __future__ import annotations

from collections import defaultdict
from fractions import Fraction
from typing import TYPE_CHECKING

from gpusteward.errors import Problem
from gpusteward.pricing.models import bundled_models
from gpusteward.pricing.rows import ON_DEMAND, SPOT_CONFIDENCES, PriceRow
from gpusteward.units import from_micro

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from gpusteward.pricing.rows import Band

BELOW_LOW = Fraction(1, 2)
"""A price below half the least known one is taken for an error."""

ABOVE_HIGH = 2
"""So is one above twice the greatest known: placeholders of 700 USD were seen."""

REGIONAL_SPREAD = 3
"""No provider was seen to ask more than this times as much in one region as in another."""

MOST_GPUS = 32
"""Most GPUs of a node where its band says nothing; more is a rack (p6e-gb200 with 36 was seen)."""

MEMORY_TOLERANCE = Fraction(1, 10)
"""How far a GPU's stated memory may be from the model's: GB against GiB is 7 %, driver reserves the rest."""

FRACTION_TOLERANCE = Fraction(2, 100)
"""How far a part may be from its part of the memory: 1/6 is written 0.1667."""

_GB_IN_GIB = Fraction(10**9, 2**30)
_OWN_PRICE = "if it is truly your price, state it in `pricing.book`, which is not checked"


def check_rows(rows: Sequence[PriceRow], bands: Mapping[str, Band]) -> tuple[Problem, ...]:
    """Everything that is wrong with these rows.

    Args:
        rows: whose cells parsed.
        bands: price bands by model name; a model without one is not checked against any.
    """
    problems: list[Problem] = []
    for row in rows:
        for check in _ROW_CHECKS:
            problems.extend(check(row))
        problems.extend(_band(row, bands.get(row.model)))
        problems.extend(_gpu_count(row, bands.get(row.model)))
    return (*problems, *_duplicates(rows), *_regional_spread(rows))


def _provenance(row: PriceRow) -> Iterator[Problem]:
    """A price without source and date cannot be told from an invented one."""
    if not row.priced:
        return
    if not row.source:
        yield Problem(row.path, "priced without a source", "fill in `source`")
    if row.as_of is None:
        yield Problem(row.path, "priced without a date", "fill in `as_of`, as in 2026-07-20")
    if row.on_demand_micro is not None and not row.on_demand_kind:
        yield Problem(row.path, "on-demand price without its kind", f"write `{ON_DEMAND}`, or the condition")
    if row.spot_micro is not None and row.spot_confidence not in SPOT_CONFIDENCES:
        remedy = f"write one of {', '.join(SPOT_CONFIDENCES)}"
        yield Problem(row.path, f"spot price with confidence {row.spot_confidence!r}", remedy)


def _positive(row: PriceRow) -> Iterator[Problem]:
    """New families were billed at 0 (opencost issue 2215)."""
    for name, micro in (("on-demand", row.on_demand_micro), ("spot", row.spot_micro)):
        if micro == 0:
            yield Problem(row.path, f"the {name} price is 0", "leave the cell empty when it is not known")


def _spot_below_on_demand(row: PriceRow) -> Iterator[Problem]:
    """Spot above on-demand means that one of them is wrong (SkyPilot, A100 in us-central1)."""
    if (
        row.spot_micro is not None
        and row.on_demand_micro is not None
        and row.spot_micro > row.on_demand_micro
    ):
        spot, on_demand = from_micro(row.spot_micro), from_micro(row.on_demand_micro)
        yield Problem(row.path, f"spot {spot:g} is above on-demand {on_demand:g}", "one of them is wrong")


def _memory(row: PriceRow) -> Iterator[Problem]:
    """A part of a GPU shows by its memory; catalogues call it a whole one, or none (Karpenter, g6f)."""
    whole = bundled_models().canonical(row.model)
    if not (row.gpus and row.gpu_memory_gib and whole and whole.memory_gb):
        return
    stated, memory = float(row.gpu_memory_gib), row.gpu_memory_gib / whole.memory_gb
    expected = min(row.gpus, Fraction(1))
    in_gib = memory / _GB_IN_GIB
    if row.gpus >= 1:
        right = abs(memory - 1) <= MEMORY_TOLERANCE
    else:
        right = min(abs(memory / expected - 1), abs(in_gib / expected - 1)) <= FRACTION_TOLERANCE
    if not right:
        message = (
            f"`gpu_count` {float(row.gpus):g} does not go with {stated:g} GiB a GPU: "
            f"{row.model} has {float(whole.memory_gb):g} GB"
        )
        yield Problem(
            row.path, message, f"a part of a GPU is its part of the memory, {float(memory):.4g} here"
        )


def _gpu_count(row: PriceRow, band: Band | None) -> Iterator[Problem]:
    """12 GPUs on an 8-GPU node (SkyPilot), 36 on a node of 4 (Vantage), 0 for a part of one (Karpenter)."""
    if row.gpus is None:
        return
    most = (band.max_gpus if band else None) or MOST_GPUS
    model = bundled_models().canonical(row.model)
    linked = model is not None and model.nvlink
    count = f"`gpu_count` is {float(row.gpus):g}"
    if row.gpus == 0:
        yield Problem(row.path, count, "write the part, as in 0.125, or leave the cell empty")
    elif row.gpus > most:
        yield Problem(row.path, f"{count}, a node of {row.model} has at most {most}", "count one node")
    elif row.gpus > 1 and row.gpus.denominator != 1:
        yield Problem(row.path, f"{count}, neither whole GPUs nor a part of one", "write whole GPUs")
    elif row.gpus >= 1 and linked and row.gpus.numerator.bit_count() != 1:
        yield Problem(row.path, f"{count}, {row.model} is sold in 1, 2, 4, 8 or 16", "count one node")
    elif row.vcpus is not None and row.vcpus < row.gpus:
        yield Problem(row.path, f"{count}, more than its {float(row.vcpus):g} vCPUs", "check both")


def _band(row: PriceRow, band: Band | None) -> Iterator[Problem]:
    """A price far from all known ones of the model is a placeholder or a slip of the decimal point."""
    if band is None or not row.gpus:
        return
    most = band.high_micro * ABOVE_HIGH
    least = band.low_micro * BELOW_LOW
    if row.on_demand_micro:
        price, name = row.on_demand_micro / row.gpus, "on-demand"
    else:  # spot may be far below the band, never above it
        price, name, least = Fraction(row.spot_micro or 0) / row.gpus, "spot", Fraction(0)
    if not least <= price <= most:
        message = (
            f"{name} {float(price) / 1e6:.4g} a {row.model} and hour is not within "
            f"{float(least) / 1e6:.4g} to {most / 1e6:.4g}"
        )
        yield Problem(row.path, message, f"check price and `gpu_count`; {_OWN_PRICE}")


def _duplicates(rows: Sequence[PriceRow]) -> Iterator[Problem]:
    """Two rows for one thing: which one counts would depend on their order."""
    first: dict[tuple[str, str, str], PriceRow] = {}
    for row in rows:
        before = first.setdefault(row.key, row)
        if before is not row:
            message = f"{row.provider} {row.instance_type} in {row.region} is already at {before.path}"
            yield Problem(row.path, message, "keep one of the two")


def _regional_spread(rows: Sequence[PriceRow]) -> Iterator[Problem]:
    """A region at several times another's price is a placeholder."""
    same: dict[tuple[str, str, str], list[tuple[int, str, PriceRow]]] = defaultdict(list)
    for row in rows:
        if row.on_demand_micro:
            kind = (row.provider.casefold(), row.instance_type.casefold(), row.on_demand_kind)
            same[kind].append((row.on_demand_micro, row.region, row))
    for priced in same.values():
        least, region, cheap = min(priced, key=lambda item: item[:2])
        for price, _, row in priced:
            if price > least * REGIONAL_SPREAD:
                message = (
                    f"on-demand {from_micro(price):g} is more than {REGIONAL_SPREAD} times "
                    f"the {from_micro(least):g} of {region} ({cheap.path})"
                )
                yield Problem(row.path, message, f"check both; {_OWN_PRICE}")


_ROW_CHECKS: tuple[Callable[[PriceRow], Iterator[Problem]], ...] = (
    _provenance,
    _positive,
    _spot_below_on_demand,
    _memory,
)
