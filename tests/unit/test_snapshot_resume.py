"""A pipeline that goes on where another one ended: windows full, counters on, downtime charged once."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from gpusteward.config import Config
from gpusteward.journal import Identity
from gpusteward.journal.checkpoint import Checkpoint, decode, encode, encode_state
from gpusteward.meter import dump_open
from gpusteward.model import (
    CollectHealth,
    Holder,
    LeafSnapshot,
    NodeFacts,
    NodeReadings,
    Readings,
    Signal,
    Snapshot,
)
from gpusteward.pricing import PriceBook, bundled_catalogue
from gpusteward.snapshot import Pipeline, PipelineState
from tests.leaves import OTHER_POD, POD, T0, gpu, held

if TYPE_CHECKING:
    from gpusteward.clock import Moment

HEALTH = CollectHealth(success=True, reason="", message="", last_success=None, duration_seconds=0.0)
FACTS = NodeFacts(name="n1", provider="aws", instance_type="g6.12xlarge", region="us-east-1", gpus=2)
MINUTES = 40


def pipeline() -> Pipeline:
    config = Config()
    return Pipeline(config, PriceBook(bundled_catalogue(), config.pricing), "real")


def sample(at: Moment, holder: Holder = POD) -> Readings:
    used = gpu(0, signals={Signal.SM_ACTIVE: 0.5}, allocations=(held(holder),))
    free = gpu(1, signals={Signal.SM_ACTIVE: 0.0}, allocations=())
    node = NodeReadings(node="n1", gpus=(used, free), facts=FACTS)
    return Readings(at=at, source="scripted", nodes=(node,))


def ran() -> Pipeline:
    made = pipeline()
    for step in range(MINUTES * 4 + 1):
        made.take(sample(T0.plus(15.0 * step)), HEALTH)
    return made


def resumed(*, counters: bool) -> tuple[Pipeline, Moment]:
    before, end = ran(), T0.plus(MINUTES * 60)
    state = msgspec.json.decode(msgspec.json.encode(before.dump()), type=PipelineState)
    after = pipeline()
    after.load(state, end.monotonic, counters=counters)
    return after, end


def leaves(snapshot: Snapshot) -> list[LeafSnapshot]:
    return [leaf for gpu in snapshot.nodes[0].gpus for leaf in gpu.leaves]


def seconds(leaf: LeafSnapshot) -> dict[tuple[str, str], float]:
    return {(c.holder.pod, c.cause.value): c.held / 1e15 for c in leaf.charges}


def test_counters_go_on_windows_are_full_and_downtime_is_the_holders() -> None:
    after, end = resumed(counters=True)
    used, free = leaves(after.take(sample(end.plus(60)), HEALTH))
    half = MINUTES * 30.0
    assert seconds(used) == {
        ("train-0", "used"): half,
        ("train-0", "headroom"): half,
        ("train-0", "unmeasured"): 60.0,
    }
    assert seconds(free) == {("", "unallocated"): MINUTES * 60.0}, "nobody's downtime is the ledger's"
    assert used.verdict.reason == "mean activity 50.0% over 30 min"


def test_downtime_is_charged_once_and_then_time_goes_on() -> None:
    after, end = resumed(counters=True)
    after.take(sample(end.plus(60)), HEALTH)
    snapshot = after.take(sample(end.plus(70)), HEALTH)
    used, free = leaves(snapshot)
    assert seconds(used)["train-0", "unmeasured"] == 60.0
    assert seconds(free)["", "unallocated"] == MINUTES * 60.0 + 10.0
    assert snapshot.nodes[0].conservation_error == 0


def test_downtime_of_a_device_that_changed_hands_is_left_out() -> None:
    after, end = resumed(counters=True)
    used, _ = leaves(after.take(sample(end.plus(60), OTHER_POD), HEALTH))
    assert not any(cause == "unmeasured" for _, cause in seconds(used))
    rows = after.open_rows.close(end.plus(60)).rows
    assert not rows


def test_after_a_crash_counters_begin_anew_and_the_rest_goes_on() -> None:
    after, end = resumed(counters=False)
    snapshot = after.take(sample(end.plus(60)), HEALTH)
    used, free = leaves(snapshot)
    assert (seconds(used), seconds(free)) == ({("train-0", "unmeasured"): 60.0}, {})
    assert used.verdict.reason == "mean activity 50.0% over 30 min"
    assert snapshot.nodes[0].conservation_error == 0


def test_a_source_that_does_not_answer_at_once_leaves_the_downtime_for_when_it_does() -> None:
    after, end = resumed(counters=True)
    assert after.miss(end.plus(60), "scripted", HEALTH).nodes == ()
    used, _ = leaves(after.take(sample(end.plus(90)), HEALTH))
    assert seconds(used)["train-0", "unmeasured"] == 90.0


def test_another_node_in_the_first_sample_does_not_forget_the_one_that_is_not_read_yet() -> None:
    after, end = resumed(counters=True)
    other = Readings(at=end.plus(5), source="scripted", nodes=(NodeReadings(node="n2", gpus=(gpu(7),)),))
    after.take(other, HEALTH)
    snapshot = after.take(sample(end.plus(60)), HEALTH)
    used = leaves(snapshot)[0]
    assert seconds(used)["train-0", "unmeasured"] == 60.0
    assert used.verdict.reason == "mean activity 50.0% over 30 min"


def test_a_node_that_does_not_come_back_is_forgotten_and_owes_no_downtime_later() -> None:
    after, end = resumed(counters=True)
    for minutes in (1, 20, 21):
        other = NodeReadings(node="n2", gpus=(gpu(7),))
        after.take(Readings(at=end.plus(60 * minutes), source="scripted", nodes=(other,)), HEALTH)
    used = leaves(after.take(sample(end.plus(60 * 60)), HEALTH))[0]
    assert ("train-0", "unmeasured") not in seconds(used)


def test_a_holder_that_is_no_utf8_does_not_keep_the_rest_from_being_written_down() -> None:
    before = pipeline()
    odd = Holder("caf\udce9", "train-0", "main")
    before.take(sample(T0, odd), HEALTH)
    before.take(sample(T0.plus(10), odd), HEALTH)
    state = msgspec.json.decode(encode_state(before.dump()), type=PipelineState)
    assert [leaf.holders for leaf in state.meter.leaves if leaf.holders] == [
        [Holder("caf?", "train-0", "main")],
        [Holder()],
    ]
    opened = Checkpoint(
        identity=Identity(boot="b", node="n1", mode="real", currency="USD"),
        wall=T0.wall,
        monotonic=T0.monotonic,
        clean=False,
        open=dump_open(before.open_rows),
        state=encode_state({}),
    )
    assert decode(encode(opened)) is not None
