"""MIG geometry: how many memory and compute slices a profile takes, and how many instances a GPU can have."""

from __future__ import annotations

import re
from collections import defaultdict
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING

from gpusteward.errors import CatalogueError, Problem
from gpusteward.pricing.models import canonical, packaged
from gpusteward.pricing.table import read

if TYPE_CHECKING:
    from collections.abc import Mapping

    from gpusteward.pricing.table import Cells

_PROFILES = "mig_profiles.csv"
_COLUMNS = (
    "mig_table",
    "profile",
    "compute_slices",
    "compute_total",
    "memory_slices",
    "memory_total",
    "max_instances",
    "sm_count",
    "sm_total",
    "usable_gib",
    "nvdec",
    "jpeg",
    "ofa",
    "confidence",
)
_NAME = re.compile(r"(?:mig-)?(?:\d+c\.)?(\d+)g(?:\.(\d+)gb)?(?:[+.-](.+))?")

ASSUMED = "H100-80GB"
"""The geometry taken for a GPU that has none in the table: 8 memory and 7 compute slices, as most boards."""

_RENAMED = 0.2
"""A driver may name a size anew (GB200: 1g.23gb, 1g.24gb); a size this near counts as the same."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Profile:
    """A GPU-instance profile.

    Attributes:
        name: `1g.10gb`, with a suffix such as `+me` behind it.
        compute: compute slices.
        memory: memory slices.
        most: how many instances an empty GPU can have.
        gigabytes: memory by its name.
    """

    name: str
    gigabytes: int
    compute: int
    memory: int
    most: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Geometry:
    """How a GPU can be cut.

    Attributes:
        compute: compute slices of the whole GPU.
        memory: memory slices of the whole GPU.
        profiles: by name.
    """

    compute: int
    memory: int
    profiles: Mapping[str, Profile]

    def find(self, name: str) -> Profile | None:
        """The profile of a name in any spelling; None when the GPU has none like it.

        `mig-1g.10gb.me` (Kubernetes), `1g.10gb+me` (NVML) and `1c.3g.40gb` (a part of an instance, which
        takes the instance) are understood; a suffix without its own row takes the plain profile's slices.
        """
        match = _NAME.fullmatch(name.strip().casefold())
        if match is None:
            return None
        compute, gigabytes, suffix = match.groups()
        plain = f"{compute}g.{gigabytes}gb"
        exact = self.profiles.get(f"{plain}+{suffix}") or self.profiles.get(plain)
        if exact is not None:
            return exact
        alike = [profile for profile in self._plain() if profile.compute == int(compute)]
        size = int(gigabytes or 0)
        near = [profile for profile in alike if abs(profile.gigabytes - size) <= _RENAMED * profile.gigabytes]
        return min(near or alike, key=lambda profile: profile.memory, default=None)

    def _plain(self) -> list[Profile]:
        return [profile for profile in self.profiles.values() if "+" not in profile.name]


def geometry(spelling: str) -> Geometry | None:
    """How a model can be cut, by any spelling; None when the table does not know."""
    model = canonical(spelling)
    return None if model is None else geometries().get(model.mig_table)


@cache
def geometries() -> Mapping[str, Geometry]:
    """All geometries by the name of their table."""
    return load_geometries(packaged(_PROFILES), _PROFILES)


def load_geometries(text: str, name: str) -> Mapping[str, Geometry]:
    """Geometries out of a file's text.

    Raises:
        CatalogueError: a row is wrong, or the rows of a table disagree on the whole.
    """
    table = read(text, name, _COLUMNS)
    problems = list(table.problems)
    totals: dict[str, tuple[int, int]] = {}
    profiles: dict[str, dict[str, Profile]] = defaultdict(dict)
    for cells in table.rows:
        board = cells.required("mig_table")
        profile, total = _profile(cells), (_slices(cells, "compute_total"), _slices(cells, "memory_total"))
        if totals.setdefault(board, total) != total:
            cells.problems.append(
                Problem(cells.path, f"the totals of {board} are not those of its first row")
            )
        if not profile.gigabytes or profile.compute > total[0] or profile.memory > total[1]:
            cells.problems.append(Problem(cells.path, f"{profile.name!r} is no profile of {board}"))
        profiles[board][profile.name] = profile
        problems.extend(cells.problems)
    if problems:
        raise CatalogueError(f"The MIG profiles of {name} are wrong.", tuple(problems))
    return {
        board: Geometry(compute=compute, memory=memory, profiles=profiles[board])
        for board, (compute, memory) in totals.items()
    }


def _profile(cells: Cells) -> Profile:
    name = cells.required("profile").casefold()
    match = _NAME.fullmatch(name)
    return Profile(
        name=name,
        gigabytes=int(match[2] or 0) if match else 0,
        compute=_slices(cells, "compute_slices"),
        memory=_slices(cells, "memory_slices"),
        most=_slices(cells, "max_instances"),
    )


def _slices(cells: Cells, column: str) -> int:
    count = cells.count(column)
    if not count:
        cells.problems.append(Problem(cells.path, f"`{column}` is not a count from 1 up"))
    return count or 0
