"""The rows of a catalogue: what a price row and a price band are, and their cells read strictly."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING

from gpusteward.errors import Problem
from gpusteward.pricing.models import canonical

if TYPE_CHECKING:
    import datetime as dt
    from fractions import Fraction

    from gpusteward.pricing.table import Cells

ON_DEMAND = "on-demand"
"""The `on_demand_kind` of a plain sale by the hour; others (`flex`) are sold on conditions."""

SPOT_CONFIDENCES = ("listed", "estimate", "stale")
"""How a spot price was found: the provider's figure, computed from a discount, or too old to rely on."""

PRICE_COLUMNS = (
    "provider",
    "instance_type",
    "region",
    "gpu_model",
    "gpu_count",
    "gpu_memory_gib",
    "vcpus",
    "memory_gib",
    "on_demand_usd_per_hour",
    "on_demand_kind",
    "spot_usd_per_hour",
    "spot_confidence",
    "as_of",
    "source",
)
BAND_COLUMNS = ("model", "low_usd_per_hour", "high_usd_per_hour", "max_gpus", "source", "as_of")


@dataclass(frozen=True, slots=True, kw_only=True)
class PriceRow:
    """An instance type in a region, USD.

    Attributes:
        path: `file:line`, to point at it.
        provider: `aws`, `gcp`, `azure`, `lambda`, `coreweave`, or the operator's word.
        instance_type: as the provider spells it; with `+4xT4` behind it where GPUs are added to a machine.
        region: as the provider spells it.
        model: our name of its GPU model.
        gpus: GPUs of the node, below 1 for a part of one; None when not verified.
        gpu_memory_gib: memory of one GPU, or of the part; None when not stated.
        vcpus: None when not stated.
        memory_gib: host memory; None when not stated.
        on_demand_micro: micro-USD an hour for the whole node; None when it is not sold so.
        on_demand_kind: `on-demand`, or the condition of the sale; empty when unpriced.
        spot_micro: micro-USD an hour for the whole node; None when not known.
        spot_confidence: one of SPOT_CONFIDENCES; empty when there is no spot price.
        as_of: date of the prices; None when unpriced.
        source: where they are from.
    """

    path: str
    provider: str
    instance_type: str
    region: str
    model: str
    gpus: Fraction | None
    gpu_memory_gib: Fraction | None
    vcpus: Fraction | None
    memory_gib: Fraction | None
    on_demand_micro: int | None
    on_demand_kind: str
    spot_micro: int | None
    spot_confidence: str
    as_of: dt.date | None
    source: str

    @property
    def priced(self) -> bool:
        """Whether it has any price; without one it still tells its number of GPUs."""
        return self.on_demand_micro is not None or self.spot_micro is not None

    @property
    def key(self) -> tuple[str, str, str]:
        """What may be there once; providers do not tell types apart by case."""
        return (self.provider.casefold(), self.instance_type.casefold(), self.region.casefold())


@dataclass(frozen=True, slots=True, kw_only=True)
class Band:
    """Between what a GPU of a model is sold.

    Attributes:
        low_micro: least known on-demand price, micro-USD per whole GPU and hour.
        high_micro: greatest known.
        max_gpus: most GPUs that a node of it has; None when not known.
    """

    low_micro: int
    high_micro: int
    max_gpus: int | None


def price_row(cells: Cells) -> PriceRow:
    """A price row; cells that are wrong are None or empty and noted in `cells.problems`."""
    spelling = cells.required("gpu_model")
    model = canonical(spelling)
    if spelling and model is None:
        message = f"`gpu_model` {spelling!r} is not a known model, or stands for several"
        cells.problems.append(Problem(cells.path, message, "`gpusteward prices list` shows the names"))
    return PriceRow(
        path=cells.path,
        provider=cells.required("provider"),
        instance_type=cells.required("instance_type"),
        region=cells.required("region"),
        model=model.name if model else spelling,
        gpus=cells.number("gpu_count"),
        gpu_memory_gib=cells.number("gpu_memory_gib"),
        vcpus=cells.number("vcpus"),
        memory_gib=cells.number("memory_gib"),
        on_demand_micro=cells.money("on_demand_usd_per_hour"),
        on_demand_kind=cells.text("on_demand_kind"),
        spot_micro=cells.money("spot_usd_per_hour"),
        spot_confidence=cells.text("spot_confidence"),
        as_of=cells.date("as_of"),
        source=cells.text("source"),
    )


def price_bands(rows: tuple[Cells, ...], problems: list[Problem]) -> dict[str, Band]:
    """The bands by model name; what is wrong with them is added to `problems`."""
    bands = {}
    times = Counter(cells.text("model") for cells in rows)
    for cells in rows:
        name = cells.required("model")
        if name and (canonical(name) is None or times[name] > 1):
            cells.problems.append(Problem(cells.path, f"{name!r} is not a known model, or is there twice"))
        for column in ("low_usd_per_hour", "high_usd_per_hour", "source", "as_of"):
            cells.required(column)
        cells.date("as_of")
        low, high = cells.money("low_usd_per_hour") or 0, cells.money("high_usd_per_hour") or 0
        if not 0 < low <= high:
            cells.problems.append(Problem(cells.path, "the band does not satisfy 0 < low ≤ high"))
        bands[name] = Band(low_micro=low, high_micro=high, max_gpus=cells.count("max_gpus"))
        problems.extend(cells.problems)
    return bands
