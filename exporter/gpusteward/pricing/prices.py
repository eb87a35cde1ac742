"""A catalogue of prices: the bundled one, or an operator's file in the same columns.

Nothing is loaded that fails its checks: a wrong price is worse than none.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, replace
from functools import cache, cached_property
from typing import TYPE_CHECKING

from gpusteward.errors import CatalogueError, Problem
from gpusteward.pricing.checks import check_rows
from gpusteward.pricing.models import packaged
from gpusteward.pricing.rows import BAND_COLUMNS, PRICE_COLUMNS, price_bands, price_row
from gpusteward.pricing.table import read

if TYPE_CHECKING:
    import datetime as dt
    from collections.abc import Mapping

    from gpusteward.pricing.rows import Band, PriceRow

_PRICES = "gpu_prices.csv"
_BANDS = "gpu_price_bands.csv"


@dataclass(frozen=True)
class Catalogue:
    """Price rows that passed their checks, USD.

    Attributes:
        name: the file's name.
        rows: in the order of the file.
        notes: what was left out and why (a spot price equal to on-demand, say).
    """

    name: str
    rows: tuple[PriceRow, ...]
    notes: tuple[Problem, ...] = ()

    @cached_property
    def as_of(self) -> dt.date | None:
        """The newest date of a row; None when no row has one."""
        return max((row.as_of for row in self.rows if row.as_of), default=None)

    @cached_property
    def _by_type(self) -> Mapping[str, tuple[PriceRow, ...]]:
        found: dict[str, list[PriceRow]] = defaultdict(list)
        for row in self.rows:
            found[row.instance_type.casefold()].append(row)
            if "+" in row.instance_type:
                found[row.instance_type.casefold().partition("+")[0]].append(row)
        return {name: tuple(rows) for name, rows in found.items()}

    def of_type(self, provider: str, instance_type: str) -> tuple[PriceRow, ...]:
        """The rows of an instance type in all regions, priced or not; case does not matter.

        A machine to which GPUs are added (`n1-standard-8`) has the rows of all that can be added to it.

        Args:
            provider: empty when not known; then the rows of all providers.
            instance_type: as the provider spells it.
        """
        rows = self._by_type.get(instance_type.casefold(), ())
        return tuple(row for row in rows if not provider or row.provider.casefold() == provider.casefold())

    def of_family(self, family: str) -> tuple[PriceRow, ...]:
        """The rows of all instance types of a family: those named `g6.…` or `g2-…`; case does not matter."""
        starts = tuple(f"{family.casefold()}{mark}" for mark in ".-")
        return tuple(row for row in self.rows if row.instance_type.casefold().startswith(starts))


@cache
def bundled_catalogue() -> Catalogue:
    """The catalogue that comes with the package.

    Raises:
        CatalogueError: never, as tested.
    """
    return load_catalogue(packaged(_PRICES), _PRICES)


@cache
def bundled_bands() -> Mapping[str, Band]:
    """The price bands by model name.

    Raises:
        CatalogueError: never, as tested.
    """
    return load_bands(packaged(_BANDS), _BANDS)


def load_bands(text: str, name: str) -> Mapping[str, Band]:
    """Price bands by model name.

    Raises:
        CatalogueError: a row is wrong.
    """
    table = read(text, name, BAND_COLUMNS)
    problems = list(table.problems)
    bands = price_bands(table.rows, problems)
    if problems:
        raise CatalogueError(f"The price bands of {name} are wrong.", tuple(problems))
    return bands


def load_catalogue(text: str, name: str) -> Catalogue:
    """A catalogue out of a file's text.

    Args:
        text: CSV in the columns of the bundled gpu_prices.csv.
        name: the file's name, for paths.

    Raises:
        CatalogueError: some row failed; all problems at once.
    """
    catalogue, problems = _parse(text, name)
    if problems:
        raise CatalogueError(
            f"The price catalogue {name} failed its checks; none of it is used.",
            problems,
            hint=f"correct it, then run `gpusteward prices check {name}`",
        )
    return catalogue


def check(text: str, name: str) -> tuple[Problem, ...]:
    """All that is wrong with an operator's file, in its order; empty when it can be used."""
    return _parse(text, name)[1]


def _parse(text: str, name: str) -> tuple[Catalogue, tuple[Problem, ...]]:
    """The rows whose cells parse, and everything wrong with the file in the order of its lines."""
    table = read(text, name, PRICE_COLUMNS)
    problems, rows, notes = list(table.problems), [], []
    for cells in table.rows:
        row = price_row(cells)
        problems.extend(cells.problems)
        if cells.problems:
            continue
        if row.spot_micro and row.spot_micro == row.on_demand_micro:
            notes.append(Problem(row.path, "spot equals on-demand, so spot counts as not known"))
            row = replace(row, spot_micro=None, spot_confidence="")
        rows.append(row)
    problems.extend(check_rows(rows, bundled_bands()))
    if not table.rows and not problems:
        problems.append(Problem(f"{name}:1", "no price rows", "see the bundled gpu_prices.csv"))
    problems.sort(key=lambda problem: int(problem.path.rpartition(":")[2]))
    return Catalogue(name, tuple(rows), tuple(notes)), tuple(problems)
