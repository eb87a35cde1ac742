"""The server under the application: binding, bounds, start and stop."""

from __future__ import annotations

import errno
import socket
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

import uvicorn

from gpusteward.config import ListenAddress, parse_listen
from gpusteward.errors import GpustewardError
from gpusteward.exposition.connection import BoundedConnection

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from gpusteward.exposition.responses import App

MOST_CONNECTIONS = 1000
"""Above it every path answers 503, /livez too, so it is far above what scrapers need."""

_MOST_HEADER_BYTES: Final = 16 * 1024
_STOP_SECONDS: Final = 4  # a stop takes up to half a second more, and 5 are promised


class Server:
    """Binds at once, serves when run.

    Args:
        app: the ASGI application.
        listen: `host:port`; port 0 lets the system choose, no host means all addresses, IPv6 in brackets.

    Raises:
        GpustewardError: the address makes no sense, or cannot be bound.
    """

    def __init__(self, app: App, listen: str) -> None:
        self._socket = _bind(listen)
        self._server = _Uvicorn(
            uvicorn.Config(
                app,
                http=BoundedConnection,
                ws="none",
                lifespan="off",
                interface="asgi3",
                log_config=None,
                log_level="warning",
                access_log=False,
                proxy_headers=False,
                server_header=False,
                limit_concurrency=MOST_CONNECTIONS,
                h11_max_incomplete_event_size=_MOST_HEADER_BYTES,
                timeout_graceful_shutdown=_STOP_SECONDS,
            )
        )

    @property
    def address(self) -> str:
        """Where it listens, with the port that the system chose."""
        host, port = self._socket.getsockname()[:2]
        return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"

    def run(self, ready: Callable[[], None] = lambda: None) -> None:
        """Serve in this thread until `stop`, then finish what is being answered, for 5 s at most.

        Signals are left alone: whoever runs this decides what they mean.

        Args:
            ready: called once, in this thread, when connections are accepted.
        """
        self._server.ready = ready
        self._server.run(sockets=[self._socket])

    def stop(self) -> None:
        """Ask `run` to return. From any thread or signal handler; before `run`, it returns at once."""
        self._server.should_exit = True

    def close(self) -> None:
        """Give the address back. Needed only when `run` was never called. Idempotent."""
        self._socket.close()


class _Uvicorn(uvicorn.Server):
    """uvicorn that says when it is ready and leaves signals to the composition root."""

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.ready: Callable[[], None] = lambda: None

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self.ready()

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


def _bind(listen: str) -> socket.socket:
    address = _parsed(listen)
    host, port = address.host, address.port
    ipv6 = ":" in host
    try:
        bound = socket.create_server(
            (host, port),
            family=socket.AF_INET6 if ipv6 else socket.AF_INET,
            dualstack_ipv6=host == "::" and socket.has_dualstack_ipv6(),
        )
    except OSError as error:
        raise _unbindable(listen, port, error) from error
    # Head and body are two writes. Without this, the body of a small answer waits on a kept connection until
    # the client's delayed acknowledgement of the head: 40 ms. Accepted connections inherit it; asyncio sets
    # it itself only on sockets that it has made.
    bound.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return bound


def _parsed(listen: str) -> ListenAddress:
    try:
        return parse_listen(listen)
    except ValueError as error:
        raise GpustewardError(
            f"agent.listen {listen!r} {error}",
            "Write 0.0.0.0:9455, 127.0.0.1:9455, [::]:9455 or :9455.",
        ) from error


def _unbindable(listen: str, port: int, error: OSError) -> GpustewardError:
    if error.errno == errno.EADDRINUSE:
        return GpustewardError(
            f"{listen} is in use by another process",
            f"Find it with `ss -ltnp 'sport = :{port}'` and stop it, or set agent.listen to another port.",
        )
    if error.errno == errno.EACCES:
        return GpustewardError(
            f"{listen} may not be bound by this user", "Set agent.listen to a port above 1023."
        )
    return GpustewardError(
        f"{listen} cannot be bound: {error.strerror or error}",
        "Set agent.listen to an address of this machine, or to 0.0.0.0 for all of them.",
    )
