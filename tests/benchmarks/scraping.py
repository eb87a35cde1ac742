"""Scrapers: plain sockets and one selector, so that what is measured is the agent and not the client."""

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
        self._left = -1
        self.bytes = 0
        self.began = time.perf_counter()
        connection.sendall(request)

    def take(self) -> bool:
        """Take what has come; True when that was all of it."""
        chunk = self._connection.recv(1 << 20)
        if not chunk:
            raise ConnectionError("the agent closed the connection in the middle of a page")
        if self._left >= 0:
            self._left -= len(chunk)
        else:
            self._head += chunk
            head, found, rest = self._head.partition(b"\r\n\r\n")
            if found:
                self.bytes = _length(head)
                self._left = self.bytes - len(rest)
        return self._left == 0


def _length(head: bytes) -> int:
    status, _, fields = head.partition(b"\r\n")
    if b" 200 " not in status:
        raise ConnectionError(f"the agent answered {status!r}")
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
        bytes: of the last body.
    """

    seconds: list[float]
    bytes: int


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
    size = 0
    with ExitStack() as stack:
        connections = [
            stack.enter_context(socket.create_connection((host, int(port)), _DEADLINE_SECONDS))
            for _ in range(scrapers)
        ]
        end = time.perf_counter() + seconds
        while (began := time.perf_counter()) < end or not taken:
            round_, size = _round(connections, request)
            taken += round_
            time.sleep(max(0.0, began + every - time.perf_counter()))
    return Scrapes(taken, size)


def _round(connections: list[socket.socket], request: bytes) -> tuple[list[float], int]:
    """One request on each connection, all at once; the seconds of each, and the bytes of the last."""
    taken: list[float] = []
    size = 0
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
                    size = exchange.bytes
                    selector.unregister(key.fileobj)
    return taken, size
