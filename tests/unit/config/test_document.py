from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gpusteward.config.document import MAX_DEPTH, read_document


def test_scalars_stay_the_text_that_was_written() -> None:
    document = read_document("price: 0.10\nword: off\nnumber: 0x10\ndate: 2026-01-31\nquoted: 'null'\n")
    assert document.value == {
        "price": "0.10",
        "word": "off",
        "number": "0x10",
        "date": "2026-01-31",
        "quoted": "null",
    }
    assert document.flaws == []


@pytest.mark.parametrize("text", ["", "# only a comment\n", "---\n", "null\n", "~", "\ufeff"])
def test_a_file_that_holds_nothing_is_an_empty_mapping(text: str) -> None:
    document = read_document(text)
    assert document.value == {}
    assert document.flaws == []


@pytest.mark.parametrize("nothing", ["", "~", "null", "Null", "NULL"])
def test_a_key_without_a_value_counts_as_not_written(nothing: str) -> None:
    assert read_document(f"agent: {nothing}\ncluster: a\n").value == {"cluster": "a"}


def test_a_quoted_empty_text_is_a_value() -> None:
    assert read_document('cluster: ""\n').value == {"cluster": ""}


def test_an_empty_item_keeps_its_position_in_a_list() -> None:
    assert read_document("list:\n  - a\n  -\n  - b\n").value == {"list": ["a", None, "b"]}


def test_every_place_knows_its_line() -> None:
    document = read_document("a: 1\nb:\n  - c: 2\n    d: 3\n")
    assert document.lines == {(): 1, ("a",): 1, ("b",): 2, ("b", 0): 3, ("b", 0, "c"): 3, ("b", 0, "d"): 4}


def test_a_key_written_twice_keeps_its_first_value_and_names_both_lines() -> None:
    document = read_document("a: 1\nb: 2\na: 3\n")
    assert document.value == {"a": "1", "b": "2"}
    (flaw,) = document.flaws
    assert (flaw.place, flaw.line, flaw.message) == (("a",), 3, "is written twice, first at line 1")


def test_the_same_key_in_two_sections_is_not_written_twice() -> None:
    assert read_document("a: {x: 1}\nb: {x: 1}\n").flaws == []


def test_a_key_written_twice_is_found_on_one_line_and_without_a_value() -> None:
    assert len(read_document("{a: , a: 1}").flaws) == 1


def test_the_deepest_settings_are_read_and_one_level_more_is_refused() -> None:
    assert read_document(f"a: {'[' * (MAX_DEPTH - 1)}x{']' * (MAX_DEPTH - 1)}").flaws == []
    assert "nested" in read_document(f"a: {'[' * MAX_DEPTH}x{']' * MAX_DEPTH}").flaws[0].message


def test_a_bomb_of_brackets_is_refused_without_recursion() -> None:
    (flaw,) = read_document("[" * 100_000).flaws
    assert "nested" in flaw.message


def test_a_control_character_is_told_with_its_line() -> None:
    (flaw,) = read_document("a: 1\nb: \x07\n").flaws
    assert (flaw.line, flaw.message) == (2, "a control character stands here")


@given(st.text())
def test_no_text_makes_the_reader_raise(text: str) -> None:
    document = read_document(text)
    assert isinstance(document.value, dict)


YAML_PIECES = st.lists(
    st.sampled_from(["a", "b: ", ": ", "- ", "? ", "[", "]", "{", "}", ",", "'", '"', "|", ">", "#", "%"])
    | st.sampled_from(
        ["\\u", "\\ud800", "&x ", "*x", "!t ", "...", "---\n", "~", "0.10", "<<", "\t", "\n", "  "]
    )
)


@given(YAML_PIECES)
def test_no_heap_of_yaml_notation_makes_the_reader_raise(pieces: list[str]) -> None:
    document = read_document("".join(pieces))
    assert isinstance(document.value, dict)
