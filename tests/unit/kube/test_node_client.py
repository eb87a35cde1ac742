"""One Node over real HTTP: what is asked, what is read of it, and what each refusal becomes."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from gpusteward.clock import SystemClock
from gpusteward.errors import KubeError
from gpusteward.kube import node_client
from gpusteward.kube.node_client import ApiServer, NodeClient
from tests.clocks import TurnedClock
from tests.fake_apiserver_nodes import NodeApi, certificate, cut, hang, status, trickle

if TYPE_CHECKING:
    from collections.abc import Iterator

    from gpusteward.clock import Clock, Moment

CAPTURE = Path(__file__).parents[2] / "captures" / "node-l40s.json"  # of a real API server 1.36.2
NAME = "real-0"


def recorded() -> dict[str, Any]:
    node = json.loads(CAPTURE.read_text())
    assert isinstance(node, dict)
    return node


@pytest.fixture
def api() -> Iterator[NodeApi]:
    with NodeApi(recorded()) as server:
        yield server


@pytest.fixture
def token(tmp_path: Path) -> Path:
    path = tmp_path / "token"
    path.write_text("good\n")
    return path


@pytest.fixture
def client(api: NodeApi, token: Path) -> Iterator[NodeClient]:
    made = client_of(api.url, token)
    yield made
    made.close()


def client_of(url: str, token: Path, name: str = NAME, clock: Clock | None = None) -> NodeClient:
    return NodeClient(ApiServer(url, token, token.parent / "ca.crt"), name, clock or SystemClock())


def failure(client: NodeClient) -> KubeError:
    with pytest.raises(KubeError) as caught:
        client.get()
    assert caught.value.hint
    assert "good" not in str(caught.value), "a token must never be shown"
    return caught.value


def versions(api: NodeApi) -> list[str]:
    return [path.partition("?")[2] for path, _ in api.asked]


# --- what is asked and read ---------------------------------------------------------------------------------


def test_labels_annotations_provider_and_capacity_of_a_recorded_node_are_read(
    api: NodeApi, client: NodeClient
) -> None:
    api.nodes[NAME]["spec"]["providerID"] = "aws:///us-east-1a/i-0123456789abcdef0"
    node = client.get()
    assert node.labels["nvidia.com/gpu.product"] == "NVIDIA-L40S"
    assert (node.metadata.annotations or {})["node.alpha.kubernetes.io/ttl"] == "0"
    assert node.spec.provider_id == "aws:///us-east-1a/i-0123456789abcdef0"
    assert (node.status.capacity or {})["nvidia.com/gpu"] == "8"
    assert node.metadata.resource_version == "3076"


@pytest.mark.parametrize(
    "bare",
    [
        {"metadata": {"name": NAME}},
        {"metadata": {"name": NAME, "labels": None, "annotations": None}, "spec": {}, "status": {}},
        {"metadata": {"name": NAME, "unknown": [1]}, "status": {"capacity": {"nvidia.com/gpu": 8}}},
    ],
)
def test_what_a_server_leaves_out_or_nulls_or_spells_as_a_number_is_no_error(
    api: NodeApi, client: NodeClient, bare: dict[str, Any]
) -> None:
    api.nodes[NAME] = bare
    assert client.get().labels == {}


def test_the_first_question_wants_the_newest_and_the_next_nothing_older_than_that(
    api: NodeApi, client: NodeClient
) -> None:
    client.get()
    api.label(NAME, driver="true")
    assert client.get().labels["nvidia.com/gpu.deploy.driver"] == "true"
    client.get()
    assert versions(api) == ["", "resourceVersion=3076", "resourceVersion=3077"]


def test_a_version_that_the_server_does_not_know_any_more_is_forgotten(
    api: NodeApi, client: NodeClient
) -> None:
    client.get()
    api.version = 12  # etcd was restored from a backup
    assert client.get().metadata.resource_version == "12"
    client.get()
    assert versions(api) == ["", "resourceVersion=3076", "", "resourceVersion=12"]


def test_questions_are_asked_over_one_kept_connection_with_the_token_and_as_gpusteward(
    api: NodeApi, client: NodeClient
) -> None:
    client.get()
    client.get()
    assert api.connections == 1
    path, headers = api.asked[0]
    assert path == "/api/v1/nodes/real-0"
    assert headers["authorization"] == "Bearer good"
    assert headers["user-agent"].startswith("gpusteward/")


def test_a_name_cannot_lead_to_another_path(api: NodeApi, token: Path) -> None:
    client = client_of(api.url, token, "../pods?watch=1")
    assert failure(client).reason == "not_found"
    assert api.asked[0][0] == "/api/v1/nodes/..%2Fpods%3Fwatch%3D1"
    client.close()


def test_a_closed_client_may_be_asked_again(api: NodeApi, client: NodeClient) -> None:
    client.get()
    client.close()
    client.close()
    client.get()
    assert api.connections == 2


# --- tokens -------------------------------------------------------------------------------------------------


def test_a_token_that_was_rotated_is_used_at_once(api: NodeApi, client: NodeClient, token: Path) -> None:
    client.get()
    token.write_text("newer")
    api.tokens = {"newer"}
    client.get()
    assert [headers["authorization"] for _, headers in api.asked] == ["Bearer good", "Bearer newer"]


def test_a_token_that_is_rotated_while_we_ask_is_tried_before_giving_up(
    api: NodeApi, client: NodeClient, token: Path
) -> None:
    def rotate(handler: Any) -> None:  # noqa: ANN401 - a fault takes any handler
        token.write_text("newer")
        api.tokens = {"newer"}
        status(401)(handler)

    api.faults.append(rotate)
    assert client.get().metadata.name == NAME
    assert len(api.asked) == 2


def test_a_token_that_is_refused_and_is_still_the_same_is_not_sent_twice(
    api: NodeApi, client: NodeClient
) -> None:
    api.tokens = set()
    error = failure(client)
    assert error.reason == "unauthorized"
    assert len(api.asked) == 1


@pytest.mark.parametrize("content", [None, b"", b" \n", b"\xff\xfe"])
def test_a_token_that_cannot_be_read_is_said_before_anything_is_asked(
    api: NodeApi, client: NodeClient, token: Path, content: bytes | None
) -> None:
    token.unlink() if content is None else token.write_bytes(content)
    error = failure(client)
    assert (error.reason, "automountServiceAccountToken" in error.hint) == ("no_token", True)
    assert api.asked == []


# --- refusals -----------------------------------------------------------------------------------------------


def test_a_missing_right_is_said_with_the_rule_that_gives_it(api: NodeApi, client: NodeClient) -> None:
    api.may_get = False
    error = failure(client)
    assert error.reason == "forbidden"
    assert 'cannot get resource "nodes"' in error.message
    assert '{apiGroups: [""], resources: [nodes], verbs: [get]}' in error.hint


def test_an_unknown_node_names_the_setting(api: NodeApi, token: Path) -> None:
    client = client_of(api.url, token, "elsewhere")
    error = failure(client)
    assert (error.reason, "NODE_NAME" in error.hint) == ("not_found", True)
    assert 'nodes "elsewhere" not found' in error.message
    client.close()


@pytest.mark.parametrize(
    ("code", "headers", "expected"),
    [
        (429, {"Retry_After": "7"}, ("overloaded", 7.0)),
        (503, {"Retry_After": "99999999999"}, ("overloaded", 300.0)),
        (429, {"Retry_After": "Wed, 21 Oct 2026 07:28:00 GMT"}, ("overloaded", None)),
        (429, {}, ("overloaded", None)),
        (500, {}, ("server_error", None)),
        (504, {}, ("server_error", None)),
        (302, {"Location": "http://127.0.0.1:1/"}, ("bad_answer", None)),
        (418, {}, ("bad_answer", None)),
    ],
)
def test_other_refusals_have_a_reason_and_at_most_a_bounded_wait(
    api: NodeApi, client: NodeClient, code: int, headers: dict[str, str], expected: tuple[str, float | None]
) -> None:
    api.faults.append(status(code, b"<html>\xff", **headers))
    error = failure(client)
    assert (error.reason, error.retry_after) == expected
    assert str(code) in error.message
    assert len(api.asked) == 1, "no redirect is followed and no refusal tried again"


def test_the_servers_own_words_are_cut_and_kept_on_one_line(api: NodeApi, client: NodeClient) -> None:
    body = json.dumps({"kind": "Status", "message": "a\nb " + "x" * 10_000}).encode()
    api.faults.append(status(500, body))
    error = failure(client)
    assert ": a b xxx" in error.message
    assert len(error.message) < 500


@pytest.mark.parametrize("body", [b"", b"not json", b"[]", b'{"metadata": {"name": 5}}', b"\xff", b"{}"])
def test_an_answer_that_is_no_node_is_said(api: NodeApi, client: NodeClient, body: bytes) -> None:
    api.faults.append(status(200, body))
    assert failure(client).reason == "bad_answer"


def test_an_answer_about_another_node_is_refused(api: NodeApi, client: NodeClient) -> None:
    api.faults.append(status(200, b'{"metadata": {"name": "other-1"}}'))
    assert "the answer is about other-1" in failure(client).message


def test_an_answer_without_end_is_left(api: NodeApi, client: NodeClient) -> None:
    api.faults.append(status(200, b" " * (node_client.MAX_BYTES + 1)))
    error = failure(client)
    assert (error.reason, "larger than" in error.message) == ("bad_answer", True)
    assert client.get().metadata.name == NAME, "the rest of it is not taken for the next answer"


# --- connections --------------------------------------------------------------------------------------------


def test_a_server_that_does_not_answer_is_late(
    api: NodeApi, client: NodeClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(node_client, "READ_SECONDS", 0.1)
    api.faults.append(hang)
    assert failure(client).reason == "timeout"


class HurriedClock(TurnedClock):
    """Each look at it is a second later."""

    def now(self) -> Moment:
        self.turn(1.0)
        return super().now()


def test_an_answer_that_trickles_is_late_though_no_single_read_is(api: NodeApi, token: Path) -> None:
    client = client_of(api.url, token, clock=HurriedClock())
    api.faults.append(trickle)
    error = failure(client)
    assert (error.reason, "did not finish" in error.message) == ("timeout", True)
    client.close()


def test_an_answer_that_is_cut_is_not_half_a_node(api: NodeApi, client: NodeClient) -> None:
    api.faults.append(cut)
    assert failure(client).reason == "unreachable"
    assert client.get().metadata.name == NAME


def test_a_server_that_is_not_there_is_unreachable(token: Path) -> None:
    with NodeApi() as gone:
        url = gone.url
    client = client_of(url, token)
    assert failure(client).reason == "unreachable"
    client.close()


def test_the_servers_certificate_is_checked_against_the_mounted_ca(tmp_path: Path, token: Path) -> None:
    ours, theirs = certificate(tmp_path, "ours"), certificate(tmp_path, "theirs")
    ca = tmp_path / "ca.crt"
    ca.write_bytes(theirs[0].read_bytes())
    with NodeApi(recorded(), tls=ours) as api:
        client = client_of(api.url, token)
        error = failure(client)
        assert (error.reason, api.asked) == ("tls", [])
        ca.unlink()
        ca.write_bytes(ours[0].read_bytes())
        assert client.get().metadata.name == NAME, "a CA that was replaced is read again"
        assert client.get().metadata.name == NAME
        client.close()
    assert [path for path, _ in api.asked] == [
        "/api/v1/nodes/real-0",
        "/api/v1/nodes/real-0?resourceVersion=3076",
    ]


@pytest.mark.parametrize("content", [None, "no certificate"])
def test_a_ca_that_cannot_be_read_is_said(token: Path, content: str | None) -> None:
    if content is not None:
        (token.parent / "ca.crt").write_text(content)
    client = client_of("https://127.0.0.1:1", token)
    assert failure(client).reason == "no_ca"
