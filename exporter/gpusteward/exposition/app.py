"""The agent's HTTP as an ASGI application: every answer comes out of memory, but for the journal's.

Raw ASGI, since six paths need no framework. It never answers 500 because a part failed: what failed is
absent from the page, and said beside it.
"""

from __future__ import annotations

import asyncio
import gzip
import hashlib
from functools import cached_property
from typing import TYPE_CHECKING, Final, Protocol

from gpusteward.exposition.document import encode
from gpusteward.exposition.landing import CONTENT_SECURITY_POLICY, PATHS, landing
from gpusteward.exposition.responses import Response, header, respond, sentence, unchanged
from gpusteward.exposition.usage import UsageRoute
from gpusteward.metrics.negotiation import accepts_gzip
from gpusteward.metrics.page import GZIP_LEVEL

if TYPE_CHECKING:
    from collections.abc import Callable

    from gpusteward.clock import Clock
    from gpusteward.exposition.responses import Receive, Scope, Send
    from gpusteward.journal import UsageLog
    from gpusteward.metrics.page import Page
    from gpusteward.model import Snapshot

_OPEN_PATHS: Final = frozenset({"/livez", "/readyz"})
_METHODS: Final = ("GET", "HEAD")

LOST_DEVICES: Final = frozenset({"unknown_error", "no_permission", "driver_mismatch"})
"""What NVML says where a container no longer has what its host has: its devices were taken away, as
`systemctl daemon-reload` on the host makes it, or the library that the container runtime bound into it is of
the driver before the upgrade. Either comes back with a new container alone."""
LOST_DEVICES_SECONDS: Final = 300.0


class Token(Protocol):
    """Knows the right bearer token; config's TokenFile is one."""

    def matches(self, candidate: str) -> bool:
        """Whether this is it, in a time that does not tell how near it is."""
        ...


class _Published:
    """A snapshot with its page. Its JSON is made when first asked for, by the one thread that serves."""

    def __init__(self, snapshot: Snapshot, page: Page) -> None:
        self.snapshot = snapshot
        self.page = page

    @cached_property
    def document(self) -> tuple[bytes, str]:
        """The JSON and its entity tag, without the closing quote."""
        body = encode(self.snapshot)
        return body, f'"{hashlib.sha256(body).hexdigest()[:32]}'

    @cached_property
    def zipped_document(self) -> bytes:
        """The JSON, zipped."""
        return gzip.compress(self.document[0], GZIP_LEVEL, mtime=0)


class Exposition:
    """Serves what was published last.

    Args:
        clock: to tell the age of the data.
        waiting: the page before the first snapshot: `render(None, exposure)`.
        token: what readers must show on every path but /livez and /readyz; None = nothing.
        journal: what /usage reads; None = there is none.
    """

    def __init__(
        self, clock: Clock, waiting: Page, token: Token | None = None, journal: UsageLog | None = None
    ) -> None:
        self._clock = clock
        self._waiting = waiting
        self._token = token
        self._current: _Published | None = None
        self._ready = False
        self._routes: dict[str, Callable[[Scope], Response]] = {
            "/": self._landing,
            "/metrics": self._metrics,
            "/snapshot": self._snapshot,
            "/usage": UsageRoute(journal),
            "/livez": self._livez,
            "/readyz": self._readyz,
        }

    def publish(self, snapshot: Snapshot, page: Page) -> None:
        """Show this from now on. From any thread; a request sees the old or the new, never a mixture."""
        self._current = _Published(snapshot, page)
        self._ready = self._ready or snapshot.health.last_success is not None

    async def __call__(self, scope: Scope, _receive: Receive, send: Send) -> None:
        """Answer one request (ASGI 3). A request's body is never read."""
        if scope["type"] != "http":
            raise TypeError(f"this application speaks http, not {scope['type']}")
        # What reads a disk does it beside the loop, so that a slow one holds up no scrape.
        slow = scope["path"] == "/usage"
        answer = await asyncio.to_thread(self._answer, scope) if slow else self._answer(scope)
        await respond(send, answer, head=scope["method"] == "HEAD")

    def _answer(self, scope: Scope) -> Response:
        path = scope["path"]
        if path not in _OPEN_PATHS and (refusal := self._refusal(scope)) is not None:
            return refusal
        route = self._routes.get(path)
        if route is None:
            return sentence(404, f"there is nothing at this path; there is / {' '.join(PATHS)}")
        if scope["method"] not in _METHODS:
            # The connection is closed so that a body nobody asked for is not read either.
            return sentence(
                405, "only GET and HEAD are served", ("allow", ", ".join(_METHODS)), ("connection", "close")
            )
        return route(scope)

    def _refusal(self, scope: Scope) -> Response | None:
        if self._token is None:
            return None
        scheme, _, credentials = header(scope, "authorization").partition(" ")
        bearer = scheme.lower() == "bearer"
        if bearer and self._token.matches(credentials.strip()):
            return None
        challenge = 'Bearer realm="gpusteward"' + (', error="invalid_token"' if bearer else "")
        return sentence(
            401,
            "a bearer token is needed here: Authorization: Bearer ...",
            ("www-authenticate", challenge),
            ("connection", "close"),
        )

    def _metrics(self, scope: Scope) -> Response:
        page = self._waiting if self._current is None else self._current.page
        made = page.rendering(header(scope, "accept"), header(scope, "accept-encoding"))
        encoding = (("content-encoding", made.encoding),) if made.encoding else ()
        varying = (("vary", "Accept, Accept-Encoding"), *encoding)
        return _tagged(scope, Response(200, made.body, made.content_type, varying), made.etag)

    def _snapshot(self, scope: Scope) -> Response:
        if self._current is None:
            return sentence(503, "there is no sample yet; ask again in a few seconds", ("retry-after", "5"))
        body, tag = self._current.document
        varying = (("vary", "Accept-Encoding"),)
        if not accepts_gzip(header(scope, "accept-encoding")):
            return _tagged(scope, Response(200, body, "application/json", varying), f'{tag}"')
        headers = (*varying, ("content-encoding", "gzip"))
        zipped = Response(200, self._current.zipped_document, "application/json", headers)
        return _tagged(scope, zipped, f'{tag}-gzip"')

    def _livez(self, _scope: Scope) -> Response:
        """Fails only where a new container would help: not for a driver that hangs or is missing."""
        if self._current is not None and self._lost_devices(self._current.snapshot):
            return sentence(
                503, "this container has lost its devices or library: only a new one has them again"
            )
        return sentence(200, "ok")

    def _lost_devices(self, snapshot: Snapshot) -> bool:
        """It had them before, in this process: so a new container is tried once and not for ever."""
        health = snapshot.health
        if health.reason not in LOST_DEVICES or health.last_success is None or health.failing_since is None:
            return False
        return self._clock.now().monotonic - health.failing_since >= LOST_DEVICES_SECONDS

    def _readyz(self, _scope: Scope) -> Response:
        if self._ready:
            return sentence(200, "ok")
        if self._current is None:
            return sentence(503, "the first sample was not taken yet")
        message = self._current.snapshot.health.message.encode("utf-8", "replace").decode()
        return sentence(503, f"no sample succeeded yet: {message}")

    def _landing(self, _scope: Scope) -> Response:
        current = self._current
        snapshot = None if current is None else current.snapshot
        age = None if snapshot is None else max(0.0, self._clock.now().monotonic - snapshot.at.monotonic)
        return Response(
            200,
            landing(snapshot, age),
            "text/html; charset=utf-8",
            (("content-security-policy", CONTENT_SECURITY_POLICY),),
        )


def _tagged(scope: Scope, response: Response, etag: str) -> Response:
    """The response with its entity tag; 304 when the client has it already."""
    headers = (*response.headers, ("etag", etag), ("cache-control", "no-cache"))
    if unchanged(header(scope, "if-none-match"), etag):
        return Response(304, b"", headers=headers)
    return Response(response.status, response.body, response.content_type, headers)
