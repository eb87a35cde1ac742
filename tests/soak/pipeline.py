"""`python -m tests.soak pipeline --hours N`: churn and trouble through the real loop, in fast time."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from fractions import Fraction
from typing import TYPE_CHECKING

from gpusteward.config import Config
from gpusteward.metrics.exposure import Exposure
from gpusteward.metrics.page import render
from gpusteward.pricing import PriceBook, bundled_catalogue
from gpusteward.sampler import Sampler
from gpusteward.snapshot import Pipeline
from gpusteward.units import microseconds
from tests.clocks import TurnedClock
from tests.soak.audit import Books, check_holders, series_of
from tests.soak.churn import LIST_PRICE_PER_HOUR, Faltering, churning_fleet, trouble_at
from tests.soak.memory import KIB_PER_HOUR, pss_kib, slope_per_hour

if TYPE_CHECKING:
    from collections.abc import Callable

    from gpusteward.model import Snapshot

SETTLED_SECONDS = 2 * 3600.0
"""Until then windows fill and the first holders are forgotten; memory and series are judged after it."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a run came to, after all its checks passed.

    Attributes:
        pods: how many pods came.
        cycles: how many samples were taken or missed.
        failures: how many reads failed, by reason.
        most_series: greatest number of series on a page, for each simulated hour.
        memory_slope: of this process in KiB per simulated hour; None when the run was too short to tell.
        causes: the causes that money went to.
    """

    pods: int
    cycles: int
    failures: dict[str, int]
    most_series: tuple[int, ...]
    memory_slope: float | None
    causes: set[str]


class Soak:
    """A loop on a turned clock, with the audit beside it.

    Args:
        interval_seconds: simulated seconds between samples; up to 30, so that a sample speaks for each.
        page_seconds: simulated seconds between pages that are read.
        config: the agent's settings.
        kept_seconds: how long counters of holders that ended may stay, by the audit's own word.
    """

    def __init__(
        self, interval_seconds: float, page_seconds: float, config: Config, kept_seconds: float = 600.0
    ) -> None:
        self._clock = TurnedClock()
        self._start = self._clock.moment
        self._config, self._kept = config, kept_seconds
        self._source = Faltering(churning_fleet(self._start), self._start)
        book = PriceBook(bundled_catalogue(), self._config.pricing)
        self._pipeline = Pipeline(self._config, book, "simulated")
        self._sampler = Sampler(
            self._source, self._pipeline, self._audit, lambda: interval_seconds, self._clock
        )
        self._interval, self._page_every = interval_seconds, page_seconds
        self._next_page = 0.0
        self.books = Books()
        self.cycles = 0
        self.causes: set[str] = set()
        self.most_series: list[int] = []
        self.memory: dict[float, float] = {}

    @property
    def elapsed(self) -> float:
        """Simulated seconds since the beginning."""
        return self._clock.moment.monotonic - self._start.monotonic

    def run(self, seconds: float, progress: Callable[[str], None]) -> Outcome:
        """Let so many simulated seconds pass; fails at the first check that does."""
        last_cycle, hour = 0.0, 0
        while self.elapsed <= seconds:
            if trouble_at(self.elapsed / 60) != "stopped":
                self._sampler.cycle(self._clock.now())
                self.cycles += 1
                last_cycle = self.elapsed
            if self.elapsed >= 3600 * (hour + 1):
                progress(f"hour {hour}: {self.books.pods} pods, at most {self.most_series[hour]} series")
                hour += 1
            self._clock.turn(self._interval)
        self._check_money(last_cycle)
        return Outcome(
            pods=self.books.pods,
            cycles=self.cycles,
            failures=self._source.failures,
            most_series=tuple(self.most_series),
            memory_slope=slope_per_hour(self.memory) if seconds >= 3 * SETTLED_SECONDS else None,
            causes=self.causes,
        )

    def _audit(self, snapshot: Snapshot) -> None:
        self.books.enter(snapshot)
        self.causes |= {str(cause) for _, _, cause in self.books.open}
        if self.elapsed >= self._next_page:
            self._next_page += self._page_every
            self._audit_page(snapshot)

    def _audit_page(self, snapshot: Snapshot) -> None:
        series = series_of(render(snapshot, Exposure(mode="simulated")).text.decode())
        now = snapshot.at.monotonic
        held_ago = {holder.pod: now - last for holder, last in self.books.last_held.items()}
        check_holders(series, held_ago, 0.0, self._kept)
        self._count(len(series))
        if self.elapsed >= SETTLED_SECONDS:
            self.memory[self.elapsed] = pss_kib()

    def _count(self, series: int) -> None:
        hour = int(self.elapsed // 3600)
        self.most_series += [0] * (hour + 1 - len(self.most_series))
        self.most_series[hour] = max(self.most_series[hour], series)

    def _check_money(self, elapsed: float) -> None:
        """The node's list price × time, to the last part of a micro-dollar."""
        due = Fraction(LIST_PRICE_PER_HOUR) * 10**6 * Fraction(microseconds(elapsed), 3600 * 10**6)
        assert self.books.micro == due, f"charged {float(self.books.micro)} micro-USD, due {float(due)}"


def check_bounded(most_series: tuple[int, ...]) -> None:
    """Every hour brings the same: what the first two did not need, no later one does."""
    early, late = most_series[:2], most_series[2:]
    assert max(late, default=0) <= 1.02 * max(early), f"series grow from hour to hour: {most_series}"


def main(hours: float, say: Callable[[str], None]) -> None:
    """Run it; fails by assertion."""
    logging.disable(logging.ERROR)  # the source fails on purpose, with a traceback each time
    outcome = Soak(interval_seconds=15, page_seconds=60, config=Config()).run(hours * 3600, say)
    say(f"{outcome.pods} pods in {outcome.cycles} cycles; reads failed: {outcome.failures}")
    say(f"every micro-dollar is charged; causes: {', '.join(sorted(outcome.causes))}")
    say(f"at most {max(outcome.most_series)} series, none twice")
    check_bounded(outcome.most_series)
    slope = outcome.memory_slope
    if slope is None:
        say(f"memory is judged from {3 * SETTLED_SECONDS / 3600:.0f} simulated hours on")
        return
    say(f"memory: {slope:+.1f} KiB per simulated hour after the first {SETTLED_SECONDS / 3600:.0f}")
    assert slope < KIB_PER_HOUR, "more than 1 MiB an hour"
