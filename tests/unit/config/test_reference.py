from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest

from gpusteward.config import BookEntry, Config, OnPremSettings, parse
from gpusteward.config.fields import as_yaml, field_at, fields_of, section_at
from gpusteward.config.reference import example, page

if TYPE_CHECKING:
    from collections.abc import Iterator

    from gpusteward.config.fields import Model, SettingField
    from gpusteward.config.section import Section
    from tests.conftest import Golden


def all_fields(model: Model = Config, prefix: str = "") -> Iterator[tuple[str, SettingField]]:
    for field in fields_of(model):
        yield f"{prefix}{field.name}", field
        if field.section:
            yield from all_fields(field.section, f"{prefix}{field.name}.")


FIELDS = dict(all_fields())


def test_the_committed_reference_page_is_the_generated_one(golden: Golden) -> None:
    golden(page(), "docs/configuration.md")


def test_the_committed_example_is_the_generated_one(golden: Golden) -> None:
    golden(example(), "gpusteward.example.yaml")


@pytest.mark.parametrize("path", FIELDS)
def test_a_setting_is_described_in_a_sentence(path: str) -> None:
    assert re.fullmatch(r"[A-Z`0-9].{5,}\.", FIELDS[path].description)


@pytest.mark.parametrize("path", [path for path, field in FIELDS.items() if field.unit])
def test_the_description_of_a_number_names_its_unit(path: str) -> None:
    assert FIELDS[path].unit.lower() in FIELDS[path].description.lower()


def test_every_number_but_the_seed_has_a_unit() -> None:
    numbers = {
        path
        for path, field in FIELDS.items()
        if re.search(r"number|amount|ratio", field.allowed) and not field.unit
    }
    assert numbers == {"sources.simulated.seed"}


def test_the_example_as_it_stands_is_all_defaults() -> None:
    assert parse(example(), "example") == Config()


def test_the_example_with_every_setting_switched_on_is_all_defaults_too() -> None:
    text = re.sub(r"^( *)#(?=\S)", r"\1", example(), flags=re.MULTILINE)
    assert text != example()
    assert parse(text, "example") == Config()


@pytest.mark.parametrize("name", ["book", "on_prem"])
def test_the_examples_of_a_list_are_entries_that_are_accepted(name: str) -> None:
    examples = FIELDS[f"pricing.{name}"].examples
    models: dict[str, type[Section]] = {"book": BookEntry, "on_prem": OnPremSettings}
    assert examples
    for entry in examples:
        assert models[name].model_validate(entry).model_fields_set == set(entry)
        assert all(f"{key}: {as_yaml(value)}" in example() for key, value in entry.items())


def test_every_setting_has_a_heading_in_the_reference() -> None:
    headings = set(re.findall(r"^##+ `(.+)`$", page(), flags=re.MULTILINE))
    for path in FIELDS:
        assert path.replace("book.", "book[].").replace("on_prem.", "on_prem[].") in headings


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, ""),
        (True, "true"),
        (5.0, "5"),
        (0.02, "0.02"),
        (16777216, "16777216"),
        ("", '""'),
        ("*", '"*"'),
        ("0.10", "0.10"),
        ("a b", '"a b"'),
        ("x", "x"),
        ("x:", '"x:"'),
        (("a", "b"), "[a, b]"),
    ],
)
def test_a_default_is_written_as_yaml(value: object, text: str) -> None:
    assert as_yaml(value) == text


def test_a_setting_is_found_by_its_place_through_lists() -> None:
    field = field_at(Config, ("pricing", "book", 3, "model"))
    assert field is not None
    assert field.name == "model"


def test_there_is_no_setting_below_a_value_or_under_an_unknown_name() -> None:
    assert field_at(Config, ("cluster", "x")) is None
    assert field_at(Config, ("x",)) is None
    assert field_at(Config, ()) is None


def test_a_place_lies_in_its_section() -> None:
    assert section_at(Config, ("pricing", "book", 3)) is BookEntry
    assert section_at(Config, ()) is Config


def test_limits_of_every_kind_are_put_in_words() -> None:
    allowed = {path: field.allowed for path, field in FIELDS.items()}
    assert allowed["agent.interval_seconds"] == "a number of seconds, from 1 to 300"
    assert allowed["pricing.on_prem.years"] == "a number of years, above 0 and at most 20"
    assert allowed["metrics.series_budget"] == "a whole number of series, at least 100"
    assert allowed["sources.dcgm.timeout_seconds"] == "a number of seconds, above 0"
