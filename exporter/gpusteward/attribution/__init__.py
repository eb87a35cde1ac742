"""Readings × allocations → who holds which device, which share.

Belongs here: what a device id of the kubelet means, which share a seat is, and the roster that keeps lost
GPUs on the bill. Pure: no I/O, no clock; the roster of GPUs seen before is its only memory.
"""

from gpusteward.attribution.device_ids import DeviceId, parse_device_id
from gpusteward.attribution.kubelet import Attributed, with_holders
from gpusteward.attribution.roster import LOST_ALERT_SECONDS, Roster, attribute, unread

__all__ = [
    "LOST_ALERT_SECONDS",
    "Attributed",
    "DeviceId",
    "Roster",
    "attribute",
    "parse_device_id",
    "unread",
    "with_holders",
]
