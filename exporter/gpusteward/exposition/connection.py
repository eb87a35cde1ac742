"""A connection that cannot be held open for nothing.

uvicorn waits for ever for a request that was begun, and for a client that does not read its answer. Here
each exchange, from the end of the one before to the last byte of the answer, has one deadline.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from uvicorn.protocols.http.h11_impl import H11Protocol

if TYPE_CHECKING:
    import asyncio


class BoundedConnection(H11Protocol):
    """HTTP/1.1 with a deadline for each exchange.

    Attributes:
        exchange_seconds: the deadline; Prometheus' own scrape timeout is 10 s.
    """

    exchange_seconds: ClassVar[float] = 15.0
    _deadline: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as in uvicorn
        """Start the first deadline."""
        super().connection_made(transport)
        self._start()

    def on_response_complete(self) -> None:
        """Start the next deadline, which also bounds the sending of what is still buffered."""
        super().on_response_complete()
        self._start()

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget the deadline."""
        self._cancel()
        super().connection_lost(exc)

    def _start(self) -> None:
        self._cancel()
        self._deadline = self.loop.call_later(self.exchange_seconds, self.transport.abort)

    def _cancel(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None
