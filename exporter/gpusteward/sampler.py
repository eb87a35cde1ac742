"""The loop: one sampling clock, however many scrapers. Reads, takes the snapshot, hands it on.

May do I/O through the source it is given; constructs nothing. Whatever happens in a cycle ends in a snapshot
that says so; the loop itself never ends but on request.
"""

from __future__ import annotations

import logging
import threading
from contextlib import suppress
from dataclasses import replace
from typing import TYPE_CHECKING, Final, Protocol

from gpusteward.devices import CanBeHeld, CanStick
from gpusteward.errors import SourceError
from gpusteward.model import CollectHealth

if TYPE_CHECKING:
    from collections.abc import Callable

    from gpusteward.clock import Clock, Moment
    from gpusteward.devices import DeviceSource
    from gpusteward.model import Readings, Snapshot
    from gpusteward.snapshot import Pipeline

log = logging.getLogger(__name__)

INTERNAL: Final = "internal"
"""The reason of a cycle that failed in the agent itself."""

WARM_UP_STEP_SECONDS = 30.0


def warm_up(
    source: DeviceSource, pipeline: Pipeline, now: Moment, minutes: float, stopped: Callable[[], bool]
) -> None:
    """Take a simulated fleet through the minutes up to `now`, so that windows are full at the first page.

    The source must be able to tell the past, as only a simulated one can. Ends early once stopped.
    """
    health = CollectHealth(success=True, reason="", message="", last_success=None, duration_seconds=0.0)
    steps = int(minutes * 60 / WARM_UP_STEP_SECONDS)
    for step in range(steps, -1, -1):
        if stopped():
            return
        pipeline.take(source.read(now.plus(-step * WARM_UP_STEP_SECONDS)), health)


class BeforeCycle(Protocol):
    """Called before each cycle: the place where a changed config is taken up."""

    def __call__(self) -> float:
        """The present interval in seconds."""
        ...


class Sampler:
    """Samples a source on its own clock.

    Args:
        source: where readings come from.
        pipeline: what makes snapshots of them.
        publish: takes each snapshot; called from the sampling thread.
        before_cycle: takes up changes; tells the interval.
        clock: the time.
    """

    def __init__(
        self,
        source: DeviceSource,
        pipeline: Pipeline,
        publish: Callable[[Snapshot], None],
        before_cycle: BeforeCycle,
        clock: Clock,
    ) -> None:
        self._source = source
        self._pipeline = pipeline
        self._publish = publish
        self._before_cycle = before_cycle
        self._clock = clock
        self._stop = threading.Event()
        self._woken = threading.Event()
        self._last: Snapshot | None = None
        self._last_success: float | None = None
        self._cycles: dict[str, int] = {}
        self._skipped: dict[str, int] = {}
        self._errors: dict[tuple[str, str], int] = {}
        self._last_reason = ""
        self._failing_since: float | None = None

    def run(self) -> None:
        """Sample until stopped. A late cycle is not made up for: the next one starts at its own time."""
        due = self._clock.now().monotonic
        while not self._stop.is_set():
            interval = self._before_cycle()
            at = self._clock.now()
            try:
                self.cycle(at)
            except Exception:
                log.exception("a cycle failed unexpectedly")
                self._publish_failure(at)
            now = self._clock.now().monotonic
            due = max(due + interval, now)
            if self._clock.wait(self._woken, due - now):
                self._woken.clear()
                due = self._clock.now().monotonic

    def stop(self) -> None:
        """End the loop after the present cycle. Safe in a signal handler and from any thread."""
        self._stop.set()
        self._woken.set()

    def stopped(self) -> bool:
        """Whether a stop was asked for."""
        return self._stop.is_set()

    def wake(self) -> None:
        """Begin the next cycle now. Safe in a signal handler and from any thread."""
        self._woken.set()

    def cycle(self, at: Moment) -> Snapshot:
        """One sample at the given moment, published."""
        started = self._clock.now().monotonic
        readings, error = self._read(at)
        duration = max(0.0, self._clock.now().monotonic - started)
        health = self._health(at, readings, error, duration)
        if readings is not None:
            snapshot = self._pipeline.take(readings, health)
        else:
            snapshot = self._pipeline.miss(at, self._source.name, health)
        self._last = snapshot
        self._publish(snapshot)
        return snapshot

    def _publish_failure(self, at: Moment) -> None:
        """Show the last snapshot with what is known of this cycle: that it failed."""
        if self._last is None:
            return
        error = SourceError("the cycle failed in the agent itself", INTERNAL, "please report its log")
        with suppress(Exception):
            self._publish(replace(self._last, health=self._health(at, None, error, 0.0)))

    def _read(self, at: Moment) -> tuple[Readings | None, SourceError | None]:
        try:
            return self._source.read(at), None
        except SourceError as error:
            return None, error
        except Exception as error:
            log.exception("reading the %s source failed unexpectedly", self._source.name)
            return None, SourceError(f"unexpected: {error!r}", INTERNAL, "please report this log")

    def _health(
        self, at: Moment, readings: Readings | None, error: SourceError | None, duration: float
    ) -> CollectHealth:
        reason = error.reason if error else ""
        self._cycles[reason or "ok"] = self._cycles.get(reason or "ok", 0) + 1
        if readings is not None:
            self._last_success = at.wall
            for why, count in readings.skipped.items():
                self._skipped[why] = self._skipped.get(why, 0) + count
            for call, failed in readings.errors.items():
                self._errors[call] = self._errors.get(call, 0) + failed
        if not reason:
            self._failing_since = None
        elif self._failing_since is None:
            self._failing_since = at.monotonic
        if reason != self._last_reason:
            log.log(logging.WARNING if error else logging.INFO, "%s", error or "readings again")
        self._last_reason = reason
        return CollectHealth(
            success=error is None,
            reason=reason,
            message=str(error) if error else "",
            last_success=self._last_success,
            duration_seconds=duration,
            cycles=dict(self._cycles),
            skipped=dict(self._skipped),
            errors=dict(self._errors),
            failing_since=self._failing_since,
            stuck=self._source.stuck if isinstance(self._source, CanStick) else None,
            hold_known=self._source.hold_known if isinstance(self._source, CanBeHeld) else None,
        )
