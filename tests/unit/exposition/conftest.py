"""Real servers on real sockets, in threads, stopped at the end."""

from __future__ import annotations

import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest

from gpusteward.exposition import Server

if TYPE_CHECKING:
    from collections.abc import Iterator

    from gpusteward.exposition.responses import App, Receive, Scope, Send

PATIENCE = 30.0
"""Seconds after which a test gives up; nothing is expected to take that long."""


@contextmanager
def running(app: App, listen: str = "127.0.0.1:0") -> Iterator[Server]:
    """A server that accepts connections; stopped at the end, which must succeed."""
    server = Server(app, listen)
    ready = threading.Event()
    thread = threading.Thread(target=server.run, args=(ready.set,))
    thread.start()
    try:
        assert ready.wait(PATIENCE)
        yield server
    finally:
        server.stop()
        thread.join(PATIENCE)
        assert not thread.is_alive()


class Site:
    """An application that can be exchanged, so that many tests share one server."""

    def __init__(self) -> None:
        self.app: App | None = None
        self.address = ""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        assert self.app is not None
        await self.app(scope, receive, send)


@pytest.fixture(scope="module")
def site() -> Iterator[Site]:
    shared = Site()
    with running(shared) as server:
        shared.address = server.address
        yield shared
