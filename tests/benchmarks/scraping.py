"""Scrapers: plain sockets and one selector, so that what is measured is the exporter and not the client."""

from __future__ import annotations

import selectors
import socket
import time
from contextlib import ExitStack
from dataclasses import dataclass

TEXT = "text/plain;version=0.0.4"
OPENMETRICS = "application/openmetrics-text;version=1.0.0,text/plain;version=0.0.4;q=0.5"
_DEADLINE_SECONDS = 30.0


@dataclass(frozen=True, slots=True)
class Ask:
    """What a scraper asks for."""

    name: str
    accept: str
    gzip: bool

    def request(self, host: str) -> bytes:
        """The bytes of the request."""
        encoding = "gzip" if self.gzip else "identity"
        return (
            f"GET /metrics HTTP/1.1\r\nHost: {host}\r\nAccept: {self.accept}\r\n"
            f"Accept-Encoding: {encoding}\r\n\r\n"
        ).encode()


ASKS = (
    Ask("text", TEXT, gzip=False),
    Ask("text, gzip", TEXT, gzip=True),
    Ask("OpenMetrics", OPENMETRICS, gzip=False),
    Ask("OpenMetrics, gzip", OPENMETRICS, gzip=True),
)
AS_PROMETHEUS = ASKS[3]


class _Exchange:
    """One request and its answer on an open connection."""

    def __init__(self, connection: socket.socket, request: bytes) -> None:
        self._connection = connection
        self._head = b""
        self._body: list[bytes] = []
        self._left = -1
        self.began = time.perf_counter()
        connection.sendall(request)

    def take(self) -> bool:
        """Take what has come; True when that was all of it."""
        chunk = self._connection.recv(1 << 20)
        if not chunk:
            raise ConnectionError("the exporter closed the connection in the middle of a page")
        if self._left >= 0:
            self._body.append(chunk)
            self._left -= len(chunk)
        else:
            self._head += chunk
            head, found, rest = self._head.partition(b"\r\n\r\n")
            if found:
                self._body.append(rest)
                self._left = _length(head) - len(rest)
        return self._left == 0

    @property
    def body(self) -> bytes:
        """What has come of the body."""
        return b"".join(self._body)


def _length(head: bytes) -> int:
    status, _, fields = head.partition(b"\r\n")
    if b" 200 " not in status:
        raise ConnectionError(f"the exporter answered {status!r}")
    for line in fields.lower().split(b"\r\n"):
        name, _, value = line.partition(b":")
        if name == b"content-length":
            return int(value)
    raise ConnectionError("the answer says no length")


@dataclass(frozen=True, slots=True)
class Scrapes:
    """What scrapers saw.

    Attributes:
        seconds: of each page, from the request to its last byte.
        body: the last one, as it came.
    """

    seconds: list[float]
    body: bytes


def scrape(address: str, ask: Ask, scrapers: int, seconds: float, every: float) -> Scrapes:
    """Let so many scrapers ask at the same moment, over and over, each on its own kept connection.

    Args:
        address: `host:port`.
        ask: what they ask for.
        scrapers: how many.
        seconds: how long to go on.
        every: seconds from one round to the next; a round that takes longer delays the next.
    """
    host, _, port = address.rpartition(":")
    request = ask.request(address)
    taken: list[float] = []
    body = b""
    with ExitStack() as stack:
        connections = [
            stack.enter_context(socket.create_connection((host, int(port)), _DEADLINE_SECONDS))
            for _ in range(scrapers)
        ]
        end = time.perf_counter() + seconds
        while (began := time.perf_counter()) < end or not taken:
            round_, body = _round(connections, request)
            taken += round_
            time.sleep(max(0.0, began + every - time.perf_counter()))
    return Scrapes(taken, body)


def scrape_afresh(address: str, ask: Ask, seconds: float, every: float) -> Scrapes:
    """Let one scraper ask over and over, each time on a new connection.

    For exporters that close it after each answer. Making it is not in the time; arguments as in `scrape`.
    """
    taken: list[float] = []
    end = time.perf_counter() + seconds
    while (began := time.perf_counter()) < end or not taken:
        seen = scrape(address, ask, 1, 0.0, 0.0)
        taken += seen.seconds
        time.sleep(max(0.0, began + every - time.perf_counter()))
    return Scrapes(taken, seen.body)


def _round(connections: list[socket.socket], request: bytes) -> tuple[list[float], bytes]:
    """One request on each connection, all at once; the seconds of each, and the last body."""
    taken: list[float] = []
    body = b""
    with selectors.DefaultSelector() as selector:
        for connection in connections:
            selector.register(connection, selectors.EVENT_READ, _Exchange(connection, request))
        while selector.get_map():
            ready = selector.select(_DEADLINE_SECONDS)
            if not ready:
                raise TimeoutError(f"no answer within {_DEADLINE_SECONDS:.0f} s")
            for key, _ in ready:
                exchange: _Exchange = key.data
                if exchange.take():
                    taken.append(time.perf_counter() - exchange.began)
                    body = exchange.body
                    selector.unregister(key.fileobj)
    return taken, body
