"""A clock that tests turn."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gpusteward.clock import Moment

if TYPE_CHECKING:
    import threading
    from collections.abc import Callable


class TurnedClock:
    """Stands still until it is waited on or turned; waiting takes no real time.

    Attributes:
        waits: seconds of each wait.
        on_wait: called at the beginning of each wait.
    """

    def __init__(self, wall: float = 1_800_000_000.0) -> None:
        self.moment = Moment(wall, 1_000.0)
        self.waits: list[float] = []
        self.on_wait: Callable[[], None] = lambda: None

    def now(self) -> Moment:
        return self.moment

    def turn(self, seconds: float) -> None:
        self.moment = self.moment.plus(seconds)

    def wait(self, event: threading.Event, seconds: float) -> bool:
        self.on_wait()
        self.waits.append(seconds)
        if not event.is_set():
            self.turn(seconds)
        return event.is_set()
