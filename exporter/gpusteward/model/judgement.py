"""States, causes and the leaf they are about."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from fractions import Fraction
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from gpusteward.model.devices import (
        Allocation,
        Device,
        Fault,
        GpuReading,
        Holder,
        Process,
        Signal,
        Signals,
    )


class State(StrEnum):
    """What a leaf is doing. Exclusive; every leaf is in exactly one."""

    BUSY = "busy"
    UNDERUSED = "underused"
    IDLE_HELD = "idle_held"
    IDLE_EMPTY = "idle_empty"
    UNALLOCATED = "unallocated"
    UNHEALTHY = "unhealthy"
    UNKNOWN = "unknown"


class Cause(StrEnum):
    """What a leaf's money goes to, in order of precedence. Closed: agent, ledger, API, rules share it."""

    UNHEALTHY = "unhealthy"
    NOT_RUNNING = "not_running"
    UNMEASURED = "unmeasured"
    IDLE = "idle"
    USED = "used"
    UNDERUSED = "underused"
    HEADROOM = "headroom"
    UNALLOCATED = "unallocated"
    STRANDED = "stranded"
    ORPHANED = "orphaned"
    OVERHEAD = "overhead"


WASTE = frozenset(
    {
        Cause.NOT_RUNNING,
        Cause.IDLE,
        Cause.UNDERUSED,
        Cause.UNALLOCATED,
        Cause.STRANDED,
        Cause.ORPHANED,
        Cause.UNHEALTHY,
    }
)


class Confidence(StrEnum):
    """How far a judgement or price can be trusted."""

    HIGH = "high"
    MEDIUM = "medium"
    LOW = "low"


@dataclass(frozen=True, slots=True, kw_only=True)
class Leaf:
    """A device after attribution: what was read of it and who holds it.

    Attributes:
        device: identity.
        signals: measured values; a missing one is unknown.
        allocations: who holds it; empty = nobody; None = not known. Shares sum to at most 1.
        fault: why it is not healthy; None when it is.
        share_of_gpu: the leaf's part of its GPU's price; the leaves of a GPU sum to 1.
        mig_uuid: the instance's own UUID; empty when not an instance or not known.
        processes: what runs on it; empty = nothing; None = not known.
    """

    device: Device
    signals: Signals = field(default_factory=dict)
    allocations: tuple[Allocation, ...] | None = None
    fault: Fault | None = None
    share_of_gpu: Fraction = Fraction(1)
    mig_uuid: str = ""
    processes: tuple[Process, ...] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class AttributedGpu:
    """One physical GPU after attribution.

    Attributes:
        reading: what was read; for a lost GPU its last known identity, without signals.
        fault: why it is not healthy; None when it is.
        leaves: one for a whole GPU, the instances for a MIG GPU (its rest is pricing's to tell).
    """

    reading: GpuReading
    fault: Fault | None
    leaves: tuple[Leaf, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """What a leaf is judged to be, and why.

    Attributes:
        state: the state.
        reason: the rule that decided, in plain words with its figures.
        confidence: lower when a corroborating signal (power floor, bus traffic) was missing.
        signal: the activity signal the thresholds were taken for; None when none is known.
        activity: greatest of that signal and the codec engines, 0 to 1, now; None when not known.
        idle_seconds: how long activity has stayed below the idle threshold; None when not known or not held.
        since: monotonic seconds at which the state began.
        orphaned: whether something has stayed on it (a process, memory, work) although nobody holds it.
    """

    state: State
    reason: str
    confidence: Confidence
    since: float
    signal: Signal | None = None
    activity: float | None = None
    idle_seconds: float | None = None
    orphaned: bool = False


@dataclass(frozen=True, slots=True)
class Portion:
    """A part of a leaf's time, now.

    Attributes:
        holder: whose it is; the empty holder for nobody.
        cause: what it goes to.
        ppb: parts per billion of the leaf; the portions of a leaf sum to 1,000,000,000.
    """

    holder: Holder
    cause: Cause
    ppb: int
