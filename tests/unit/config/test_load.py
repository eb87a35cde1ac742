from __future__ import annotations

import contextlib
import os
from typing import TYPE_CHECKING, cast

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from gpusteward.config import Config, load, parse, warnings
from gpusteward.config.fields import fields_of
from gpusteward.config.load import MAX_BYTES
from gpusteward.config.places import dotted, within
from gpusteward.config.wording import flaw_of, shown
from gpusteward.errors import ConfigError

if TYPE_CHECKING:
    from pathlib import Path

    from pydantic_core import ErrorDetails

    from gpusteward.config.fields import Model


def problems(text: str) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        parse(text, "f.yaml")
    return [str(problem) for problem in caught.value.problems]


def test_an_empty_text_is_all_defaults() -> None:
    assert parse("", "f.yaml") == Config()


def test_a_price_keeps_the_digits_that_were_written() -> None:
    config = parse("pricing: {book: [{node: a, gpu_per_hour: 0.10}]}", "f.yaml")
    assert config.pricing.book[0].gpu_per_hour == "0.10"


def test_words_that_yaml_takes_for_booleans_stay_names() -> None:
    config = parse("cluster: no\nnode: {name: on, region: 010}", "f.yaml")
    assert (config.cluster, config.node.name, config.node.region) == ("no", "on", "010")


@pytest.mark.parametrize("word", ["true", "yes", "on", "True"])
def test_a_boolean_may_be_written_in_the_usual_ways(word: str) -> None:
    text = f"pricing: {{on_prem: [{{capex: 1, measured_power: {word}}}]}}"
    assert parse(text, "f.yaml").pricing.on_prem[0].measured_power


def test_problems_come_all_at_once_in_the_order_of_the_file() -> None:
    found = problems("metrics: {series_budget: x}\nagent:\n  listen: nowhere\n  source: gpu\nzone: a\n")
    assert [problem.split(": ")[0] for problem in found] == [
        "f.yaml:1 metrics.series_budget",
        "f.yaml:3 agent.listen",
        "f.yaml:4 agent.source",
        "f.yaml:5 zone",
    ]


def test_one_problem_is_counted_in_the_singular() -> None:
    with pytest.raises(ConfigError, match=r"^f\.yaml has 1 problem\n"):
        parse("zone: a", "f.yaml")


def test_all_of_a_hundred_problems_are_shown_and_beyond_that_the_rest_is_counted() -> None:
    keys = [f"zone{i}: 1\n" for i in range(102)]
    assert len(problems("".join(keys[:100]))) == 100
    found = problems("".join(keys))
    assert len(found) == 101
    assert found[-1] == "f.yaml: 2 more are not shown (correct these first)"


def test_a_rule_is_not_told_about_a_setting_that_could_not_be_read() -> None:
    found = problems("agent: {interval_seconds: soon}\nsources: {dcgm: {timeout_seconds: 600}}")
    assert len(found) == 1
    assert "interval_seconds: `soon`" in found[0]


def test_a_rule_is_told_beside_an_unknown_setting_elsewhere_in_its_section() -> None:
    found = problems("agent: {listen: nowhere, zzz: 1}")
    assert len(found) == 2


def test_a_rule_waits_for_a_misspelt_setting_that_it_reads() -> None:
    assert len(problems("agent: {intervall_seconds: 300}\nsources: {dcgm: {timeout_seconds: 200}}")) == 1


def test_a_long_value_is_cut_in_its_message() -> None:
    (found,) = problems(f"agent: {{source: {'x' * 500}}}")
    assert len(found) < 200


@pytest.mark.parametrize(
    ("value", "text"),
    [(None, "nothing"), ([], "a list"), ({}, "a mapping"), ("a", "`a`"), ("a\nb", "`'a\\nb'`")],
)
def test_a_value_is_shown_in_words(value: object, text: str) -> None:
    assert shown(value) == text


def test_an_error_outside_the_known_settings_keeps_its_own_words() -> None:
    error = cast("ErrorDetails", {"loc": ("a", "b"), "type": "odd", "msg": "Odd", "input": ""})
    assert flaw_of(error, Config).message == "Odd"


def test_a_number_too_long_to_read_is_too_large() -> None:
    (found,) = problems(f"sources: {{simulated: {{seed: {'9' * 5000}}}}}")
    assert "is too large" in found


def test_warnings_are_told_by_path_and_a_clean_config_has_none() -> None:
    assert warnings(Config()) == ()
    (warning,) = warnings(parse("pricing: {currency: EUR}", "f.yaml"))
    assert warning.path == "pricing.currency"


def test_a_place_is_written_as_the_file_spells_it() -> None:
    assert dotted(("pricing", "book", 2, "node_per_hour")) == "pricing.book[2].node_per_hour"
    assert dotted(("a b",)) == "'a b'"
    assert dotted(()) == ""


def test_a_place_lies_in_itself_and_in_what_holds_it_but_not_beside_or_below() -> None:
    assert within(("a", "b"), {("a", "b")})
    assert within(("a", "b"), {("a",)})
    assert not within(("a", "b"), {("a", "c"), ("a", "b", "c"), ("b",)})


def test_a_file_is_loaded_with_or_without_a_byte_order_mark(tmp_path: Path) -> None:
    for mark in (b"", b"\xef\xbb\xbf"):
        path = tmp_path / "f.yaml"
        path.write_bytes(mark + b"cluster: lab\r\n")
        assert load(path).cluster == "lab"
        assert load(str(path)).cluster == "lab"


def refusal(path: Path) -> str:
    with pytest.raises(ConfigError) as caught:
        load(path)
    return str(caught.value.problems[0])


def test_a_missing_file_is_refused(tmp_path: Path) -> None:
    assert "does not exist" in refusal(tmp_path / "none.yaml")


def test_a_directory_is_refused(tmp_path: Path) -> None:
    assert "is a directory" in refusal(tmp_path)


def test_a_pipe_is_refused_instead_of_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    assert "is not a regular file" in refusal(tmp_path / "pipe")


def test_a_path_through_a_file_is_refused_with_the_systems_reason(tmp_path: Path) -> None:
    (tmp_path / "f").touch()
    assert "Not a directory" in refusal(tmp_path / "f" / "g.yaml")


def test_a_path_with_a_null_character_is_refused(tmp_path: Path) -> None:
    assert "is not a path" in refusal(tmp_path / "a\0b")


def test_a_file_of_exactly_the_greatest_size_is_read_and_one_byte_more_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "f.yaml"
    path.write_bytes(b"#" * MAX_BYTES)
    assert load(path) == Config()
    path.write_bytes(b"#" * (MAX_BYTES + 1))
    assert f"is larger than {MAX_BYTES} bytes" in refusal(path)


def test_a_file_that_is_not_utf8_is_refused_with_its_line(tmp_path: Path) -> None:
    path = tmp_path / "f.yaml"
    path.write_bytes(b"cluster: a\nnode: {name: caf\xe9}\n")
    assert refusal(path).startswith(f"{path}:2: is not UTF-8 text")


SCALARS = st.sampled_from(
    ["", "1", "0", "-1", "0.5", "nan", "inf", "abc", "auto", "dcgm", "true", "2026-01-31", "a:1", None]
) | st.text(max_size=5)


def written(model: Model) -> st.SearchStrategy[object]:
    """Anything somebody might write for a section: right keys and wrong, right shapes and wrong."""
    inner: dict[str, st.SearchStrategy[object]] = {}
    for field in fields_of(model):
        value: st.SearchStrategy[object] = SCALARS
        if field.section is not None:
            value = written(field.section)
        if field.is_list:
            value = st.lists(value, max_size=3)
        inner[field.name] = value | SCALARS
    inner["unknown"] = SCALARS
    return st.fixed_dictionaries({}, optional=inner)


@given(written(Config))
def test_whatever_is_written_gives_a_config_or_problems_that_name_the_file(document: object) -> None:
    text = yaml.safe_dump(document)
    with contextlib.suppress(ConfigError):
        assert isinstance(parse(text, "f.yaml"), Config)
        return
    for problem in problems(text):
        assert problem.startswith("f.yaml")
