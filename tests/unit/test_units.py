"""Integers for money and time."""

from __future__ import annotations

from decimal import Decimal
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gpusteward.units import from_micro, largest_remainder, microseconds, to_micro


@pytest.mark.parametrize(
    ("amount", "micro"),
    [
        ("55.04", 55_040_000),
        ("21.957642", 21_957_642),
        (0.1, 100_000),
        (Decimal("0.0000005"), 0),
        ("0.0000015", 2),
    ],
)
def test_money_is_whole_micro_units_halves_to_even(amount: str | Decimal | float, micro: int) -> None:
    assert to_micro(amount) == micro


@pytest.mark.parametrize("amount", ["", "six", "NaN", "Infinity", float("nan"), "1,5"])
def test_what_is_not_an_amount_is_refused(amount: str | float) -> None:
    with pytest.raises(ValueError, match="is not an amount of money"):
        to_micro(amount)


def test_money_and_time_convert_back() -> None:
    assert from_micro(6_880_000) == 6.88
    assert microseconds(5.0000004) == 5_000_000


def test_what_is_left_goes_to_the_greatest_remainders_then_the_earlier() -> None:
    assert largest_remainder(10, [1, 1, 1]) == (4, 3, 3)
    assert largest_remainder(55_040_000, [1] * 8) == (6_880_000,) * 8
    assert largest_remainder(100, [Fraction(1, 3), Fraction(2, 3)]) == (33, 67)
    assert largest_remainder(7, [0, 1]) == (0, 7)


@pytest.mark.parametrize("weights", [[], [0, 0], [1, -1, 1]])
def test_weights_that_cannot_split_anything_are_refused(weights: list[int]) -> None:
    with pytest.raises(ValueError, match="weights"):
        largest_remainder(1, weights)


@given(total=st.integers(0, 10**12), weights=st.lists(st.fractions(0, 1), min_size=1).filter(any))
def test_parts_always_sum_to_the_whole_and_are_within_one_of_their_quota(
    total: int, weights: list[Fraction]
) -> None:
    parts = largest_remainder(total, weights)
    assert sum(parts) == total
    whole = sum(weights)
    assert all(abs(part - weight * total / whole) < 1 for part, weight in zip(parts, weights, strict=True))
