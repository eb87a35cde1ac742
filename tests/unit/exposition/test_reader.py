"""Reading another agent's /snapshot over a socket: what it says, and what is no snapshot."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from gpusteward.errors import GpustewardError
from gpusteward.exposition import Exposition, nodes_of_agent
from gpusteward.exposition.document import encode
from gpusteward.exposition.responses import Response, respond, sentence
from gpusteward.metrics.page import render
from gpusteward.model import CapacityType, NodeFacts
from tests import snapshots

if TYPE_CHECKING:
    import threading

    from gpusteward.clock import Moment
    from gpusteward.exposition.responses import App, Receive, Scope, Send
    from gpusteward.model import Snapshot
    from gpusteward.pricing import SeenNode
    from tests.unit.exposition.conftest import Site

SECRET = "s3cret-token"  # noqa: S105 - a test's own, of no other use


class Clock:
    def now(self) -> Moment:
        return snapshots.AT

    def wait(self, event: threading.Event, seconds: float) -> bool:
        return event.wait(seconds)


class OneToken:
    def matches(self, candidate: str) -> bool:
        return candidate == SECRET


def agent(snapshot: Snapshot | None, token: OneToken | None = None) -> Exposition:
    app = Exposition(Clock(), render(None, snapshots.EXPOSURE), token)
    if snapshot is not None:
        app.publish(snapshot, render(snapshot, snapshots.EXPOSURE))
    return app


def always(response: Response) -> App:
    async def app(_scope: Scope, _receive: Receive, send: Send) -> None:
        await respond(send, response, head=False)

    return app


def asked(site: Site, app: App, token: str = "") -> list[SeenNode]:
    site.app = app
    return nodes_of_agent(f"http://{site.address}/", token)


def refused(site: Site, app: App, token: str = "") -> GpustewardError:
    with pytest.raises(GpustewardError) as caught:
        asked(site, app, token)
    return caught.value


def test_a_node_is_read_back_with_its_gpus_its_facts_and_its_price(site: Site) -> None:
    facts = NodeFacts(
        name=snapshots.NODE,
        provider="aws",
        instance_type="p5.48xlarge",
        region="us-east-1",
        capacity_type=CapacityType.SPOT,
        price_per_gpu_hour="6.88",
    )
    sent = snapshots.node((snapshots.whole_gpu(), snapshots.mig_gpu()), facts=facts)
    (node,) = asked(site, agent(snapshots.snapshot(nodes=(sent,))))
    assert node.facts == facts
    assert node.gpus.models == ("NVIDIA H100 80GB HBM3",) * 2
    assert node.gpus.nominal == 2
    assert node.gpus.measured_watts == 1225.0
    assert node.charged == sent.rate
    assert node.missing == ""


def test_the_watts_of_a_node_are_not_known_when_those_of_one_board_are_not(site: Site) -> None:
    (node,) = asked(site, agent(snapshots.snapshot(snapshots.whole_gpu(), snapshots.lost_gpu())))
    assert node.gpus.measured_watts is None


def test_a_node_without_a_price_says_why(site: Site) -> None:
    unpriced = snapshots.node((snapshots.unpriced_gpu(),), rate=None, missing_price="p9 is in no list")
    (node,) = asked(site, agent(snapshots.snapshot(nodes=(unpriced,))))
    assert node.charged is None
    assert node.missing == "p9 is in no list"


def test_a_price_without_a_date_is_one(site: Site) -> None:
    leaf = snapshots.busy_leaf()
    undated = replace(leaf, rate=replace(snapshots.rate(), as_of=None))
    gpu = replace(snapshots.whole_gpu(), leaves=(undated,))
    (node,) = asked(site, agent(snapshots.snapshot(gpu)))
    assert node.charged is not None
    assert node.charged.rate.as_of is None


def test_an_agent_with_a_token_answers_who_shows_it(site: Site) -> None:
    app = agent(snapshots.snapshot(snapshots.whole_gpu()), OneToken())
    assert len(asked(site, app, SECRET)) == 1
    without = refused(site, app)
    assert "needs a token" in without.message
    assert "--token-file FILE" in without.hint
    wrong = refused(site, app, "another")
    assert "refuses this token" in wrong.message
    assert "--token-file" in wrong.hint


def test_an_agent_without_a_sample_yet_is_quoted(site: Site) -> None:
    error = refused(site, agent(None))
    assert "/snapshot answers 503" in error.message
    assert "there is no sample yet" in error.message


@pytest.mark.parametrize("status", [302, 404, 500])
def test_another_status_is_told_with_the_start_of_what_was_said(site: Site, status: int) -> None:
    error = refused(site, always(sentence(status, "x" * 999)))
    assert f"answers {status} " in error.message
    assert error.message.endswith(" " + "x" * 200)
    assert "--agent" in error.hint


def changed(**node: object) -> bytes:
    """A good snapshot whose node has other values."""
    document: dict[str, Any] = json.loads(encode(snapshots.snapshot(snapshots.whole_gpu())))
    document["nodes"][0].update(node)
    return json.dumps(document).encode()


def test_a_snapshot_of_an_older_agent_lacks_the_annotation(site: Site) -> None:
    document = json.loads(changed())
    del document["nodes"][0]["price_per_gpu_hour"]
    (node,) = asked(site, always(Response(200, json.dumps(document).encode())))
    assert node.facts.price_per_gpu_hour == ""


@pytest.mark.parametrize(
    "body",
    [b"", b"<html>", b"{}", b'{"schema": 2}', b"\xff", changed(capacity_type="leased"), changed(gpus=[])],
    ids=["nothing", "html", "another json", "another schema", "no text", "unknown word", "price of no gpu"],
)
def test_what_is_no_snapshot_is_said_to_be_none(site: Site, body: bytes) -> None:
    error = refused(site, always(Response(200, body)))
    assert "does not answer with a snapshot" in error.message
    assert "--agent" in error.hint


@pytest.mark.parametrize("url", ["http://127.0.0.1:1", "ftp://127.0.0.1", "http://", "http://h:99999"])
def test_where_no_agent_is_the_next_step_is_to_start_one(url: str) -> None:
    with pytest.raises(GpustewardError, match="no agent answers at") as caught:
        nodes_of_agent(url)
    assert caught.value.hint.startswith("start the agent")
