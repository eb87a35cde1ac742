"""How an offer falls on the node's GPUs: exactly, so that they and the rest sum to the list price."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from typing import TYPE_CHECKING

from gpusteward.model import Basis, Confidence, NodeRate, Rate
from gpusteward.pricing.fitted import Refusal
from gpusteward.pricing.offers import weakest
from gpusteward.pricing.rows import ON_DEMAND
from gpusteward.units import largest_remainder

if TYPE_CHECKING:
    from gpusteward.pricing.offers import Grounds, NodeGpus, Offer
    from gpusteward.pricing.rows import PriceRow


@dataclass(frozen=True, slots=True)
class _Split:
    """A node's price in two.

    Attributes:
        gpus: what falls on the GPUs, micro-units an hour.
        other: what does not.
        basis: how they were told apart.
        detail: the same in words, one clause each.
    """

    gpus: int
    other: int
    basis: Basis
    detail: tuple[str, ...] = ()


def node_rate(grounds: Grounds, offer: Offer, gpus: NodeGpus) -> NodeRate:
    """The price of the node and of each of its GPUs.

    Args:
        grounds: currency and basis.
        offer: the price that was found.
        gpus: at least one.
    """
    confidence, detail = offer.confidence, offer.detail
    fitted_wanted = grounds.settings.basis == "fitted"
    if offer.node_micro is None:
        each = offer.gpu_micro
        split = _Split(sum(each), 0, Basis.PER_GPU, ("stated per GPU, so nothing to fit",) * fitted_wanted)
    else:
        split = _split(grounds, offer, offer.node_micro, gpus) if fitted_wanted else _whole(offer.node_micro)
        each = largest_remainder(split.gpus, [1] * gpus.count)
        if len(gpus.models) > gpus.nominal:
            confidence = weakest(confidence, Confidence.LOW)
            more = (
                f"{len(gpus.models)} GPUs are seen where {gpus.nominal} are nominal; spread over those seen"
            )
            detail = (*detail, more)
    return NodeRate(
        list_micro_per_hour=split.gpus + split.other,
        other_micro_per_hour=split.other,
        gpu_micro_per_hour=each,
        rate=Rate(
            micro_per_hour=each[0],
            currency=grounds.settings.currency,
            source=offer.source,
            basis=split.basis,
            capacity_type=offer.capacity_type,
            confidence=confidence,
            as_of=offer.as_of,
            detail="; ".join((*detail, *split.detail)),
        ),
    )


def _whole(node_micro: int, *detail: str) -> _Split:
    return _Split(node_micro, 0, Basis.WHOLE_NODE, detail)


def _split(grounds: Grounds, offer: Offer, node_micro: int, gpus: NodeGpus) -> _Split:
    """The fitted GPU term and the rest; the whole node on its GPUs where there is no such term, said so."""
    if offer.row is None:
        return _whole(node_micro, "whole_node, for only catalogue prices can be fitted")
    refused = _unfit(offer.row, gpus)
    if refused:
        return _whole(node_micro, f"whole_node, for {refused}")
    fit = grounds.fit(offer.row)
    if isinstance(fit, Refusal):
        return _whole(node_micro, f"whole_node, for {fit}")
    on_demand = Fraction(offer.row.on_demand_micro or 0)
    gpu_term = min(fit.gpu * gpus.count, on_demand)
    share, other = largest_remainder(node_micro, [gpu_term, on_demand - gpu_term])
    scaled = node_micro != on_demand
    note = ("GPUs and the rest in the proportion of the on-demand price",) * scaled
    return _Split(share, other, Basis.FITTED, (str(fit), *note))


def _unfit(row: PriceRow, gpus: NodeGpus) -> str:
    """Why this node cannot take its family's terms; empty when it can."""
    if row.on_demand_micro is None or row.on_demand_kind != ON_DEMAND:
        return f"{row.instance_type} has no plain on-demand price to fit"
    if row.gpus is not None and row.gpus >= 1 and row.gpus != gpus.count:
        return f"the type has {int(row.gpus)} GPUs and the node {gpus.count}"
    return ""
