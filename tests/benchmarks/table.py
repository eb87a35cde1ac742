"""The table that a benchmark prints: a figure, what it was to be, and whether it is."""

from __future__ import annotations

import os
import platform
import sys
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Line:
    """One figure.

    Attributes:
        name: what was measured.
        value: the figure.
        unit: of the value and the limit.
        limit: what design §11 or §6 allows; None = there is no target, the figure stands for itself.
        at_least: the limit is a least value, not a greatest.
        note: how it was measured, in few words.
    """

    name: str
    value: float
    unit: str
    limit: float | None = None
    at_least: bool = False
    note: str = ""

    @property
    def verdict(self) -> str:
        """`ok` or `MISSED`; empty without a target."""
        if self.limit is None:
            return ""
        fine = self.value >= self.limit if self.at_least else self.value <= self.limit
        return "ok" if fine else "MISSED"

    @property
    def target(self) -> str:
        """The limit in words."""
        if self.limit is None:
            return ""
        return f"{'≥' if self.at_least else '≤'} {_figure(self.limit)} {self.unit}"


def table(lines: list[Line]) -> str:
    """The lines as a Markdown table with aligned columns, fit for a terminal and for docs/."""
    rows = [("figure", "measured", "target", "", "note")]
    rows += [
        (line.name, f"{_figure(line.value)} {line.unit}", line.target, line.verdict, line.note)
        for line in lines
    ]
    widths = [max(len(row[n]) for row in rows) for n in range(len(rows[0]))]
    written = [
        "| " + " | ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) + " |"
        for row in rows
    ]
    rule = "|" + "|".join("-" * (width + 2) for width in widths) + "|"
    return "\n".join((written[0], rule, *written[1:]))


def machine() -> str:
    """What the figures depend on, in one line."""
    model = "unknown processor"
    for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
        if line.startswith("model name"):
            model = line.partition(":")[2].strip()
            break
    cores = len(os.sched_getaffinity(0))
    python = f"{platform.python_implementation()} {platform.python_version()}"
    return f"{model}, {cores} cores, Linux {platform.release()}, {python} ({sys.platform})"


def load() -> str:
    """How busy the machine is with other work: load averages of 1 and 5 minutes."""
    one, five, _ = os.getloadavg()
    return f"load average {one:.2f} (1 min), {five:.2f} (5 min)"


def quantile(values: list[float], q: float) -> float:
    """The value below which a part `q` of them lies, by nearest rank."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(q * len(ordered)))]


def _figure(value: float) -> str:
    """A number as people read it: whole when it is large, else three digits."""
    return f"{value:,.0f}" if abs(value) >= 100 or value == int(value) else f"{value:.3g}"
