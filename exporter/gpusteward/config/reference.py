"""The reference page and the example file, made from the models."""

from __future__ import annotations

import textwrap
from inspect import getdoc
from typing import TYPE_CHECKING

from gpusteward.config.environment import VARIABLES
from gpusteward.config.fields import as_yaml, fields_of
from gpusteward.config.reload import needs_restart
from gpusteward.config.rules import DOUBTED, REFUSED
from gpusteward.config.settings import Config

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from gpusteward.config.fields import Model, SettingField

_WIDTH = 100

_INTRODUCTION = """\
# Configuration

<!-- Made from the models by `gpusteward docs configuration`; a test compares. Do not edit. -->

GPU Steward reads one YAML file: `--config FILE`, else the one that `GPUSTEWARD_CONFIG` names. With neither,
and with an empty file, all defaults hold. `gpusteward.example.yaml` lists every setting with its default;
`gpusteward check --config FILE` judges a file and says what it changes.

- All problems are reported at once, each with its line, its path and what to write.
- Unknown settings are refused.
- A value is taken as it is written: `0.10` stays exactly that, and `off` is a text where a text is wanted.
- A setting without a value (`agent:` over nothing but comments) has its default.
- Anchors, aliases, tags and keys that are written twice are refused; files may have up to 1 MiB.

The file is read again on SIGHUP and when its text changes; a change must stand for two samples, so that a
half-written file is not taken. A file that is refused, or gone, keeps the old settings in force, sets
`gpusteward_config_reload_success` to 0 and is tried again when it changes.
"""

_EXAMPLE_HEAD = """\
# GPU Steward: every setting with its default. Remove the `#` before a setting to change it.
# Made by `gpusteward docs example`; docs/configuration.md says the same at more length.
# `gpusteward check --config FILE` judges a file.
"""


def page() -> str:
    """docs/configuration.md."""
    parts = [_INTRODUCTION, *_rules(), *_environment(), "## Top level\n", *_fields(Config, "")]
    for path, model in _sections(Config, ""):
        parts += [f"## `{path}`\n", f"{getdoc(model)}\n", *_fields(model, f"{path}.")]
    return "\n".join(parts)


def example() -> str:
    """gpusteward.example.yaml."""
    return "\n".join([_EXAMPLE_HEAD, *_example_lines(Config, "")]).rstrip() + "\n"


def _rules() -> Iterator[str]:
    yield "## Rules between settings\n"
    yield "Refused unless kept:\n"
    yield _bullets(REFUSED)
    yield "Allowed, but `gpusteward check` warns of it:\n"
    yield _bullets(DOUBTED)


def _bullets(rules: tuple[Callable[..., object], ...]) -> str:
    return "".join(f"- {getdoc(rule)}\n" for rule in rules)


def _environment() -> Iterator[str]:
    yield "## Environment variables\n"
    yield "| Variable | What it is for |\n|---|---|"
    yield "".join(f"| `{variable.name}` | {variable.description} |\n" for variable in VARIABLES)


def _sections(model: Model, prefix: str) -> Iterator[tuple[str, Model]]:
    for field in fields_of(model):
        if field.section:
            path = f"{prefix}{field.name}{'[]' if field.is_list else ''}"
            yield path, field.section
            yield from _sections(field.section, f"{path}.")


def _fields(model: Model, prefix: str) -> Iterator[str]:
    for field in fields_of(model):
        if field.section is None or field.is_list:
            yield f"### `{prefix}{field.name}`\n"
            yield f"{field.description}\n"
            yield "\n".join(_facts(field, f"{prefix}{field.name}")) + "\n"


def _facts(field: SettingField, path: str) -> Iterator[str]:
    yield f"- Write: {field.allowed}."
    if field.unit:
        yield f"- Unit: {field.unit}."
    yield (
        "- Required."
        if field.required
        else f"- Default: {f'`{field.default}`' if field.default else 'unset'}."
    )
    if needs_restart(path):
        yield "- Applies after a restart."


def _example_lines(model: Model, indent: str) -> Iterator[str]:
    for field in fields_of(model):
        if field.section and not field.is_list:
            yield from _comment(_summary(field.section), indent)
            yield f"{indent}{field.name}:"
            yield from _example_lines(field.section, f"{indent}  ")
        else:
            yield from _comment(_description(field), indent)
            yield from _comment_of_entries(field, indent)
            yield f"{indent}#{field.name}: {field.default}".rstrip()
            yield ""


def _comment_of_entries(field: SettingField, indent: str) -> Iterator[str]:
    if field.section:
        names = ", ".join(inner.name for inner in fields_of(field.section))
        yield from _comment(f"{_summary(field.section)} Its settings: {names}. For example:", indent)
        yield f"{indent}#   {field.name}:"
        for entry in field.examples:
            for position, (name, value) in enumerate(entry.items()):
                yield f"{indent}#     {' ' if position else '-'} {name}: {as_yaml(value)}"


def _description(field: SettingField) -> str:
    says_nothing = field.allowed == "a text"
    return field.description if says_nothing else f"{field.description} Write: {field.allowed}."


def _summary(model: Model) -> str:
    return (getdoc(model) or "").splitlines()[0]


def _comment(text: str, indent: str) -> list[str]:
    return textwrap.wrap(text, _WIDTH, initial_indent=f"{indent}# ", subsequent_indent=f"{indent}# ")
