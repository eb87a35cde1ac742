"""What the models say about each field: its kind, limits, unit and default, in words for people.

Messages, the reference page and the example file all speak from here, so they cannot disagree.
"""

from __future__ import annotations

import datetime as dt
import json
import re
from dataclasses import dataclass
from enum import Enum
from functools import cache
from types import NoneType, UnionType
from typing import TYPE_CHECKING, Annotated, Literal, TypeAlias, Union, get_args, get_origin

from annotated_types import Ge, Gt, Le, Lt
from pydantic.fields import FieldInfo

from gpusteward.config.section import Allowed, Section, Unit

if TYPE_CHECKING:
    from gpusteward.config.places import Place

Model: TypeAlias = "type[Section]"

_KINDS: dict[object, str] = {
    bool: "`true` or `false`",
    int: "a whole number",
    float: "a number",
    str: "a text",
    dt.date: "a date, such as 2026-01-31",
}
_PLAIN_TEXT = re.compile(r"[A-Za-z0-9][A-Za-z0-9_./:-]*[A-Za-z0-9]|[A-Za-z0-9]")


@dataclass(frozen=True, slots=True, kw_only=True)
class SettingField:
    """One field of a section.

    Attributes:
        name: as the file spells it.
        allowed: what may be written, in words that follow `write …`, limits included.
        choices: the closed list of texts; empty when it is not one.
        unit: what the number counts; empty when it counts nothing.
        default: as YAML; empty when none is set, or the field is required.
        required: whether an entry must have it.
        description: unit, reason, meaning of the empty value.
        section: the model below, of one section or of each list item; None for a value.
        is_list: whether it is a list.
        examples: entries that show how a list is written.
    """

    name: str
    allowed: str
    choices: tuple[str, ...]
    unit: str
    default: str
    required: bool
    description: str
    section: Model | None
    is_list: bool
    examples: tuple[dict[str, object], ...]


@cache  # a file with thousands of mistakes asks thousands of times
def fields_of(model: Model) -> tuple[SettingField, ...]:
    """The fields of a section, in the order of the model."""
    return tuple(_field(name, info) for name, info in model.model_fields.items())


def field_at(model: Model, place: Place) -> SettingField | None:
    """The field that a place belongs to; None when the models know none there."""
    found: SettingField | None = None
    within: Model | None = model
    for step in place:
        if isinstance(step, int):
            continue
        found = None if within is None else next((f for f in fields_of(within) if f.name == step), None)
        if found is None:
            return None
        within = found.section
    return found


def section_at(model: Model, place: Place) -> Model:
    """The section that a place lies in or is; the root for the empty place."""
    field = field_at(model, place)
    return model if field is None or field.section is None else field.section


def values(section: Section, prefix: str = "") -> dict[str, object]:
    """Every value by its dotted path; a list is one value, `pricing.book`."""
    found: dict[str, object] = {}
    for name in type(section).model_fields:
        value = getattr(section, name)
        if isinstance(value, Section):
            found |= values(value, f"{prefix}{name}.")
        else:
            found[f"{prefix}{name}"] = value
    return found


def as_yaml(value: object) -> str:
    """A default or an example as one writes it: `5`, `""`, `[]`; empty for None."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    if isinstance(value, tuple):
        return f"[{', '.join(as_yaml(item) for item in value)}]"
    text = str(value.value if isinstance(value, Enum) else value)
    return text if _PLAIN_TEXT.fullmatch(text) else json.dumps(text, ensure_ascii=False)


def either(choices: tuple[str, ...]) -> str:
    """`a`, `b` or `c`."""
    quoted = [f"`{choice}`" for choice in choices]
    return f"{', '.join(quoted[:-1])} or {quoted[-1]}" if quoted[1:] else quoted[0]


def _field(name: str, info: FieldInfo) -> SettingField:
    kind, metadata = _unwrapped(info.annotation, tuple(info.metadata))
    is_list = get_origin(kind) is tuple
    item = get_args(kind)[0] if is_list else kind
    section = item if isinstance(item, type) and issubclass(item, Section) else None
    unit = next((fact.name for fact in metadata if isinstance(fact, Unit)), "")
    choices = _choices(item)
    return SettingField(
        name=name,
        allowed=_allowed(item, metadata, unit, is_list=is_list),
        choices=choices,
        unit=unit,
        default="" if info.is_required() or (section and not is_list) else as_yaml(info.default),
        required=info.is_required(),
        description=info.description or "",
        section=section,
        is_list=is_list,
        examples=tuple(info.examples or ()),
    )


def _unwrapped(annotation: object, metadata: tuple[object, ...]) -> tuple[object, tuple[object, ...]]:
    """The type without Optional and Annotated, and all that was said about it on the way."""
    facts = tuple(inner for fact in metadata for inner in _flat(fact))
    if get_origin(annotation) is Annotated:
        inner, *more = get_args(annotation)
        return _unwrapped(inner, (*facts, *more))
    if get_origin(annotation) in (Union, UnionType):
        inner = next(part for part in get_args(annotation) if part is not NoneType)
        return _unwrapped(inner, facts)
    return annotation, facts


def _flat(fact: object) -> tuple[object, ...]:
    return tuple(fact.metadata) if isinstance(fact, FieldInfo) else (fact,)


def _choices(kind: object) -> tuple[str, ...]:
    if get_origin(kind) is Literal:
        return tuple(str(choice) for choice in get_args(kind))
    if isinstance(kind, type) and issubclass(kind, Enum):
        return tuple(str(member.value) for member in kind)
    return ()


def _allowed(kind: object, metadata: tuple[object, ...], unit: str, *, is_list: bool) -> str:
    if isinstance(kind, type) and issubclass(kind, Section):
        return "a list of entries, each begun with `- `" if is_list else "settings, indented below it"
    if is_list:
        return "a list, such as [one, two]"
    if choices := _choices(kind):
        return either(choices)
    for fact in metadata:
        if isinstance(fact, Allowed):
            return fact.words
    words = _KINDS.get(kind, "a value")
    if unit:
        words = "a ratio" if unit == "ratio" else f"{words} of {unit}"
    limits = _limits(metadata)
    return f"{words}, {limits}" if limits else words


def _limits(metadata: tuple[object, ...]) -> str:
    """`from 1 to 300`, `above 0`, `at least 1`, `above 0 and at most 20`; empty when there are none."""
    bounds: dict[type, str] = {}
    for fact in metadata:
        match fact:
            case Ge(ge=bound) | Gt(gt=bound) | Le(le=bound) | Lt(lt=bound):
                bounds[type(fact)] = as_yaml(bound)
            case _:
                pass
    if set(bounds) == {Ge, Le}:
        return f"from {bounds[Ge]} to {bounds[Le]}"
    words = {Gt: "above", Ge: "at least", Lt: "below", Le: "at most"}
    return " and ".join(f"{word} {bounds[kind]}" for kind, word in words.items() if kind in bounds)
