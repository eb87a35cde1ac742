"""The kubelet asked over a real socket: what it answers, and what each way of not answering is called."""

from __future__ import annotations

import os
import socket
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING

import grpc
import pytest

from gpusteward.errors import KubeError
from gpusteward.kube.podresources import client as module
from gpusteward.kube.podresources.client import HINTS, PodResourcesClient
from gpusteward.model import AttributionError
from tests.fake_kubelet import FakeKubelet, listing, offering, recorded_list

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture
def kubelet(tmp_path: Path) -> Iterator[FakeKubelet]:
    with FakeKubelet(tmp_path / "kubelet.sock") as server:
        yield server


@pytest.fixture
def client(tmp_path: Path) -> Iterator[PodResourcesClient]:
    client = PodResourcesClient(tmp_path / "kubelet.sock")
    yield client
    client.close()


def why_not(client: PodResourcesClient) -> str:
    with pytest.raises(KubeError) as caught:
        client.held()
    assert caught.value.hint == HINTS[AttributionError(caught.value.reason)]
    return caught.value.reason


def test_it_gives_what_the_kubelet_says_on_one_kept_channel(
    kubelet: FakeKubelet, client: PodResourcesClient
) -> None:
    kubelet.listed = recorded_list("30-fifty-pods")
    kubelet.offered = offering("GPU-a", "GPU-b")
    assert client.held() == kubelet.listed
    assert [list(device.device_ids) for device in client.advertised().devices] == [["GPU-a"], ["GPU-b"]]
    client.close()
    client.close()
    assert client.held() == kubelet.listed, "asked after a close, it opens another"


def test_no_socket_is_told_from_a_kubelet_that_is_down(tmp_path: Path, client: PodResourcesClient) -> None:
    assert why_not(client) == "socket_absent"
    with socket.socket(socket.AF_UNIX) as left_behind:
        left_behind.bind(str(tmp_path / "kubelet.sock"))
    assert (tmp_path / "kubelet.sock").exists(), "a killed kubelet leaves its file (recorded)"
    assert why_not(client) == "restarting"


def test_a_restarted_kubelet_is_found_again(kubelet: FakeKubelet, client: PodResourcesClient) -> None:
    kubelet.listed = listing(("ml", "a", "main", "GPU-a"))
    client.held()
    kubelet.stop()
    assert why_not(client) in {"socket_absent", "restarting"}
    kubelet.start()
    for _ in range(100):
        try:
            assert client.held() == kubelet.listed
        except KubeError:
            threading.Event().wait(0.1)
        else:
            return
    pytest.fail("not found again")


@pytest.mark.parametrize(
    ("status", "reason"),
    [
        (grpc.StatusCode.RESOURCE_EXHAUSTED, "rate_limited"),
        (grpc.StatusCode.UNIMPLEMENTED, "unimplemented"),
        (grpc.StatusCode.DEADLINE_EXCEEDED, "timeout"),
        (grpc.StatusCode.UNKNOWN, "bad_answer"),
        (grpc.StatusCode.UNAVAILABLE, "restarting"),
    ],
)
def test_a_refusal_has_a_reason(
    kubelet: FakeKubelet, client: PodResourcesClient, status: grpc.StatusCode, reason: str
) -> None:
    kubelet.refusing = (status, "rejected by rate limit")
    assert why_not(client) == reason


def test_bytes_that_are_no_answer_are_a_bad_answer(kubelet: FakeKubelet, client: PodResourcesClient) -> None:
    kubelet.raw = b"\xff\xff\xff"
    assert why_not(client) == "bad_answer"


def test_an_answer_above_the_limit_is_refused_before_it_is_decoded(
    kubelet: FakeKubelet, client: PodResourcesClient
) -> None:
    kubelet.raw = bytes(module.MAX_BYTES + 1)
    assert why_not(client) == "too_large"


def test_a_kubelet_that_never_answers_is_given_up(
    kubelet: FakeKubelet, client: PodResourcesClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "DEADLINE_SECONDS", 0.2)
    kubelet.hanging = True
    assert why_not(client) == "timeout"


@contextmanager
def powerless(directory: Path) -> Iterator[None]:
    """As somebody whom the modes of files stop, which they do not do to root."""
    mode = directory.stat().st_mode
    directory.chmod(0)
    root = os.geteuid() == 0
    try:
        if root:
            os.seteuid(65534)
        yield
    finally:
        if root:
            os.seteuid(0)
        directory.chmod(mode)


def test_a_socket_that_may_not_be_opened_says_so(kubelet: FakeKubelet, client: PodResourcesClient) -> None:
    with powerless(kubelet.path.parent):
        assert why_not(client) == "permission_denied"


def test_every_reason_of_the_kubelets_has_a_next_step() -> None:
    of_the_meaning = {
        AttributionError.INTERNAL,
        AttributionError.EMPTY_REPLY,
        AttributionError.DEVICE_NOT_SEEN,
        AttributionError.DEVICE_ID_UNREADABLE,
        AttributionError.SEATS_UNKNOWN,
        AttributionError.CLAIMS_NOT_READ,
    }
    assert set(AttributionError) - of_the_meaning == HINTS.keys()
