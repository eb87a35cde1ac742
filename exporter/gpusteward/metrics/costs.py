"""Series of holders and money."""

from __future__ import annotations

from fractions import Fraction
from typing import TYPE_CHECKING, Final

from gpusteward.metrics import catalogue as c
from gpusteward.metrics.devices import device_labels, put_seconds
from gpusteward.model import Holder
from gpusteward.units import MICRO, MICROSECONDS, MICROSECONDS_PER_HOUR, PPB, from_micro

if TYPE_CHECKING:
    from collections.abc import Iterable

    from gpusteward.metrics.sheet import Sheet
    from gpusteward.model import Charge, EndedLeaf, LeafSnapshot, NodeSnapshot, Portion, Rate

_HELD_PER_SECOND: Final = MICROSECONDS * PPB
_COST_PER_UNIT: Final = MICROSECONDS_PER_HOUR * PPB * MICRO
_NOBODY: Final = Holder()


def put_node_costs(sheet: Sheet, node: NodeSnapshot) -> None:
    """A node: how many GPUs, its price and whether its money adds up."""
    labels = (node.node,)
    sheet.put(c.GPU_EXPECTED, labels, node.expected)
    sheet.put(c.GPU_SEEN, labels, node.seen)
    if node.rate is not None:
        sheet.put(c.NODE_PRICE, labels, from_micro(node.rate.list_micro_per_hour))
        sheet.put(c.NODE_PRICE_INFO, (*labels, *_provenance(node, node.rate.rate)), 1.0)
        sheet.put(c.NODE_OTHER_COST, labels, from_micro(node.rate.other_micro_per_hour))
    if node.rate is not None or node.other_cost:
        sheet.put(c.NODE_OTHER_COST_TOTAL, labels, node.other_cost / _COST_PER_UNIT)
    if node.rate is not None or node.conservation_error:
        sheet.put(c.COST_CONSERVATION_ERROR, labels, node.conservation_error / _COST_PER_UNIT)


def _provenance(node: NodeSnapshot, rate: Rate) -> tuple[str, ...]:
    facts = node.facts
    as_of = rate.as_of.isoformat() if rate.as_of else ""
    return (facts.provider, facts.instance_type, facts.region, facts.capacity_type, rate.source, as_of)


def put_leaf_costs(sheet: Sheet, leaf: LeafSnapshot) -> None:
    """A leaf: who holds it, its price, and where its time and money go."""
    labels = device_labels(leaf.leaf.device)
    _put_shares(sheet, labels, leaf)
    sheet.put(c.GPU_PRICE_MISSING, labels, 1.0 if leaf.rate is None else 0.0)
    if leaf.rate is not None:
        _put_price(sheet, labels, leaf, leaf.rate)
    _put_charges(sheet, labels, leaf.charges, leaf.portions)


def put_ended(sheet: Sheet, ended: EndedLeaf) -> None:
    """A leaf that is gone: its counters, so that rate() and increase() see their last value."""
    labels = device_labels(ended.device)
    put_seconds(sheet, labels, ended.totals)
    _put_charges(sheet, labels, ended.charges, ())


def _put_shares(sheet: Sheet, labels: tuple[str, ...], leaf: LeafSnapshot) -> None:
    allocations = leaf.leaf.allocations
    if allocations is None:
        return
    unheld = 1 - sum((allocation.share for allocation in allocations), Fraction(0))
    for allocation in allocations:
        sheet.add(
            c.GPU_ALLOCATION_SHARE, (*labels, *_holder_labels(allocation.holder)), float(allocation.share)
        )
    if unheld > 0:
        sheet.add(c.GPU_ALLOCATION_SHARE, (*labels, *_holder_labels(_NOBODY)), float(unheld))


def _put_price(sheet: Sheet, labels: tuple[str, ...], leaf: LeafSnapshot, rate: Rate) -> None:
    provenance = (rate.capacity_type, rate.basis, rate.source, rate.confidence)
    sheet.put(c.GPU_PRICE, (*labels, *provenance), from_micro(rate.micro_per_hour))
    # A leaf with a price always has a cost series, so that joins on it never come back empty.
    shown = [portion for portion in leaf.portions if portion.ppb] or leaf.portions[:1]
    for portion in shown:
        cost = rate.micro_per_hour * portion.ppb / (PPB * MICRO)
        sheet.add(c.GPU_COST, (*labels, *_holder_labels(portion.holder), portion.cause), cost)


def _put_charges(
    sheet: Sheet, labels: tuple[str, ...], charges: Iterable[Charge], portions: Iterable[Portion]
) -> None:
    # A charge of the first sample is shown as 0. One that begins later starts with its first interval: of
    # that, increase() does not see the part before the first scrape, one sampling interval at most.
    beginning = {(portion.holder, portion.cause) for portion in portions if portion.ppb}
    for charge in charges:
        if not charge.held and (charge.holder, charge.cause) not in beginning:
            continue
        key = (*labels, *_holder_labels(charge.holder), charge.cause)
        sheet.add(c.GPU_HELD_SECONDS, key, charge.held / _HELD_PER_SECOND)
        if charge.priced:
            sheet.add(c.GPU_COST_TOTAL, key, charge.cost / _COST_PER_UNIT)


def _holder_labels(holder: Holder) -> tuple[str, str, str]:
    return (holder.namespace, holder.pod, holder.container)
