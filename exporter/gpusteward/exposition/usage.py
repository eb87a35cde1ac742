"""`GET /usage?after=SEQ&limit=N`: a piece of the journal."""

from __future__ import annotations

import gzip
import logging
from typing import TYPE_CHECKING
from urllib.parse import parse_qs

import msgspec

from gpusteward.exposition.responses import Response, header, sentence
from gpusteward.journal.usage import DEFAULT_ROWS, usage_document
from gpusteward.metrics.negotiation import accepts_gzip
from gpusteward.metrics.page import GZIP_LEVEL

if TYPE_CHECKING:
    from gpusteward.exposition.responses import Scope
    from gpusteward.journal import UsageLog

log = logging.getLogger(__name__)

_MOST_DIGITS = 18


class UsageRoute:
    """Answers for one journal.

    Args:
        journal: what is read; None = there is none.
    """

    def __init__(self, journal: UsageLog | None) -> None:
        self._journal = journal

    def __call__(self, scope: Scope) -> Response:
        """The rows behind `after`; 400 for a query that makes no sense, 404 where there is no journal."""
        if self._journal is None:
            return sentence(404, "there is no journal here; set agent.state_dir")
        query = parse_qs(scope["query_string"].decode("latin-1"), keep_blank_values=True)
        after, limit = _number(query, "after", 0), _number(query, "limit", DEFAULT_ROWS)
        if after is None or not limit:
            return sentence(400, "ask /usage?after=SEQ&limit=N with whole numbers, limit at least 1")
        try:
            document = usage_document(self._journal, after, limit)
        except OSError as error:
            log.warning("the journal cannot be read: %s", error)
            return sentence(503, "the journal cannot be read now", ("retry-after", "60"))
        body = msgspec.json.encode(document)
        headers: tuple[tuple[str, str], ...] = (("vary", "Accept-Encoding"), ("cache-control", "no-cache"))
        if accepts_gzip(header(scope, "accept-encoding")):
            body = gzip.compress(body, GZIP_LEVEL, mtime=0)
            headers = (*headers, ("content-encoding", "gzip"))
        return Response(200, body, "application/json", headers)


def _number(query: dict[str, list[str]], name: str, default: int) -> int | None:
    """A whole number of the query; None when it is none."""
    values = query.get(name, [str(default)])
    plain = len(values) == 1 and values[0].isascii() and values[0].isdecimal()
    return int(values[0]) if plain and len(values[0]) <= _MOST_DIGITS else None
