"""Which format and encoding a client wants (RFC 9110 §12.5, Prometheus content negotiation)."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4, CONTENT_TYPE_PLAIN_1_0_0, choose_encoder
from prometheus_client.openmetrics.exposition import CONTENT_TYPE_LATEST as CONTENT_TYPE_OPENMETRICS


class Format(StrEnum):
    """The formats of a page, by the content type that names them."""

    TEXT = CONTENT_TYPE_PLAIN_0_0_4
    TEXT_1 = CONTENT_TYPE_PLAIN_1_0_0
    OPENMETRICS = CONTENT_TYPE_OPENMETRICS


_FORMATS: Final = {
    ("text/plain", "version=0.0.4"): Format.TEXT,
    ("text/plain", "version=1.0.0"): Format.TEXT_1,
}
_ANY_TEXT: Final = frozenset({"text/plain", "text/*", "*/*"})
_ESCAPINGS: Final = ("escaping=allow-utf-8", "escaping=values")


@dataclass(frozen=True, slots=True)
class Choice:
    """What is answered.

    Attributes:
        format: the page's format.
        content_type: the Content-Type header.
    """

    format: Format
    content_type: str


def choose(accept: str) -> Choice:
    """The format for an Accept header; Prometheus' plain text 0.0.4 when nothing fits better.

    prometheus_client's chooser decides, but reads neither q-values nor odd versions: so it is given the
    types in the client's order of preference up to the first that plain text satisfies, and its answer
    is brought down to the formats there are. Escaping schemes rename only names that are not plain; ours
    are, but for `dots`, which would rename them: it is answered as `underscores`, as the protocol allows.
    """
    wanted: list[str] = []
    for item in ranked(accept):
        wanted.append(item)
        if _kind(item) in _ANY_TEXT:
            break
    try:
        _, answered = choose_encoder(",".join(wanted))
    except TypeError:  # a version such as `1.x`, which it compares with numbers
        return Choice(Format.TEXT, Format.TEXT)
    kind, version, *parameters = (part.strip() for part in answered.split(";"))
    chosen = _FORMATS.get((kind, version), Format.OPENMETRICS)
    named = [parameter for parameter in parameters if parameter.startswith("escaping=")]
    escaping = [parameter if parameter in _ESCAPINGS else "escaping=underscores" for parameter in named]
    return Choice(chosen, "; ".join([chosen, *escaping]))


def accepts_gzip(accept_encoding: str) -> bool:
    """Whether gzip may be answered, and is not liked less than no encoding at all."""
    quality = {_kind(item): _quality(item) for item in reversed(accept_encoding.split(","))}
    gzip = max(quality.get("gzip", -1.0), quality.get("x-gzip", -1.0))
    if gzip < 0:
        gzip = quality.get("*", 0.0)
    return gzip > 0 and gzip >= quality.get("identity", 0.0)


def ranked(header: str) -> list[str]:
    """The items of a header by falling q-value, equal ones in their order; those with q=0 left out."""
    items = [item.strip() for item in header.split(",") if item.strip()]
    return sorted((item for item in items if _quality(item) > 0), key=_quality, reverse=True)


def _kind(item: str) -> str:
    return item.partition(";")[0].strip().lower()


def _quality(item: str) -> float:
    """The q-value, 0 to 1; 1 when not stated, 0 when it is not a number."""
    for parameter in item.split(";")[1:]:
        name, _, value = parameter.strip().partition("=")
        if name.strip().lower() == "q":
            try:
                quality = float(value)
            except ValueError:
                return 0.0
            return quality if 0 <= quality <= 1 else 0.0
    return 1.0
