"""docs/simulation.md says of every field what the models say."""

from __future__ import annotations

from inspect import getdoc
from pathlib import Path
from typing import TYPE_CHECKING

import yaml

from gpusteward.config.fields import fields_of
from gpusteward.devices.simulated.hardware import HARDWARE, Hardware
from gpusteward.devices.simulated.loading import parse_profile
from gpusteward.devices.simulated.patterns import Pattern
from gpusteward.devices.simulated.profile import Event, Group, Instances, Job, Node, Profile

if TYPE_CHECKING:
    from gpusteward.config.section import Section

PAGE = Path(__file__).parents[4] / "docs" / "simulation.md"
SECTIONS: dict[str, type[Section]] = {
    "The file": Profile,
    "`nodes`": Node,
    "`nodes.groups`": Group,
    "`jobs`": Job,
    "`mig`": Instances,
    "`events`": Event,
    "`hardware`": Hardware,
}


def reference() -> str:
    """The part of the page that is made from the models."""
    lines: list[str] = []
    for title, section in SECTIONS.items():
        lines += [f"### {title}", "", getdoc(section) or "", ""]
        lines += ["| field | write | default | what it is |", "|---|---|---|---|"]
        for field in fields_of(section):
            default = "required" if field.required else (f"`{field.default}`" if field.default else "none")
            lines.append(f"| `{field.name}` | {field.allowed} | {default} | {field.description} |")
        lines.append("")
    return "\n".join(lines)


def test_the_reference_is_what_the_models_say() -> None:
    _, _, after = PAGE.read_text().partition("<!-- from the models: begin -->\n")
    shown, _, _ = after.partition("<!-- from the models: end -->")
    assert shown == reference(), f"paste this between the marks of {PAGE.name}:\n{reference()}"


def test_every_pattern_and_bundled_model_is_described() -> None:
    text = PAGE.read_text()
    assert [pattern for pattern in Pattern if f"| `{pattern}` |" not in text] == []
    assert [model for model in HARDWARE if f"| {model} |" not in text] == []


def test_the_example_of_the_page_is_a_profile() -> None:
    _, _, after = PAGE.read_text().partition("```yaml\n")
    example, _, _ = after.partition("```")
    assert yaml.safe_load(example).keys() == {"description", "nodes"}
    assert len(parse_profile(example, "example").nodes) == 1
