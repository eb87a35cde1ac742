"""The kubelet asked over its unix socket: one channel kept open, each question with a deadline.

All clients of the socket share one bucket of 100 questions a second, 10 at once (recorded), so questions are
few and a refusal is waited out.
"""

from __future__ import annotations

import socket as sockets
from typing import TYPE_CHECKING, Final, TypeVar

import grpc
from google.protobuf.message import DecodeError

from gpusteward.errors import KubeError
from gpusteward.kube.podresources.api_pb2 import (
    AllocatableResourcesRequest,
    AllocatableResourcesResponse,
    ListPodResourcesRequest,
    ListPodResourcesResponse,
)
from gpusteward.model import AttributionError

if TYPE_CHECKING:
    from pathlib import Path

    from google.protobuf.message import Message

_Answer = TypeVar("_Answer", ListPodResourcesResponse, AllocatableResourcesResponse)

MAX_BYTES: Final = 64 * 1024 * 1024
DEADLINE_SECONDS: Final = 3.0
"""A node of fifty pods answers in 2 ms (recorded)."""

_PROBE_SECONDS: Final = 1.0
_SERVICE: Final = "/v1.PodResourcesLister/"
_OPTIONS: Final = (
    ("grpc.max_receive_message_length", MAX_BYTES),
    ("grpc.enable_http_proxy", 0),
    # gRPC would wait up to two minutes before it tries a kubelet again that was restarted.
    ("grpc.initial_reconnect_backoff_ms", 250),
    ("grpc.min_reconnect_backoff_ms", 250),
    ("grpc.max_reconnect_backoff_ms", 2000),
)

_SHOWN: Final = 300  # characters of the kubelet's own words
_REASONS: Final = {
    grpc.StatusCode.RESOURCE_EXHAUSTED: AttributionError.RATE_LIMITED,
    grpc.StatusCode.DEADLINE_EXCEEDED: AttributionError.TIMEOUT,
    grpc.StatusCode.UNIMPLEMENTED: AttributionError.UNIMPLEMENTED,
}

HINTS: Final = {
    AttributionError.SOCKET_ABSENT: "mount the host's /var/lib/kubelet/pod-resources into the pod, or "
    "set kubelet.socket where the kubelet has another --root-dir",
    AttributionError.PERMISSION_DENIED: "the kubelet's socket is root's alone: run the agent as user 0, as "
    "k8s/monitoring-kubelet does",
    AttributionError.RESTARTING: "nothing while the kubelet restarts; if it lasts, read the kubelet's log",
    AttributionError.RATE_LIMITED: "find what else asks this socket often: all its clients share one limit",
    AttributionError.TIMEOUT: "see whether the node is overloaded, and read the kubelet's log",
    AttributionError.TOO_LARGE: "please report it: no node has that many pods",
    AttributionError.UNIMPLEMENTED: "use a kubelet of 1.28 or later",
    AttributionError.BAD_ANSWER: "see that kubelet.socket is the kubelet's, and read its log",
}


class PodResourcesClient:
    """Asks one kubelet. For one thread.

    Args:
        path: the socket.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._channel: grpc.Channel | None = None

    def held(self) -> ListPodResourcesResponse:
        """All pods of the node with their devices, those without included.

        Raises:
            KubeError: no answer; its reason is one of AttributionError.
        """
        return self._ask("List", ListPodResourcesRequest(), ListPodResourcesResponse)

    def advertised(self) -> AllocatableResourcesResponse:
        """All devices that the plugins of the node offer, held or not; unhealthy ones are left out.

        Raises:
            KubeError: no answer; its reason is one of AttributionError.
        """
        return self._ask(
            "GetAllocatableResources", AllocatableResourcesRequest(), AllocatableResourcesResponse
        )

    def close(self) -> None:
        """Close the channel; the next question opens another. Idempotent."""
        if self._channel is not None:
            self._channel.close()
            self._channel = None

    def _ask(self, method: str, request: Message, answer: type[_Answer]) -> _Answer:
        if self._channel is None:
            self._channel = grpc.insecure_channel(f"unix:{self._path}", options=_OPTIONS)
        call = self._channel.unary_unary(
            _SERVICE + method,
            request_serializer=type(request).SerializeToString,
            response_deserializer=bytes,
        )
        try:
            return answer.FromString(call(request, timeout=DEADLINE_SECONDS))
        except grpc.RpcError as error:
            raise self._failure(method, error) from error
        except DecodeError as error:
            raise _failed(AttributionError.BAD_ANSWER, f"its answer to {method} is none: {error}") from error

    def _failure(self, method: str, error: grpc.RpcError) -> KubeError:
        """What a failed call means; the socket itself is asked why it cannot be reached."""
        code, details = error.code(), error.details() or ""
        if code is grpc.StatusCode.UNAVAILABLE:
            reason = self._why_unreachable()
        elif code is grpc.StatusCode.RESOURCE_EXHAUSTED and "larger than max" in details:
            reason = AttributionError.TOO_LARGE  # gRPC's own word for a reply above MAX_BYTES
        else:
            reason = _REASONS.get(code, AttributionError.BAD_ANSWER)
        return _failed(reason, f"{method} on {self._path} failed with {code.name}: {details[:_SHOWN]}")

    def _why_unreachable(self) -> AttributionError:
        with sockets.socket(sockets.AF_UNIX, sockets.SOCK_STREAM) as probe:
            probe.settimeout(_PROBE_SECONDS)
            try:
                probe.connect(str(self._path))
            except (FileNotFoundError, NotADirectoryError):
                return AttributionError.SOCKET_ABSENT
            except PermissionError:
                return AttributionError.PERMISSION_DENIED
            except OSError:
                return AttributionError.RESTARTING  # the file stays while the kubelet is down (recorded)
        return AttributionError.RESTARTING


def _failed(reason: AttributionError, message: str) -> KubeError:
    return KubeError(f"the kubelet did not say who holds the GPUs: {message}", reason, HINTS[reason])
