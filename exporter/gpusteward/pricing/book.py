"""The price of a node: the first step that finds one, and what the others said."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from gpusteward.model import NodeRate, PriceSource
from gpusteward.pricing.listed import in_other_region, in_region, nominal_gpus
from gpusteward.pricing.market import model_price
from gpusteward.pricing.offers import Grounds, MissingPrice, NodeGpus, Offer
from gpusteward.pricing.onprem import on_prem
from gpusteward.pricing.spread import node_rate
from gpusteward.pricing.stated import annotation, ignored_annotation, price_book

if TYPE_CHECKING:
    from collections.abc import Callable

    from gpusteward.config.settings import PricingSettings
    from gpusteward.model import NodeFacts
    from gpusteward.pricing.fitted import Fit, Refusal
    from gpusteward.pricing.prices import Catalogue
    from gpusteward.pricing.rows import PriceRow

_STEPS: tuple[tuple[PriceSource, Callable[[Grounds, NodeFacts, NodeGpus], Offer | str]], ...] = (
    (PriceSource.ANNOTATION, annotation),
    (PriceSource.PRICE_BOOK, price_book),
    (PriceSource.CATALOGUE, in_region),
    (PriceSource.CATALOGUE_OTHER_REGION, in_other_region),
    (PriceSource.ON_PREM, on_prem),
    (PriceSource.MODEL, model_price),
)
_NEXT_STEP = "add an entry to `pricing.book`"


@dataclass(frozen=True, slots=True)
class Step:
    """One step that was tried.

    Attributes:
        source: which.
        outcome: why it gave nothing; empty for the one that won.
    """

    source: PriceSource
    outcome: str


@dataclass(frozen=True, slots=True)
class Resolution:
    """A price or its absence, and how it came about.

    Attributes:
        result: the price, or why there is none.
        steps: those that were tried, in order; the last one won unless the price is missing.
    """

    result: NodeRate | MissingPrice
    steps: tuple[Step, ...]


class PriceBook:
    """Prices nodes.

    Args:
        catalogue: listed prices.
        settings: the operator's own prices, currency and basis.
    """

    def __init__(self, catalogue: Catalogue, settings: PricingSettings) -> None:
        self.catalogue = catalogue
        self.settings = settings
        self._grounds = Grounds(catalogue, settings)

    def nominal_gpus(self, facts: NodeFacts) -> int | None:
        """How many GPUs the node has by rights: as its facts say, else as its instance type has.

        A fractional instance type has one device. None when neither tells; then the most ever seen counts.
        The type is taken at its word, for before the first reading nothing contradicts it: where its price is
        refused because the GPUs are of another model, its count still stands until the type is corrected.
        """
        if facts.gpus is not None:
            return facts.gpus
        return nominal_gpus(self.catalogue.of_type(facts.provider, facts.instance_type), facts.region)

    def fit(self, row: PriceRow) -> Fit | Refusal:
        """The linear price of a row's family, or why there is none."""
        return self._grounds.fit(row)

    def price_node(self, facts: NodeFacts, gpus: NodeGpus) -> NodeRate | MissingPrice:
        """The node's price an hour and each GPU's, summing exactly; MissingPrice when no step finds one."""
        return self.resolve(facts, gpus).result

    def resolve(self, facts: NodeFacts, gpus: NodeGpus) -> Resolution:
        """The same with the steps that led there."""
        notes = ignored_annotation(facts)
        if not gpus.count:
            missing = f"node {facts.name} has no GPUs to price"
            return Resolution(MissingPrice(reason=missing, next_step="set `node.gpus`", notes=notes), ())
        steps: list[Step] = []
        for source, find in _STEPS:
            offer = find(self._grounds, facts, gpus)
            if isinstance(offer, Offer):
                offer = replace(offer, detail=(*offer.detail, *notes))
                rate = node_rate(self._grounds, offer, gpus)
                return Resolution(rate, (*steps, Step(source, "")))
            steps.append(Step(source, offer))
        reason = "; ".join(f"{step.source}: {step.outcome}" for step in steps)
        next_step = _NEXT_STEP
        if self._grounds.exchange_rate is None:
            next_step = f"set `pricing.usd_exchange_rate`, or {_NEXT_STEP}"
        missing_price = MissingPrice(
            reason=f"no price for node {facts.name}: {reason}", next_step=next_step, notes=notes
        )
        return Resolution(missing_price, tuple(steps))
