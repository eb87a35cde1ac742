from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gpusteward.devices.dcgm_page import Row, Skip, rows, why_absent
from gpusteward.devices.dcgm_vocabulary import vocabulary

ENGINE = vocabulary()["DCGM_FI_PROF_GR_ENGINE_ACTIVE"]
MEMORY_TEMP = vocabulary()["DCGM_FI_DEV_MEMORY_TEMP"]
TEMP = vocabulary()["DCGM_FI_DEV_GPU_TEMP"]
ENERGY = vocabulary()["DCGM_FI_DEV_TOTAL_ENERGY_CONSUMPTION"]
SM = vocabulary()["DCGM_FI_PROF_SM_ACTIVE"]
UTIL = vocabulary()["DCGM_FI_DEV_GPU_UTIL"]


@pytest.mark.parametrize(
    ("line", "row"),
    [
        ("up 1", Row("up", {}, 1.0)),
        ("up{} 1", Row("up", {}, 1.0)),
        ('a{b="c"} 1', Row("a", {"b": "c"}, 1.0)),
        ('a{b="c"}1', Row("a", {"b": "c"}, 1.0)),
        ('a {b="c"} 1', Row("a", {"b": "c"}, 1.0)),
        ('a{b="c",} 1', Row("a", {"b": "c"}, 1.0)),
        ('a{ b = "c" , d = "e" } 1', Row("a", {"b": "c", "d": "e"}, 1.0)),
        ('a{b=""} 1', Row("a", {"b": ""}, 1.0)),
        ('a{b="c"} 1 1800000000000', Row("a", {"b": "c"}, 1.0)),
        ('a{b="c"} 1 -5', Row("a", {"b": "c"}, 1.0)),
        ('a{b="c"} 1.5e+09', Row("a", {"b": "c"}, 1.5e9)),
        ('a{b="c"} .5', Row("a", {"b": "c"}, 0.5)),
        ('a{b="c"} 5.', Row("a", {"b": "c"}, 5.0)),
        ('a{b="c"} -2', Row("a", {"b": "c"}, -2.0)),
        ('a{b="c"} +Inf', Row("a", {"b": "c"}, math.inf)),
        ('a{b="c"} 1\r', Row("a", {"b": "c"}, 1.0)),
        ('  a{b="c"}\t1  ', Row("a", {"b": "c"}, 1.0)),
        ('a{b="say "hi" there"} 1', Row("a", {"b": 'say "hi" there'}, 1.0)),
        ('a{b="c"d="e"} 1', Row("a", {"b": 'c"d="e'}, 1.0)),
        ('a{b="x, y=z",c="d"} 1', Row("a", {"b": "x, y=z", "c": "d"}, 1.0)),
        ('a{b="{x}",c="d"} 1', Row("a", {"b": "{x}", "c": "d"}, 1.0)),
        ('a{b="} 7"} 1', Row("a", {"b": "} 7"}, 1.0)),
        ('a{b="C:\\dir\\",c="d"} 1', Row("a", {"b": "C:\\dir\\", "c": "d"}, 1.0)),
        ('a{b="line\u2028sep\x0b"} 1', Row("a", {"b": "line\u2028sep\x0b"}, 1.0)),
        ('a{b="first",b="second"} 1', Row("a", {"b": "first"}, 1.0)),
        ("ns:sub:a 1", Row("ns:sub:a", {}, 1.0)),
    ],
)
def test_a_sample_line_is_read_as_written(line: str, row: Row) -> None:
    assert list(rows(line)) == [row]


@pytest.mark.parametrize(
    "line",
    [
        "up",
        "up1",
        "9lives 1",
        "up one",
        "up 1_000",
        "up 0x10",
        "up 1 2 3",
        "up 1 2.5",
        'a{b="c" 1',
        'a{b="c"} ',
        "a{b=c} 1",
        'a{b="c} 1',
        'a{="c"} 1',
        'a{b="c"} 1 # {trace="x"} 7',
        'a{b="c"} 1 a{b="c"} 2',
        "<html>",
        '{"json": 1}',
        "GPU-5 } 3",
    ],
)
def test_a_line_that_is_no_sample_is_told_apart(line: str) -> None:
    assert list(rows(f"up 1\n{line}\nup 2\n")) == [Row("up", {}, 1.0), None, Row("up", {}, 2.0)]


def test_comments_and_blank_lines_are_passed_over() -> None:
    assert list(rows('\n# HELP a "b\n#\n   \n\r\n# TYPE a counter\na 1')) == [Row("a", {}, 1.0)]


def test_a_line_of_nothing_but_blanks_and_braces_is_read_in_linear_time() -> None:
    hostile = [
        "a" + " " * 100_000 + "x",
        "a{" + "} " * 50_000,
        'a{b="' + '",c' * 50_000 + "} 1",
        "a" * 100_000,
    ]
    assert list(rows("\n".join(hostile))) == [None] * 4


@given(st.text())
def test_no_text_makes_the_parser_fail(text: str) -> None:
    for row in rows(text):
        assert row is None or row.name


BLANKS = [
    *[2147483632.0 + n for n in range(5)],
    *[140737488355328.0 + n for n in range(5)],
    9223372036854775792.0,
    9223372036854775796.0,
]


@pytest.mark.parametrize("value", BLANKS)
def test_dcgms_blanks_are_no_values(value: float) -> None:
    assert why_absent(ENERGY, value) is Skip.BLANK


@pytest.mark.parametrize("value", [2147483631.0, 2147483637.0, 140737488355327.0, 140737488355333.0, 9.2e18])
def test_neighbours_of_blanks_are_values(value: float) -> None:
    assert why_absent(ENERGY, value) is None


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_what_is_not_finite_is_no_value(value: float) -> None:
    assert why_absent(TEMP, value) is Skip.NOT_FINITE


def test_a_memory_temperature_of_zero_is_a_missing_sensor_and_one_degree_is_a_reading() -> None:
    assert why_absent(MEMORY_TEMP, 0.0) is Skip.NO_SENSOR
    assert why_absent(MEMORY_TEMP, 1.0) is None
    assert why_absent(TEMP, 0.0) is None


def test_only_a_temperature_may_be_below_zero() -> None:
    assert why_absent(TEMP, -5.0) is None
    assert why_absent(ENERGY, -1.0) is Skip.OUT_OF_RANGE
    assert why_absent(ENGINE, -0.01) is Skip.OUT_OF_RANGE
    assert why_absent(ENERGY, 0.0) is None


def test_a_ratio_above_one_is_absent_unless_it_is_known_to_occur() -> None:
    assert why_absent(ENGINE, 1.0) is None
    assert why_absent(ENGINE, 1.01) is Skip.OUT_OF_RANGE
    assert why_absent(UTIL, 100.0) is None
    assert why_absent(UTIL, 101.0) is Skip.OUT_OF_RANGE
    assert why_absent(SM, 1.9) is None
