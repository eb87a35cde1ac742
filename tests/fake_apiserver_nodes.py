"""An API server that gives Nodes, in tests: real HTTP(S) on a free loopback port, and on demand each fault.

with NodeApi(node) as api:
    api.faults.append(status(403, forbidden))
    ... GET api.url/api/v1/nodes/NAME ...

It checks the bearer token, keeps resource versions as etcd does (one counter, for all objects), and answers
refusals with a Status object in the server's own words.
"""

from __future__ import annotations

import json
import socket
import ssl
import subprocess
import threading
from collections import deque
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any, Self
from urllib.parse import parse_qs, unquote, urlsplit

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path
    from types import TracebackType

PREFIX = "/api/v1/nodes/"
TRICKLE_SECONDS = 0.02
USER = "system:serviceaccount:gpusteward:gpusteward-agent"


def refused(code: int, reason: str, message: str) -> tuple[int, dict[str, Any]]:
    """A refusal as the server words it."""
    status = {"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure"}
    return code, {**status, "message": message, "reason": reason, "code": code}


class NodeApi(ThreadingHTTPServer):
    """Serves `nodes`; all attributes may be changed between requests.

    Attributes:
        nodes: Node objects by name.
        tokens: bearer tokens that are good.
        may_get: whether the service account may get nodes.
        version: the newest resource version.
        compacted: whether a question for a version is refused as too large, as after etcd was restored.
        faults: what is done with the next requests in place of an answer, one each.
        asked: path and headers (names in small letters) of each request so far.
        connections: TCP connections accepted so far.
    """

    daemon_threads = False  # server_close waits for them: no thread outlives its test
    address_family = socket.AF_INET

    def __init__(self, *nodes: dict[str, Any], tls: tuple[Path, Path] | None = None) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.nodes = {node["metadata"]["name"]: node for node in nodes}
        self.tokens = {"good"}
        self.may_get = True
        self.version = 3_076
        self.faults: deque[Callable[[BaseHTTPRequestHandler], None]] = deque()
        self.asked: list[tuple[str, dict[str, str]]] = []
        self.connections = 0
        self.stopping = threading.Event()
        self._scheme = "http"
        if tls is not None:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(*tls)
            self.socket = context.wrap_socket(self.socket, server_side=True)
            self._scheme = "https"

    @property
    def url(self) -> str:
        return f"{self._scheme}://127.0.0.1:{self.server_address[1]}"

    def label(self, name: str, **labels: str) -> None:
        """Set labels of a Node under NVIDIA's prefix; `_` stands for `-`. Its version moves on."""
        known = self.nodes[name]["metadata"].setdefault("labels", {})
        known.update({f"nvidia.com/gpu.deploy.{key.replace('_', '-')}": text for key, text in labels.items()})
        self.version += 1

    def answer(self, path: str, headers: dict[str, str]) -> tuple[int, dict[str, Any]]:
        """What a server without a fault says."""
        parts = urlsplit(path)
        name = unquote(parts.path.removeprefix(PREFIX))
        version = parse_qs(parts.query).get("resourceVersion", ["0"])[0]
        if headers.get("authorization", "").removeprefix("Bearer ") not in self.tokens:
            return refused(401, "Unauthorized", "Unauthorized")
        if not self.may_get:
            return refused(
                403,
                "Forbidden",
                f'nodes "{name}" is forbidden: User "{USER}" cannot get resource "nodes" in API group "" at '
                "the cluster scope",
            )
        if not version.isdigit():
            return refused(400, "BadRequest", f'invalid resource version "{version}"')
        if int(version) > self.version:
            return refused(504, "Timeout", f"Too large resource version: {version}, current: {self.version}")
        if name not in self.nodes:
            return refused(404, "NotFound", f'nodes "{name}" not found')
        node = self.nodes[name]
        return 200, {**node, "metadata": {**node["metadata"], "resourceVersion": str(self.version)}}

    def get_request(self) -> tuple[socket.socket, Any]:
        accepted = super().get_request()
        self.connections += 1
        return accepted

    def handle_error(self, _request: object, _client: object) -> None:
        """A client that goes away, or that does not like our certificate, is part of the tests."""

    def __enter__(self) -> Self:
        self._thread = threading.Thread(target=self.serve_forever, kwargs={"poll_interval": 0.01})
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stopping.set()
        self.shutdown()
        self._thread.join()
        self.server_close()


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    timeout = 5.0  # a kept connection does not keep its thread
    server: NodeApi

    def do_GET(self) -> None:
        headers = {name.lower(): text for name, text in self.headers.items()}
        self.server.asked.append((self.path, headers))
        with suppress(OSError):
            if self.server.faults:
                self.server.faults.popleft()(self)
            else:
                code, body = self.server.answer(self.path, headers)
                send(self, code, json.dumps(body).encode())

    def log_message(self, *_: object) -> None:
        """Tests read `asked`."""


def send(handler: BaseHTTPRequestHandler, code: int, body: bytes, **headers: str) -> None:
    handler.send_response(code)
    handler.send_header("Content-Type", "application/json")
    handler.send_header("Content-Length", str(len(body)))
    for name, text in headers.items():
        handler.send_header(name.replace("_", "-"), text)
    handler.end_headers()
    handler.wfile.write(body)


# --- faults -------------------------------------------------------------------------------------------------


def status(code: int, body: bytes = b"", **headers: str) -> Callable[[BaseHTTPRequestHandler], None]:
    """Answer with this status and body."""
    return lambda handler: send(handler, code, body, **headers)


def hang(handler: BaseHTTPRequestHandler) -> None:
    """No answer until the server stops."""
    assert isinstance(handler.server, NodeApi)
    handler.server.stopping.wait()
    handler.close_connection = True


def cut(handler: BaseHTTPRequestHandler) -> None:
    """Half an answer, then nothing."""
    handler.send_response(200)
    handler.send_header("Content-Length", "1000")
    handler.end_headers()
    handler.wfile.write(b'{"kind": "Node", ')
    handler.close_connection = True


def trickle(handler: BaseHTTPRequestHandler) -> None:
    """An answer a byte at a time, without end."""
    assert isinstance(handler.server, NodeApi)
    handler.send_response(200)
    handler.send_header("Content-Length", "1000000")
    handler.end_headers()
    handler.close_connection = True
    while not handler.server.stopping.wait(TRICKLE_SECONDS):
        handler.wfile.write(b" ")
        handler.wfile.flush()


# --- certificates -------------------------------------------------------------------------------------------


def certificate(directory: Path, name: str) -> tuple[Path, Path]:
    """A CA that signs itself for 127.0.0.1, made by openssl: (certificate, key)."""
    certificate, key = directory / f"{name}.crt", directory / f"{name}.key"
    subprocess.run(
        [
            *(
                "openssl",
                "req",
                "-x509",
                "-newkey",
                "ec",
                "-pkeyopt",
                "ec_paramgen_curve:prime256v1",
                "-nodes",
            ),
            *("-keyout", str(key), "-out", str(certificate), "-days", "2", "-subj", f"/CN={name}"),
            *("-addext", "subjectAltName=IP:127.0.0.1"),
        ],
        check=True,
        capture_output=True,
    )
    return certificate, key
