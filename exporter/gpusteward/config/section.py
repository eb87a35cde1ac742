"""What every section of the settings is made of: strictness, units, limits."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field


@dataclass(frozen=True, slots=True)
class Unit:
    """What a number counts; its description names it too."""

    name: str


@dataclass(frozen=True, slots=True)
class Allowed:
    """What a pattern means, in words that follow `write …`."""

    words: str


Seconds = Annotated[float, Field(gt=0), Unit("seconds")]
Delay = Annotated[float, Field(ge=0), Unit("seconds")]
Window = Annotated[float, Field(gt=0, le=24 * 3600), Unit("seconds")]
Ratio = Annotated[float, Field(ge=0, le=1), Unit("ratio")]
Bytes = Annotated[int, Unit("bytes")]
Samples = Annotated[int, Field(ge=1), Unit("samples")]
Money = Annotated[
    str,
    Field(pattern=r"^[0-9]{1,12}(\.[0-9]{1,12})?$"),
    Allowed("an amount in plain digits, without sign or exponent, such as 6.88"),
    Unit("pricing.currency"),
]
"""An amount kept as text, so that 0.10 stays exactly 0.10."""


class Section(BaseModel):
    """A section: unknown keys are refused, values are frozen, numbers may be written for money."""

    model_config = ConfigDict(
        extra="forbid", frozen=True, coerce_numbers_to_str=True, validate_default=True, allow_inf_nan=False
    )
