"""Prices of the catalogue: the node's instance type in its region, or else in another."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from gpusteward.model import CapacityType, Confidence, PriceSource
from gpusteward.pricing.models import canonical, model_name, same_model
from gpusteward.pricing.offers import Offer, weakest
from gpusteward.pricing.rows import ON_DEMAND

if TYPE_CHECKING:
    from collections.abc import Sequence

    from gpusteward.model import NodeFacts
    from gpusteward.pricing.offers import Grounds, NodeGpus
    from gpusteward.pricing.rows import PriceRow

_SPOT_CONFIDENCE = {"listed": Confidence.HIGH, "estimate": Confidence.MEDIUM, "stale": Confidence.LOW}


def in_region(grounds: Grounds, facts: NodeFacts, gpus: NodeGpus) -> Offer | str:
    """The node's instance type in its region."""
    if not facts.instance_type:
        return "the instance type is not known"
    if not facts.provider or not facts.region:
        return f"the {'region' if facts.provider else 'provider'} is not known"
    rows = _rows(grounds, facts, gpus)
    if not rows:
        return f"no row for {facts.provider} {facts.instance_type}"
    here = [row for row in rows if row.region.casefold() == facts.region.casefold()]
    if not here:
        return f"no row for {facts.instance_type} in {facts.region}"
    return _offer(grounds, here[0], facts, gpus)


def in_other_region(grounds: Grounds, facts: NodeFacts, gpus: NodeGpus) -> Offer | str:
    """The node's instance type in another region: the newest row, then the first region by name.

    Where the provider is not known, its type decides when only one provider has it.
    """
    if not facts.instance_type:
        return "the instance type is not known"
    rows = _rows(grounds, facts, gpus)
    if len({row.provider.casefold() for row in rows}) > 1:
        return f"several providers have {facts.instance_type}"
    elsewhere = [row for row in rows if row.priced and (not facts.provider or not _same_region(row, facts))]
    if not elsewhere:
        return f"no priced row for {facts.instance_type} elsewhere"
    row = min(elsewhere, key=lambda row: (-(row.as_of.toordinal() if row.as_of else 0), row.region))
    offer = _offer(grounds, row, facts, gpus)
    if isinstance(offer, str):
        return offer
    node = f"a node {f'in {facts.region}' if facts.region else 'of unknown region'}"
    provider = "" if facts.provider else " and unknown provider"
    return Offer(
        source=PriceSource.CATALOGUE_OTHER_REGION,
        capacity_type=offer.capacity_type,
        confidence=Confidence.LOW,
        as_of=offer.as_of,
        detail=(*offer.detail, f"taken from {row.region} for {node}{provider}"),
        node_micro=offer.node_micro,
        row=row,
    )


def nominal_gpus(rows: Sequence[PriceRow], region: str) -> int | None:
    """How many GPUs an instance type has, by its rows; None when they do not tell, or not alike.

    A part of a GPU is one device. A machine to which GPUs are added does not tell.
    """
    fixed = [row for row in rows if "+" not in row.instance_type and row.gpus is not None]
    here = [row for row in fixed if row.region.casefold() == region.casefold()] or fixed
    counts = {devices(row) for row in here}
    return counts.pop() if len(counts) == 1 else None


def devices(row: PriceRow) -> int | None:
    """How many devices a node of this row shows; None when not verified."""
    return None if row.gpus is None else max(1, int(row.gpus))


def _same_region(row: PriceRow, facts: NodeFacts) -> bool:
    return row.region.casefold() == facts.region.casefold()


def _rows(grounds: Grounds, facts: NodeFacts, gpus: NodeGpus) -> list[PriceRow]:
    """The rows of the node's type; of a machine with GPUs added, those with as many of the same model."""
    rows = grounds.catalogue.of_type(facts.provider, facts.instance_type)
    named = facts.instance_type.casefold()
    return [
        row
        for row in rows
        if row.instance_type.casefold() == named
        or (row.gpus == gpus.count and all(same_model(row.model, model) for model in gpus.spellings))
    ]


@dataclass(frozen=True, slots=True)
class _Sale:
    """The column of a row that fits how a node was bought."""

    micro: int
    confidence: Confidence
    notes: tuple[str, ...] = ()


def _sale(row: PriceRow, capacity: CapacityType) -> _Sale | str:
    if capacity is CapacityType.SPOT and row.spot_micro is not None:
        confidence = _SPOT_CONFIDENCE[row.spot_confidence]
        return _Sale(row.spot_micro, confidence, (f"spot price, {row.spot_confidence}",))
    if row.on_demand_micro is None:
        return f"{row.instance_type} in {row.region} has no on-demand price ({row.source})"
    substitute = {
        CapacityType.ON_DEMAND: _Sale(row.on_demand_micro, Confidence.HIGH),
        CapacityType.SPOT: _Sale(
            row.on_demand_micro, Confidence.LOW, ("no spot price is known, so the on-demand price",)
        ),
        CapacityType.RESERVED: _Sale(
            row.on_demand_micro,
            Confidence.LOW,
            ("reserved: the on-demand price, your contract is not known",),
        ),
        CapacityType.UNKNOWN: _Sale(
            row.on_demand_micro, Confidence.MEDIUM, ("capacity type not known, so the on-demand price",)
        ),
    }
    sale = substitute[capacity]
    if row.on_demand_kind == ON_DEMAND:
        return sale
    condition = f"the price is of kind {row.on_demand_kind}, not a plain on-demand sale"
    return _Sale(sale.micro, weakest(sale.confidence, Confidence.MEDIUM), (*sale.notes, condition))


def _offer(grounds: Grounds, row: PriceRow, facts: NodeFacts, gpus: NodeGpus) -> Offer | str:
    rate = grounds.exchange_rate
    if rate is None:
        return grounds.no_exchange_rate
    sale = _contradiction(row, gpus) or _sale(row, facts.capacity_type)
    if isinstance(sale, str):
        return sale
    doubts = _doubts(row, gpus)
    price = grounds.in_usd(sale.micro)
    where = f"{row.provider} {row.instance_type} in {row.region} at {price} ({row.path}, {row.as_of})"
    return Offer(
        source=PriceSource.CATALOGUE,
        capacity_type=facts.capacity_type,
        confidence=weakest(sale.confidence, *doubts.values()),
        as_of=row.as_of,
        detail=(where, *sale.notes, *doubts),
        node_micro=round(sale.micro * rate),
        row=row,
    )


def _contradiction(row: PriceRow, gpus: NodeGpus) -> str:
    """Why the node cannot be of the row's type: its known models are others. Empty when it can.

    A model that is not known, or a spelling that stands for several, contradicts nothing.
    """
    seen = dict.fromkeys(model_name(model) for model in gpus.models if canonical(model))
    if not seen or row.model in seen:
        return ""
    return f"{row.instance_type} has {row.model}, the node has {', '.join(seen)}"


def _doubts(row: PriceRow, gpus: NodeGpus) -> dict[str, Confidence]:
    """Where the count that is seen does not go with the row, and how far the price can then be trusted."""
    if devices(row) in (None, gpus.nominal):
        return {}
    return {f"the type has {devices(row)} GPUs, the node {gpus.nominal}": Confidence.MEDIUM}
