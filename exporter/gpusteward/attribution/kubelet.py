"""The kubelet's device ids put onto the devices that were read: who holds what, and which share.

A seat of a shared device is one part of as many as its plugin advertises, held or not; seats that nobody
holds stay unallocated, so that four pods on a GPU of ten seats do not look like a full one.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import dataclass, field, replace
from fractions import Fraction
from typing import TYPE_CHECKING, TypeAlias

from gpusteward.attribution.device_ids import DeviceId, parse_device_id
from gpusteward.model import (
    Allocation,
    AttributionError,
    GpuReading,
    Holder,
    InstanceReading,
    NodeReadings,
    Readings,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from gpusteward.model import KubeletDevices

Place: TypeAlias = tuple[str, str]
"""A device as an id names it: (UUID, MIG UUID or device file; GPU instance or empty)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Attributed:
    """Readings with the kubelet's holders.

    Attributes:
        readings: the same, with allocations as the kubelet tells them.
        errors: what could not be attributed this time, by reason, in device ids.
    """

    readings: Readings
    errors: Mapping[AttributionError, int] = field(default_factory=dict)


def with_holders(readings: Readings) -> Attributed:
    """The readings with the allocations that the kubelet tells.

    Its word replaces the source's: while it is not known, allocations are not known either (None, which is
    not "nobody"). Only where no kubelet is asked, or none was ever there, the source's own word stands; so
    it does for the other nodes of a page of several.
    """
    holdings = readings.holdings
    if holdings is None or holdings.absent:
        return Attributed(readings=readings)
    names = {node.node for node in readings.nodes}
    own = names if len(names) == 1 else names & {holdings.node}
    if holdings.devices is None:
        nodes = (_unknown(node) if node.node in own else node for node in readings.nodes)
        return Attributed(readings=replace(readings, nodes=tuple(nodes)))
    ids = _Ids(holdings.devices)
    nodes = (ids.on(node) if node.node in own else node for node in readings.nodes)
    readings = replace(readings, nodes=tuple(nodes))
    return Attributed(readings=readings, errors=ids.errors() if own else {})


def _unknown(node: NodeReadings) -> NodeReadings:
    gpus = (
        replace(
            gpu,
            allocations=None,
            instances=tuple(replace(instance, allocations=None) for instance in gpu.instances),
        )
        for gpu in node.gpus
    )
    return replace(node, gpus=tuple(gpus))


class _Ids:
    """The kubelet's answer by place, and what of it was found on the node.

    Args:
        devices: the answer.
    """

    def __init__(self, devices: KubeletDevices) -> None:
        self._claimed = devices.claimed
        offered = [parse_device_id(text) for text in devices.advertised or ()]
        self._seats = _seats(offered)
        self._held: dict[Place, list[tuple[DeviceId, Holder]]] = defaultdict(list)
        self._found: set[Place] = set()
        self._left_to_the_source = False
        self._met = False
        self._errors: Counter[AttributionError] = Counter()
        for device in devices.held:
            device_id = parse_device_id(device.device_id)
            if device_id is None:
                self._errors[AttributionError.DEVICE_ID_UNREADABLE] += 1
            else:
                self._held[device_id.place].append((device_id, device.holder))
        self._places = {one.place for one in offered if one is not None} | self._held.keys()
        self._unreadable = self._errors.total() > 0
        if devices.claimed:
            self._errors[AttributionError.CLAIMS_NOT_READ] += 1

    def on(self, node: NodeReadings) -> NodeReadings:
        """The node with the holders that the ids name.

        Where none of the kubelet's devices is on it, it is another kubelet's node: nothing is known of it.
        """
        told = replace(node, gpus=tuple(self._gpu(gpu) for gpu in node.gpus))
        return told if self._met or self._left_to_the_source or not self._places else _unknown(node)

    def errors(self) -> Mapping[AttributionError, int]:
        """What could not be attributed, once every node was done."""
        lost = sum(len(held) for place, held in self._held.items() if self._is_lost(place))
        if self._places and not (self._met or self._left_to_the_source):
            lost = max(lost, len(self._places))
        return self._errors + Counter({AttributionError.DEVICE_NOT_SEEN: lost})

    def _is_lost(self, place: Place) -> bool:
        by_page = self._left_to_the_source and place[0].startswith("MIG-")
        return place not in self._found and not by_page

    def _gpu(self, gpu: GpuReading) -> GpuReading:
        whole = self._taken((gpu.uuid, ""), (_device(gpu), ""))
        if not gpu.mig:
            return replace(gpu, allocations=self._allocations(whole))
        if whole:  # held from before MIG was switched on: which instances are whose cannot be told
            return replace(gpu, instances=tuple(replace(i, allocations=None) for i in gpu.instances))
        return replace(gpu, instances=tuple(self._instance(gpu, instance) for instance in gpu.instances))

    def _instance(self, gpu: GpuReading, instance: InstanceReading) -> InstanceReading:
        places = [(gpu.uuid, instance.gi), (_device(gpu), instance.gi)]
        if instance.mig_uuid:
            places.append(_mig_place(instance.mig_uuid))
        held = self._taken(*places)
        if not held and not instance.mig_uuid and self._names_mig_devices():
            self._left_to_the_source = True
            return instance  # a page without MIG UUIDs: the kubelet's ids say nothing of it, the page may
        return replace(instance, allocations=self._allocations(held))

    def _names_mig_devices(self) -> bool:
        return any(place[0].startswith("MIG-") for place in (*self._held, *self._seats))

    def _taken(self, *places: Place) -> list[tuple[DeviceId, Holder]]:
        """What is held of a device under any of its names."""
        self._met = self._met or not self._places.isdisjoint(places)
        found = [place for place in places if place in self._held]
        self._found.update(found)
        return [held for place in found for held in self._held[place]]

    def _allocations(self, held: list[tuple[DeviceId, Holder]]) -> tuple[Allocation, ...] | None:
        """The holders with their shares; empty = nobody; None = not known."""
        if not held:
            return None if self._claimed or self._unreadable else ()
        shares: dict[Holder, Fraction] = defaultdict(Fraction)
        for device_id, holder in held:
            seats = 1 if device_id.seat is None else self._seats_of(device_id.place, held)
            if seats is None:
                self._errors[AttributionError.SEATS_UNKNOWN] += 1
                return None
            shares[holder] += Fraction(1, seats)
        return _fitted(shares)

    def _seats_of(self, place: Place, held: Iterable[tuple[DeviceId, Holder]]) -> int | None:
        """How many seats a shared device has; None when the kubelet does not say."""
        advertised = self._seats.get(place)
        if advertised is None:
            return None
        return len(advertised | {i.seat for i, _ in held if i.place == place and i.seat is not None})


def _fitted(shares: Mapping[Holder, Fraction]) -> tuple[Allocation, ...]:
    """Allocations in order; where a pod that ended and its successor both have a device, they share it."""
    total = max(sum(shares.values(), Fraction(0)), Fraction(1))
    return tuple(Allocation(holder, share / total) for holder, share in sorted(shares.items()))


def _seats(offered: Iterable[DeviceId | None]) -> dict[Place, set[int]]:
    """The seats on offer of each shared device."""
    seats: dict[Place, set[int]] = defaultdict(set)
    for device_id in offered:
        if device_id is not None and device_id.seat is not None:
            seats[device_id.place].add(device_id.seat)
    return dict(seats)


def _mig_place(mig_uuid: str) -> Place:
    """The place that an id with this MIG UUID has; older drivers' UUIDs name GPU and instance."""
    device_id = parse_device_id(mig_uuid)
    return (mig_uuid, "") if device_id is None else device_id.place


def _device(gpu: GpuReading) -> str:
    """Name of the GPU's device file; where the source does not say, the one that its index suggests."""
    return gpu.device or (f"nvidia{gpu.gpu}" if gpu.gpu else "")
