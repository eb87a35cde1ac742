"""Memory of a process, and whether it grows."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

KIB_PER_HOUR = 1024.0
"""What memory may grow by: design §11."""


def memory_kib(pid: int | str = "self") -> dict[str, float]:
    """Kinds of memory of a process, `Pss` and `Rss` among them, in KiB; see proc(5), smaps_rollup."""
    lines = Path(f"/proc/{pid}/smaps_rollup").read_text(encoding="ascii").splitlines()[1:]
    return {name: float(rest.split()[0]) for name, _, rest in (line.partition(":") for line in lines)}


def pss_kib(pid: int | str = "self") -> float:
    """Proportional set size in KiB: a process's own memory, and its part of what it shares."""
    return memory_kib(pid)["Pss"]


def slope_per_hour(points: Mapping[float, float]) -> float:
    """Least-squares slope of values over seconds, per hour; 0 for fewer than two points."""
    if len(points) < 2:
        return 0.0
    mean_x = sum(points) / len(points)
    mean_y = sum(points.values()) / len(points)
    spread = sum((x - mean_x) ** 2 for x in points)
    return 3600 * sum((x - mean_x) * (y - mean_y) for x, y in points.items()) / spread
