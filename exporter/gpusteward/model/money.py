"""Prices: what a device or node costs an hour, and where that figure is from."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import datetime as dt

    from gpusteward.model.devices import CapacityType


class PriceSource(StrEnum):
    """Where a price is from, in the order of resolution. Closed: it is a label."""

    ANNOTATION = "annotation"
    PRICE_BOOK = "price_book"
    CATALOGUE = "catalogue"
    CATALOGUE_OTHER_REGION = "catalogue_other_region"
    ON_PREM = "on_prem"
    MODEL = "model"


class Basis(StrEnum):
    """How a node's price became a GPU's.

    whole_node: node price ÷ nominal GPU count. fitted: the GPU term of the family's linear price.
    per_gpu: the price was stated per GPU (annotation, price book, model price).
    """

    WHOLE_NODE = "whole_node"
    FITTED = "fitted"
    PER_GPU = "per_gpu"


@dataclass(frozen=True, slots=True, kw_only=True)
class Rate:
    """The price of one leaf.

    Attributes:
        micro_per_hour: micro-units of `currency` an hour.
        currency: ISO 4217.
        source: where it is from.
        basis: how the node's price became this one's.
        capacity_type: how the node was bought, `unknown` when priced on demand for want of a fact.
        confidence: `high`, `medium` or `low`.
        as_of: date of the figure; None when the operator stated it without a date.
        detail: one sentence: which row, what was substituted and why.
    """

    micro_per_hour: int
    currency: str
    source: PriceSource
    basis: Basis
    capacity_type: CapacityType
    confidence: str
    as_of: dt.date | None
    detail: str


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeRate:
    """The price of a node.

    Attributes:
        list_micro_per_hour: the node's whole price; Σ leaves + other = this.
        other_micro_per_hour: what is not the GPUs' (CPU, memory) under `fitted`; 0 on other bases.
        gpu_micro_per_hour: price of each whole GPU, by position in the node's nominal order. A node's price
            split over them differs by at most one micro-unit; prices stated per GPU are each its own.
        rate: the rate of one GPU, with its provenance.
    """

    list_micro_per_hour: int
    other_micro_per_hour: int
    gpu_micro_per_hour: tuple[int, ...]
    rate: Rate
