"""Places in a file that a person wrote, and what is wrong there."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Set as AbstractSet

Place: TypeAlias = "tuple[str | int, ...]"
"""Keys and list positions from the root: `("pricing", "book", 2, "node_per_hour")`. Empty: the whole file."""

_PLAIN_KEY = re.compile(r"[A-Za-z0-9_-]+")


@dataclass(frozen=True, slots=True)
class Flaw:
    """One thing wrong, before it is known how the reader names the file.

    Attributes:
        place: where.
        message: what is wrong.
        remedy: what to write instead; empty when the message says it.
        line: line in the file, from 1; None = the line of the place.
    """

    place: Place
    message: str
    remedy: str = ""
    line: int | None = None


def dotted(place: Place) -> str:
    """The place as one writes it, `pricing.book[2].node_per_hour`; a key with odd characters in quotes."""
    text = ""
    for step in place:
        if isinstance(step, int):
            text += f"[{step}]"
        else:
            key = step if _PLAIN_KEY.fullmatch(step) else repr(step)
            text += f".{key}" if text else key
    return text


def within(place: Place, others: AbstractSet[Place]) -> bool:
    """Whether the place is one of the others, or lies in one."""
    return any(place[:length] in others for length in range(1, len(place) + 1))
