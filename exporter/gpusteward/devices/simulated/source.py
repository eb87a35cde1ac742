"""The simulated source: a fleet seen through a clock."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gpusteward.devices.simulated.board import Interval
from gpusteward.devices.simulated.fleet import Fleet
from gpusteward.devices.simulated.loading import load_profile
from gpusteward.model import Readings

if TYPE_CHECKING:
    from gpusteward.clock import Moment
    from gpusteward.config import SimulatedSettings

FIRST_INTERVAL_SECONDS = 5.0
"""What a read is a mean over when it has no read before it."""


class SimulatedSource:
    """Reads a simulated fleet. Time is the caller's: nothing in here sleeps or looks at a clock.

    The simulation began `warmup_minutes` before `epoch`; reading moments before `epoch` replays that time.

    Args:
        settings: profile, seed and warm-up.
        epoch: the moment at which the warm-up is over.

    Raises:
        ConfigError: the profile cannot be used; every problem at once.
    """

    def __init__(self, settings: SimulatedSettings, epoch: Moment) -> None:
        self.fleet = Fleet(load_profile(settings.profile), settings.seed)
        self._epoch = epoch
        self._warmup = 60 * settings.warmup_minutes
        self._previous: float | None = None

    @property
    def name(self) -> str:
        """`simulated`."""
        return "simulated"

    def simulated_seconds(self, at: Moment) -> float:
        """Seconds since the simulation began; a moment before it counts as its beginning."""
        return max(0.0, at.monotonic - self._epoch.monotonic + self._warmup)

    def read(self, at: Moment) -> Readings:
        """One sample: rates are true means since the read before, as GPM gives them; never fails.

        A read that is the first, or not after the one before it, is a mean over the 5 s before it.
        """
        now = self.simulated_seconds(at)
        start = now - FIRST_INTERVAL_SECONDS
        if self._previous is not None and self._previous < now:
            start = self._previous
        self._previous = now
        interval = Interval(start, now, self._epoch.wall - self._warmup)
        return Readings(at=at, source=self.name, nodes=self.fleet.nodes(interval))

    def close(self) -> None:
        """Nothing is held."""
