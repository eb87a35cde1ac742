"""What `gpusteward check` says about a config file."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from gpusteward.config.fields import as_yaml, values
from gpusteward.config.load import load, warnings
from gpusteward.config.section import Section
from gpusteward.config.settings import Config
from gpusteward.errors import ConfigError, Problem

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

_LOGIN = re.compile(r"//[^/@]*@")


@dataclass(frozen=True, slots=True)
class Findings:
    """What is found out about a valid config by looking further than its file.

    Attributes:
        problems: why an agent would not run on it.
        doubts: what is allowed but probably not meant.
    """

    problems: tuple[Problem, ...] = ()
    doubts: tuple[Problem, ...] = ()


def report(
    path: Path | None, look_further: Callable[[Config], Findings] = lambda _: Findings()
) -> tuple[bool, str]:
    """Judge a file.

    Args:
        path: the file; None = no file, which means the defaults.
        look_further: at the files that a valid config names, and at the catalogue; they are not this room's.

    Returns:
        Whether it can be used, and the text for people: what it changes and what is doubtful,
        or every problem.
    """
    if path is None:
        return True, "No config file: the defaults are used."
    try:
        config = load(path)
    except ConfigError as error:
        return False, str(error)
    further = look_further(config)
    if further.problems:
        count = "1 problem" if len(further.problems) == 1 else f"{len(further.problems)} problems"
        return False, str(ConfigError(f"{path} has {count}", further.problems))
    changes = _changes(config)
    lines = [f"{path} is valid."]
    lines += ["Other than the defaults:", *changes] if changes else ["It changes nothing: all defaults."]
    if doubts := (*warnings(config), *further.doubts):
        lines += ["Warnings:", *(f"  - {doubt}" for doubt in doubts)]
    return True, "\n".join(lines)


def _changes(config: Config) -> list[str]:
    defaults = values(Config())
    return [
        f"  {path}: {_shown(value)} (default {_shown(defaults[path])})"
        for path, value in values(config).items()
        if value != defaults[path]
    ]


def _shown(value: object) -> str:
    """As one writes it, lists of entries counted, a login in an address left out: this lands in logs."""
    if isinstance(value, tuple) and value and isinstance(value[0], Section):
        return "1 entry" if len(value) == 1 else f"{len(value)} entries"
    return _LOGIN.sub("//…@", as_yaml(value)) or "unset"
