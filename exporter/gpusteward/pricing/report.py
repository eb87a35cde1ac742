"""What `gpusteward prices list` and `check` print: the catalogue, and what is wrong with a file."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gpusteward.pricing.layout import UNKNOWN, Report, count, money, per_gpu, table
from gpusteward.pricing.models import model_name
from gpusteward.pricing.names import suggestions
from gpusteward.pricing.offers import CATALOGUE_CURRENCY
from gpusteward.pricing.prices import check, load_catalogue

if TYPE_CHECKING:
    from gpusteward.pricing.book import PriceBook
    from gpusteward.pricing.rows import PriceRow

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
        nothing = f"No price row for {asked}."
        return Report((nothing, *suggestions(book.catalogue, model or provider)), ok=False)
    head = (
        f"{book.catalogue.name}, {CATALOGUE_CURRENCY} an hour, newest row {book.catalogue.as_of or UNKNOWN}"
    )
    return Report((head, "", *table(_LIST_HEADER, [_list_row(row) for row in rows])))


def check_file(text: str, name: str) -> Report:
    """What `prices check` says of a catalogue file: all its problems, else what it holds.

    Args:
        text: the file's text.
        name: its name.
    """
    problems = check(text, name)
    if problems:
        number = f"{len(problems)} problem{'s' * (len(problems) > 1)}"
        lines = [f"{name}: {number}; as it is, none of it would be used.", *(f"  {p}" for p in problems)]
        return Report(tuple(lines), ok=False)
    catalogue = load_catalogue(text, name)
    unpriced = sum(not row.priced for row in catalogue.rows)
    newest = catalogue.as_of or UNKNOWN
    summary = f"{name}: {len(catalogue.rows)} rows pass, {unpriced} of them unpriced; newest row {newest}."
    return Report((summary, *(f"  note: {note}" for note in catalogue.notes)))


def _list_row(row: PriceRow) -> tuple[str, ...]:
    return (
        row.provider,
        row.instance_type,
        row.region,
        row.model,
        count(row),
        money(row.on_demand_micro),
        money(per_gpu(row)),
        row.on_demand_kind or UNKNOWN,
        money(row.spot_micro),
        row.spot_confidence or UNKNOWN,
        str(row.as_of or UNKNOWN),
        row.source,
    )
