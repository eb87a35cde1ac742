"""The loop: every cycle ends in a snapshot that says how it went, and the loop never ends by itself."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from gpusteward.config import Config
from gpusteward.errors import SourceError
from gpusteward.model import CollectHealth, NodeFacts, NodeReadings, Readings, Signal
from gpusteward.pricing import PriceBook, bundled_catalogue
from gpusteward.sampler import WARM_UP_STEP_SECONDS, Sampler, warm_up
from gpusteward.snapshot import FORGET_NODE_SECONDS, Pipeline
from tests.clocks import TurnedClock
from tests.leaves import gpu, held

if TYPE_CHECKING:
    from collections.abc import Callable

    from gpusteward.clock import Moment
    from gpusteward.model import Snapshot


def answer(at: Moment) -> Readings:
    """One node with one busy GPU; one line of the page was bad."""
    reading = gpu(0, signals={Signal.SM_ACTIVE: 0.5}, allocations=(held(),))
    facts = NodeFacts(name="n1", provider="aws", instance_type="g6.xlarge", region="us-east-1")
    node = NodeReadings(node="n1", gpus=(reading,), facts=facts)
    return Readings(at=at, source="scripted", nodes=(node,), skipped={"bad_line": 1})


def refuse(_at: Moment) -> Readings:
    raise SourceError("nobody answers", "refused", "start it")


def break_down(_at: Moment) -> Readings:
    raise ZeroDivisionError("a bug")


class Scripted:
    """A source that plays one answer after the other, then stops the sampler."""

    name = "scripted"

    def __init__(
        self, clock: TurnedClock, *answers: Callable[[Moment], Readings], takes: float = 0.0
    ) -> None:
        self.answers = list(answers)
        self.reads: list[Moment] = []
        self.sampler: Sampler | None = None
        self._clock, self._takes = clock, takes

    def read(self, at: Moment) -> Readings:
        self.reads.append(at)
        self._clock.turn(self._takes)
        if len(self.reads) >= len(self.answers) and self.sampler is not None:
            self.sampler.stop()
        return self.answers[min(len(self.reads), len(self.answers)) - 1](at)

    def close(self) -> None:
        """Nothing is held."""


def pipeline() -> Pipeline:
    config = Config()
    return Pipeline(config, PriceBook(bundled_catalogue(), config.pricing), "real")


def played(
    *answers: Callable[[Moment], Readings],
    takes: float = 0.0,
    publish: Callable[[Snapshot], None] | None = None,
) -> tuple[list[Snapshot], Scripted, TurnedClock]:
    clock = TurnedClock()
    source = Scripted(clock, *answers, takes=takes)
    snapshots: list[Snapshot] = []
    source.sampler = Sampler(source, pipeline(), publish or snapshots.append, lambda: 5.0, clock)
    source.sampler.run()
    return snapshots, source, clock


def test_a_good_cycle_is_published_with_its_health() -> None:
    (snapshot,), _, clock = played(answer, takes=0.25)
    health = snapshot.health
    assert (health.success, health.reason, health.message) == (True, "", "")
    assert (health.duration_seconds, health.last_success) == (0.25, clock.now().wall - 0.25)
    assert (health.cycles, health.skipped) == ({"ok": 1}, {"bad_line": 1})
    assert (snapshot.source, snapshot.mode, snapshot.nodes[0].seen) == ("scripted", "real", 1)


def test_a_failure_dates_from_the_first_cycle_in_a_row_that_failed_whatever_their_reasons() -> None:
    snapshots = played(answer, refuse, refuse, break_down, refuse, answer, refuse)[0]
    begun = [s.health.failing_since and s.health.failing_since - snapshots[0].at.monotonic for s in snapshots]
    assert begun == [None, 5.0, 5.0, 5.0, 5.0, None, 30.0]


def test_failed_driver_calls_are_counted_over_all_cycles() -> None:
    def failing(at: Moment) -> Readings:
        return replace(answer(at), errors={("nvmlDeviceGetPowerUsage", "UNKNOWN"): 2})

    snapshots = played(failing, refuse, failing)[0]
    assert [dict(s.health.errors) for s in snapshots] == [
        {("nvmlDeviceGetPowerUsage", "UNKNOWN"): n} for n in (2, 2, 4)
    ]


@pytest.mark.parametrize("stuck", [True, False, None])
def test_a_source_that_can_be_stuck_says_whether_it_is_and_another_says_nothing(stuck: bool | None) -> None:
    class Sticky(Scripted):
        @property
        def stuck(self) -> bool | None:
            return stuck

    clock = TurnedClock()
    told = Sampler(Sticky(clock, answer), pipeline(), lambda _: None, lambda: 5.0, clock).cycle(clock.now())
    assert told.health.stuck is stuck
    assert played(answer)[0][0].health.stuck is None


@pytest.mark.parametrize("known", [True, False, None])
def test_a_source_that_can_be_held_says_whether_that_is_known_and_another_says_nothing(
    known: bool | None,
) -> None:
    class Held(Scripted):
        @property
        def hold_known(self) -> bool | None:
            return known

    clock = TurnedClock()
    told = Sampler(Held(clock, answer), pipeline(), lambda _: None, lambda: 5.0, clock).cycle(clock.now())
    assert told.health.hold_known is known
    assert played(answer)[0][0].health.hold_known is None


def test_a_failed_cycle_says_why_and_known_gpus_go_on_costing_as_unmeasured() -> None:
    good, failed = played(answer, refuse)[0]
    assert (failed.health.success, failed.health.reason) == (False, "refused")
    assert failed.health.message == "nobody answers\n  next: start it"
    assert failed.health.last_success == good.at.wall
    assert failed.health.cycles == {"ok": 1, "refused": 1}
    (node,) = failed.nodes
    assert (node.seen, node.expected) == (None, 1)
    (leaf,) = node.gpus[0].leaves
    assert [(p.holder.pod, p.cause.value) for p in leaf.portions] == [("", "unmeasured")]
    assert leaf.rate is not None


def test_a_bug_in_a_source_is_a_failed_cycle_not_the_end(caplog: pytest.LogCaptureFixture) -> None:
    snapshots = played(break_down, answer)[0]
    assert [s.health.reason for s in snapshots] == ["internal", ""]
    assert "a bug" in caplog.text


def test_a_bug_behind_the_source_is_logged_and_the_loop_goes_on(caplog: pytest.LogCaptureFixture) -> None:
    seen: list[Snapshot] = []

    def publish(snapshot: Snapshot) -> None:
        seen.append(snapshot)
        if len(seen) == 1:
            raise ValueError("cannot render")

    played(answer, answer, publish=publish)
    first, failed, second = seen
    assert (failed.health.success, failed.health.reason) == (False, "internal")
    assert failed.nodes == first.nodes, "the last values stay, and are said to be old"
    assert second.health.success
    assert "cannot render" in caplog.text


def test_a_bug_before_there_is_any_snapshot_is_only_logged(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock, pipe = TurnedClock(), pipeline()
    source = Scripted(clock, answer, answer)
    seen: list[Snapshot] = []

    def break_once(_readings: Readings, _health: CollectHealth) -> Snapshot:
        monkeypatch.undo()
        raise ValueError("a bug in a stage")

    monkeypatch.setattr(pipe, "take", break_once)  # no input is known that would do it
    source.sampler = Sampler(source, pipe, seen.append, lambda: 5.0, clock)
    source.sampler.run()
    assert "a bug in a stage" in caplog.text
    assert [s.health.success for s in seen] == [True]


def test_waking_begins_the_next_cycle_at_once() -> None:
    clock = TurnedClock()
    source = Scripted(clock, answer, answer, answer)
    sampler = source.sampler = Sampler(source, pipeline(), lambda _: None, lambda: 300.0, clock)
    clock.on_wait = lambda: sampler.wake() if len(source.reads) == 1 else None
    sampler.run()
    starts = [at.monotonic - source.reads[0].monotonic for at in source.reads]
    assert starts == [0.0, 0.0, 300.0]


def test_warm_up_ends_early_once_stopped() -> None:
    clock = TurnedClock()
    source = Scripted(clock, answer)
    warm_up(source, pipeline(), clock.now(), 24 * 60.0, lambda: len(source.reads) >= 3)
    assert len(source.reads) == 3


def test_cycles_start_at_the_interval_whatever_they_take() -> None:
    _, source, clock = played(answer, answer, answer, takes=2.0)
    starts = [at.monotonic - source.reads[0].monotonic for at in source.reads]
    assert starts == [0.0, 5.0, 10.0]
    assert clock.waits[:2] == [3.0, 3.0]


def test_a_cycle_that_takes_too_long_is_not_made_up_for() -> None:
    _, source, _ = played(answer, answer, answer, takes=12.0)
    starts = [at.monotonic - source.reads[0].monotonic for at in source.reads]
    assert starts == [0.0, 12.0, 24.0]


def test_a_change_of_reason_is_logged_once(caplog: pytest.LogCaptureFixture) -> None:
    played(refuse, refuse, answer, answer)
    assert caplog.text.count("nobody answers") == 1


def test_warm_up_fills_the_windows_before_the_first_page() -> None:
    clock = TurnedClock()
    source, pipe = Scripted(clock, answer), pipeline()
    warm_up(source, pipe, clock.now(), 45.0, lambda: False)
    assert len(source.reads) == 45 * 60 / WARM_UP_STEP_SECONDS + 1
    assert source.reads[0] == clock.now().plus(-45 * 60)
    assert source.reads[-1] == clock.now()
    clock.turn(3.0)
    snapshot = Sampler(source, pipe, lambda _: None, lambda: 5.0, clock).cycle(clock.now())
    verdict = snapshot.nodes[0].gpus[0].leaves[0].verdict
    assert verdict.reason == "mean activity 50.0% over 30 min"


def test_a_node_that_changes_its_name_is_one_node() -> None:
    clock, pipe = TurnedClock(), pipeline()

    def renamed(at: Moment) -> Readings:
        (node,) = answer(at).nodes
        return Readings(at=at, source="scripted", nodes=(replace(node, node="dcgm-exporter-x7k2p"),))

    sampler = Sampler(Scripted(clock, answer, renamed), pipe, lambda _: None, lambda: 5.0, clock)
    sampler.cycle(clock.now())
    clock.turn(5.0)
    assert [n.node for n in sampler.cycle(clock.now()).nodes] == ["dcgm-exporter-x7k2p"]


def test_a_long_gap_is_the_holders_that_had_the_gpu_before_and_have_it_still() -> None:
    clock, pipe = TurnedClock(), pipeline()
    sampler = Sampler(Scripted(clock, answer), pipe, lambda _: None, lambda: 5.0, clock)
    sampler.cycle(clock.now())
    clock.turn(3600.0)
    (leaf,) = sampler.cycle(clock.now()).nodes[0].gpus[0].leaves
    unmeasured = [(c.holder.pod, c.held) for c in leaf.charges if c.cause.value == "unmeasured"]
    assert unmeasured == [("train-0", 3600 * 10**15)]


def test_a_node_that_a_page_no_longer_names_is_unmeasured_for_a_while_and_then_gone() -> None:
    clock, pipe = TurnedClock(), pipeline()

    def other(at: Moment) -> Readings:
        return Readings(at=at, source="scripted", nodes=(NodeReadings(node="n2", gpus=(gpu(7),)),))

    source = Scripted(clock, answer, other)
    sampler = Sampler(source, pipe, lambda _: None, lambda: 5.0, clock)
    sampler.cycle(clock.now())
    clock.turn(5.0)
    assert [(n.node, n.seen) for n in sampler.cycle(clock.now()).nodes] == [("n1", None), ("n2", 1)]
    clock.turn(FORGET_NODE_SECONDS)
    assert [n.node for n in sampler.cycle(clock.now()).nodes] == ["n2"]
