"""What pydantic found, in words for the person who wrote the file, with what is allowed there."""

from __future__ import annotations

from difflib import get_close_matches
from typing import TYPE_CHECKING

from gpusteward.config.fields import either, field_at, fields_of, section_at
from gpusteward.config.places import Flaw, Place, dotted

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pydantic_core import ErrorDetails

    from gpusteward.config.fields import Model

_SHOWN_CHARACTERS = 60
_TOO_SMALL = frozenset({"greater_than", "greater_than_equal"})
_TOO_LARGE = frozenset({"less_than", "less_than_equal", "int_parsing_size"})


def flaw_of(error: ErrorDetails, model: Model) -> Flaw:
    """One problem of a validation, with its remedy."""
    place: Place = error["loc"]
    kind = error["type"]
    if kind == "extra_forbidden":
        return Flaw(place, "there is no such setting", _remedy_of_unknown(place, model))
    field = field_at(model, place)
    if field is None:
        return Flaw(place, error["msg"])
    if kind == "missing":
        return Flaw(place, "is missing", f"write {field.allowed}")
    if isinstance(place[-1], int):  # an item of a list
        allowed = "settings, such as `name: value`" if field.section else "a text"
        return Flaw(place, f"{shown(error['input'])} is not an entry", f"write {allowed}")
    return Flaw(
        place,
        f"{shown(error['input'])} {_verdict(kind)}",
        _remedy(error["input"], field.choices, field.allowed),
    )


def meant(place: Place, model: Model) -> Place | None:
    """The setting that an unknown key was probably meant to be; None when nothing is near."""
    section, key = place[:-1], str(place[-1])
    near = _nearest(key, tuple(field.name for field in fields_of(section_at(model, section))))
    return (*section, near) if near else None


def shown(value: object) -> str:
    """A value as a message shows it: what was written, cut where it is long, always printable."""
    if value is None:
        return "nothing"
    if not isinstance(value, str):
        return "a list" if isinstance(value, list) else "a mapping"
    if not value.isprintable():
        value = ascii(value)
    return f"`{value[:_SHOWN_CHARACTERS]}…`" if len(value) > _SHOWN_CHARACTERS else f"`{value}`"


def _verdict(kind: str) -> str:
    if kind in _TOO_SMALL:
        return "is too small"
    return "is too large" if kind in _TOO_LARGE else "is not allowed"


def _remedy(value: object, choices: tuple[str, ...], allowed: str) -> str:
    near = _nearest(value, choices) if isinstance(value, str) else ""
    return f"did you mean `{near}`? allowed: {allowed}" if near else f"write {allowed}"


def _remedy_of_unknown(place: Place, model: Model) -> str:
    near = meant(place, model)
    if near:
        return f"did you mean `{near[-1]}`?"
    elsewhere = [dotted(path) for path in _paths(model) if path[-1] == place[-1]]
    if elsewhere:
        return f"did you mean {either(tuple(elsewhere))}?"
    names = tuple(field.name for field in fields_of(section_at(model, place[:-1])))
    return f"known here: {', '.join(names)}"


def _paths(model: Model, prefix: Place = ()) -> Iterator[Place]:
    """Every setting that can be named by its keys alone: those of list entries cannot."""
    for field in fields_of(model):
        path = (*prefix, field.name)
        yield path
        if field.section and not field.is_list:
            yield from _paths(field.section, path)


def _nearest(written: str, known: tuple[str, ...]) -> str:
    """The known word nearest to the written one; empty when none is near. Case and hyphens do not count."""
    by_spelling = {word.lower(): word for word in known}
    near = get_close_matches(written.lower().replace("-", "_"), by_spelling, n=1, cutoff=0.7)
    near = near or get_close_matches(written.lower(), by_spelling, n=1, cutoff=0.7)
    return by_spelling[near[0]] if near else ""
