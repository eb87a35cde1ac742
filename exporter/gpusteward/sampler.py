"""The loop: one sampling clock, however many scrapers. Reads, takes the snapshot, hands it on.

May do I/O through the source it is given; constructs nothing. Whatever happens in a cycle ends in a snapshot
that says so; the loop itself never ends but on request.
"""

from __future__ import annotations

import logging
import threading
from typing import TYPE_CHECKING, Protocol

from gpusteward.devices import CanStick
from gpusteward.errors import SourceError
from gpusteward.model import CollectHealth

if TYPE_CHECKING:
    from collections.abc import Callable

    from gpusteward.clock import Clock, Moment
    from gpusteward.devices import DeviceSource
    from gpusteward.model import Readings, Snapshot
    from gpusteward.snapshot import Pipeline

log = logging.getLogger(__name__)


WARM_UP_STEP_SECONDS = 30.0


def warm_up(source: DeviceSource, pipeline: Pipeline, now: Moment, minutes: float) -> None:
    """Take a simulated fleet through the minutes before `now`, so that windows are full at the first page.

    The source must be able to tell the past, as only a simulated one can.
    """
    health = CollectHealth(success=True, reason="", message="", last_success=None, duration_seconds=0.0)
    steps = int(minutes * 60 / WARM_UP_STEP_SECONDS)
    for step in range(steps, 0, -1):
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
            try:
                self.cycle(self._clock.now())
            except Exception:
                log.exception("a cycle failed unexpectedly; the page keeps its last snapshot")
            now = self._clock.now().monotonic
            due = max(due + interval, now)
            self._clock.wait(self._stop, due - now)

    def stop(self) -> None:
        """End the loop after the present cycle."""
        self._stop.set()

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
        self._publish(snapshot)
        return snapshot

    def _read(self, at: Moment) -> tuple[Readings | None, SourceError | None]:
        try:
            return self._source.read(at), None
        except SourceError as error:
            return None, error
        except Exception as error:
            log.exception("reading the %s source failed unexpectedly", self._source.name)
            return None, SourceError(f"unexpected: {error!r}", "internal", "please report this log")

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
        elif reason != self._last_reason:
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
        )
