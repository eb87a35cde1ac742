"""What the kubelet says of who holds what on this node, as yet without meaning: ids, not GPUs."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

    from gpusteward.clock import Moment
    from gpusteward.model.devices import Holder


class AttributionError(StrEnum):
    """Why a GPU's holder is not known, or may be out of date; the `reason` label of its counter.

    The first ones are about asking the kubelet, the last about what its answer means.
    """

    SOCKET_ABSENT = "socket_absent"
    PERMISSION_DENIED = "permission_denied"
    RESTARTING = "restarting"
    RATE_LIMITED = "rate_limited"
    TIMEOUT = "timeout"
    TOO_LARGE = "too_large"
    UNIMPLEMENTED = "unimplemented"
    BAD_ANSWER = "bad_answer"
    INTERNAL = "internal"
    EMPTY_REPLY = "empty_reply"
    DEVICE_NOT_SEEN = "device_not_seen"
    DEVICE_ID_UNREADABLE = "device_id_unreadable"
    SEATS_UNKNOWN = "seats_unknown"
    CLAIMS_NOT_READ = "claims_not_read"


@dataclass(frozen=True, slots=True, order=True)
class HeldDevice:
    """One device of one container.

    Attributes:
        device_id: as the kubelet spells it.
        holder: the container that has it.
    """

    device_id: str
    holder: Holder


@dataclass(frozen=True, slots=True, kw_only=True)
class KubeletDevices:
    """One pair of answers of the kubelet, GPUs only.

    Attributes:
        at: when it answered.
        held: what containers have; a pod that never ran has its devices too.
        advertised: the ids that the device plugins offer, held or not; None when the kubelet does not say.
        claimed: whether some container has GPUs through a claim (DRA), which are not read yet: then a GPU
            without a holder here may have one.
    """

    at: Moment
    held: tuple[HeldDevice, ...]
    advertised: frozenset[str] | None = None
    claimed: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Holdings:
    """What is known of this node's holders at one moment.

    Attributes:
        node: the node's name; empty when nobody told it.
        devices: the last answer that may still be used; None = not known, which is not "nobody".
        absent: no kubelet was ever here, and none is demanded: the source's own word stands.
        errors: failed questions since the agent began, by reason.
    """

    node: str = ""
    devices: KubeletDevices | None
    absent: bool = False
    errors: Mapping[AttributionError, int] = field(default_factory=dict)
