"""What each field and label of a dcgm-exporter page means; the fields from dcgm_vocabulary.csv.

dcgm-exporter has three vocabularies: up to 4.8.2, 4.8.3 to 4.8.x (one label renamed) and from 4.9 (23 fields
renamed, the unit of 11 changed). Units come from this table alone: `# TYPE` and help texts come from a CSV
that operators edit, and Nebius and Oracle both ship it with wrong types.
"""

from __future__ import annotations

import csv
from dataclasses import dataclass
from enum import StrEnum
from fractions import Fraction
from functools import cache
from importlib.resources import files
from typing import TYPE_CHECKING, Literal, TypeAlias

from gpusteward.errors import CatalogueError, Problem
from gpusteward.model import Signal

if TYPE_CHECKING:
    from collections.abc import Container, Iterable, Mapping

FILE = "dcgm_vocabulary.csv"

HOST_LABELS = ("Hostname", "hostname")
"""Up to 4.8.2, and from 4.8.3."""
UUID_LABELS = ("UUID", "uuid", "gpu_uuid")
"""Usual, old-namespace mode, and the spelling of newer entity kinds. For MIG rows it is the parent's."""
MODEL_LABELS = ("modelName", "model_name")
DRIVER_LABELS = ("DCGM_FI_DRIVER_VERSION", "DCGM_FI_SYSTEM_DRIVER_VERSION")
"""Up to 4.8.x, and from 4.9. A label only where the CSV has it as `label`."""
OTHER_ENTITY_LABELS = ("nvswitch", "nvlink", "cpu", "cpucore")
"""Rows with one of these are of a switch, a link or a processor, also when they name a GPU as well."""


class Scope(StrEnum):
    """What a value is of, which matters once a GPU is cut by MIG.

    DCGM answers board fields for an instance with the board's own value; utilization fields it cannot answer
    for instances at all, and some versions then show 0 (dcgm-exporter #216), which is no reading.
    """

    BOARD = "board"
    LEAF = "leaf"
    WHOLE = "whole"


@dataclass(frozen=True, slots=True, kw_only=True)
class Field:
    """One row of the table.

    Attributes:
        name: as the page spells it.
        vocabulary: `4.8`, `4.9` or `all`.
        signal: what it measures; None = known and left unread, `note` says why.
        factor: page value × factor = the signal's unit.
        scope: what the value is of.
        kind: `gauge` or `counter`, whatever the page declares.
        clamp: the value may exceed 1 and is cut to 1 (SM activity of MIG instances, DCGM #152).
        zero_is_absent: 0 means that the board has no such sensor (memory temperature of GDDR boards).
        preference: of several fields of one signal the least wins; of equal ones the greatest value.
        source: where the row is from.
        note: why it is left unread; else empty.
    """

    name: str
    vocabulary: str
    signal: Signal | None
    factor: Fraction = Fraction(1)
    scope: Scope = Scope.BOARD
    kind: Literal["gauge", "counter"] = "gauge"
    clamp: bool = False
    zero_is_absent: bool = False
    preference: int = 1
    source: str
    note: str = ""

    def convert(self, value: float) -> float:
        """A page value in the signal's unit. Divides where the factor is a fraction: 57 × 1/100 is 0.57."""
        converted = value * self.factor.numerator / self.factor.denominator
        return min(converted, 1.0) if self.clamp else converted


Vocabulary: TypeAlias = "Mapping[str, Field]"

_COLUMNS = [
    "field",
    "vocabulary",
    "signal",
    "factor",
    "scope",
    "kind",
    "rule",
    "preference",
    "source",
    "note",
]
_RULES = ("", "clamp", "zero_absent")


@cache
def vocabulary() -> Vocabulary:
    """The packaged table, by field name. Read once.

    Raises:
        CatalogueError: the package's own file is damaged.
    """
    text = (files(__package__) / FILE).read_text(encoding="utf-8")
    return parse_vocabulary(text)


def parse_vocabulary(text: str) -> Vocabulary:
    """The table in a CSV text whose comment lines begin with `#`.

    Raises:
        CatalogueError: every row that cannot be used, each with its line.
    """
    numbered = [(n, line) for n, line in enumerate(text.splitlines(), 1) if line and not line.startswith("#")]
    rows = list(csv.reader(line for _, line in numbered))
    if not rows or rows[0] != _COLUMNS:
        problem = Problem(FILE, "the first row must be the column names", ",".join(_COLUMNS))
        raise CatalogueError("the dcgm vocabulary cannot be read", (problem,))
    fields: dict[str, Field] = {}
    problems: list[Problem] = []
    for (number, _), cells in zip(numbered[1:], rows[1:], strict=True):
        try:
            field = _field(cells, fields)
        except ValueError as error:
            problems.append(Problem(f"{FILE}:{number}", str(error)))
        else:
            fields[field.name] = field
    if problems:
        raise CatalogueError("the dcgm vocabulary cannot be read", tuple(problems))
    return fields


def _field(cells: list[str], earlier: Container[str]) -> Field:
    if len(cells) != len(_COLUMNS):
        raise ValueError(f"{len(cells)} columns, not {len(_COLUMNS)}")
    row = dict(zip(_COLUMNS, cells, strict=True))
    name = row["field"]
    if name in earlier:
        raise ValueError(f"{name} is there twice")
    _one_of(row["vocabulary"], ("4.8", "4.9", "all"))
    if not row["signal"]:
        if not row["note"]:
            raise ValueError(f"{name} is left unread without a reason")
        return Field(
            name=name, vocabulary=row["vocabulary"], signal=None, source=row["source"], note=row["note"]
        )
    factor = _positive(row["factor"])
    return Field(
        name=name,
        vocabulary=row["vocabulary"],
        signal=Signal[_one_of(row["signal"], Signal.__members__)],
        factor=factor,
        scope=Scope(row["scope"]),
        kind="counter" if _one_of(row["kind"], ("gauge", "counter")) == "counter" else "gauge",
        clamp=_one_of(row["rule"], _RULES) == "clamp",
        zero_is_absent=row["rule"] == "zero_absent",
        preference=int(row["preference"]),
        source=row["source"],
    )


def _positive(text: str) -> Fraction:
    factor = Fraction(text)
    if factor <= 0:
        raise ValueError(f"factor {text} is not positive")
    return factor


def _one_of(word: str, allowed: Iterable[str]) -> str:
    if word not in allowed:
        raise ValueError(f"{word!r} is not one of {', '.join(repr(one) for one in allowed)}")
    return word
