"""A dcgm-exporter to read from in tests: a real HTTP server on a free loopback port, that can misbehave.

with DcgmServer(page) as server:
    server.behaviour = Behaviour.TRICKLE
    ... read server.url ...
"""

from __future__ import annotations

import gzip
import socket
import sys
import threading
from contextlib import suppress
from enum import Enum, auto
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from types import TracebackType

TRICKLE_SECONDS = 0.05
HUGE_BYTES = 64 * 1024 * 1024


class Behaviour(Enum):
    """What the server does with the next requests."""

    SERVE = auto()
    WITHOUT_LENGTH = auto()
    """The page, ended by closing only."""
    GZIP = auto()
    """The page compressed."""
    DELAYED = auto()
    """The page, after `delay_seconds`."""
    TRICKLE = auto()
    """The page, a byte at a time, so that no single read is slow."""
    TRICKLE_WITHOUT_LENGTH = auto()
    """The same, ended by closing only."""
    TRICKLE_HEADERS = auto()
    """Header lines without end, one at a time."""
    HANG = auto()
    """No answer until the server stops."""
    HANG_MID_BODY = auto()
    """Half of the page, then nothing until the server stops."""
    STATUS = auto()
    """The HTTP status `status`."""
    HUGE = auto()
    """A page of 64 MiB, in chunks."""
    GZIP_BOMB = auto()
    """64 MiB that compress to 64 KiB."""
    GZIP_DAMAGED = auto()
    GZIP_CUT = auto()
    """A compressed page without its second half, with the length that it then has."""
    UNASKED_ENCODING = auto()
    """Content-Encoding br."""
    EMPTY = auto()
    """HTTP 200 without a body, as while dcgm-exporter reloads."""
    CUT = auto()
    """Closes in the middle of the body."""
    REFUSE = auto()
    """Closes without an answer."""
    HTML = auto()
    REDIRECT = auto()
    """To `redirect_to`."""


class DcgmServer(ThreadingHTTPServer):
    """Serves `page` at every path; all attributes may be changed between requests.

    Attributes:
        requests_seen: request lines and headers (names in small letters) received so far.
        connections: TCP connections accepted so far.
    """

    daemon_threads = False  # server_close waits for them: no thread outlives its test
    address_family = socket.AF_INET

    def __init__(self, page: str = "", port: int = 0) -> None:
        super().__init__(("127.0.0.1", port), _Handler)
        self.page = page
        self.behaviour = Behaviour.SERVE
        self.status = 500
        self.delay_seconds = 0.2
        self.redirect_to = "http://127.0.0.1:1/metrics"
        self.requests_seen: list[tuple[str, dict[str, str]]] = []
        self.connections = 0
        self.stopping = threading.Event()
        self._open: set[socket.socket] = set()
        self._lock = threading.Lock()
        self._thread = threading.Thread(target=self.serve_forever, kwargs={"poll_interval": 0.01})

    @property
    def url(self) -> str:
        """The page's address."""
        return f"http://127.0.0.1:{self.server_port}/metrics"

    def __enter__(self) -> DcgmServer:  # noqa: PYI034 - typing.Self conflicts with the base's annotation
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.stopping.set()
        self.shutdown()
        self._thread.join()
        self.drop_connections()
        self.server_close()

    def drop_connections(self) -> None:
        """Close every open connection, as a restart of the exporter does."""
        with self._lock:
            for connection in self._open:
                with suppress(OSError):
                    connection.shutdown(socket.SHUT_RDWR)

    def process_request(self, request: Any, client_address: Any) -> None:  # noqa: ANN401 - the base's types
        with self._lock:
            self.connections += 1
            self._open.add(request)
        super().process_request(request, client_address)

    def shutdown_request(self, request: Any) -> None:  # noqa: ANN401 - the base's types
        with self._lock:
            self._open.discard(request)
        super().shutdown_request(request)

    def handle_error(self, request: Any, client_address: Any) -> None:  # noqa: ANN401 - the base's types
        if not isinstance(sys.exc_info()[1], ConnectionError):  # clients that hang up are what is tested
            super().handle_error(request, client_address)


class _Handler(BaseHTTPRequestHandler):
    server: DcgmServer
    protocol_version = "HTTP/1.1"  # keep-alive, as Go's server

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base's name
        """Say nothing."""

    def do_GET(self) -> None:
        server = self.server
        server.requests_seen.append((self.requestline, {k.lower(): v for k, v in self.headers.items()}))
        page = server.page.encode()
        answers = {
            Behaviour.SERVE: lambda: self._send(page),
            Behaviour.WITHOUT_LENGTH: lambda: self._without_length(page),
            Behaviour.GZIP: lambda: self._send(gzip.compress(page), encoding="gzip"),
            Behaviour.DELAYED: lambda: self._delayed(page),
            Behaviour.TRICKLE: lambda: self._trickle(page, length=True),
            Behaviour.TRICKLE_WITHOUT_LENGTH: lambda: self._trickle(page, length=False),
            Behaviour.TRICKLE_HEADERS: self._trickle_headers,
            Behaviour.HANG: self._hang,
            Behaviour.HANG_MID_BODY: lambda: self._half(page, hang=True),
            Behaviour.STATUS: lambda: self._send(b"collector failed\n", status=server.status),
            Behaviour.HUGE: self._huge,
            Behaviour.GZIP_BOMB: lambda: self._send(gzip.compress(b"#" * HUGE_BYTES), encoding="gzip"),
            Behaviour.GZIP_DAMAGED: lambda: self._send(b"\x1f\x8b\x08\x00" + b"\xff" * 64, encoding="gzip"),
            Behaviour.GZIP_CUT: lambda: self._send(_front_half(gzip.compress(page)), encoding="gzip"),
            Behaviour.UNASKED_ENCODING: lambda: self._send(page, encoding="br"),
            Behaviour.EMPTY: lambda: self._send(b""),
            Behaviour.CUT: lambda: self._half(page, hang=False),
            Behaviour.REFUSE: self._hang_up,
            Behaviour.HTML: lambda: self._send(b"<!doctype html><title>Sign in</title>\n", kind="text/html"),
            Behaviour.REDIRECT: self._redirect,
        }
        answers[server.behaviour]()

    def _head(self, status: int, length: int | None, kind: str = "text/plain; charset=utf-8") -> None:
        self.send_response(status)
        self.send_header("Content-Type", kind)
        if length is None:
            self.close_connection = True
            self.send_header("Connection", "close")
        else:
            self.send_header("Content-Length", str(length))

    def _send(self, body: bytes, status: int = 200, encoding: str = "", kind: str = "text/plain") -> None:
        self._head(status, len(body), kind)
        if encoding:
            self.send_header("Content-Encoding", encoding)
        self.end_headers()
        self.wfile.write(body)

    def _without_length(self, page: bytes) -> None:
        self._head(200, None)
        self.end_headers()
        self.wfile.write(page)

    def _delayed(self, page: bytes) -> None:
        self.server.stopping.wait(self.server.delay_seconds)
        self._send(page)

    def _trickle(self, page: bytes, *, length: bool) -> None:
        self._head(200, len(page) if length else None)
        self.end_headers()
        for byte in page:
            self.wfile.write(bytes([byte]))
            if self.server.stopping.wait(TRICKLE_SECONDS):
                break

    def _trickle_headers(self) -> None:
        self.wfile.write(b"HTTP/1.1 200 OK\r\n")
        while not self.server.stopping.wait(TRICKLE_SECONDS):
            self.wfile.write(b"X-More: to come\r\n")

    def _hang(self) -> None:
        self.server.stopping.wait()
        self._hang_up()

    def _half(self, page: bytes, *, hang: bool) -> None:
        self._head(200, len(page))
        self.end_headers()
        self.wfile.write(_front_half(page))
        if hang:
            self.server.stopping.wait()
        self._hang_up()

    def _hang_up(self) -> None:
        self.close_connection = True

    def _huge(self) -> None:
        self._head(200, HUGE_BYTES)
        self.end_headers()
        for _ in range(HUGE_BYTES // 65536):
            self.wfile.write(b"# padding\n" * 6553 + b"# pad\n")

    def _redirect(self) -> None:
        self.send_response(302)
        self.send_header("Location", self.server.redirect_to)
        self.send_header("Content-Length", "0")
        self.end_headers()


def _front_half(body: bytes) -> bytes:
    return body[: len(body) // 2]
