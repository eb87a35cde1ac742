"""What a person writes to describe a simulated fleet, with the rules between its fields.

A rule that is broken raises `RuleError`, which carries every flaw of its level; `loading` shows them.
"""

from __future__ import annotations

from collections import Counter
from itertools import pairwise
from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import Field, model_validator

from gpusteward.config.places import Flaw, Place, dotted
from gpusteward.config.section import Allowed, Ratio, Section, Unit
from gpusteward.devices.simulated.hardware import HARDWARE, Hardware
from gpusteward.devices.simulated.patterns import Pattern
from gpusteward.model import CapacityType

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

Minutes = Annotated[float, Field(ge=0), Unit("minutes")]
Duration = Annotated[float, Field(gt=0), Unit("minutes")]
Seats = Annotated[int, Field(ge=1, le=48)]
Name = Annotated[
    str,
    Field(pattern=r"^[a-z0-9]([a-z0-9.-]{0,61}[a-z0-9])?$"),
    Allowed("up to 63 lower-case letters, digits, `-` and `.`"),
]
Index = Annotated[int, Field(ge=0)]


class RuleError(ValueError):
    """Flaws of one level; their places start at that level."""

    def __init__(self, flaws: Iterable[Flaw]) -> None:
        self.flaws = tuple(flaws)
        super().__init__("; ".join(f"{dotted(flaw.place)}: {flaw.message}" for flaw in self.flaws))


def refuse(flaws: Iterable[Flaw]) -> None:
    """Raise `RuleError` with the flaws, if there are any."""
    if found := tuple(flaws):
        raise RuleError(found)


class Job(Section):
    """A workload on a device: its pods and what they do. It comes and goes once a cycle, or never ends."""

    pattern: Pattern = Field(description="What it does while it works; see the table of patterns.")
    namespace: Name | None = Field(default=None, description="Namespace of its pods. Not for `leftover`.")
    pod: Name | None = Field(
        default=None,
        description="Name of its pods; a suffix is added, a new one each time it comes. Not for `leftover`.",
    )
    container: Name = Field(default="main", description="The container that holds the device.")
    start_minutes: Minutes = Field(
        default=0.0, description="Minutes into the cycle at which it is given the device."
    )
    minutes: Duration | None = Field(
        default=None,
        description="Minutes that it holds the device. Empty: it never ends, and is its device's only job.",
    )
    pulling_minutes: Minutes = Field(
        default=0.0, description="The first minutes, in which its image is pulled and nothing runs yet."
    )
    starting_minutes: Minutes = Field(
        default=0.0, description="The minutes after that, in which it runs and does not touch the GPU yet."
    )
    age_minutes: Minutes = Field(
        default=1440.0,
        description="For a job that never ends: minutes that it has run when the simulation begins.",
    )
    pods: Seats = Field(default=1, description="How many pods it has, each on one of the device's seats.")
    memory: Ratio | None = Field(
        default=None,
        description="Part of the usable memory that it holds while it works. Empty: the pattern's own.",
    )
    idle_exempt: bool = Field(default=False, description="Whether its pods may never be called idle.")
    idle_exempt_minutes: Duration | None = Field(
        default=None, description="Minutes after its start until which its pods may not be called idle."
    )

    @model_validator(mode="after")
    def _rules(self) -> Job:
        refuse(self._flaws())
        return self

    def _flaws(self) -> Iterator[Flaw]:
        leftover = self.pattern is Pattern.LEFTOVER
        for field, value in (("namespace", self.namespace), ("pod", self.pod)):
            if leftover and value is not None:
                yield Flaw((field,), "memory that is left over has no holder", f"remove {field}")
            elif not leftover and value is None:
                yield Flaw((field,), "is missing", f"write the job's {field}")
        phases = self.pulling_minutes + self.starting_minutes
        if self.minutes is None and (self.start_minutes or phases):
            yield Flaw(
                ("minutes",),
                "a job that never ends has no start and no first minutes",
                "write how long it lasts",
            )
        elif self.minutes is not None and phases > self.minutes:
            yield Flaw(
                ("minutes",),
                f"pulling and starting take {phases:g} min, the job {self.minutes:g}",
                "make it longer",
            )


class Event(Section):
    """Something that happens to a GPU once a cycle."""

    start_minutes: Minutes = Field(description="Minutes into the cycle at which it happens.")
    minutes: Minutes = Field(
        default=0.0, description="Minutes that the fault lasts. Only, and always, with a fault."
    )
    fault: Literal["lost", "failed", "reset_required"] | None = Field(
        default=None,
        description="`lost`: the GPU is missing from the readings. `failed`, `reset_required`: it is there "
        "and has no values. Empty: an error that leaves the GPU well.",
    )
    xid: Annotated[int, Field(ge=1, le=999)] | None = Field(
        default=None, description="XID error that it reports, and goes on showing until the next one."
    )

    @model_validator(mode="after")
    def _rules(self) -> Event:
        refuse(self._flaws())
        return self

    def _flaws(self) -> Iterator[Flaw]:
        if self.fault is None and self.xid is None:
            yield Flaw(("fault",), "nothing happens", "write a fault, an xid or both")
        if (self.fault is None) != (self.minutes == 0):
            yield Flaw(
                ("minutes",),
                "a fault lasts some minutes, an error alone none",
                "write both fault and minutes, or neither",
            )


class Instances(Section):
    """MIG instances of one profile on each GPU of a group; each has pods of its own."""

    profile: Annotated[
        str, Field(pattern=r"^[1-7]g\.[0-9]{1,3}gb$"), Allowed("a MIG profile, such as 1g.10gb")
    ] = Field(description="MIG profile, as in `1g.10gb`.")
    count: Annotated[int, Field(ge=1, le=7)] = Field(default=1, description="How many on each GPU.")
    replicas: Seats = Field(default=1, description="Seats of each that time-slicing offers. 1: not shared.")
    jobs: tuple[Job, ...] = Field(default=(), description="What comes to each of them in a cycle.")

    @property
    def slices(self) -> int:
        """Compute slices of one instance."""
        return int(self.profile.partition("g")[0])

    @property
    def memory_gib(self) -> int:
        """Memory that the profile's name says, in GiB."""
        return int(self.profile.partition(".")[2].removesuffix("gb"))


class Group(Section):
    """GPUs of a node that do the same: a job's pod holds all of them together."""

    gpus: Annotated[tuple[Index, ...], Field(min_length=1)] = Field(
        description="Their indices on the node, from 0."
    )
    cycle_minutes: Annotated[float, Field(ge=1, le=14 * 1440), Unit("minutes")] = Field(
        default=1440.0, description="Minutes after which jobs and events come again."
    )
    replicas: Seats = Field(
        default=1, description="Seats of each GPU that time-slicing offers. 1: not shared."
    )
    jobs: tuple[Job, ...] = Field(default=(), description="What comes in a cycle, in any order.")
    mig: tuple[Instances, ...] | None = Field(
        default=None, description="MIG instances of each GPU. Empty: MIG is off. Then `jobs` stays empty."
    )
    events: tuple[Event, ...] = Field(default=(), description="What happens to each GPU in a cycle.")

    @model_validator(mode="after")
    def _rules(self) -> Group:
        refuse(self._flaws())
        return self

    def _flaws(self) -> Iterator[Flaw]:
        if self.mig is not None and self.jobs:
            yield Flaw(("jobs",), "with MIG on, jobs hold instances", "move the jobs under mig")
        yield from _schedule_flaws(("jobs",), self.jobs, self.replicas, self.cycle_minutes)
        for n, instances in enumerate(self.mig or ()):
            yield from _schedule_flaws(
                ("mig", n, "jobs"), instances.jobs, instances.replicas, self.cycle_minutes
            )
        for n, event in enumerate(self.events):
            if event.start_minutes + event.minutes > self.cycle_minutes:
                yield _outside(("events", n), self.cycle_minutes)


def _schedule_flaws(place: Place, jobs: tuple[Job, ...], replicas: int, cycle: float) -> Iterator[Flaw]:
    """Jobs that do not fit the cycle, the seats or each other."""
    ends = {
        n: job.start_minutes + (cycle if job.minutes is None else job.minutes) for n, job in enumerate(jobs)
    }
    for n, job in enumerate(jobs):
        if job.pods > replicas:
            yield Flaw(
                (*place, n, "pods"),
                f"{job.pods} pods on {replicas} seats",
                "write more replicas or fewer pods",
            )
        if ends[n] > cycle:
            yield _outside((*place, n), cycle)
    for first, second in pairwise(sorted(ends, key=lambda n: jobs[n].start_minutes)):
        if jobs[second].start_minutes < ends[first]:
            yield Flaw(
                (*place, second, "start_minutes"),
                f"starts at {jobs[second].start_minutes:g} min, before {dotted((*place, first))} ends",
                f"write {ends[first]:g} or more"
                if jobs[first].minutes is not None
                else "a job that never ends is alone",
            )


def _outside(place: Place, cycle: float) -> Flaw:
    return Flaw(place, f"goes on after the cycle of {cycle:g} min", "shorten it, or lengthen cycle_minutes")


class Node(Section):
    """A simulated node. What prices it is written as a real node's labels would say it."""

    name: Name = Field(description="Node name.")
    provider: str = Field(default="", description="`aws`, `gcp`, `azure`, … Empty: not known.")
    instance_type: str = Field(default="", description="As the provider spells it. Empty: not known.")
    region: str = Field(default="", description="As the provider spells it. Empty: not known.")
    capacity_type: CapacityType = Field(
        default=CapacityType.UNKNOWN, description="`on-demand`, `spot`, `reserved` or `unknown`."
    )
    price_per_gpu_hour: Annotated[
        str,
        Field(pattern=r"^([0-9]{1,12}(\.[0-9]{1,12})?)?$"),
        Allowed("an amount in plain digits, such as 6.88"),
    ] = Field(
        default="", description="Price of a GPU an hour, as a node's price annotation states it. Empty: none."
    )
    model: Annotated[str, Field(min_length=1)] = Field(description="GPU model, as NVML spells it.")
    hardware: Hardware | None = Field(
        default=None, description="What such a GPU is made of. Empty: one of the bundled models."
    )
    gpus: Annotated[int, Field(ge=1, le=16)] = Field(description="How many GPUs it has.")
    driver_version: str = Field(default="570.172.08", description="The driver's version.")
    groups: tuple[Group, ...] = Field(
        default=(), description="What its GPUs do. Those in no group are free and well."
    )

    @model_validator(mode="after")
    def _rules(self) -> Node:
        refuse(self._flaws())
        return self

    @property
    def board(self) -> Hardware:
        """What its GPUs are made of."""
        return self.hardware or HARDWARE[self.model]

    def _flaws(self) -> Iterator[Flaw]:
        known = self.hardware or HARDWARE.get(self.model)
        if known is None:
            names = ", ".join(sorted(HARDWARE))
            yield Flaw(("model",), f"`{self.model}` is not bundled", f"write its hardware, or one of {names}")
        seen: Counter[int] = Counter(gpu for group in self.groups for gpu in group.gpus)
        for n, group in enumerate(self.groups):
            for gpu in group.gpus:
                if gpu >= self.gpus:
                    yield Flaw(
                        ("groups", n, "gpus"), f"{gpu} is not on the node", f"write 0 to {self.gpus - 1}"
                    )
                elif seen[gpu] > 1:
                    yield Flaw(("groups", n, "gpus"), f"{gpu} is listed {seen[gpu]} times", "list it once")
            if known is not None and group.mig is not None:
                yield from _mig_flaws(("groups", n, "mig"), group.mig, known)


def _mig_flaws(place: Place, mig: tuple[Instances, ...], board: Hardware) -> Iterator[Flaw]:
    """A layout that the board cannot hold."""
    if not board.mig_slices:
        yield Flaw(place, "this model has no MIG", "remove mig")
        return
    slices = sum(instances.slices * instances.count for instances in mig)
    if slices > board.mig_slices:
        yield Flaw(
            place, f"{slices} of {board.mig_slices} compute slices", "write fewer or smaller instances"
        )
    memory = sum(instances.memory_gib * instances.count for instances in mig)
    total = round(board.memory_mib / 1024)
    if memory > total:
        yield Flaw(place, f"{memory} of {total} GiB of memory", "write fewer or smaller instances")


class Profile(Section):
    """A simulated fleet."""

    description: str = Field(default="", description="What it is for.")
    nodes: Annotated[tuple[Node, ...], Field(min_length=1)] = Field(description="Its nodes.")

    @model_validator(mode="after")
    def _rules(self) -> Profile:
        seen = Counter(node.name for node in self.nodes)
        refuse(
            Flaw(
                ("nodes", n, "name"),
                f"`{node.name}` is the name of {seen[node.name]} nodes",
                "name each once",
            )
            for n, node in enumerate(self.nodes)
            if seen[node.name] > 1
        )
        return self
