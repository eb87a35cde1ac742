"""The fleet that the soaks run on, and what goes wrong with reading it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from gpusteward.config import SimulatedSettings
from gpusteward.devices.simulated import SimulatedSource
from gpusteward.errors import SourceError

if TYPE_CHECKING:
    from gpusteward.clock import Moment
    from gpusteward.devices import DeviceSource
    from gpusteward.model import Readings

PROFILE = Path(__file__).with_name("churn.yaml")
LIST_PRICE_PER_HOUR = "55.04"
"""USD: AWS's price of a p5.48xlarge on demand in us-east-1. Written here so that nothing checks itself."""


def churning_fleet(epoch: Moment, seed: int = 1) -> SimulatedSource:
    """The fleet of churn.yaml, from its beginning at `epoch`."""
    return SimulatedSource(SimulatedSettings(profile=str(PROFILE), seed=seed, warmup_minutes=0), epoch)


@dataclass(frozen=True, slots=True)
class Trouble:
    """Minutes of every hour, from `start` up to `end`, in which reading goes wrong in one way."""

    start: float
    end: float
    kind: str


TROUBLES = (
    Trouble(13, 15, "timeout"),
    Trouble(33, 33.5, "refused"),
    Trouble(41, 41.25, "bug"),
    Trouble(52, 55, "stopped"),
)
"""`stopped`: the agent gets no processor time at all, which is longer than a sample may speak for."""


def trouble_at(minutes: float) -> str:
    """What is wrong this many minutes after the beginning; empty when nothing is."""
    x = minutes % 60
    return next((trouble.kind for trouble in TROUBLES if trouble.start <= x < trouble.end), "")


class Faltering:
    """A source that fails when it is due to.

    Args:
        source: what it reads from otherwise.
        epoch: when the troubles begin to count.
    """

    def __init__(self, source: DeviceSource, epoch: Moment) -> None:
        self._source = source
        self._epoch = epoch
        self.failures: dict[str, int] = {}

    @property
    def name(self) -> str:
        """The source's own name."""
        return self._source.name

    def read(self, at: Moment) -> Readings:
        """One sample, or the trouble of this minute.

        Raises:
            SourceError: as a source does that gets no answer.
            ZeroDivisionError: as a source does that has a bug.
        """
        trouble = trouble_at((at.monotonic - self._epoch.monotonic) / 60)
        if trouble:
            self.failures[trouble] = self.failures.get(trouble, 0) + 1
        if trouble == "bug":
            raise ZeroDivisionError("a bug that the soak put here")
        if trouble:
            raise SourceError(f"{trouble}, as the soak wants it", trouble, "wait")
        return self._source.read(at)

    def close(self) -> None:
        """Let go of the source."""
        self._source.close()
