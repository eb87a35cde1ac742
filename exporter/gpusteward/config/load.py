"""A file into a Config, or every problem in it at once."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from pydantic import ValidationError

from gpusteward.config.document import read_document
from gpusteward.config.fields import field_at
from gpusteward.config.places import Flaw, dotted, within
from gpusteward.config.rules import doubted, refused
from gpusteward.config.settings import Config
from gpusteward.config.small_file import read_small_file
from gpusteward.config.wording import flaw_of, meant
from gpusteward.errors import ConfigError, Problem

if TYPE_CHECKING:
    from gpusteward.config.document import Document, Written
    from gpusteward.config.places import Place

MAX_BYTES = 1024 * 1024
MAX_PROBLEMS = 100
"""Most problems that are shown: a file with more is some other file, and would flood a log."""


def load(path: Path | str) -> Config:
    """Read a config file.

    Raises:
        ConfigError: every problem of the file, in its order.
    """
    return parse(read(path), str(path))


def read(path: Path | str) -> str:
    """The text of a config file.

    Raises:
        ConfigError: it is missing, no file, too large, unreadable or not UTF-8.
    """
    content = read_small_file(Path(path), MAX_BYTES)
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        problem = Problem(f"{path}:{line}", "is not UTF-8 text", "save the file in the encoding UTF-8")
        raise ConfigError(f"{path} cannot be used", (problem,)) from error


def parse(text: str, name: str) -> Config:
    """Read the text of a config file, `name` in messages.

    Raises:
        ConfigError: every problem of the text, in its order.
    """
    document = read_document(text)
    config, flaws = _validated(document)
    flaws = [*document.flaws, *flaws]
    if not flaws:
        return config
    located = sorted(
        ((flaw.line or _line(flaw.place, document), flaw) for flaw in flaws), key=lambda each: each[0]
    )
    problems = tuple(_problem(flaw, line, name) for line, flaw in located[:MAX_PROBLEMS])
    if more := located[MAX_PROBLEMS:]:
        problems += (Problem(name, f"{len(more)} more are not shown", "correct these first"),)
    count = "1 problem" if len(located) == 1 else f"{len(located)} problems"
    raise ConfigError(f"{name} has {count}", problems)


def warnings(config: Config) -> tuple[Problem, ...]:
    """What is allowed but probably not meant; paths without a line."""
    return tuple(
        Problem(dotted(finding.place), finding.message, finding.remedy) for finding in doubted(config)
    )


def _validated(document: Document) -> tuple[Config, list[Flaw]]:
    """The config and what is wrong with it; then the config is only what is left when that is cut out."""
    flaws: list[Flaw] = []
    unread = {flaw.place for flaw in document.flaws if flaw.place}
    try:
        config = Config.model_validate(document.value)
    except ValidationError as error:
        details = error.errors(include_url=False)
        flaws = [flaw_of(detail, Config) for detail in details if detail["loc"] not in unread]
        unread |= {meant(d["loc"], Config) or d["loc"] for d in details if d["type"] == "extra_forbidden"}
        cut = {_cut(detail["loc"]) for detail in details}
        unread |= cut
        config = Config.model_validate(_without(document.value, cut))
    for finding in refused(config):
        if not any(within(read, unread) for read in finding.reads):
            flaws.append(Flaw(finding.place, finding.message, finding.remedy))
    return config, flaws


def _cut(place: Place) -> Place:
    """What to leave out so that the rest can still be checked: the whole list where an entry cannot stand."""
    field = field_at(Config, place)
    if isinstance(place[-1], int) or (field is not None and field.required):
        first = next(i for i, step in enumerate(place) if isinstance(step, int))
        return place[:first]
    return place


def _without(value: Written, cut: set[Place], here: Place = ()) -> Written:
    if isinstance(value, dict):
        inner = {key: (*here, key) for key in value}
        return {key: _without(value[key], cut, place) for key, place in inner.items() if place not in cut}
    if isinstance(value, list):
        return [_without(item, cut, (*here, index)) for index, item in enumerate(value)]
    return value


def _line(place: Place, document: Document) -> int:
    """The line of a place or of the nearest above it; 0 when none is known."""
    above = (place[:length] for length in range(len(place), 0, -1))
    return next((document.lines[part] for part in above if part in document.lines), 0)


def _problem(flaw: Flaw, line: int, name: str) -> Problem:
    where = f"{name}:{line}" if line else name
    return Problem(f"{where} {dotted(flaw.place)}".rstrip(), flaw.message, flaw.remedy)
