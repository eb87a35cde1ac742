"""What a device id of the kubelet says: every spelling is told by its form, none is configured.

| spelling | from |
|---|---|
| `GPU-<uuid>` | NVIDIA's device plugin: a whole GPU |
| `MIG-<uuid>` | the same: a MIG device, drivers from 470 |
| `MIG-GPU-<uuid>/<gi>/<ci>` | the same, older drivers: the GPU's UUID, its GPU and compute instance |
| any of these and `::<n>` | one of the seats of time-slicing or MPS |
| `nvidia<n>`, `nvidia<n>/gi<m>` | GKE's device plugin: the device file, and a GPU instance |
| any of GKE's and `/vgpu<k>` | one of its seats |
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

_UUID: Final = r"[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}"
_PLUGIN: Final = re.compile(
    rf"(?:(?P<gpu>GPU-{_UUID})|MIG-(?P<parent>GPU-{_UUID})/(?P<gi>\d{{1,9}})/\d{{1,9}}|(?P<mig>MIG-{_UUID}))"
    r"(?:::(?P<seat>\d{1,9}))?",
    re.ASCII,
)
_GKE: Final = re.compile(
    r"(?P<device>nvidia\d{1,9})(?:/gi(?P<gi>\d{1,9}))?(?:/vgpu(?P<seat>\d{1,9}))?", re.ASCII
)


@dataclass(frozen=True, slots=True, kw_only=True)
class DeviceId:
    """A device id taken apart. Exactly one of uuid, mig_uuid and device is not empty.

    Attributes:
        uuid: of the physical GPU; empty when the id does not say.
        mig_uuid: of the MIG device; empty when the id does not say.
        device: name of the GPU's device file, `nvidia0`; empty when the id does not say.
        gi: id of the GPU instance, without leading zeros; empty for a whole GPU and beside a mig_uuid.
        seat: which seat of a shared device; None when it is not shared.
    """

    uuid: str = ""
    mig_uuid: str = ""
    device: str = ""
    gi: str = ""
    seat: int | None = None

    @property
    def place(self) -> tuple[str, str]:
        """The device without its seat; seats of one place share it."""
        return (self.uuid or self.mig_uuid or self.device, self.gi)


def parse_device_id(text: str) -> DeviceId | None:
    """A device id as the kubelet spells it; None when it has none of the known forms."""
    if match := _PLUGIN.fullmatch(text):
        uuid = match["gpu"] or match["parent"] or ""
        return DeviceId(
            uuid=uuid, mig_uuid=match["mig"] or "", gi=_number(match["gi"]), seat=_seat(match["seat"])
        )
    if match := _GKE.fullmatch(text):
        return DeviceId(device=match["device"], gi=_number(match["gi"]), seat=_seat(match["seat"]))
    return None


def _number(digits: str | None) -> str:
    return "" if digits is None else str(int(digits))


def _seat(digits: str | None) -> int | None:
    return None if digits is None else int(digits)
