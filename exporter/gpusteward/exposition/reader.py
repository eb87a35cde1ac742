"""Reading another agent's /snapshot: which nodes it sees, and with which GPUs."""

from __future__ import annotations

import msgspec
import urllib3

from gpusteward.errors import GpustewardError
from gpusteward.exposition.schema import SnapshotDocument
from gpusteward.model import CapacityType, NodeFacts
from gpusteward.pricing import NodeGpus

TIMEOUT_SECONDS = 5.0


def nodes_of_agent(url: str, token: str = "") -> list[tuple[NodeFacts, NodeGpus]]:
    """The nodes that a running agent sees, as pricing wants them.

    A node annotation's price is not in the snapshot, so such a node is explained without it.

    Args:
        url: the agent's address, as in `http://127.0.0.1:9455`.
        token: its bearer token; empty for none.

    Raises:
        GpustewardError: no agent answers there, or not with a snapshot.
    """
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    try:
        response = urllib3.request(
            "GET", f"{url.rstrip('/')}/snapshot", headers=headers, timeout=TIMEOUT_SECONDS, retries=False
        )
        document = msgspec.json.decode(response.data, type=SnapshotDocument)
    except (urllib3.exceptions.HTTPError, msgspec.MsgspecError) as error:
        raise GpustewardError(
            f"{url} does not answer with a snapshot: {error}",
            "start the agent, or say where it is with --agent http://HOST:9455",
        ) from error
    return [
        (
            NodeFacts(
                name=node.node,
                provider=node.provider,
                instance_type=node.instance_type,
                region=node.region,
                capacity_type=CapacityType(node.capacity_type),
            ),
            NodeGpus(models=tuple(gpu.model for gpu in node.gpus), nominal=node.expected),
        )
        for node in document.nodes
    ]
