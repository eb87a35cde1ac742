"""The only module that reads the time. Everything else takes a Clock or a Moment."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    import threading


@dataclass(frozen=True, slots=True)
class Moment:
    """One instant on both clocks.

    Attributes:
        wall: Unix time in seconds: for dates and what people read; may step.
        monotonic: seconds on a clock that never steps: for intervals, windows and money.
    """

    wall: float
    monotonic: float

    def plus(self, seconds: float) -> Moment:
        """The moment `seconds` later on both clocks."""
        return Moment(self.wall + seconds, self.monotonic + seconds)


class Clock(Protocol):
    """Where time comes from."""

    def now(self) -> Moment:
        """The present moment."""
        ...

    def wait(self, event: threading.Event, seconds: float) -> bool:
        """Wait until the event is set or the seconds are over; True when it was set."""
        ...


class SystemClock:
    """The machine's own clocks."""

    def now(self) -> Moment:
        """The present moment."""
        return Moment(time.time(), time.monotonic())  # noqa: TID251 - the one place

    def wait(self, event: threading.Event, seconds: float) -> bool:
        """Wait until the event is set or the seconds are over; True when it was set."""
        return event.wait(max(0.0, seconds))
