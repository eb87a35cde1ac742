"""One page over HTTP within a deadline and a size, whatever the other side does."""

from __future__ import annotations

import socket
import threading
import zlib
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

import urllib3
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.exceptions import (
    ConnectTimeoutError,
    HTTPError,
    IncompleteRead,
    LocationParseError,
    NewConnectionError,
    ProtocolError,
    ReadTimeoutError,
    SSLError,
)

from gpusteward.errors import ConfigError, Problem, SourceError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from urllib3 import BaseHTTPResponse

_CHUNK = 64 * 1024
_GZIP = 16 + zlib.MAX_WBITS
_OK = 200
_UNAUTHORIZED = (401, 403)
_NOT_FOUND = 404


class PageFetcher:
    """Gets one address again and again over a kept connection.

    No retries (the next cycle is the retry) and no redirects (a moved page is for a person to see). The
    deadline covers connecting, headers and body together: when it passes, the socket is cut, so that a server
    which sends a byte now and then cannot hold the cycle. Looking up the host's name is outside it; the
    system's resolver has its own time-out. The size is counted after decompression, which stops at it.

    Args:
        url: `http://` or `https://`; a user and password in it are sent as basic authentication.
        deadline_seconds: of one whole read.
        max_bytes: largest page, decompressed.

    Raises:
        ConfigError: the URL cannot be used.
    """

    def __init__(self, url: str, deadline_seconds: float, max_bytes: int) -> None:
        try:
            parsed = urllib3.util.parse_url(url)
        except LocationParseError as error:
            raise _bad_url(url) from error
        if parsed.scheme not in ("http", "https") or not parsed.host:
            raise _bad_url(url)
        self.shown_url = parsed._replace(auth=None).url  # what messages and logs may show
        self._target = parsed.request_uri
        self._deadline_seconds = deadline_seconds
        self._max_bytes = max_bytes
        self._headers = {
            **urllib3.util.make_headers(basic_auth=parsed.auth or None),
            "Accept": "text/plain;version=0.0.4",
            "Accept-Encoding": "gzip",
            "User-Agent": "gpusteward",
        }
        self._wire = _Wire()
        self._pool = urllib3.connection_from_url(self.shown_url, maxsize=1)
        kind = HTTPSConnection if parsed.scheme == "https" else HTTPConnection
        self._pool.ConnectionCls = _watched(kind, self._wire)

    def fetch(self) -> str:
        """The page's text; bytes that are not UTF-8 are replaced.

        Raises:
            SourceError: `connection`, `timeout`, `http_status`, `too_large`, `encoding` or `truncated`.
        """
        expired = threading.Event()
        try:
            with self._watchdog(expired):
                body = self._body()
        except (HTTPError, zlib.error, _CutOffError) as error:
            raise self._explain(error, expired=expired.is_set()) from error
        return body.decode("utf-8", errors="replace")

    def close(self) -> None:
        """Close the kept connection. Idempotent; nothing can be fetched afterwards."""
        self._pool.close()

    @contextmanager
    def _watchdog(self, expired: threading.Event) -> Iterator[None]:
        def cut() -> None:
            expired.set()
            self._wire.cut()

        timer = threading.Timer(self._deadline_seconds, cut)
        timer.daemon = True
        timer.start()
        try:
            yield
        finally:
            timer.cancel()
        if expired.is_set():  # a body without a stated length ends cleanly when it is cut
            raise _CutOffError("the deadline passed while reading")

    def _body(self) -> bytes:
        timeout = urllib3.Timeout(total=self._deadline_seconds)
        response = self._pool.urlopen(
            "GET", self._target, headers=self._headers, retries=False, timeout=timeout, preload_content=False
        )
        try:
            return self._inflate(response)
        except BaseException:
            response.close()  # unread bytes would be taken for the next answer
            raise
        finally:
            response.release_conn()

    def _inflate(self, response: BaseHTTPResponse) -> bytes:
        if response.status != _OK:
            raise _bad_status(response.status, self.shown_url)
        encoding = response.headers.get("Content-Encoding", "identity").lower()
        if encoding not in ("identity", "gzip"):
            raise SourceError(
                f"{self.shown_url} sent Content-Encoding {encoding!r}, which was not asked for",
                "encoding",
                "look at the proxy between the agent and dcgm-exporter",
            )
        inflater = zlib.decompressobj(_GZIP) if encoding == "gzip" else None
        page = bytearray()
        while chunk := response.read(_CHUNK, decode_content=False):
            room = self._max_bytes + 1 - len(page)
            page += inflater.decompress(chunk, room) if inflater else chunk
            if len(page) > self._max_bytes:
                raise too_large(self.shown_url, self._max_bytes)
        if inflater is not None and page and not inflater.eof:
            raise _CutOffError("the compressed page stops before its end")
        return bytes(page)

    def _explain(self, error: Exception, *, expired: bool) -> SourceError:
        url = self.shown_url
        if expired or _is_late(error):
            return SourceError(
                f"{url} was not read within {self._deadline_seconds:g} s",
                "timeout",
                "see whether dcgm-exporter hangs (curl the page on the node), or raise "
                "sources.dcgm.timeout_seconds",
            )
        if isinstance(error, zlib.error):
            return SourceError(
                f"{url} sent a damaged gzip body: {error}", "encoding", "look at the proxy between"
            )
        if isinstance(error, _CutOffError) or _is_cut_off(error):
            return SourceError(
                f"{url} closed the connection before the end of the page",
                "truncated",
                "look for restarts of dcgm-exporter; it is killed when it runs out of memory",
            )
        return SourceError(
            f"{url} cannot be reached: {_plainly(error)}", "connection", _connection_hint(error)
        )


class _CutOffError(Exception):
    """A body that ended early without the HTTP layer noticing."""


class _Wire:
    """The socket of the read under way, for the deadline to cut."""

    def __init__(self) -> None:
        self._socket: socket.socket | None = None

    def take(self, connected: socket.socket | None) -> None:
        self._socket = connected

    def cut(self) -> None:
        """End any blocked read. Shut below TLS, whose own shutdown may wait for the peer."""
        if self._socket is not None:
            with suppress(OSError):
                socket.socket.shutdown(self._socket, socket.SHUT_RDWR)


def _watched(kind: type[HTTPConnection], wire: _Wire) -> type[HTTPConnection]:
    """The pool's connection class, telling `wire` its socket; urllib3 has no other way to it."""

    class Watched(kind):  # type: ignore[valid-type,misc]  # the base is one of two classes, chosen by scheme
        def connect(self) -> None:
            super().connect()
            wire.take(self.sock)

    return Watched


def too_large(where: str, max_bytes: int) -> SourceError:
    """The page exceeds the limit."""
    return SourceError(
        f"{where} is larger than {max_bytes} bytes",
        "too_large",
        "see that it is dcgm-exporter's page of one node; if it is, raise sources.dcgm.max_bytes",
    )


def _bad_url(url: str) -> ConfigError:
    shown = url.rpartition("@")[2]
    problem = Problem("sources.dcgm.url", f"{shown!r} is no HTTP address", "write http://HOST:9400/metrics")
    return ConfigError("the dcgm source cannot be set up", (problem,))


def _bad_status(status: int, url: str) -> SourceError:
    if status in _UNAUTHORIZED:
        hint = "dcgm-exporter asks for a login: put it into sources.dcgm.url as http://USER:PASSWORD@HOST:PORT/metrics"
    elif status == _NOT_FOUND:
        hint = "its page is usually at /metrics"
    elif status // 100 == 3:  # noqa: PLR2004 - the class of redirects
        hint = "redirects are not followed: set sources.dcgm.url to the page itself"
    else:
        hint = "read dcgm-exporter's log; one failing collector makes its whole page an error"
    return SourceError(f"{url} answered with HTTP status {status}", "http_status", hint)


def _is_late(error: Exception) -> bool:
    """Whether urllib3's time-outs were first; its NewConnectionError (refused, unresolved) counts as one."""
    late = isinstance(error, (ConnectTimeoutError, ReadTimeoutError))
    return late and not isinstance(error, NewConnectionError)


def _is_cut_off(error: Exception) -> bool:
    """Whether the body, not the connecting, broke off."""
    if not isinstance(error, ProtocolError):
        return False
    return any(isinstance(part, IncompleteRead) for part in (error, *error.args))


def _plainly(error: Exception) -> str:
    """The innermost reason, without urllib3's wrapping."""
    if isinstance(error, NewConnectionError):
        return str(error.__cause__ or error)
    return str(error.args[-1]) if isinstance(error, ProtocolError) else str(error)


def _connection_hint(error: Exception) -> str:
    if isinstance(error, SSLError):
        return "check the certificate, or whether the page is plain http://"
    return "see that dcgm-exporter runs on this node and that sources.dcgm.url has its host and port"
