"""A kubelet to ask in tests: real gRPC on a unix socket, with the recorded manners of a real one.

with FakeKubelet(directory / "kubelet.sock") as kubelet:
    kubelet.listed = listing(("ml", "train-0", "main", "GPU-..."))
    kubelet.offered = offering("GPU-...")
"""

from __future__ import annotations

import base64
import json
import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Final

import grpc

from gpusteward.kube.podresources.api_pb2 import (
    AllocatableResourcesRequest,
    AllocatableResourcesResponse,
    ListPodResourcesRequest,
    ListPodResourcesResponse,
)

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import TracebackType
    from typing import Self

    from google.protobuf.message import Message

RECORDINGS: Final = Path(__file__).resolve().parent / "captures" / "kubelet"
GPU: Final = "nvidia.com/gpu"


def recorded(name: str) -> tuple[bytes, dict[str, object]]:
    """A recorded reply of a real kubelet, raw and as JSON; without fields where it was empty."""
    document = json.loads((RECORDINGS / f"{name}.json").read_text())
    return base64.b64decode(document["response_base64"]), document["response_decoded"]


def recorded_list(name: str) -> ListPodResourcesResponse:
    return ListPodResourcesResponse.FromString(recorded(f"{name}.list")[0])


def recorded_allocatable(name: str) -> AllocatableResourcesResponse:
    return AllocatableResourcesResponse.FromString(recorded(f"{name}.allocatable")[0])


def listing(*held: tuple[str, str, str, str], resource: str = GPU) -> ListPodResourcesResponse:
    """An answer of List: (namespace, pod, container, device id) each; an entry a device, as recorded."""
    answer = ListPodResourcesResponse()
    for namespace, name, container, device_id in held:
        pod = answer.pod_resources.add(namespace=namespace, name=name)
        box = pod.containers.add(name=container)
        box.devices.add(resource_name=resource, device_ids=[device_id])
    return answer


def offering(*device_ids: str, resource: str = GPU) -> AllocatableResourcesResponse:
    """An answer of GetAllocatableResources."""
    answer = AllocatableResourcesResponse()
    for device_id in device_ids:
        answer.devices.add(resource_name=resource, device_ids=[device_id])
    return answer


@dataclass
class FakeKubelet:
    """The server, from `start` to `stop`; its answers may be changed at any time.

    Attributes:
        path: its socket.
        listed: the answer of List.
        offered: the answer of GetAllocatableResources; None = it does not serve that.
        refusing: a status that every question gets instead.
        raw: bytes that every question gets instead.
        hanging: questions are not answered while this is set.
        asked: how many questions came.
    """

    path: Path
    listed: ListPodResourcesResponse = field(default_factory=ListPodResourcesResponse)
    offered: AllocatableResourcesResponse | None = field(default_factory=AllocatableResourcesResponse)
    refusing: tuple[grpc.StatusCode, str] | None = None
    raw: bytes | None = None
    hanging: bool = False
    asked: int = 0
    _server: grpc.Server | None = None
    _released: threading.Event = field(default_factory=threading.Event)

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def start(self) -> None:
        self._released.clear()
        server = grpc.server(ThreadPoolExecutor(4), options=[("grpc.max_send_message_length", -1)])
        methods = {
            "List": self._method(ListPodResourcesRequest, lambda: self.listed),
            "GetAllocatableResources": self._method(AllocatableResourcesRequest, lambda: self.offered),
        }
        server.add_generic_rpc_handlers(
            (grpc.method_handlers_generic_handler("v1.PodResourcesLister", methods),)
        )
        assert server.add_insecure_port(f"unix:{self.path}")
        server.start()
        self._server = server

    def stop(self) -> None:
        """End at once; a real kubelet leaves its socket file there, gRPC's server takes it away."""
        self._released.set()
        if self._server is not None:
            self._server.stop(None).wait()
            self._server = None

    def _method(
        self, request: type[Message], answer: Callable[[], Message | None]
    ) -> grpc.RpcMethodHandler[Message, bytes]:
        def serve(_request: object, context: grpc.ServicerContext) -> bytes:
            self.asked += 1
            if self.hanging:
                self._released.wait(30)
            if self.refusing is not None:
                context.abort(*self.refusing)
            if self.raw is not None:
                return self.raw
            message = answer()
            if message is None:
                context.abort(grpc.StatusCode.UNIMPLEMENTED, "unknown method GetAllocatableResources")
            return message.SerializeToString()

        return grpc.unary_unary_rpc_method_handler(
            serve, request_deserializer=request.FromString, response_serializer=bytes
        )
