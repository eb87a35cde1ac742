"""Lines of a dcgm-exporter page to rows. Lenient, since the page is written without escaping.

dcgm-exporter renders a text template and does not escape label values, so a quote or a backslash in one
breaks strict parsers for the whole page. Here a line stands for itself: a bad one is counted and costs
nothing else.
Values of labels are kept as written; no label that is read can hold a quote or a backslash.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from gpusteward.devices.dcgm_vocabulary import Field


class Skip(StrEnum):
    """Why an input was left out: the keys of `Readings.skipped`.

    Attributes:
        SYNTAX: no metric line.
        OTHER_ENTITY: of a switch, a link or a processor.
        NO_UUID: names no GPU.
        UNKNOWN_FIELD: a DCGM field that the table lacks.
        NOT_FINITE: NaN or infinite.
        BLANK: DCGM's sentinel for "no value".
        NO_SENSOR: a 0 where the table says that 0 means no sensor.
        OUT_OF_RANGE: a ratio outside 0 to 1, or a negative count.
        NOT_OF_INSTANCE: a field that DCGM cannot tell of a MIG instance.
        MIG_PARENT: activity or memory of a whole GPU that is cut into instances, which carry their own.
    """

    SYNTAX = "syntax"
    OTHER_ENTITY = "other_entity"
    NO_UUID = "no_uuid"
    UNKNOWN_FIELD = "unknown_field"
    NOT_FINITE = "not_finite"
    BLANK = "blank"
    NO_SENSOR = "no_sensor"
    OUT_OF_RANGE = "out_of_range"
    NOT_OF_INSTANCE = "not_of_instance"
    MIG_PARENT = "mig_parent"


@dataclass(frozen=True, slots=True)
class Row:
    """One sample line: name, labels as written, value as written (perhaps NaN)."""

    name: str
    labels: Mapping[str, str]
    value: float


_NUMBER = r"[+-]?(?:\d+(?:\.\d*)?(?:e[+-]?\d+)?|\.\d+(?:e[+-]?\d+)?|inf(?:inity)?|nan)"
# Greedy up to the last brace: a label value may hold braces. Possessive blanks: never quadratic.
_LINE = re.compile(
    rf"([a-z_:][a-z0-9_:]*+)(?:\s*+\{{(.*)\}}\s*+|\s++)({_NUMBER})(?:\s++-?\d+)?", re.IGNORECASE | re.ASCII
)
# A value ends at a quote that is followed by the next label or by the end, so that it may hold quotes itself.
_LABEL = re.compile(
    r'\s*+([a-z_][a-z0-9_]*+)\s*+=\s*+"(.*?)"\s*+(?:,(?=\s*+[a-z_][a-z0-9_]*+\s*+=\s*+")|(?:,\s*+)?\Z)',
    re.IGNORECASE | re.ASCII,
)
# A quote and brace that close within the braces: an exemplar, or two samples on one line.
_SECOND_SAMPLE = re.compile(r'(?<!=)"\s*+\}')


def rows(page: str) -> Iterator[Row | None]:
    """The page's samples in order; None for each line that is none. Comments and blank lines are passed over.

    Splits at line feeds only: other line separators of Unicode may stand inside a label value.
    """
    for line in page.split("\n"):
        text = line.strip()
        if text and not text.startswith("#"):
            yield _row(text)


def _row(text: str) -> Row | None:
    match = _LINE.fullmatch(text)
    if match is None:
        return None
    labels = _labels(match[2] or "")
    return None if labels is None else Row(match[1], labels, float(match[3]))


def _labels(text: str) -> dict[str, str] | None:
    """Labels between the braces; None when they cannot be told apart. The first of a repeated name counts."""
    labels: dict[str, str] = {}
    position, end = 0, len(text.rstrip())
    if _SECOND_SAMPLE.search(text):
        return None
    while position < end:
        match = _LABEL.match(text, position)
        if match is None:
            return None
        labels.setdefault(match[1], match[2])
        position = match.end()
    return labels


_BLANKS = frozenset(
    # The 32-bit and the double blank, each with not found, not supported, no permission and one to spare.
    float(first + i)
    for first in (0x7FFFFFF0, 1 << 47)
    for i in range(5)
)
# The 64-bit blanks 0x7ffffffffffffff0 and the following ones are all this number once read as a double.
_BLANK_64 = float(1 << 63)


def why_absent(field: Field, value: float) -> Skip | None:
    """Why a value of the page is no reading of the field; None when it is one.

    Ratios above 1 are cut only where the table says that they occur (`clamp`); elsewhere they are a unit that
    was mistaken somewhere, and a wrong ratio would be worse than none.
    """
    if not math.isfinite(value):
        return Skip.NOT_FINITE
    if value in _BLANKS or value >= _BLANK_64:
        return Skip.BLANK
    if value == 0 and field.zero_is_absent:
        return Skip.NO_SENSOR
    signal = str(field.signal)
    too_high = signal.endswith("_ratio") and field.convert(value) > 1
    too_low = value < 0 and not signal.endswith("_celsius")
    return Skip.OUT_OF_RANGE if too_high or too_low else None
