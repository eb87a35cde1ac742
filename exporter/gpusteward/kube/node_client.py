"""One Node from the API server: urllib3 and a few fields, in place of a client of 45 MiB.

Asked for at the agent's own pace, not watched: `get` on nodes is all the right it needs. From the second
request on `resourceVersion` says "no older than what I saw", which the server answers from its cache, so that
a thousand agents cost etcd nothing and an answer never goes back in time. (Objects have no ETag.)
"""

from __future__ import annotations

import ssl
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final
from urllib.parse import quote

import msgspec
import urllib3
from urllib3.exceptions import HTTPError

from gpusteward import __version__
from gpusteward.errors import KubeError
from gpusteward.kube.objects import Node
from gpusteward.kube.refusals import refusal, unreachable

if TYPE_CHECKING:
    from pathlib import Path

    from urllib3.connectionpool import HTTPConnectionPool
    from urllib3.response import BaseHTTPResponse

    from gpusteward.clock import Clock

MAX_BYTES: Final = 4 * 1024 * 1024  # etcd holds objects of up to 1.5 MiB
MAX_TOKEN_BYTES: Final = 64 * 1024
CONNECT_SECONDS: Final = 2.0
READ_SECONDS: Final = 3.0
DEADLINE_SECONDS: Final = 8.0
_CHUNK: Final = 64 * 1024
_OK: Final = 200
_UNAUTHORIZED: Final = 401
_VERSION_UNUSABLE: Final = frozenset({400, 410, 504})


@dataclass(frozen=True, slots=True)
class ApiServer:
    """Where the API server is and how it knows us.

    Attributes:
        url: `https://HOST:PORT`, as `config.environment_api_server()` tells it.
        token_file: the service account's token; read at each request, since the kubelet replaces it.
        ca_file: certificates that the server's must be signed by; read again when it changes.
    """

    url: str
    token_file: Path
    ca_file: Path


class NodeClient:
    """Reads one Node. For one thread.

    Args:
        server: where and as whom.
        node: the Node's name.
        clock: for the deadline of an answer that trickles.
    """

    def __init__(self, server: ApiServer, node: str, clock: Clock) -> None:
        self._server = server
        self._node = node
        self._clock = clock
        self._path = f"/api/v1/nodes/{quote(node, safe='')}"
        self._pool: HTTPConnectionPool | None = None
        self._ca_version: tuple[int, int] | None = None
        self._seen_version = ""

    def get(self) -> Node:
        """The Node as it is now, or as the server's cache has it, never older than at the last call.

        Raises:
            KubeError: `no_token`, `no_ca`, `unreachable`, `timeout`, `tls`, `unauthorized`, `forbidden`,
                `not_found`, `overloaded`, `server_error` or `bad_answer`. The next call tries anew.
        """
        token = self._token()
        status, body, retry_after = self._ask(token)
        if status == _UNAUTHORIZED and (renewed := self._token()) != token:
            status, body, retry_after = self._ask(renewed)  # it was replaced while we asked
        if status in _VERSION_UNUSABLE and self._seen_version:
            self._seen_version = ""  # a cache that lags, or an etcd that was restored and counts anew
            status, body, retry_after = self._ask(self._token())
        if status != _OK:
            raise refusal(status, body, self._node, retry_after)
        node = _decoded(body, self._node)
        self._seen_version = node.metadata.resource_version
        return node

    def close(self) -> None:
        """Close the kept connection. Idempotent; the next call opens a new one."""
        if self._pool is not None:
            self._pool.close()
            self._pool = None

    def _ask(self, token: str) -> tuple[int, bytes, str]:
        """Status, body and Retry-After of one request."""
        headers = {
            "Authorization": f"Bearer {token}",
            "Accept": "application/json",
            "User-Agent": f"gpusteward/{__version__}",
        }
        version = f"?resourceVersion={quote(self._seen_version, safe='')}" if self._seen_version else ""
        try:
            response = self._connected().request(
                "GET",
                self._path + version,
                headers=headers,
                timeout=urllib3.Timeout(connect=CONNECT_SECONDS, read=READ_SECONDS),
                retries=False,
                redirect=False,  # a token is for this server alone
                preload_content=False,
            )
            try:
                body = self._body(response)
            except BaseException:
                response.close()  # unread bytes would be taken for the next answer
                raise
        except HTTPError as error:
            self.close()  # its CA may have been replaced, its address may be another's
            raise unreachable(error, self._server.url) from error
        return response.status, body, response.headers.get("Retry-After", "")

    def _body(self, response: BaseHTTPResponse) -> bytes:
        begun = self._clock.now().monotonic
        body = bytearray()
        while chunk := response.read1(_CHUNK):
            body += chunk
            if len(body) > MAX_BYTES:
                raise _bad_answer(f"node {self._node} is larger than {MAX_BYTES} bytes")
            if self._clock.now().monotonic - begun > DEADLINE_SECONDS:
                raise KubeError(
                    f"{self._server.url} did not finish its answer within {DEADLINE_SECONDS:g} s",
                    "timeout",
                    "see whether the API server or a proxy before it is overloaded",
                )
        response.release_conn()
        return bytes(body)

    def _token(self) -> str:
        path = self._server.token_file
        try:
            with path.open("rb") as file:
                token = file.read(MAX_TOKEN_BYTES).decode("ascii").strip()
        except (OSError, UnicodeDecodeError) as error:
            raise _no_token(path, str(error)) from error
        if not token:
            raise _no_token(path, "it is empty")
        return token

    def _connected(self) -> HTTPConnectionPool:
        """The kept connection; a new one when the CA was replaced."""
        secure = self._server.url.startswith("https:")
        version = self._version_of_ca() if secure else None
        if self._pool is None or version != self._ca_version:
            self.close()
            options = {"ssl_context": self._trusting()} if secure else {}
            self._pool = urllib3.connection_from_url(self._server.url, maxsize=1, **options)
            self._ca_version = version
        return self._pool

    def _version_of_ca(self) -> tuple[int, int]:
        try:
            status = self._server.ca_file.stat()
        except OSError as error:
            raise _no_ca(self._server.ca_file, error) from error
        return (status.st_ino, status.st_mtime_ns)

    def _trusting(self) -> ssl.SSLContext:
        try:
            context = ssl.create_default_context(cafile=str(self._server.ca_file))
        except OSError as error:  # ssl.SSLError is one
            raise _no_ca(self._server.ca_file, error) from error
        # Strict from Python 3.13 on, it refuses the CAs of many clusters, which lack a key identifier.
        context.verify_flags &= ~ssl.VERIFY_X509_STRICT
        return context


def _decoded(body: bytes, name: str) -> Node:
    try:
        node = msgspec.json.decode(body, type=Node)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:  # ValidationError is a DecodeError
        raise _bad_answer(f"the answer is no Node: {error}") from error
    if node.metadata.name != name:
        raise _bad_answer(f"asked for node {name}, the answer is about {node.metadata.name or 'no node'}")
    return node


def _bad_answer(message: str) -> KubeError:
    return KubeError(message, "bad_answer", "look at what is between the agent and the API server")


def _no_token(path: Path, why: str) -> KubeError:
    return KubeError(
        f"the service account token {path} cannot be used: {why}",
        "no_token",
        "set automountServiceAccountToken: true on the agent's pod",
    )


def _no_ca(path: Path, why: OSError) -> KubeError:
    return KubeError(
        f"the cluster's CA {path} cannot be used: {why}",
        "no_ca",
        "Kubernetes mounts it beside the token: see the pod's volumes",
    )
