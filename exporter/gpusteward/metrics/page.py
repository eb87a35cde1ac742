"""A page: a snapshot rendered once, however many ask for it and in whichever format."""

from __future__ import annotations

import gzip
import hashlib
import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING

from gpusteward.metrics.collectors import families
from gpusteward.metrics.negotiation import Format, accepts_gzip, choose
from gpusteward.metrics.text import openmetrics_text, plain_text, sample_lines

if TYPE_CHECKING:
    from collections.abc import Sequence

    from prometheus_client.metrics_core import Metric as Family
    from prometheus_client.registry import Collector

    from gpusteward.metrics.exposure import Exposure
    from gpusteward.model import Snapshot

GZIP_LEVEL = 3  # a page of repeated labels shrinks 20 times at this level and 26 at 6, for half the time


@dataclass(frozen=True, slots=True)
class Rendering:
    """What one client is answered.

    Attributes:
        body: the bytes.
        content_type: the Content-Type header.
        encoding: `gzip`, or empty.
        etag: strong entity tag, quotes included.
    """

    body: bytes
    content_type: str
    encoding: str
    etag: str


class Page:
    """Immutable to the outside; safe to read from any thread.

    Plain text is rendered at once, by the thread that samples. OpenMetrics and gzip are made when first
    asked for, once.

    Args:
        families: what is on the page.
    """

    def __init__(self, families: Sequence[Family]) -> None:
        self._families = tuple(families)
        self._lines = tuple(map(sample_lines, self._families))
        self._lock = threading.Lock()
        self._bodies: dict[tuple[bool, bool], bytes] = {
            (False, False): plain_text(self._families, self._lines)
        }
        self._tag = hashlib.sha256(self._bodies[(False, False)]).hexdigest()[:32]

    @property
    def text(self) -> bytes:
        """The page in plain text."""
        return self._bodies[(False, False)]

    def rendering(self, accept: str = "", accept_encoding: str = "") -> Rendering:
        """The page as the two request headers ask for it; empty = the header was not sent."""
        choice = choose(accept)
        openmetrics = choice.format is Format.OPENMETRICS
        zipped = accepts_gzip(accept_encoding)
        variant = f"{self._tag}-{'om' if openmetrics else 'text'}{'-gzip' if zipped else ''}"
        return Rendering(
            self._body(openmetrics=openmetrics, zipped=zipped),
            choice.content_type,
            "gzip" if zipped else "",
            f'"{variant}"',
        )

    def _body(self, *, openmetrics: bool, zipped: bool) -> bytes:
        with self._lock:
            return self._made((openmetrics, zipped))

    def _made(self, key: tuple[bool, bool]) -> bytes:
        openmetrics, zipped = key
        if key not in self._bodies:
            self._bodies[key] = (
                gzip.compress(self._made((openmetrics, False)), GZIP_LEVEL, mtime=0)
                if zipped
                else openmetrics_text(self._families, self._lines)
            )
        return self._bodies[key]


def render(snapshot: Snapshot | None, exposure: Exposure, own_process: Collector | None = None) -> Page:
    """The page of a snapshot; None before the first: then only the agent's own health is on it.

    Args:
        snapshot: what to show.
        exposure: how.
        own_process: prometheus_client's `ProcessCollector(registry=None)`; it reads /proc. None = left out.
    """
    process = () if own_process is None else tuple(own_process.collect())
    return Page(families(snapshot, exposure, process))
