"""Strict reading of a CSV: every problem at once, each with its `file:line`."""

from __future__ import annotations

import csv
import datetime as dt
import io
import re
from dataclasses import dataclass, field
from fractions import Fraction
from typing import TYPE_CHECKING

from gpusteward.errors import Problem
from gpusteward.units import to_micro

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

_NUMBER = re.compile(r"[0-9]{1,12}(\.[0-9]{1,12})?")
_BOM = "\ufeff"


def plain_number(text: str) -> str | None:
    """The text without surrounding blanks if it is a plain decimal (`6.88`), else None.

    No sign, exponent, separator or currency sign: what a figure written otherwise means is not guessed.
    """
    stripped = text.strip()
    return stripped if _NUMBER.fullmatch(stripped) else None


@dataclass(slots=True)
class Cells:
    """One row. A cell that does not parse is None and noted in `problems`.

    Attributes:
        path: `file:line` of the row's first line.
        cells: text by column, surrounding blanks removed.
        problems: what was wrong with this row so far.
    """

    path: str
    cells: Mapping[str, str]
    problems: list[Problem] = field(default_factory=list)

    def text(self, column: str) -> str:
        """The cell; empty when blank."""
        return self.cells[column]

    def required(self, column: str) -> str:
        """The cell, which may not be blank."""
        if not self.cells[column]:
            self._refuse(f"`{column}` is empty", "fill it in")
        return self.cells[column]

    def number(self, column: str) -> Fraction | None:
        """The exact value; None when blank."""
        text = self._plain(column)
        return None if text is None else Fraction(text)

    def count(self, column: str) -> int | None:
        """A whole number; None when blank."""
        number = self.number(column)
        if number is not None and number.denominator != 1:
            self._refuse(f"`{column}` is {self.cells[column]!r}, not a whole number", "write 7")
            return None
        return None if number is None else int(number)

    def money(self, column: str) -> int | None:
        """Micro-units; None when blank."""
        text = self._plain(column)
        return None if text is None else to_micro(text)

    def date(self, column: str) -> dt.date | None:
        """The date; None when blank."""
        text = self.cells[column]
        if not text:
            return None
        try:
            return dt.date.fromisoformat(text)
        except ValueError:
            self._refuse(f"`{column}` is {text!r}, not a date", "write 2026-07-20")
            return None

    def _plain(self, column: str) -> str | None:
        text = self.cells[column]
        if not text:
            return None
        plain = plain_number(text)
        if plain is None:
            self._refuse(f"`{column}` is {text!r}, not a plain number", "write 6.88, or leave the cell empty")
        return plain

    def _refuse(self, message: str, remedy: str) -> None:
        self.problems.append(Problem(self.path, message, remedy))


@dataclass(frozen=True, slots=True)
class Table:
    """A CSV as read.

    Attributes:
        rows: the rows that have a cell for each column.
        problems: of the file, the header and the shape of rows; those of cells are in the rows.
    """

    rows: tuple[Cells, ...]
    problems: tuple[Problem, ...]


def read(text: str, name: str, columns: Sequence[str]) -> Table:
    """Read a CSV that has exactly these columns, in any order. Blank lines are skipped.

    Args:
        text: the file's text; a byte-order mark is dropped.
        name: the file's name, for paths.
        columns: the columns it must have.
    """
    problems: list[Problem] = []
    lines = _lines(text, name, problems)
    header = [cell.strip() for cell in next(lines, ("", []))[1]]
    if problems or not _has_columns(header, columns, name, problems):
        return Table((), tuple(problems))
    rows = []
    for path, cells in lines:
        if len(cells) == len(header):
            rows.append(Cells(path, dict(zip(header, (cell.strip() for cell in cells), strict=True))))
        else:
            message = f"the row has {len(cells)} cells, the header {len(header)}"
            problems.append(Problem(path, message, "quote cells that hold a comma"))
    return Table(tuple(rows), tuple(problems))


def _lines(text: str, name: str, problems: list[Problem]) -> Iterator[tuple[str, list[str]]]:
    """Each row that is not blank, with the path of its first line; ends at what cannot be read."""
    reader = csv.reader(io.StringIO(text.removeprefix(_BOM), newline=""), strict=True)
    start = 1
    try:
        for cells in reader:
            if cells:
                yield f"{name}:{start}", cells
            start = reader.line_num + 1
    except csv.Error as error:
        problems.append(Problem(f"{name}:{start}", f"not readable as CSV: {error}", "check its quotes"))


def _has_columns(header: Sequence[str], columns: Sequence[str], name: str, problems: list[Problem]) -> bool:
    """Whether the header is made of exactly these columns."""
    found: list[str] = []
    if missing := [column for column in columns if column not in header]:
        found.append(f"missing: {', '.join(missing)}")
    if unknown := [column for column in header if column not in columns]:
        found.append(f"unknown: {', '.join(unknown)}")
    if len(set(header)) != len(header):
        found.append("some column is there twice")
    if found:
        remedy = f"the columns are {','.join(columns)}"
        problems.append(Problem(f"{name}:1", f"wrong columns; {'; '.join(found)}", remedy))
    return not found
