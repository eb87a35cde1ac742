"""What a node costs that you own: depreciation, power and the rest, by the hour."""

from __future__ import annotations

import math
from dataclasses import dataclass
from fnmatch import fnmatchcase
from fractions import Fraction
from typing import TYPE_CHECKING

from gpusteward.model import Confidence, PriceSource
from gpusteward.pricing.models import canonical
from gpusteward.pricing.offers import Offer, shown, weakest
from gpusteward.units import MICRO

if TYPE_CHECKING:
    from gpusteward.config.settings import OnPremSettings
    from gpusteward.model import NodeFacts
    from gpusteward.pricing.offers import Grounds, NodeGpus

HOURS_PER_YEAR = 8760


@dataclass(frozen=True, slots=True)
class Power:
    """What a node draws.

    Attributes:
        kw: kilowatts, before the room's overhead.
        confidence: how far the figure can be trusted.
        detail: where it is from.
    """

    kw: Fraction
    confidence: Confidence
    detail: str


def on_prem(grounds: Grounds, facts: NodeFacts, gpus: NodeGpus) -> Offer | str:
    """The formula of the first entry whose `nodes` matches the node's name."""
    matching = (entry for entry in grounds.settings.on_prem if fnmatchcase(facts.name, entry.nodes))
    entry = next(matching, None)
    if entry is None:
        return "no formula is configured for the node"
    power = node_power(entry, gpus)
    hourly = node_per_hour(entry, power.kw)
    terms = " + ".join(shown(term) for term in hourly)
    currency = grounds.settings.currency
    return Offer(
        source=PriceSource.ON_PREM,
        capacity_type=facts.capacity_type,
        confidence=power.confidence,
        as_of=entry.as_of,
        detail=(f"{terms} {currency} an hour for depreciation, power and the rest", power.detail),
        node_micro=round(sum(hourly)),
    )


def node_per_hour(entry: OnPremSettings, kw: Fraction) -> tuple[Fraction, Fraction, Fraction]:
    """Depreciation, power and the rest of one node, exact micro-units an hour.

    capex × (1 − residual) / (years × 8760), kW × PUE × price of a kWh, other per year / 8760.
    """
    hours = _exact(entry.years) * HOURS_PER_YEAR
    depreciation = Fraction(entry.capex) * (1 - _exact(entry.residual)) / hours
    power = kw * _exact(entry.pue) * Fraction(entry.price_per_kwh)
    rest = Fraction(entry.other_per_year) / HOURS_PER_YEAR
    return depreciation * MICRO, power * MICRO, rest * MICRO


def node_power(entry: OnPremSettings, gpus: NodeGpus) -> Power:
    """The node's power: `kw`, or with `measured_power` the GPUs' watts in place of their part of it.

    The GPUs' part of `kw` is their board power by the models table; what is left is the host's.
    """
    kw = _exact(entry.kw)
    stated = Power(kw, Confidence.HIGH, f"power {float(kw):g} kW as configured")
    if not kw:
        stated = Power(kw, Confidence.MEDIUM, "no power is configured, so none is counted")
    if not entry.measured_power:
        return stated
    watts = gpus.measured_watts
    if watts is None or not math.isfinite(watts) or watts < 0:
        return Power(
            stated.kw,
            weakest(stated.confidence, Confidence.MEDIUM),
            f"{stated.detail}; measured watts are not known",
        )
    measured = Fraction(watts) / 1000
    boards = _board_kw(gpus)
    if boards is None:
        detail = (
            f"GPUs measured at {float(measured):.3g} kW; their part of `kw` is not known, so no host power"
        )
        return Power(measured, Confidence.MEDIUM, detail)
    host = max(Fraction(0), kw - boards)
    detail = f"GPUs measured at {float(measured):.3g} kW and {float(host):.3g} kW for the host"
    return Power(measured + host, Confidence.HIGH if host else Confidence.MEDIUM, detail)


def _board_kw(gpus: NodeGpus) -> Fraction | None:
    """Board power of all GPUs; None when that of one is not known."""
    watts = Fraction(0)
    for spelling in gpus.spellings:
        model = canonical(spelling)
        if model is None or model.tdp_w is None:
            return None
        watts += model.tdp_w
    return watts / 1000


def _exact(value: float) -> Fraction:
    """A configured number as it was written: 0.3 is 3/10."""
    return Fraction(str(value))
