from __future__ import annotations

import datetime as dt
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gpusteward.pricing.table import Cells, plain_number, read

COLUMNS = ("name", "value")


def cells(value: str) -> Cells:
    return Cells("f.csv:2", {"value": value})


def test_rows_carry_the_line_they_begin_on_when_a_cell_holds_line_breaks() -> None:
    table = read('name,value\n"a\nb",1\n\nc,2\n', "f.csv", COLUMNS)
    assert [row.path for row in table.rows] == ["f.csv:2", "f.csv:5"]
    assert table.rows[0].text("name") == "a\nb"
    assert table.problems == ()


def test_columns_may_stand_in_any_order_and_a_byte_order_mark_is_dropped() -> None:
    table = read("\ufeffvalue , name\r\n 1 , a \r\n", "f.csv", COLUMNS)
    assert table.rows[0].text("name") == "a"
    assert table.rows[0].number("value") == 1


@pytest.mark.parametrize(
    ("text", "path", "said"),
    [
        ("", "f.csv:1", "missing: name, value"),
        ("name\n", "f.csv:1", "missing: value"),
        ("name,value,colour\n", "f.csv:1", "unknown: colour"),
        ("name,value,value\n", "f.csv:1", "twice"),
        ("name,value\na,1,2\n", "f.csv:2", "3 cells, the header 2"),
        ('name,value\na,1\nb,"2"x\n', "f.csv:3", "not readable as CSV"),
        ('name,value\na,1\nb,"2\n', "f.csv:3", "not readable as CSV"),
        ('"name,value\n', "f.csv:1", "not readable as CSV"),
    ],
)
def test_a_file_of_the_wrong_shape_says_where_and_what(text: str, path: str, said: str) -> None:
    (problem,) = read(text, "f.csv", COLUMNS).problems
    assert problem.path == path
    assert said in problem.message


def test_all_problems_of_a_file_are_told_at_once() -> None:
    table = read("name,value\na\nb,1\nc\n", "f.csv", COLUMNS)
    assert [problem.path for problem in table.problems] == ["f.csv:2", "f.csv:4"]
    assert len(table.rows) == 1


@pytest.mark.parametrize("text", ["0", "6.88", " 6.88 ", "123456789012.123456789012"])
def test_a_plain_decimal_is_a_number(text: str) -> None:
    assert plain_number(text) == text.strip()


@pytest.mark.parametrize(
    "text",
    ["", " ", "abc", "-3", "+3", "1e3", "6,88", "$6.88", "6.", ".5", "NaN", "inf", "1234567890123", "٣"],
)
def test_anything_else_is_not_guessed(text: str) -> None:
    assert plain_number(text) is None


def test_a_blank_cell_is_absent_and_not_zero() -> None:
    row = cells("")
    assert (row.number("value"), row.money("value"), row.count("value"), row.date("value")) == (None,) * 4
    assert row.problems == []


def test_cells_are_read_exactly() -> None:
    assert cells("0.1667").number("value") == Fraction(1667, 10000)
    assert cells("21.957642").money("value") == 21_957_642
    assert cells("8").count("value") == 8
    assert cells("2026-07-20").date("value") == dt.date(2026, 7, 20)


@pytest.mark.parametrize("text", ["-1", "x", "1.2.3"])
def test_a_cell_that_is_no_number_is_noted_and_absent(text: str) -> None:
    row = cells(text)
    assert row.number("value") is None
    assert row.money("value") is None
    assert [problem.path for problem in row.problems] == ["f.csv:2", "f.csv:2"]


def test_a_part_is_no_count_and_a_word_is_no_date() -> None:
    row = cells("7.5")
    assert row.count("value") is None
    assert row.date("value") is None
    assert row.required("value") == "7.5"
    assert len(row.problems) == 2


def test_a_required_cell_may_not_be_blank() -> None:
    row = cells("")
    assert row.required("value") == ""
    assert "empty" in row.problems[0].message


@given(st.text())
def test_no_text_breaks_the_reader(text: str) -> None:
    table = read(text, "f.csv", COLUMNS)
    assert all(problem.path.startswith("f.csv:") for problem in table.problems)
