"""Nodes, rows and books for the tests of prices, with the fields a test is about and no others."""

from __future__ import annotations

import csv
import io

from gpusteward.config.settings import PricingSettings
from gpusteward.model import CapacityType, NodeFacts, NodeRate
from gpusteward.pricing import (
    Catalogue,
    MissingPrice,
    NodeGpus,
    PriceBook,
    Report,
    SeenNode,
    bundled_catalogue,
    load_catalogue,
)
from gpusteward.pricing.rows import PRICE_COLUMNS

H100 = "NVIDIA H100 80GB HBM3"
L4 = "NVIDIA L4"
GOOD_ROW = {
    "provider": "aws",
    "instance_type": "p5.48xlarge",
    "region": "us-east-1",
    "gpu_model": "H100-SXM5-80GB",
    "gpu_count": "8",
    "gpu_memory_gib": "80",
    "vcpus": "192",
    "memory_gib": "2048",
    "on_demand_usd_per_hour": "55.04",
    "on_demand_kind": "on-demand",
    "spot_usd_per_hour": "26.4192",
    "spot_confidence": "estimate",
    "as_of": "2026-07-20",
    "source": "a test",
}


def csv_text(*rows: dict[str, str]) -> str:
    """A catalogue file whose rows are the good row with these changes."""
    stream = io.StringIO()
    writer = csv.DictWriter(stream, PRICE_COLUMNS, lineterminator="\n")
    writer.writeheader()
    writer.writerows(GOOD_ROW | row for row in rows)
    return stream.getvalue()


def catalogue(*rows: dict[str, str]) -> Catalogue:
    """A catalogue of such rows; it must pass its checks."""
    return load_catalogue(csv_text(*rows), "test.csv")


def book(listed: Catalogue | None = None, /, **settings: object) -> PriceBook:
    """A price book over the bundled catalogue, unless another is given."""
    return PriceBook(listed or bundled_catalogue(), PricingSettings.model_validate(settings))


def node(
    instance_type: str = "",
    provider: str = "aws",
    region: str = "us-east-1",
    capacity: CapacityType = CapacityType.ON_DEMAND,
    *,
    annotation: str = "",
) -> NodeFacts:
    """A node called n1."""
    return NodeFacts(
        name="n1",
        provider=provider,
        instance_type=instance_type,
        region=region,
        capacity_type=capacity,
        price_per_gpu_hour=annotation,
    )


def gpus(model: str = H100, count: int = 8, *, seen: int | None = None) -> NodeGpus:
    """GPUs of one model."""
    return NodeGpus(models=(model,) * (count if seen is None else seen), nominal=count)


def seen(by: PriceBook, facts: NodeFacts, gpus: NodeGpus) -> SeenNode:
    """A node as an agent with these prices sees and charges it."""
    price = by.price_node(facts, gpus)
    if isinstance(price, MissingPrice):
        return SeenNode(facts=facts, gpus=gpus, charged=None, missing=str(price))
    return SeenNode(facts=facts, gpus=gpus, charged=price)


def text(report: Report) -> str:
    """What is printed; no line may hold a line end, or end in blanks."""
    assert all("\n" not in line and line == line.rstrip() for line in report.lines)
    return "\n".join(report.lines) + "\n"


def rate(result: NodeRate | MissingPrice) -> NodeRate:
    """The price, which must be there and whose parts must sum to it."""
    assert isinstance(result, NodeRate), str(result)
    assert sum(result.gpu_micro_per_hour) + result.other_micro_per_hour == result.list_micro_per_hour
    assert result.rate.micro_per_hour == result.gpu_micro_per_hour[0]
    return result


def missing(result: NodeRate | MissingPrice) -> MissingPrice:
    """The absence, which must be there."""
    assert isinstance(result, MissingPrice)
    return result
