"""What a GPU costs an hour, and where that figure is from.

Belongs here: the catalogue and its checks; models and their spellings; the steps that find a node's price;
how it falls on GPUs, MIG instances and their rest; what `gpusteward prices` prints of it. Must not: do I/O
but for reading the package's own data, know the time, or judge what a GPU is doing. A price that is not known
is `MissingPrice`, never a guess and never 0. Money is integer micro-units; parts sum to the list price.
"""

from gpusteward.pricing.book import PriceBook, Resolution, Step
from gpusteward.pricing.doubts import doubts
from gpusteward.pricing.explanation import SeenNode, explain
from gpusteward.pricing.layout import Report
from gpusteward.pricing.models import Model, canonical
from gpusteward.pricing.offers import MissingPrice, NodeGpus
from gpusteward.pricing.prices import Catalogue, bundled_catalogue, check, load_catalogue
from gpusteward.pricing.report import check_file, list_prices
from gpusteward.pricing.shares import MigShares, leaf_rates, split, with_rest

__all__ = [
    "Catalogue",
    "MigShares",
    "MissingPrice",
    "Model",
    "NodeGpus",
    "PriceBook",
    "Report",
    "Resolution",
    "SeenNode",
    "Step",
    "bundled_catalogue",
    "canonical",
    "check",
    "check_file",
    "doubts",
    "explain",
    "leaf_rates",
    "list_prices",
    "load_catalogue",
    "split",
    "with_rest",
]
