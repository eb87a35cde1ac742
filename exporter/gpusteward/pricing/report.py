"""What `gpusteward prices` prints: the list, how one price came about, what is wrong with a file."""

from __future__ import annotations

from dataclasses import dataclass
from difflib import get_close_matches
from typing import TYPE_CHECKING

from gpusteward.model import NodeFacts, NodeRate
from gpusteward.pricing.fitted import Fit
from gpusteward.pricing.listed import devices
from gpusteward.pricing.market import market_price
from gpusteward.pricing.models import bundled_models, canonical, model_name
from gpusteward.pricing.offers import CATALOGUE_CURRENCY, MissingPrice, NodeGpus, shown
from gpusteward.pricing.prices import check, load_catalogue

if TYPE_CHECKING:
    from collections.abc import Sequence
    from fractions import Fraction

    from gpusteward.pricing.book import PriceBook, Resolution
    from gpusteward.pricing.models import Model
    from gpusteward.pricing.rows import PriceRow

_UNKNOWN = "-"
_LIST_HEADER = (
    "provider",
    "instance type",
    "region",
    "model",
    "GPUs",
    "on-demand",
    "a GPU",
    "kind",
    "spot",
    "spot is",
    "as of",
    "source",
)
_NUMBERS = frozenset({"GPUs", "on-demand", "a GPU", "spot"})


@dataclass(frozen=True, slots=True)
class Report:
    """Lines to print.

    Attributes:
        lines: without line ends.
        ok: False when what was asked for is wrong or unknown; for the exit status.
    """

    lines: tuple[str, ...]
    ok: bool = True


def list_prices(book: PriceBook, provider: str = "", model: str = "") -> Report:
    """The catalogue's rows, with source and date of each; `-` where something is not known.

    Args:
        book: whose catalogue.
        provider: only this one; empty for all.
        model: only this GPU model, in any spelling; empty for all.
    """
    wanted = model_name(model)
    rows = [
        row
        for row in book.catalogue.rows
        if (not provider or row.provider.casefold() == provider.casefold()) and wanted in ("", row.model)
    ]
    if not rows:
        asked = " ".join(part for part in (provider, model) if part)
        return Report((f"No price row for {asked}.", *_suggestions(book, model or provider)), ok=False)
    head = (
        f"{book.catalogue.name}, {CATALOGUE_CURRENCY} an hour, newest row {book.catalogue.as_of or _UNKNOWN}"
    )
    return Report((head, "", *_table(_LIST_HEADER, [_list_row(row) for row in rows])))


def explain(book: PriceBook, target: str, nodes: Sequence[tuple[NodeFacts, NodeGpus]] = ()) -> Report:
    """How the price of a node, an instance type or a GPU model comes about.

    Args:
        book: the prices.
        target: a name of one of `nodes`, else an instance type, else a GPU model in any spelling.
        nodes: the nodes that are known here, with their GPUs.
    """
    for facts, gpus in nodes:
        if facts.name == target:
            return _explain_node(book, facts, gpus)
    rows = book.catalogue.of_type("", target)
    if rows:
        lines: list[str] = []
        for row in rows:
            lines += [*_explain_row(book, row), ""]
        return Report(tuple(lines[:-1]))
    model = canonical(target)
    if model is not None:
        return _explain_model(book, model)
    unknown = f"{target!r} is no node known here, no instance type of {book.catalogue.name} and no GPU model."
    return Report((unknown, *_suggestions(book, target)), ok=False)


def check_file(text: str, name: str) -> Report:
    """What `prices check` says of a catalogue file: all its problems, else what it holds.

    Args:
        text: the file's text.
        name: its name.
    """
    problems = check(text, name)
    if problems:
        count = f"{len(problems)} problem{'s' * (len(problems) > 1)}"
        lines = [f"{name}: {count}; as it is, none of it would be used.", *(f"  {p}" for p in problems)]
        return Report(tuple(lines), ok=False)
    catalogue = load_catalogue(text, name)
    unpriced = sum(not row.priced for row in catalogue.rows)
    newest = catalogue.as_of or _UNKNOWN
    summary = f"{name}: {len(catalogue.rows)} rows pass, {unpriced} of them unpriced; newest row {newest}."
    return Report((summary, *(f"  note: {note}" for note in catalogue.notes)))


def _list_row(row: PriceRow) -> tuple[str, ...]:
    return (
        row.provider,
        row.instance_type,
        row.region,
        row.model,
        f"{float(row.gpus):g}" if row.gpus else _UNKNOWN,
        _money(row.on_demand_micro),
        _money(_per_gpu(row)),
        row.on_demand_kind or _UNKNOWN,
        _money(row.spot_micro),
        row.spot_confidence or _UNKNOWN,
        str(row.as_of or _UNKNOWN),
        row.source,
    )


def _per_gpu(row: PriceRow) -> Fraction | None:
    """On-demand price of a whole GPU; of a part, what a whole one would cost at that rate."""
    return row.on_demand_micro / row.gpus if row.on_demand_micro and row.gpus else None


def _explain_node(book: PriceBook, facts: NodeFacts, gpus: NodeGpus) -> Report:
    models = ", ".join(dict.fromkeys(model_name(model) or "unknown model" for model in gpus.spellings))
    known = " ".join(part for part in (facts.provider, facts.instance_type) if part) or "unknown type"
    where = f"{known} in {facts.region or 'unknown region'}, {facts.capacity_type}"
    resolution = book.resolve(facts, gpus)
    head = f"node {facts.name}: {where}, {gpus.nominal} GPU{'s' * (gpus.nominal != 1)} ({models})"
    return Report((head, *_resolution(resolution)), ok=isinstance(resolution.result, NodeRate))


def _resolution(resolution: Resolution) -> list[str]:
    tried = [(step.source.value, step.outcome or "this one") for step in resolution.steps]
    lines = ["", "tried", *_indented(_table((), tried)), ""]
    result = resolution.result
    if isinstance(result, MissingPrice):
        facts = [("price", "missing"), ("why", str(result)), ("next", result.next_step)]
        return [*lines, *_table((), facts)]
    rate = result.rate
    facts = [
        ("node", f"{_money(result.list_micro_per_hour)} {rate.currency} an hour"),
        ("each GPU", _each(result)),
        ("the rest", f"{_money(result.other_micro_per_hour)} for CPU and memory"),
        ("basis", rate.basis.value),
        ("source", rate.source.value),
        ("bought", rate.capacity_type.value),
        ("confidence", rate.confidence),
        ("as of", str(rate.as_of or _UNKNOWN)),
        ("why", rate.detail),
    ]
    return [*lines, *_table((), facts)]


def _each(rate: NodeRate) -> str:
    least, most = min(rate.gpu_micro_per_hour), max(rate.gpu_micro_per_hour)
    amounts = _money(least) if least == most else f"{_money(least)} to {_money(most)}"
    return f"{amounts} × {len(rate.gpu_micro_per_hour)}"


def _explain_row(book: PriceBook, row: PriceRow) -> list[str]:
    """A row of the catalogue, what its GPUs cost on both bases, and why not on the second."""
    fit = book.fit(row)
    count = devices(row)
    whole = f"{_money(row.on_demand_micro / count)} a GPU" if row.on_demand_micro and count else _UNKNOWN
    kind = f", {row.on_demand_kind}" if row.on_demand_kind else ""
    spot = f"{_money(row.spot_micro)}, {row.spot_confidence}" if row.spot_micro else _UNKNOWN
    gpus = f"{float(row.gpus):g} × {row.model}" if row.gpus else f"{row.model}, count not verified"
    facts = [
        ("GPUs", gpus),
        ("on-demand", f"{_money(row.on_demand_micro)}{kind}"),
        ("spot", spot),
        ("whole_node", whole),
        ("fitted", f"{shown(fit.gpu)} a GPU; {fit}" if isinstance(fit, Fit) else str(fit)),
        ("as of", str(row.as_of or _UNKNOWN)),
        ("source", f"{row.source or _UNKNOWN} ({row.path})"),
    ]
    head = f"{row.provider} {row.instance_type} in {row.region}, {CATALOGUE_CURRENCY} an hour"
    return [head, *_indented(_table((), facts))]


def _explain_model(book: PriceBook, model: Model) -> Report:
    market = market_price(book.catalogue.rows, model.name)
    head = f"{model.name}, {CATALOGUE_CURRENCY} per whole GPU and hour, on demand"
    if market is None:
        missing = f"no provider sells it plainly on demand in {book.catalogue.name}"
        remedy = "next: add an entry to `pricing.book` with `model` and `gpu_per_hour`"
        return Report((head, missing, remedy), ok=False)
    header = ("provider", "a GPU", "instance type", "region", "as of", "source")
    rows = [
        (row.provider, _money(price), row.instance_type, row.region, str(row.as_of or _UNKNOWN), row.source)
        for price, row in market.least
    ]
    low, high = market.least[0][0], market.least[-1][0]
    over = f"{len(rows)} provider{'s' * (len(rows) > 1)}"
    answer = (
        f"median {_money(market.micro)}, {_money(low)} to {_money(high)} over {over}; used, with low "
        "confidence, for nodes that have no price of their own"
    )
    return Report((head, "", "each provider's least", *_indented(_table(header, rows)), "", answer))


def _suggestions(book: PriceBook, text: str) -> list[str]:
    """What may have been meant, and where to look."""
    names = {row.instance_type for row in book.catalogue.rows} | {m.name for m in bundled_models().all}
    by_key = {name.casefold(): name for name in sorted(names)}
    near = [by_key[key] for key in get_close_matches(text.casefold(), by_key, n=3)]
    meant = [f"did you mean {', '.join(near)}?"] if near else []
    return [*meant, "next: `gpusteward prices list` shows all instance types and models"]


def _money(micro: float | Fraction | None) -> str:
    return _UNKNOWN if micro is None else shown(micro)


def _table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    """Rows as aligned text: two blanks between columns, numbers to the right, no blanks at the end."""
    lines = [header, *rows] if header else list(rows)
    widths = [max(len(line[i]) for line in lines) for i in range(len(lines[0]))] if lines else []
    right = [name in _NUMBERS for name in header] or [False] * len(widths)
    return [
        "  ".join(
            cell.rjust(width) if numeric else cell.ljust(width)
            for cell, width, numeric in zip(line, widths, right, strict=True)
        ).rstrip()
        for line in lines
    ]


def _indented(lines: Sequence[str]) -> list[str]:
    return [f"  {line}" for line in lines]
