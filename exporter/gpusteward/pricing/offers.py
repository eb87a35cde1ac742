"""What passes between the steps of finding a price: the question, an offer, and its absence."""

from __future__ import annotations

from dataclasses import dataclass, field
from fractions import Fraction
from typing import TYPE_CHECKING

from gpusteward.model import Confidence
from gpusteward.pricing.fitted import Fit, Refusal, fit
from gpusteward.pricing.models import model_name
from gpusteward.pricing.table import plain_number
from gpusteward.units import to_micro

if TYPE_CHECKING:
    import datetime as dt

    from gpusteward.config.settings import PricingSettings
    from gpusteward.model import CapacityType, PriceSource
    from gpusteward.pricing.prices import Catalogue
    from gpusteward.pricing.rows import PriceRow

CATALOGUE_CURRENCY = "USD"
_STRENGTH = (Confidence.LOW, Confidence.MEDIUM, Confidence.HIGH)


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeGpus:
    """The GPUs of a node that is to be priced.

    Attributes:
        models: the model of each GPU as its source spells it, lost ones included, by nominal position; empty
            where not known.
        nominal: how many GPUs the node has by rights; a node's price is divided by this.
        measured_watts: what the GPUs together draw now; None when not known.
    """

    models: tuple[str, ...]
    nominal: int
    measured_watts: float | None = None

    @property
    def count(self) -> int:
        """How many GPUs get a price: the nominal ones, or those seen when they are more."""
        return max(self.nominal, len(self.models))

    @property
    def spellings(self) -> tuple[str, ...]:
        """The model of each of `count` GPUs; an unknown one has the others' when they have but one."""
        only = {model_name(model): model for model in self.models if model}
        rest = next(iter(only.values())) if len(only) == 1 else ""
        padded = (*self.models, *[""] * (self.count - len(self.models)))
        return tuple(model or rest for model in padded)


@dataclass(frozen=True, slots=True, kw_only=True)
class Offer:
    """A price that one step found; either the node's or one for each GPU.

    Attributes:
        source: the step.
        capacity_type: how the node was bought; `unknown` stays unknown.
        confidence: how far the figure can be trusted.
        as_of: date of the figure; None when not stated.
        detail: which figure, what was substituted and why; one clause each.
        node_micro: the whole node's price, micro-units an hour; None when stated per GPU.
        gpu_micro: the price of each GPU by position; empty when stated for the node.
        row: the catalogue row of a node's price; None when it is not from the catalogue.
    """

    source: PriceSource
    capacity_type: CapacityType
    confidence: Confidence
    as_of: dt.date | None
    detail: tuple[str, ...]
    node_micro: int | None = None
    gpu_micro: tuple[int, ...] = ()
    row: PriceRow | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class MissingPrice:
    """There is no price, which is an alert and not a guess.

    Attributes:
        reason: what was tried and why each gave nothing.
        next_step: what to write to give it one.
        notes: what was ignored on the way (an annotation that is not an amount, say).
    """

    reason: str
    next_step: str
    notes: tuple[str, ...] = ()

    def __str__(self) -> str:
        return "; ".join((self.reason, *self.notes))


@dataclass(slots=True)
class Grounds:
    """What every step may look at.

    Attributes:
        catalogue: listed prices, USD.
        settings: the operator's prices, currency and basis.
    """

    catalogue: Catalogue
    settings: PricingSettings
    _fits: dict[tuple[str, str, str], Fit | Refusal] = field(default_factory=dict)

    @property
    def exchange_rate(self) -> Fraction | None:
        """What one USD is in the book's currency; None when that is not known."""
        if self.settings.currency == CATALOGUE_CURRENCY:
            return Fraction(1)
        return Fraction(self.settings.usd_exchange_rate or 0) or None

    @property
    def no_exchange_rate(self) -> str:
        """Why catalogue prices are not used."""
        return f"prices are in USD and `pricing.usd_exchange_rate` to {self.settings.currency} is not set"

    def in_usd(self, micro: float | Fraction) -> str:
        """A catalogue amount in words, with the exchange rate where it was converted."""
        if self.settings.currency == CATALOGUE_CURRENCY:
            return f"{shown(micro)} USD"
        rate = f"{self.settings.usd_exchange_rate} {self.settings.currency} per USD"
        return f"{shown(micro)} USD, converted at {rate}"

    def fit(self, row: PriceRow) -> Fit | Refusal:
        """The linear price of a row's family, computed once."""
        if row.key not in self._fits:
            self._fits[row.key] = fit(self.catalogue.rows, row)
        return self._fits[row.key]


def amount(text: str) -> int | None:
    """A stated amount in micro-units; None when it is not a plain one (a sign, an exponent, words)."""
    plain = plain_number(text)
    return None if plain is None else to_micro(plain)


def weakest(*confidences: Confidence) -> Confidence:
    """The least of several confidences."""
    return min(confidences, key=_STRENGTH.index)


def shown(micro: float | Fraction) -> str:
    """Micro-units as a plain amount, at most six decimals."""
    return f"{float(micro) / 1e6:.6f}".rstrip("0").rstrip(".")
