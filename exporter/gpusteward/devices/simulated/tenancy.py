"""Who holds a device and when: jobs on their cycle, their pods' names and ages."""

from __future__ import annotations

import math
from dataclasses import dataclass
from fractions import Fraction
from typing import TYPE_CHECKING

from gpusteward.devices.simulated.patterns import HELD_MEMORY, Pattern, unit
from gpusteward.model import Allocation, Holder

if TYPE_CHECKING:
    from gpusteward.devices.simulated.profile import Job

_SUFFIX_LETTERS = "bcdfghjklmnpqrstvwxz2456789"
"""Letters of Kubernetes' generated names (apimachinery, util/rand): no vowels, nothing easily confused."""


@dataclass(frozen=True, slots=True)
class Visit:
    """One job's place in the cycle of a device.

    Attributes:
        job: what was written.
        key: names the job in the fleet, and so its pods; devices with the same key share them.
        start: seconds into the cycle at which it is given the device.
        end: seconds into the cycle at which it lets go; not included.
    """

    job: Job
    key: tuple[object, ...]
    start: float
    end: float

    @property
    def working(self) -> float:
        """Seconds into the cycle from which its pattern runs; `end` for one that never gets so far."""
        if self.job.pattern is Pattern.PULLING:
            return self.end
        return self.start + 60 * (self.job.pulling_minutes + self.job.starting_minutes)

    def memory(self, x: float) -> float:
        """Part of the usable memory held, `x` seconds into the cycle."""
        if x < self.working:
            return 0.0
        return HELD_MEMORY[self.job.pattern] if self.job.memory is None else self.job.memory

    def allocations(self, cycle: int, x: float, seats: int, origin: float) -> tuple[Allocation, ...]:
        """Its pods, on seats of 1/`seats` each.

        Args:
            cycle: number of the cycle; new pods come with each, unless the job never ends.
            x: seconds into the cycle.
            seats: seats of the device.
            origin: Unix time of the cycle's beginning.
        """
        if self.job.namespace is None or self.job.pod is None:
            return ()
        endless = self.job.minutes is None
        if endless:  # it ends with the cycle only to go on, so `end` is the cycle's length
            started_in = -60 * self.job.age_minutes - cycle * self.end
        else:
            started_in = self.start + 60 * self.job.pulling_minutes
        running = self.job.pattern is not Pattern.PULLING and x >= started_in
        name = (*self.key, 0 if endless else cycle)
        return tuple(
            Allocation(
                holder=Holder(self.job.namespace, f"{self.job.pod}-{_suffix(*name, n)}", self.job.container),
                share=Fraction(1, seats),
                running=running,
                started_at=origin + started_in if running else None,
                exempt_until=self._exempt_until(origin + started_in),
            )
            for n in range(self.job.pods)
        )

    def _exempt_until(self, started_at: float) -> float | None:
        if self.job.idle_exempt:
            return math.inf
        minutes = self.job.idle_exempt_minutes
        return None if minutes is None else started_at + 60 * minutes


def visits(jobs: tuple[Job, ...], cycle: float, *key: object) -> tuple[Visit, ...]:
    """The jobs of a device in the order of their start; `cycle` in seconds."""
    planned = (
        Visit(
            job=job,
            key=(*key, n),
            start=60 * job.start_minutes,
            end=cycle if job.minutes is None else 60 * (job.start_minutes + job.minutes),
        )
        for n, job in enumerate(jobs)
    )
    return tuple(sorted(planned, key=lambda visit: visit.start))


def _suffix(*key: object) -> str:
    return "".join(_SUFFIX_LETTERS[int(unit("suffix", *key, n) * len(_SUFFIX_LETTERS))] for n in range(5))
