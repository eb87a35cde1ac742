"""The fields of Kubernetes objects that are read, and no others: what is not named here is never decoded.

Every field has a default and every mapping may be null, since an API server may leave out or null what it
pleases (a Node without labels has no `labels` at all).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from msgspec import Struct, field

if TYPE_CHECKING:
    from collections.abc import Mapping


class Metadata(Struct, frozen=True, rename="camel"):
    """`metadata` of an object."""

    name: str = ""
    resource_version: str = ""
    labels: dict[str, str] | None = None
    annotations: dict[str, str] | None = None


class NodeSpec(Struct, frozen=True):
    """`spec` of a Node; `provider_id` is the cloud's own name of the machine, with its zone."""

    provider_id: str = field(name="providerID", default="")


class NodeStatus(Struct, frozen=True):
    """`status` of a Node; quantities as Kubernetes spells them, or as numbers from a lax server."""

    capacity: dict[str, str | int | float] | None = None


class Node(Struct, frozen=True):
    """A Node.

    Attributes:
        metadata: name, version, labels and annotations.
        spec: the provider's id.
        status: capacity by resource.
    """

    metadata: Metadata = Metadata()
    spec: NodeSpec = NodeSpec()
    status: NodeStatus = NodeStatus()

    @property
    def labels(self) -> Mapping[str, str]:
        """Its labels; empty when it has none."""
        return self.metadata.labels or {}


class Status(Struct, frozen=True):
    """What the API server answers in place of an object that it does not give."""

    message: str = ""
    reason: str = ""
