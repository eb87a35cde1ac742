"""Profile files: found, read, checked; every problem at once, with its line, path and remedy."""

from __future__ import annotations

from dataclasses import replace
from importlib.resources import files
from typing import TYPE_CHECKING

from pydantic import ValidationError

from gpusteward.config.document import read_document
from gpusteward.config.load import read
from gpusteward.config.places import Flaw, dotted
from gpusteward.config.wording import flaw_of
from gpusteward.devices.simulated.profile import Profile, RuleError
from gpusteward.errors import ConfigError, Problem

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from pydantic_core import ErrorDetails

    from gpusteward.config.places import Place

BUNDLED = ("default", "small", "benchmark")


def load_profile(profile: str) -> Profile:
    """Read a profile.

    Args:
        profile: a bundled profile's name, or the path of a YAML file; empty = the bundled `default`.

    Raises:
        ConfigError: no such file, not YAML, or not a profile; with every problem found.
    """
    name = profile or "default"
    if name in BUNDLED:
        bundled = files("gpusteward.devices").joinpath("profiles", f"{name}.yaml")
        return parse_profile(bundled.read_text(encoding="utf-8"), f"{name}.yaml")
    return parse_profile(read(name), name)


def parse_profile(text: str, name: str) -> Profile:
    """Check a profile's text; `name` is what problems call the file.

    Raises:
        ConfigError: not YAML, or not a profile; with every problem found, in the order of the file.
    """
    document = read_document(text)
    flaws = list(document.flaws)
    try:
        profile = Profile.model_validate(document.value)
    except ValidationError as error:
        flaws += [flaw for details in error.errors(include_url=False) for flaw in _flaws(details)]
        raise _refused(name, flaws, document.lines) from error
    if flaws:
        raise _refused(name, flaws, document.lines)
    return profile


def _flaws(details: ErrorDetails) -> Iterator[Flaw]:
    """What one validation error is about: one flaw, or all that a rule found."""
    broken = details.get("ctx", {}).get("error")
    if isinstance(broken, RuleError):
        yield from (replace(flaw, place=(*details["loc"], *flaw.place)) for flaw in broken.flaws)
    elif details["type"] == "too_short":
        # pydantic counts only the items that are well, so a list of nothing but flawed ones comes here too
        if not details["input"]:
            yield Flaw(details["loc"], "is empty", "list at least one")
    else:
        yield flaw_of(details, Profile)


def _refused(name: str, flaws: list[Flaw], lines: Mapping[Place, int]) -> ConfigError:
    located = sorted(
        ((flaw.line or _line(flaw.place, lines), flaw) for flaw in flaws), key=lambda each: each[0]
    )
    return ConfigError(
        f"{name}: the simulated fleet cannot be used",
        tuple(
            Problem(f"{name}:{line} {dotted(flaw.place)}".rstrip(), flaw.message, flaw.remedy)
            for line, flaw in located
        ),
    )


def _line(place: Place, lines: Mapping[Place, int]) -> int:
    """The line of a place, or of the nearest above it that the file writes; 1 when there is none."""
    above = (place[:length] for length in range(len(place), 0, -1))
    return next((lines[part] for part in above if part in lines), 1)
