"""What the fake driver knows, as Python objects, and the text of the state file that the C side reads."""

from __future__ import annotations

from dataclasses import dataclass, field

ANY_GPU = "*"
ALL_LINKS = NO_INSTANCE = 0xFFFFFFFF
MEMORY_UNKNOWN = 0xFFFFFFFFFFFFFFFF
RETURN, HANG, STALL, SLOW = range(4)


@dataclass(slots=True)
class Rate:
    """A quantity over time: level `before` until `since_ns`, `after` from then; `total` is the integral then.

    Its unit is the level's times seconds: joules of watts, busy seconds of ratios, bytes of bytes a second.
    """

    after: float
    since_ns: int
    before: float = 0.0
    total: float = 0.0

    def integral(self, at_ns: int) -> float:
        seconds = (at_ns - self.since_ns) / 1e9
        return self.total + seconds * (self.before if seconds < 0 else self.after)

    def change(self, level: float, at_ns: int) -> None:
        self.total, self.before = self.integral(at_ns), self.after
        self.after, self.since_ns = level, at_ns


@dataclass(frozen=True, slots=True)
class MigProfile:
    """A GPU-instance profile. `index` is NVML's enumerator, `ident` the id that placements are asked by."""

    name: str
    index: int
    ident: int
    compute_slices: int
    size: int  # memory slices
    starts: tuple[int, ...]
    max_instances: int
    sm: int
    memory_mib: int
    decoders: int
    jpegs: int
    ofas: int

    def text(self) -> str:
        starts = ",".join(map(str, self.starts))
        return (
            f"{self.index} {self.ident} {self.compute_slices} {self.max_instances} {self.sm} "
            f"{self.compute_slices} {self.decoders} {self.jpegs} {self.ofas} "
            f"{self.size} {self.memory_mib} {starts} {self.name}"
        )


@dataclass(slots=True)
class MigInstance:
    """A GPU instance with one compute instance; memory in bytes."""

    slot: int
    gi: int
    start: int
    uuid: str
    profile: MigProfile
    memory_used: int = 0
    memory_reserved: int = 30 << 20
    rates: dict[str, Rate] = field(default_factory=dict)

    def text(self) -> str:
        p = self.profile
        return (
            f"{self.slot} {self.gi} 0 {p.ident} {p.compute_slices} {p.compute_slices} {p.sm} "
            f"{p.compute_slices} {p.decoders} 0 {p.jpegs} {p.ofas} {self.start} {p.size} "
            f"{p.memory_mib << 20} {self.memory_reserved} {self.memory_used} {self.uuid} {p.name}"
        )


@dataclass(frozen=True, slots=True)
class Utilization:
    """Per cent of each engine that a process uses."""

    sm: int = 0
    memory: int = 0
    encoder: int = 0
    decoder: int = 0
    jpeg: int = 0
    ofa: int = 0

    def text(self) -> str:
        return f"{self.sm} {self.memory} {self.encoder} {self.decoder} {self.jpeg} {self.ofa}"


@dataclass(frozen=True, slots=True)
class Process:
    """A process on a GPU. `memory` None is NVML's "not available"; `kind` is compute, graphics or mps."""

    pid: int
    memory: int | None
    kind: str = "compute"
    name: str = "python"
    gi: int | None = None
    using: Utilization = Utilization()
    start_us: int = 0

    def text(self) -> str:
        memory = MEMORY_UNKNOWN if self.memory is None else self.memory
        gi, ci = (NO_INSTANCE, NO_INSTANCE) if self.gi is None else (self.gi, 0)
        return f"{self.pid} {self.kind[0]} {memory} {gi} {ci} {self.using.text()} {self.start_us} {self.name}"


@dataclass(frozen=True, slots=True)
class Field:
    """What a test wants field `ident` to read: a value, or a return code of its own."""

    ident: int
    value: float = 0
    code: int = 0
    scope: int = ALL_LINKS
    kind: int = 3  # NVML_VALUE_TYPE_UNSIGNED_LONG_LONG

    def text(self) -> str:
        return f"{self.ident} {self.scope} {self.kind} {self.code} {int(self.value)} {float(self.value)!r}"


@dataclass(slots=True)
class Gpu:
    """A board in a slot. `numbers` are the attributes of c/state.h; a missing one is not supported."""

    uuid: str
    name: str
    serial: str
    bus_id: str
    vbios: str
    numbers: dict[str, int]
    rates: dict[str, Rate]
    profiles: tuple[MigProfile, ...] = ()
    mig: list[MigInstance] = field(default_factory=list)
    processes: list[Process] = field(default_factory=list)
    samples: list[tuple[int, int, Utilization]] = field(default_factory=list)
    fields: dict[tuple[int, int], Field] = field(default_factory=dict)

    def lines(self) -> list[str]:
        lines = [
            f"{key} {getattr(self, key)}"
            for key in ("uuid", "name", "serial", "bus_id", "vbios")
            if getattr(self, key)
        ]
        lines += [f"{name} {value}" for name, value in self.numbers.items()]
        lines += [f"profile {profile.text()}" for profile in self.profiles]
        lines += [f"mig {instance.text()}" for instance in self.mig]
        for at, rates in enumerate([self.rates, *(instance.rates for instance in self.mig)], start=-1):
            lines += [
                f"rate {at} {name} {r.before!r} {r.after!r} {r.since_ns} {r.total!r}"
                for name, r in rates.items()
            ]
        lines += [f"process {process.text()}" for process in self.processes]
        lines += [f"sample {pid} {timestamp} {using.text()}" for pid, timestamp, using in self.samples]
        return lines + [f"field {wanted.text()}" for wanted in self.fields.values()]


@dataclass(frozen=True, slots=True)
class Event:
    sequence: int
    uuid: str
    kind: int
    data: int
    gi: int = NO_INSTANCE


@dataclass(frozen=True, slots=True)
class Fault:
    """What is done to calls of `function` (a name, or its beginning and a star) on the GPU `uuid`."""

    function: str
    uuid: str
    action: int
    value: int = 0


@dataclass(slots=True)
class Machine:
    """Everything in the state file. `clock_ns` None leaves time to the system."""

    driver: str
    greatest_field: int
    cuda: int = 13000
    privileged: bool = True
    epoch: int = 0
    clock_ns: int | None = None
    wall_offset_us: int = 0
    gpus: list[Gpu] = field(default_factory=list)
    events: list[Event] = field(default_factory=list)
    faults: list[Fault] = field(default_factory=list)

    def text(self) -> str:
        lines = [
            f"system driver_version {self.driver}",
            f"system nvml_version 13.{self.driver}",
            f"system cuda_version {self.cuda}",
            f"system privileged {int(self.privileged)}",
            f"system field_max {self.greatest_field}",
            f"system driver_epoch {self.epoch}",
            f"system wall_offset_us {self.wall_offset_us}",
        ]
        if self.clock_ns is not None:
            lines.append(f"system clock_ns {self.clock_ns}")
        for number, gpu in enumerate(self.gpus):
            lines += [f"gpu {number} {line}" for line in gpu.lines()]
        lines += [f"event {e.sequence} {e.kind} {e.data} {e.gi} {NO_INSTANCE} {e.uuid}" for e in self.events]
        lines += [f"fault {f.function} {f.uuid} {f.action} {f.value}" for f in self.faults]
        return "\n".join(lines) + "\n"
