"""What `gpusteward prices explain` prints: how one price came about."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from gpusteward.pricing.fitted import Fit
from gpusteward.pricing.layout import UNKNOWN, Report, count, indented, money, per_gpu, table
from gpusteward.pricing.listed import devices
from gpusteward.pricing.market import market_price
from gpusteward.pricing.models import bundled_models, canonical, model_name
from gpusteward.pricing.names import suggestions
from gpusteward.pricing.offers import CATALOGUE_CURRENCY, MissingPrice, NodeGpus, shown

if TYPE_CHECKING:
    from collections.abc import Sequence

    from gpusteward.model import NodeFacts, NodeRate
    from gpusteward.pricing.book import PriceBook
    from gpusteward.pricing.models import Model
    from gpusteward.pricing.rows import PriceRow

_DIFFERENT = (
    "The two differ: the agent runs on another config than the one used here, or is another version.",
    "next: give the agent's config with --config FILE",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class SeenNode:
    """A node as a running agent sees and charges it.

    Attributes:
        facts: what the agent prices it by.
        gpus: its GPUs.
        charged: what the agent charges; None when it has no price.
        missing: why it has none; empty when it has one.
    """

    facts: NodeFacts
    gpus: NodeGpus
    charged: NodeRate | None
    missing: str = ""


def explain(book: PriceBook, target: str, nodes: Sequence[SeenNode] = ()) -> Report:
    """How the price of a node, an instance type or a GPU model comes about.

    A family of instance types (`g6`) lists its types; a short name that leaves the model open (`A100`) lists
    the models that it may be.

    Args:
        book: the prices.
        target: a name of one of `nodes`, else an instance type, else a GPU model in any spelling.
        nodes: the nodes that an agent sees.
    """
    for node in nodes:
        if node.facts.name == target:
            return _explain_node(book, node)
    rows = book.catalogue.of_type("", target)
    if rows:
        lines: list[str] = []
        for row in rows:
            lines += [*_explain_row(book, row), ""]
        return Report(tuple(lines[:-1]))
    model = canonical(target)
    if model is not None:
        return _explain_model(book, model)
    if family := book.catalogue.of_family(target):
        return _list_family(target, family)
    if models := bundled_models().beginning(target):
        return _list_models(book, target, models)
    unknown = f"{target!r} is no node known here, no instance type of {book.catalogue.name} and no GPU model."
    return Report((unknown, *suggestions(book.catalogue, target)), ok=False)


def _explain_node(book: PriceBook, node: SeenNode) -> Report:
    """What the agent charges, then the steps as they are resolved here, and whether they lead to the same."""
    facts, gpus = node.facts, node.gpus
    models = ", ".join(dict.fromkeys(model_name(model) or "unknown model" for model in gpus.spellings))
    known = " ".join(part for part in (facts.provider, facts.instance_type) if part) or "unknown type"
    where = f"{known} in {facts.region or 'unknown region'}, {facts.capacity_type}"
    head = f"node {facts.name}: {where}, {gpus.nominal} GPU{'s' * (gpus.nominal != 1)} ({models})"
    resolution = book.resolve(facts, gpus)
    result = resolution.result
    charged = _missing(node.missing) if node.charged is None else _price(node.charged)
    tried = table((), [(step.source.value, step.outcome or "this one") for step in resolution.steps])
    lines = [head, "", "the agent charges", *indented(charged), ""]
    if _alike(node.charged, result):
        lines += ["tried", *indented(tried)]
        if isinstance(result, MissingPrice):
            lines += ["", f"next: {result.next_step}"]
    else:
        here = _missing(str(result), result.next_step) if isinstance(result, MissingPrice) else _price(result)
        lines += ["tried with the config used here", *indented(tried), ""]
        lines += ["which would charge", *indented(here), "", *_DIFFERENT]
    return Report(tuple(lines), ok=node.charged is not None)


def _alike(charged: NodeRate | None, resolved: NodeRate | MissingPrice) -> bool:
    """Whether two prices are the same but for their wording, which names files by their path."""
    if charged is None or isinstance(resolved, MissingPrice):
        return charged is None and isinstance(resolved, MissingPrice)
    worded = replace(charged.rate, detail=resolved.rate.detail)
    return replace(charged, rate=worded) == resolved


def _missing(reason: str, next_step: str = "") -> list[str]:
    facts = [("price", "missing"), ("why", reason)]
    return table((), [*facts, ("next", next_step)] if next_step else facts)


def _price(price: NodeRate) -> list[str]:
    rate = price.rate
    return table(
        (),
        [
            ("node", f"{money(price.list_micro_per_hour)} {rate.currency} an hour"),
            ("each GPU", _each(price)),
            ("the rest", f"{money(price.other_micro_per_hour)} for CPU and memory"),
            ("basis", rate.basis.value),
            ("source", rate.source.value),
            ("bought", rate.capacity_type.value),
            ("confidence", rate.confidence),
            ("as of", str(rate.as_of or UNKNOWN)),
            ("why", rate.detail),
        ],
    )


def _each(rate: NodeRate) -> str:
    least, most = min(rate.gpu_micro_per_hour), max(rate.gpu_micro_per_hour)
    amounts = money(least) if least == most else f"{money(least)} to {money(most)}"
    return f"{amounts} × {len(rate.gpu_micro_per_hour)}"


def _explain_row(book: PriceBook, row: PriceRow) -> list[str]:
    """A row of the catalogue, what its GPUs cost on both bases, and why not on the second."""
    fit = book.fit(row)
    number = devices(row)
    whole = f"{money(row.on_demand_micro / number)} a GPU" if row.on_demand_micro and number else UNKNOWN
    kind = f", {row.on_demand_kind}" if row.on_demand_kind else ""
    spot = f"{money(row.spot_micro)}, {row.spot_confidence}" if row.spot_micro else UNKNOWN
    gpus = f"{count(row)} × {row.model}" if row.gpus else f"{row.model}, count not verified"
    facts = [
        ("GPUs", gpus),
        ("on-demand", f"{money(row.on_demand_micro)}{kind}"),
        ("spot", spot),
        ("whole_node", whole),
        ("fitted", f"{shown(fit.gpu)} a GPU; {fit}" if isinstance(fit, Fit) else str(fit)),
        ("as of", str(row.as_of or UNKNOWN)),
        ("source", f"{row.source or UNKNOWN} ({row.path})"),
    ]
    head = f"{row.provider} {row.instance_type} in {row.region}, {CATALOGUE_CURRENCY} an hour"
    return [head, *indented(table((), facts))]


def _explain_model(book: PriceBook, model: Model) -> Report:
    market = market_price(book.catalogue.rows, model.name)
    head = f"{model.name}, {CATALOGUE_CURRENCY} per whole GPU and hour, on demand"
    if market is None:
        missing = f"no provider sells it plainly on demand in {book.catalogue.name}"
        remedy = "next: add an entry to `pricing.book` with `model` and `gpu_per_hour`"
        return Report((head, missing, remedy), ok=False)
    header = ("provider", "a GPU", "instance type", "region", "as of", "source")
    rows = [
        (row.provider, money(price), row.instance_type, row.region, str(row.as_of or UNKNOWN), row.source)
        for price, row in market.least
    ]
    low, high = market.least[0][0], market.least[-1][0]
    over = f"{len(rows)} provider{'s' * (len(rows) > 1)}"
    answer = (
        f"median {money(market.micro)}, {money(low)} to {money(high)} over {over}; used, with low "
        "confidence, for nodes that have no price of their own"
    )
    return Report((head, "", "each provider's least", *indented(table(header, rows)), "", answer))


def _list_family(target: str, family: Sequence[PriceRow]) -> Report:
    header = ("provider", "instance type", "region", "GPUs", "model", "on-demand", "a GPU", "as of")
    rows = [
        (
            row.provider,
            row.instance_type,
            row.region,
            count(row),
            row.model,
            money(row.on_demand_micro),
            money(per_gpu(row)),
            str(row.as_of or UNKNOWN),
        )
        for row in family
    ]
    head = f"{target!r} is a family of instance types, {CATALOGUE_CURRENCY} an hour"
    next_step = "next: `gpusteward prices explain TYPE` explains one"
    return Report((head, "", *indented(table(header, rows)), "", next_step))


def _list_models(book: PriceBook, target: str, models: Sequence[Model]) -> Report:
    rows = []
    for model in models:
        market = market_price(book.catalogue.rows, model.name)
        if market is None:
            rows.append((model.name, UNKNOWN, UNKNOWN, UNKNOWN, "0"))
        else:
            least, most = market.least[0][0], market.least[-1][0]
            figures = (money(market.micro), money(least), money(most), str(len(market.least)))
            rows.append((model.name, *figures))
    head = (
        f"{target!r} leaves open which model it is; those that begin so, {CATALOGUE_CURRENCY} per whole GPU "
        "and hour, on demand"
    )
    header = ("model", "median", "least", "most", "providers")
    next_step = "next: `gpusteward prices explain MODEL` explains one"
    return Report((head, "", *indented(table(header, rows)), "", next_step))
