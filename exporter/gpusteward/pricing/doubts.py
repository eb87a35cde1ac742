"""Names in a config that the catalogue does not know: allowed, and probably not meant."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gpusteward.errors import Problem
from gpusteward.model import NodeFacts, NodeRate, PriceSource
from gpusteward.pricing.models import bundled_models, canonical
from gpusteward.pricing.names import did_you_mean, nearest_models
from gpusteward.pricing.offers import NodeGpus

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from gpusteward.config.settings import BookEntry, Config, NodeSettings
    from gpusteward.pricing.book import PriceBook

_OWN = frozenset({PriceSource.PRICE_BOOK, PriceSource.ON_PREM})


def doubts(book: PriceBook, config: Config) -> tuple[Problem, ...]:
    """What of `node` and of the models in `pricing.book` the catalogue does not know.

    Nothing is wrong with a word of one's own where prices of one's own go with it: then only what is near to
    a known name is doubted.

    Args:
        book: the prices that the config asks for.
        config: valid.

    Returns:
        In the order of the settings; paths without a line.
    """
    return (*_of_node(book, config.node), *_of_models(config.pricing.book))


def _of_node(book: PriceBook, node: NodeSettings) -> Iterator[Problem]:
    rows = [row for row in book.catalogue.rows if row.provider.casefold() == node.provider.casefold()]
    own = _has_own_price(book, node)
    if node.provider and not rows:
        providers = {row.provider for row in book.catalogue.rows}
        yield from _unknown(book, "provider", node.provider, providers, own=own)
    provider = node.provider if rows else ""
    rows = rows or list(book.catalogue.rows)
    if node.instance_type and not book.catalogue.of_type(provider, node.instance_type):
        types = {row.instance_type for row in rows}
        yield from _unknown(book, "instance_type", node.instance_type, types, own=own)
    regions = {row.region.casefold(): row.region for row in rows}
    if node.region and node.region.casefold() not in regions and not own:
        message = f"is {node.region!r}, where {book.catalogue.name} has no price: another region's is taken"
        meant = did_you_mean(node.region, regions.values(), 1)
        yield Problem("node.region", message, f"{meant} else state the price in pricing.book".lstrip())


def _unknown(
    book: PriceBook, setting: str, written: str, known: Iterable[str], *, own: bool
) -> Iterator[Problem]:
    meant = did_you_mean(written, known, 1)
    if meant or not own:
        message = f"is {written!r}, which {book.catalogue.name} does not know"
        yield Problem(f"node.{setting}", message, meant or "state the node's price in pricing.book")


def _has_own_price(book: PriceBook, node: NodeSettings) -> bool:
    """Whether the operator's own prices price such a node, whatever its GPUs are."""
    facts = NodeFacts(
        name=node.name,
        provider=node.provider,
        instance_type=node.instance_type,
        region=node.region,
        capacity_type=node.capacity_type,
    )
    price = book.price_node(facts, NodeGpus(models=(), nominal=node.gpus or 1))
    return isinstance(price, NodeRate) and price.rate.source in _OWN


def _of_models(entries: Sequence[BookEntry]) -> Iterator[Problem]:
    """Models that match only GPUs that are spelt alike."""
    for index, entry in enumerate(entries):
        if not entry.model or canonical(entry.model):
            continue
        path = f"pricing.book[{index}].model"
        if begun := bundled_models().beginning(entry.model):
            message = f"{entry.model!r} leaves open which model it is, so it matches only GPUs spelt so"
            remedy = f"write one entry for each of {', '.join(model.name for model in begun)} that you have"
            yield Problem(path, message, remedy)
        else:
            message = f"{entry.model!r} is no model known here, so it matches only GPUs spelt so"
            near = nearest_models(entry.model)
            yield Problem(path, message, f"did you mean {near[0]}?" if near else "")
