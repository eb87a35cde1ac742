"""Reading another agent's /snapshot: which nodes it sees, with which GPUs, and what it charges for them."""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING

import msgspec
import urllib3

from gpusteward.errors import GpustewardError
from gpusteward.exposition.schema import SnapshotDocument
from gpusteward.model import Basis, CapacityType, NodeFacts, NodeRate, PriceSource, Rate, Signal
from gpusteward.pricing import NodeGpus, SeenNode

if TYPE_CHECKING:
    from gpusteward.exposition.schema import NodeDocument, PriceDocument

TIMEOUT_SECONDS = 5.0
_OK = 200
_UNAUTHORIZED = 401
_SHOWN_CHARACTERS = 200
_WHERE = "say where the agent is with --agent http://HOST:9455"


def nodes_of_agent(url: str, token: str = "") -> list[SeenNode]:
    """The nodes that a running agent sees, and what it charges for each.

    Args:
        url: the agent's address, as in `http://127.0.0.1:9455`.
        token: its bearer token; empty for none.

    Raises:
        GpustewardError: no agent answers there, it wants a token, or it answers with something else.
    """
    body = _fetch(url, token)
    try:
        document = msgspec.json.decode(body, type=SnapshotDocument)
        return [_seen(node) for node in document.nodes]
    except (msgspec.MsgspecError, ValueError) as error:  # ValueError: a word that this version does not know
        raise GpustewardError(f"{url} does not answer with a snapshot: {error}", _WHERE) from error


def _fetch(url: str, token: str) -> bytes:
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    try:
        response = urllib3.request(
            "GET", f"{url.rstrip('/')}/snapshot", headers=headers, timeout=TIMEOUT_SECONDS, retries=False
        )
    except urllib3.exceptions.HTTPError as error:
        message = f"no agent answers at {url}: {error}"
        raise GpustewardError(message, f"start the agent, or {_WHERE}") from error
    if response.status == _UNAUTHORIZED:
        if token:
            raise GpustewardError(f"the agent at {url} refuses this token", "give its own with --token-file")
        raise GpustewardError(f"the agent at {url} needs a token", "give its file with --token-file FILE")
    if response.status != _OK:
        said = response.data[:_SHOWN_CHARACTERS].decode("utf-8", "replace").strip()
        answer = " ".join(part for part in (str(response.status), response.reason, said) if part)
        raise GpustewardError(f"{url}/snapshot answers {answer}", _WHERE)
    return response.data


def _seen(node: NodeDocument) -> SeenNode:
    facts = NodeFacts(
        name=node.node,
        provider=node.provider,
        instance_type=node.instance_type,
        region=node.region,
        capacity_type=CapacityType(node.capacity_type),
        price_per_gpu_hour=node.price_per_gpu_hour,
    )
    watts = [gpu.signals.get(Signal.POWER) for gpu in node.gpus]
    known = [value for value in watts if value is not None]
    gpus = NodeGpus(
        models=tuple(gpu.model for gpu in node.gpus),
        nominal=node.expected,
        measured_watts=sum(known) if known and len(known) == len(watts) else None,
    )
    return SeenNode(facts=facts, gpus=gpus, charged=_charged(node), missing=node.missing_price)


def _charged(node: NodeDocument) -> NodeRate | None:
    """The node's price, put together from its leaves'; None when there is none."""
    if node.price is None:
        return None
    prices = [[leaf.price for leaf in gpu.leaves if leaf.price is not None] for gpu in node.gpus]
    if not prices or not all(prices):
        raise ValueError(f"node {node.node} has a price and its GPUs have none")
    each = tuple(sum(leaf.micro_per_hour for leaf in leaves) for leaves in prices)
    return NodeRate(
        list_micro_per_hour=node.price.list_micro_per_hour,
        other_micro_per_hour=node.price.other_micro_per_hour,
        gpu_micro_per_hour=each,
        rate=_rate(prices[0][0], each[0]),
    )


def _rate(price: PriceDocument, micro: int) -> Rate:
    return Rate(
        micro_per_hour=micro,
        currency=price.currency,
        source=PriceSource(price.source),
        basis=Basis(price.basis),
        capacity_type=CapacityType(price.capacity_type),
        confidence=price.confidence,
        as_of=dt.date.fromisoformat(price.as_of) if price.as_of else None,
        detail=price.detail,
    )
