"""A clock that tests turn."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gpusteward.clock import Moment

if TYPE_CHECKING:
    import threading


class TurnedClock:
    """Stands still until it is waited on or turned; waiting takes no real time."""

    def __init__(self, wall: float = 1_800_000_000.0) -> None:
        self.moment = Moment(wall, 1_000.0)
        self.waits: list[float] = []

    def now(self) -> Moment:
        return self.moment

    def turn(self, seconds: float) -> None:
        self.moment = self.moment.plus(seconds)

    def wait(self, event: threading.Event, seconds: float) -> bool:
        self.waits.append(seconds)
        self.turn(seconds)
        return event.is_set()
