"""The server: addresses it refuses, clients that cost nothing, stops that end."""

from __future__ import annotations

import asyncio
import errno
import http.client
import socket
import threading
from typing import TYPE_CHECKING

import pytest

from gpusteward.errors import GpustewardError
from gpusteward.exposition import Exposition, Server
from gpusteward.exposition.connection import BoundedConnection
from gpusteward.exposition.server import _unbindable
from gpusteward.metrics.page import render
from tests import snapshots
from tests.unit.exposition.conftest import PATIENCE, running

if TYPE_CHECKING:
    from gpusteward.clock import Moment
    from gpusteward.exposition.responses import Receive, Scope, Send


class Clock:
    def now(self) -> Moment:
        return snapshots.AT

    def wait(self, event: threading.Event, seconds: float) -> bool:
        return event.wait(seconds)


def app() -> Exposition:
    return Exposition(Clock(), render(None, snapshots.EXPOSURE))


def status(address: str, path: str = "/livez") -> int:
    connection = http.client.HTTPConnection(address, timeout=PATIENCE)
    try:
        connection.request("GET", path)
        return connection.getresponse().status
    finally:
        connection.close()


def connected(server: Server) -> socket.socket:
    host, _, port = server.address.rpartition(":")
    return socket.create_connection((host, int(port)), timeout=PATIENCE)


def read_to_end(client: socket.socket) -> bytes:
    received = b""
    try:
        while chunk := client.recv(65_536):
            received += chunk
    except ConnectionResetError:
        pass  # how an aborted connection may end
    return received


def until_no_connection(server: Server) -> None:
    for _ in range(int(PATIENCE / 0.01)):
        if not server._server.server_state.connections:
            return
        threading.Event().wait(0.01)
    pytest.fail("a connection was never let go")


# --- addresses ----------------------------------------------------------------------------------------------


def test_port_zero_reports_the_port_that_the_system_chose() -> None:
    with running(app()) as server:
        assert not server.address.endswith(":0")
        assert status(server.address) == 200


def test_a_port_in_use_is_refused_with_a_next_step() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(GpustewardError, match="in use") as caught:
            Server(app(), f"127.0.0.1:{port}")
    assert f"sport = :{port}" in caught.value.hint
    assert isinstance(caught.value.__cause__, OSError)


@pytest.mark.parametrize(
    "listen",
    [
        "",
        "9455",
        "localhost",
        "127.0.0.1:",
        "127.0.0.1:x",
        "127.0.0.1:65536",
        "::1:9455",
        "[::1]",
        "[x]:1",
        "127.0.0.1:-1",
    ],
)
def test_what_is_no_address_is_refused_with_examples(listen: str) -> None:
    with pytest.raises(GpustewardError, match=r"agent\.listen") as caught:
        Server(app(), listen)
    assert "127.0.0.1:9455" in caught.value.hint


def test_an_address_of_another_machine_is_refused_with_a_next_step() -> None:
    with pytest.raises(GpustewardError, match=r"192\.0\.2\.1:0 cannot be bound") as caught:
        Server(app(), "192.0.2.1:0")
    assert "an address of this machine" in caught.value.hint


def test_a_privileged_port_is_refused_with_a_next_step() -> None:
    error = _unbindable("0.0.0.0:80", 80, PermissionError(errno.EACCES, "Permission denied"))
    assert "may not be bound" in error.message
    assert "above 1023" in error.hint


@pytest.mark.parametrize("listen", ["[::1]:0", "[::]:0"])
def test_ipv6_is_served_where_there_is_any_and_refused_in_words_where_not(listen: str) -> None:
    try:
        socket.create_server(("::1", 0), family=socket.AF_INET6).close()
    except OSError:
        with pytest.raises(GpustewardError, match="cannot be bound"):
            Server(app(), listen)
        return
    with running(app(), listen) as server:
        assert server.address.startswith("[::")
        assert status(server.address.replace("[::]", "[::1]")) == 200


def test_no_host_means_every_address() -> None:
    with running(app(), ":0") as server:
        host, port = server.address.split(":")
        assert host == "0.0.0.0"  # noqa: S104 - what no host means
        assert status(f"127.0.0.1:{port}") == 200


def test_small_answers_on_kept_connections_are_not_held_back_for_40_ms() -> None:
    server = Server(app(), "127.0.0.1:0")
    with connected(server):
        accepted, _ = server._socket.accept()
        with accepted:
            assert accepted.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY) == 1
    server.close()


def test_a_server_that_never_ran_gives_its_address_back() -> None:
    server = Server(app(), "127.0.0.1:0")
    address = server.address
    server.close()
    server.close()
    again = Server(app(), address)
    assert again.address == address
    again.close()


# --- clients that cost nothing ------------------------------------------------------------------------------


def test_a_client_that_says_nothing_is_let_go(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(BoundedConnection, "exchange_seconds", 0.1)
    with running(app()) as server, connected(server) as client:
        assert read_to_end(client) == b""
        assert status(server.address) == 200


def test_a_client_that_never_ends_its_request_is_let_go(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(BoundedConnection, "exchange_seconds", 0.1)
    with running(app()) as server, connected(server) as client:
        client.sendall(b"GET /metrics HTTP/1.1\r\nHost: x\r\nX-Slow: ")
        assert read_to_end(client) == b""


def test_a_client_that_stops_in_its_second_request_is_let_go(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(BoundedConnection, "exchange_seconds", 0.3)
    with running(app()) as server, connected(server) as client:
        client.sendall(b"GET /livez HTTP/1.1\r\nHost: x\r\n\r\nGET /livez HTT")
        assert read_to_end(client).count(b"HTTP/1.1 200") == 1


def test_a_client_that_does_not_read_its_answer_is_let_go(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(BoundedConnection, "exchange_seconds", 0.3)
    big = b"x" * 64 * 1024 * 1024  # more than the kernel buffers

    async def endless(_scope: Scope, _receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": big})

    with running(endless) as server, connected(server) as client:
        client.sendall(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        assert client.recv(1) == b"H"
        until_no_connection(server)


def test_a_connection_within_its_deadline_is_kept_for_the_next_request() -> None:
    with running(app()) as server:
        connection = http.client.HTTPConnection(server.address, timeout=PATIENCE)
        for _ in range(3):
            connection.request("GET", "/livez")
            assert connection.getresponse().read() == b"ok\n"
        connection.close()


def test_a_huge_header_is_refused_and_the_next_client_served() -> None:
    with running(app()) as server:
        with connected(server) as client:
            client.sendall(b"GET / HTTP/1.1\r\nX-Huge: " + b"x" * 40_000)
            assert read_to_end(client).startswith(b"HTTP/1.1 400")
        assert status(server.address) == 200


@pytest.mark.parametrize(
    "sent", [b"", b"\x16\x03\x01\x02\x00\x01", b"GET", b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"]
)
def test_a_client_that_leaves_early_costs_nothing(sent: bytes) -> None:
    with running(app()) as server:
        with connected(server) as client:
            client.sendall(sent)
        assert status(server.address) == 200
        until_no_connection(server)


def test_too_many_connections_are_told_so_and_room_again_is_used(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gpusteward.exposition.server.MOST_CONNECTIONS", 100)
    with running(app()) as server:
        crowd = [connected(server) for _ in range(120)]
        assert status(server.address) == 503
        for client in crowd:
            client.close()
        until_no_connection(server)
        assert status(server.address) == 200


def test_only_http_is_spoken() -> None:
    async def receive() -> dict[str, object]:
        return {}

    async def send(_message: object) -> None:
        return

    with pytest.raises(TypeError, match="speaks http, not websocket"):
        asyncio.run(app()({"type": "websocket"}, receive, send))


# --- stopping -----------------------------------------------------------------------------------------------


def test_what_is_being_answered_at_a_stop_is_finished() -> None:
    begun, release = threading.Event(), threading.Event()

    async def slow(_scope: Scope, _receive: Receive, send: Send) -> None:
        begun.set()
        await asyncio.to_thread(release.wait, PATIENCE)
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"done"})

    with running(slow) as server, connected(server) as client:
        client.sendall(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        assert begun.wait(PATIENCE)
        server.stop()
        release.set()
        assert b"done" in read_to_end(client)


def test_a_stop_does_not_wait_for_a_client_that_hangs() -> None:
    with running(app()) as server, connected(server) as client:
        client.sendall(b"GET /livez HTTP/1.1\r\n")
        server.stop()
        assert read_to_end(client) == b""


def test_a_stop_before_the_start_ends_at_once() -> None:
    server = Server(app(), "127.0.0.1:0")
    address = server.address
    server.stop()
    server.run()
    with pytest.raises(ConnectionRefusedError):
        status(address)
