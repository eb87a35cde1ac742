"""What a GPU model costs on the market: the last resort for a node whose own price is not known."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from fractions import Fraction
from statistics import median
from typing import TYPE_CHECKING

from gpusteward.model import CapacityType, Confidence, PriceSource
from gpusteward.pricing.models import canonical
from gpusteward.pricing.offers import Offer, shown
from gpusteward.pricing.rows import ON_DEMAND

if TYPE_CHECKING:
    import datetime as dt
    from collections.abc import Sequence

    from gpusteward.model import NodeFacts
    from gpusteward.pricing.offers import Grounds, NodeGpus
    from gpusteward.pricing.rows import PriceRow


@dataclass(frozen=True, slots=True)
class MarketPrice:
    """The price of a model over providers.

    Attributes:
        micro: median of `least`, micro-USD per whole GPU and hour.
        least: each provider's least price per GPU, micro-USD, with its row, cheapest first.
    """

    micro: Fraction
    least: tuple[tuple[Fraction, PriceRow], ...]

    @property
    def as_of(self) -> dt.date | None:
        """The oldest date among the rows."""
        return min((row.as_of for _, row in self.least if row.as_of), default=None)


def market_price(rows: Sequence[PriceRow], model: str) -> MarketPrice | None:
    """The median over providers of each one's least whole-node on-demand price per GPU; None when unsold.

    Only nodes of whole GPUs sold plainly on demand count: a part of a GPU and a conditional sale have their
    own prices. One provider, one vote: one with many sizes does not outweigh the others.

    Args:
        rows: the catalogue.
        model: our name of the model.
    """
    offers: dict[str, list[tuple[Fraction, PriceRow]]] = defaultdict(list)
    for row in rows:
        sold = row.model == model and row.on_demand_kind == ON_DEMAND
        if sold and row.on_demand_micro and row.gpus and row.gpus >= 1:
            offers[row.provider.casefold()].append((row.on_demand_micro / row.gpus, row))
    if not offers:
        return None
    cheapest = sorted((min(found, key=_by_price) for found in offers.values()), key=_by_price)
    return MarketPrice(micro=Fraction(median(price for price, _ in cheapest)), least=tuple(cheapest))


def _by_price(offer: tuple[Fraction, PriceRow]) -> tuple[Fraction, tuple[str, str, str]]:
    return (offer[0], offer[1].key)


def model_price(grounds: Grounds, facts: NodeFacts, gpus: NodeGpus) -> Offer | str:
    """The market price of each GPU's model; confidence low, for it is nobody's bill."""
    rate = grounds.exchange_rate
    if rate is None:
        return grounds.no_exchange_rate
    found: dict[str, MarketPrice] = {}
    prices = []
    for spelling in gpus.spellings:
        market = _of(grounds, spelling, found)
        if isinstance(market, str):
            return market
        prices.append(round(market.micro * rate))
    dates = [market.as_of for market in found.values() if market.as_of]
    clauses = tuple(_clause(grounds, name, market) for name, market in found.items())
    plain = facts.capacity_type is CapacityType.ON_DEMAND
    substituted = () if plain else (f"capacity type {facts.capacity_type}, priced on demand",)
    return Offer(
        source=PriceSource.MODEL,
        capacity_type=facts.capacity_type,
        confidence=Confidence.LOW,
        as_of=min(dates, default=None),
        detail=(*clauses, *substituted),
        gpu_micro=tuple(prices),
    )


def _of(grounds: Grounds, spelling: str, found: dict[str, MarketPrice]) -> MarketPrice | str:
    model = canonical(spelling)
    if model is None:
        return f"{spelling!r} is not a known GPU model" if spelling else "the GPU model is not known"
    if model.name not in found:
        market = market_price(grounds.catalogue.rows, model.name)
        if market is None:
            return f"no provider sells {model.name} plainly on demand in the catalogue"
        found[model.name] = market
    return found[model.name]


def _clause(grounds: Grounds, name: str, market: MarketPrice) -> str:
    median_price = grounds.in_usd(market.micro)
    low, high = shown(market.least[0][0]), shown(market.least[-1][0])
    return f"{name} at the median {median_price} of {len(market.least)} providers ({low} to {high})"
