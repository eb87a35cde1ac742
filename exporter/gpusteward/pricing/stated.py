"""Prices that the operator states: the node's annotation and the config's price book."""

from __future__ import annotations

from fnmatch import fnmatchcase
from typing import TYPE_CHECKING

from gpusteward.model import Confidence, PriceSource
from gpusteward.pricing.models import same_model
from gpusteward.pricing.offers import Offer, amount
from gpusteward.units import to_micro

if TYPE_CHECKING:
    from gpusteward.config.settings import BookEntry
    from gpusteward.model import NodeFacts
    from gpusteward.pricing.offers import Grounds, NodeGpus

ANNOTATION = "gpusteward.io/gpu-price-per-hour"


def annotation(grounds: Grounds, facts: NodeFacts, gpus: NodeGpus) -> Offer | str:
    """The node's annotation: a price per whole GPU in the book's currency.

    Of the sources of this version only `simulated` knows annotations; the Kubernetes ones come with the kubelet.
    """
    del grounds
    if not facts.price_per_gpu_hour:
        return "none known"
    micro = amount(facts.price_per_gpu_hour)
    if micro is None:
        return ignored_annotation(facts)[0]
    return Offer(
        source=PriceSource.ANNOTATION,
        capacity_type=facts.capacity_type,
        confidence=Confidence.HIGH,
        as_of=None,
        detail=(f"annotation {ANNOTATION} of node {facts.name}",),
        gpu_micro=(micro,) * gpus.count,
    )


def ignored_annotation(facts: NodeFacts) -> tuple[str, ...]:
    """The clause that says so when the annotation is not an amount; else nothing."""
    text = facts.price_per_gpu_hour
    if not text or amount(text) is not None:
        return ()
    return (f"annotation {ANNOTATION}: {text!r} is ignored, it is not a plain amount such as 6.88",)


def price_book(grounds: Grounds, facts: NodeFacts, gpus: NodeGpus) -> Offer | str:
    """The first entry that matches, or, on a node of several models, the first for each GPU."""
    entries = [
        (number, entry)
        for number, entry in enumerate(grounds.settings.book)
        if _matches(entry, facts) and (entry.node_per_hour is not None or entry.gpu_per_hour is not None)
    ]
    if not entries:
        return "no entry matches"
    chosen = [_first(entries, spelling) for spelling in gpus.spellings]
    priced = [choice for choice in chosen if choice is not None]
    if len(priced) < len(chosen):
        return f"no entry matches {len(chosen) - len(priced)} of its {len(chosen)} GPUs"
    number, whole = priced[0]
    if whole.node_per_hour is not None:
        return _offer([(number, whole)], facts, node_micro=to_micro(whole.node_per_hour))
    each = [entry.gpu_per_hour for _, entry in priced if entry.gpu_per_hour is not None]
    if len(each) < len(priced):
        return "entries for the node and for its GPUs match together"
    return _offer(priced, facts, gpu_micro=tuple(to_micro(price) for price in each))


def _matches(entry: BookEntry, facts: NodeFacts) -> bool:
    """Whether every field that is set, the model apart, equals the node's."""
    return (
        _like(facts.name, entry.node)
        and _like(facts.provider, entry.provider)
        and _like(facts.instance_type, entry.instance_type)
        and _like(facts.region, entry.region)
        and entry.capacity_type in (None, facts.capacity_type)
    )


def _like(value: str, pattern: str) -> bool:
    return not pattern or fnmatchcase(value.casefold(), pattern.casefold())


def _first(entries: list[tuple[int, BookEntry]], spelling: str) -> tuple[int, BookEntry] | None:
    matching = (choice for choice in entries if not choice[1].model or same_model(choice[1].model, spelling))
    return next(matching, None)


def _offer(
    chosen: list[tuple[int, BookEntry]],
    facts: NodeFacts,
    *,
    node_micro: int | None = None,
    gpu_micro: tuple[int, ...] = (),
) -> Offer:
    used = dict(chosen)
    dates = [entry.as_of for entry in used.values() if entry.as_of is not None]
    names = (f"pricing.book[{number}]" + (f" ({e.note})" if e.note else "") for number, e in used.items())
    return Offer(
        source=PriceSource.PRICE_BOOK,
        capacity_type=facts.capacity_type,
        confidence=Confidence.HIGH,
        as_of=min(dates) if len(dates) == len(used) else None,
        detail=(", ".join(names),),
        node_micro=node_micro,
        gpu_micro=gpu_micro,
    )
