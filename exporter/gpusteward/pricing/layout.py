"""Lines for people: tables whose columns are aligned, amounts, a dash for what is not known."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from gpusteward.pricing.offers import shown

if TYPE_CHECKING:
    from collections.abc import Sequence
    from fractions import Fraction

    from gpusteward.pricing.rows import PriceRow

UNKNOWN = "-"
_NUMBERS = frozenset({"GPUs", "on-demand", "a GPU", "spot", "median", "least", "most", "providers"})


@dataclass(frozen=True, slots=True)
class Report:
    """Lines to print.

    Attributes:
        lines: without line ends.
        ok: False when what was asked for is wrong or unknown; for the exit status.
    """

    lines: tuple[str, ...]
    ok: bool = True


def table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    """Rows as aligned text: two blanks between columns, numbers to the right, no blanks at the end."""
    lines = [header, *rows] if header else list(rows)
    widths = [max(len(line[i]) for line in lines) for i in range(len(lines[0]))] if lines else []
    right = [name in _NUMBERS for name in header] or [False] * len(widths)
    return [
        "  ".join(
            cell.rjust(width) if numeric else cell.ljust(width)
            for cell, width, numeric in zip(line, widths, right, strict=True)
        ).rstrip()
        for line in lines
    ]


def indented(lines: Sequence[str]) -> list[str]:
    """The lines, two blanks in."""
    return [f"  {line}" for line in lines]


def money(micro: float | Fraction | None) -> str:
    """Micro-units as a plain amount; a dash when not known."""
    return UNKNOWN if micro is None else shown(micro)


def count(row: PriceRow) -> str:
    """A row's number of GPUs, a part of one included; a dash when not known."""
    return f"{float(row.gpus):g}" if row.gpus else UNKNOWN


def per_gpu(row: PriceRow) -> Fraction | None:
    """On-demand price of a whole GPU, micro-USD; of a part, what a whole one would cost at that rate."""
    return row.on_demand_micro / row.gpus if row.on_demand_micro and row.gpus else None
