"""The simulated fleet: built once from a profile and a seed, then only asked; asking changes nothing."""

from __future__ import annotations

from typing import TYPE_CHECKING
from uuid import UUID

from gpusteward.devices.simulated.board import Board, Interval, SimulatedLeaf, usable_memory
from gpusteward.devices.simulated.patterns import digest, steps, unit
from gpusteward.devices.simulated.profile import Group
from gpusteward.devices.simulated.signals import segment
from gpusteward.devices.simulated.tenancy import visits
from gpusteward.devices.simulated.timeline import Curve, Span, Timeline, without
from gpusteward.model import NodeFacts, NodeReadings
from gpusteward.units import MIB

if TYPE_CHECKING:
    from collections.abc import Iterator

    from gpusteward.devices.simulated.profile import Instances, Node, Profile
    from gpusteward.devices.simulated.tenancy import Visit

_FIRST_GI = {7: 0, 4: 1, 3: 1, 2: 3, 1: 7}
"""Where the driver begins to number instances of so many compute slices; taken numbers are passed over."""


class Fleet:
    """All simulated nodes.

    Args:
        profile: what was written.
        seed: same seed and profile, same fleet.
    """

    def __init__(self, profile: Profile, seed: int) -> None:
        self._nodes = tuple(
            (node, tuple(_boards(node, seed))) for node in sorted(profile.nodes, key=lambda node: node.name)
        )

    def nodes(self, interval: Interval) -> tuple[NodeReadings, ...]:
        """What a sample of an interval of simulated seconds reads, in the order of node names."""
        return tuple(
            NodeReadings(
                node=node.name,
                gpus=tuple(reading for board in boards if (reading := board.reading(interval))),
                facts=_facts(node),
            )
            for node, boards in self._nodes
        )

    def activity_integral(self, node: str, uuid: str, gi: str, t0: float, t1: float) -> float:
        """Seconds of activity of a device between two simulated seconds: ∫ activity dt.

        Activity is the greatest, at each instant, of the best activity signal that the device has and its
        codec engines; a faulty or lost GPU has none. Taken from antiderivatives, not from what `nodes` reads.

        Raises:
            KeyError: no such device.
        """
        for known, boards in self._nodes:
            for board in boards:
                for leaf in board.leaves:
                    if (known.name, board.uuid, leaf.gi) == (node, uuid, gi):
                        return leaf.timeline.integral("activity", t1) - leaf.timeline.integral("activity", t0)
        raise KeyError((node, uuid, gi))


def _facts(node: Node) -> NodeFacts:
    return NodeFacts(
        name=node.name,
        provider=node.provider,
        instance_type=node.instance_type,
        region=node.region,
        capacity_type=node.capacity_type,
        gpus=node.gpus,
        price_per_gpu_hour=node.price_per_gpu_hour,
    )


def _boards(node: Node, seed: int) -> Iterator[Board]:
    free = Group(gpus=(0,))
    for index in range(node.gpus):
        number, group = next(
            ((n, group) for n, group in enumerate(node.groups) if index in group.gpus), (-1, free)
        )
        yield _Builder(node, seed, group, number, index).board()


class _Builder:
    """Puts one GPU together; everything random is named by where it stands in the fleet."""

    def __init__(self, node: Node, seed: int, group: Group, number: int, index: int) -> None:
        self._node = node
        self._hardware = node.board
        self._group = group
        self._cycle = 60 * group.cycle_minutes
        self._group_key = (seed, node.name, number)
        self._key = (seed, node.name, index)

    def board(self) -> Board:
        index = self._key[-1]
        return Board(
            uuid=_uuid("GPU", *self._key),
            gpu=str(index),
            model=self._node.model,
            pci_bus_id=f"00000000:{0x10 + 0x0B * int(index):02X}:00.0",
            driver_version=self._node.driver_version,
            hardware=self._hardware,
            mig=self._group.mig is not None,
            leaves=(self._whole(),) if self._group.mig is None else tuple(self._instances()),
            events=self._group.events,
            cycle=self._cycle,
        )

    def _whole(self) -> SimulatedLeaf:
        visited = visits(self._group.jobs, self._cycle, *self._group_key)
        return SimulatedLeaf(
            visits=visited,
            timeline=self._timeline(visited, 0, ""),
            seats=self._group.replicas,
            memory_bytes=self._hardware.memory_mib * MIB,
            reserved_bytes=self._hardware.reserved_mib * MIB,
        )

    def _instances(self) -> Iterator[SimulatedLeaf]:
        planned = [one for instances in self._group.mig or () for one in [instances] * instances.count]
        numbered: dict[int, Instances] = {}
        for instances in planned:
            gi = _FIRST_GI.get(instances.slices, 1)
            while gi in numbered:
                gi += 1
            numbered[gi] = instances
        for gi, instances in sorted(numbered.items()):
            visited = visits(instances.jobs, self._cycle, *self._key, gi)
            yield SimulatedLeaf(
                visits=visited,
                timeline=self._timeline(visited, instances.slices, str(gi)),
                seats=instances.replicas,
                memory_bytes=usable_memory(self._hardware, instances.memory_gib),
                reserved_bytes=0,
                gi=str(gi),
                profile=instances.profile,
                mig_uuid=_uuid("MIG", *self._key, gi),
                slices=instances.slices,
            )

    def _timeline(self, visited: tuple[Visit, ...], slices: int, gi: str) -> Timeline:
        spans = [
            Span(visit.working, visit.end, self._curve(visit, slices, gi), visit.working - _lead(visit))
            for visit in visited
            if visit.working < visit.end
        ]
        faults = [
            (60 * event.start_minutes, 60 * (event.start_minutes + event.minutes))
            for event in self._group.events
            if event.fault is not None
        ]
        return Timeline(self._cycle, without(spans, faults))

    def _curve(self, visit: Visit, slices: int, gi: str) -> Curve:
        key = ("noise", *self._key, gi, *visit.key)
        period = steps(visit.job.pattern, lambda n: unit(*key, n))
        return Curve([segment(step, self._hardware, slices) for step in period])


def _lead(visit: Visit) -> float:
    """Seconds that a job is into its pattern when its span begins.

    One that comes and goes begins it; one that never ends is somewhere in it, the same on all its GPUs, so
    that services do not all breathe in step.
    """
    return float(round(3600 * unit("lead", *visit.key))) if visit.job.minutes is None else 0.0


def _uuid(prefix: str, *key: object) -> str:
    return f"{prefix}-{UUID(bytes=digest('uuid', prefix, *key), version=4)}"
