"""Money and time as integers, so that sums are exact.

Money is micro-units of a currency (1 USD = 1,000,000). A portion of a device is in parts per billion.
Charged money is kept as the integer product µs × ppb × (micro-units per hour): no step ever rounds,
so conservation holds to the last digit; only what is shown is divided.
"""

from __future__ import annotations

from decimal import ROUND_HALF_EVEN, Decimal, InvalidOperation
from fractions import Fraction
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

MICRO = 1_000_000
PPB = 1_000_000_000
MICROSECONDS = 1_000_000
MICROSECONDS_PER_HOUR = 3_600 * MICROSECONDS
MIB = 1024 * 1024


def to_micro(amount: str | Decimal | float) -> int:
    """A decimal amount of money in micro-units, the seventh decimal rounded half to even.

    Raises:
        ValueError: not a finite number.
    """
    try:
        value = Decimal(str(amount))
    except InvalidOperation as error:
        raise ValueError(f"{amount!r} is not an amount of money") from error
    if not value.is_finite():
        raise ValueError(f"{amount!r} is not an amount of money")
    return int((value * MICRO).to_integral_value(rounding=ROUND_HALF_EVEN))


def from_micro(micro: int) -> float:
    """Micro-units as a float of the currency, for showing only."""
    return micro / MICRO


def microseconds(seconds: float) -> int:
    """Seconds as whole microseconds."""
    return round(seconds * MICROSECONDS)


def largest_remainder(total: int, weights: Sequence[Fraction | int]) -> tuple[int, ...]:
    """Split an integer in proportion to the weights so that the parts sum to it exactly.

    Each part is the floor of its exact quota; what is left goes, one each, to the greatest remainders
    (ties to the earlier). The method of Hamilton, 1792.

    Raises:
        ValueError: no weights, a negative one, or all zero.
    """
    whole = sum(Fraction(weight) for weight in weights)
    if whole <= 0 or any(weight < 0 for weight in weights):
        raise ValueError("weights must be non-negative with a positive sum")
    quotas = [Fraction(weight) * total / whole for weight in weights]
    parts = [int(quota // 1) for quota in quotas]
    by_remainder = sorted(range(len(quotas)), key=lambda i: (parts[i] - quotas[i], i))
    for i in by_remainder[: total - sum(parts)]:
        parts[i] += 1
    return tuple(parts)
