"""Errors carry the next step; the clock is the machine's."""

from __future__ import annotations

import threading

from gpusteward.clock import Moment, SystemClock
from gpusteward.errors import ConfigError, GpustewardError, Problem, SourceError


def test_an_error_reads_as_what_happened_and_what_to_do() -> None:
    assert (
        str(GpustewardError("the port is taken", "choose another"))
        == "the port is taken\n  next: choose another"
    )
    assert str(GpustewardError("it broke")) == "it broke"


def test_all_problems_are_listed_with_path_and_remedy() -> None:
    error = ConfigError("2 problems", (Problem("a.b", "is wrong", "write 1"), Problem("c", "is missing")))
    assert str(error) == "2 problems\n  - a.b: is wrong (write 1)\n  - c: is missing"


def test_a_source_error_has_a_reason_for_its_label() -> None:
    assert SourceError("no answer", "timeout").reason == "timeout"


def test_a_moment_moves_on_both_clocks() -> None:
    assert Moment(100.0, 1.0).plus(5.0) == Moment(105.0, 6.0)


def test_the_system_clock_never_steps_back_and_waits_no_longer_than_its_event() -> None:
    clock = SystemClock()
    first, second = clock.now(), clock.now()
    assert second.monotonic >= first.monotonic
    event = threading.Event()
    assert clock.wait(event, 0.0) is False
    assert clock.wait(event, -1.0) is False
    event.set()
    assert clock.wait(event, 3600.0) is True
