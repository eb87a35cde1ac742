"""YAML as a person writes it, read without surprises.

Every scalar stays the text that was written: `0.10` keeps its last digit and `off` is not `false`; what it
means is decided by the field it is for. Keys without a value (`agent:` over comments only) count as not
written. Refused, each with its line: keys written twice, anchors and aliases, tags, a second document.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, TypeAlias

import yaml

from gpusteward.config.places import Flaw, Place

if TYPE_CHECKING:
    from collections.abc import Iterator

Written: TypeAlias = "str | list[Written] | dict[str, Written] | None"
"""What a file holds. None only as an item of a list."""

MAX_DEPTH = 16
_NO_CHARACTER = "an escape names no Unicode character"
_NO_CHARACTER_REMEDY = "look for `\\u` or `\\U` in double quotes"
_HALF_CHARACTER = re.compile("[\ud800-\udfff]")
_NULLS = frozenset({"", "~", "null", "Null", "NULL"})


@dataclass(slots=True)
class Document:
    """A file, read.

    Attributes:
        value: the root mapping; empty when the file is, or when it cannot be read at all.
        lines: line, from 1, of every place that was written.
        flaws: what is wrong with the notation, in the order of the file.
    """

    value: dict[str, Written] = field(default_factory=dict)
    lines: dict[Place, int] = field(default_factory=dict)
    flaws: list[Flaw] = field(default_factory=list)


class _UnreadableError(Exception):
    """Nothing after this flaw can be told from it."""

    def __init__(self, flaw: Flaw) -> None:
        super().__init__(flaw.message)
        self.flaw = flaw


def read_document(text: str) -> Document:
    """Read a YAML text. Never raises: what is wrong is in `flaws`."""
    reader = _Reader(text)
    try:
        reader.read()
    except yaml.MarkedYAMLError as error:
        reader.document.flaws.append(_syntax_flaw(error))
    except yaml.reader.ReaderError as error:
        line = text.count("\n", 0, error.position) + 1
        reader.document.flaws.append(Flaw((), "a control character stands here", "type the line again", line))
    except (ValueError, OverflowError):  # PyYAML lets an escape such as "\UFFFFFFFF" reach chr()
        reader.document.flaws.append(Flaw((), _NO_CHARACTER, _NO_CHARACTER_REMEDY))
    except _UnreadableError as error:
        reader.document.flaws.append(error.flaw)
    return reader.document


class _Reader:
    """Builds one document out of YAML events; recursion is bounded by MAX_DEPTH."""

    def __init__(self, text: str) -> None:
        self.document = Document()
        self._text = text
        self._events: Iterator[yaml.Event] = iter(())

    def read(self) -> None:
        self._events = iter(yaml.parse(self._text, Loader=yaml.BaseLoader))
        for event in self._events:
            if isinstance(event, yaml.DocumentStartEvent):
                self._root(next(self._events))
                break
        for event in self._events:
            if isinstance(event, yaml.DocumentStartEvent):
                remedy = "keep one document; remove the `---`"
                self._flaw((), "a second document begins here", remedy, event)
                break

    def _root(self, event: yaml.Event) -> None:
        value = self._value(event, ())
        if isinstance(value, dict):
            self.document.value = value
        elif value is not None:
            kind = "a list" if isinstance(value, list) else "a text"
            self._flaw((), f"the file holds {kind}", "write sections, such as `agent:`", event)

    def _value(self, event: yaml.Event, place: Place) -> Written:
        self.document.lines[place] = _line(event)
        if len(place) > MAX_DEPTH:
            message = f"settings are nested more than {MAX_DEPTH} deep"
            raise _UnreadableError(Flaw(place[:1], message, "mind the indentation", _line(event)))
        if isinstance(event, yaml.ScalarEvent):
            return _scalar(event) if self._check_notation(event, place) else None
        if isinstance(event, yaml.CollectionStartEvent):
            self._check_notation(event, place)
            return (
                self._mapping(place) if isinstance(event, yaml.MappingStartEvent) else self._sequence(place)
            )
        self._flaw(place, "`*` refers to a value elsewhere", "write the value out", event)
        return None

    def _check_notation(self, event: yaml.ScalarEvent | yaml.CollectionStartEvent, place: Place) -> bool:
        """Note anchors, tags and half characters; False when the text cannot be passed on."""
        if event.anchor is not None:
            message = f"`&{event.anchor}` names this place for use elsewhere"
            self._flaw(place, message, "write each value out where it is used", event)
        if event.tag is not None:
            self._flaw(place, f"the tag `{event.tag}` is not understood", "write the plain value", event)
        if isinstance(event, yaml.ScalarEvent) and _HALF_CHARACTER.search(event.value):
            self._flaw(place, _NO_CHARACTER, _NO_CHARACTER_REMEDY, event)
            return False
        return True

    def _sequence(self, place: Place) -> list[Written]:
        items: list[Written] = []
        while not isinstance(event := next(self._events), yaml.SequenceEndEvent):
            items.append(self._value(event, (*place, len(items))))
        return items

    def _mapping(self, place: Place) -> dict[str, Written]:
        entries: dict[str, Written] = {}
        firsts: dict[str, yaml.Event] = {}
        while not isinstance(event := next(self._events), yaml.MappingEndEvent):
            if not isinstance(event, yaml.ScalarEvent):
                message = "a key is not a plain name"
                raise _UnreadableError(Flaw(place, message, "write `name: value`", _line(event)))
            usable = self._check_notation(event, place)
            inner = (*place, event.value)
            value = self._value(next(self._events), inner)
            first = firsts.setdefault(event.value, event)
            self.document.lines[inner] = _line(first)
            if first is not event:
                message = f"is written twice, first at line {_line(first)}"
                self._flaw(inner, message, "keep one of the two", event)
            elif value is not None and usable:
                entries[event.value] = value
        return entries

    def _flaw(self, place: Place, message: str, remedy: str, event: yaml.Event) -> None:
        self.document.flaws.append(Flaw(place, message, remedy, _line(event)))


def _line(event: yaml.Event) -> int:
    mark = event.start_mark
    return 1 if mark is None else mark.line + 1  # the type allows None; a parser always sets it


def _scalar(event: yaml.ScalarEvent) -> str | None:
    """The text; None for the null that YAML writes as nothing, `~` or `null`."""
    return None if event.style is None and event.value in _NULLS else event.value


def _syntax_flaw(error: yaml.MarkedYAMLError) -> Flaw:
    problem = error.problem or "not YAML"
    mark = error.problem_mark or error.context_mark
    line = None if mark is None else mark.line + 1
    if "'\\t'" in problem:
        return Flaw((), "a tab stands where YAML allows only spaces", "indent with spaces", line)
    context = f" ({error.context})" if error.context else ""
    return Flaw((), f"not YAML: {problem}{context}", "mind indentation, colons and quotes", line)
