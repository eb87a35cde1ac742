"""Who holds what, and which GPUs are missing."""

from __future__ import annotations

import itertools
from dataclasses import replace
from fractions import Fraction

from hypothesis import given
from hypothesis import strategies as st

from gpusteward.attribution import LOST_ALERT_SECONDS, Roster, attribute, unread
from gpusteward.model import (
    AttributedGpu,
    Fault,
    GpuReading,
    InstanceReading,
    LeafKind,
    NodeReadings,
    Process,
    Signal,
)
from tests.leaves import OTHER_POD, POD, gpu, held, node


def names(gpus: tuple[AttributedGpu, ...]) -> list[tuple[str, Fault | None]]:
    return [(one.reading.uuid, one.fault) for one in gpus]


def test_a_whole_gpu_is_one_leaf_with_its_signals_and_holders() -> None:
    reading = gpu(0, signals={Signal.POWER: 50.0}, allocations=(held(),))
    (got,) = attribute(node(reading), Roster(), None, (), 0.0)
    (leaf,) = got.leaves
    assert (leaf.device.key, leaf.device.kind) == (("n1", "GPU-0", ""), LeafKind.WHOLE)
    assert (leaf.signals, leaf.allocations, leaf.fault) == ({Signal.POWER: 50.0}, (held(),), None)


def test_a_mig_gpu_is_its_instances() -> None:
    instances = (
        InstanceReading(gi="2", profile="3g.40gb", mig_uuid="MIG-a", allocations=(held(),)),
        InstanceReading(gi="9", profile="1g.10gb"),
    )
    (got,) = attribute(node(gpu(0, mig=True, instances=instances)), Roster(), None, (), 0.0)
    assert [(leaf.device.gi, leaf.device.mig_profile, leaf.mig_uuid) for leaf in got.leaves] == [
        ("2", "3g.40gb", "MIG-a"),
        ("9", "1g.10gb", ""),
    ]
    assert [leaf.allocations for leaf in got.leaves] == [(held(),), None]


def test_a_holder_listed_twice_is_one_holder_and_shares_never_exceed_the_device() -> None:
    half = Fraction(1, 2)
    twice = (held(POD, half), held(OTHER_POD, half), held(POD, half))
    (got,) = attribute(node(gpu(0, allocations=twice)), Roster(), None, (), 0.0)
    allocations = got.leaves[0].allocations or ()
    assert [(a.holder, a.share) for a in allocations] == [(POD, Fraction(2, 3)), (OTHER_POD, Fraction(1, 3))]


def test_unknown_holders_stay_unknown_and_nobody_stays_nobody() -> None:
    unknown, nobody = attribute(
        node(gpu(0, allocations=None), gpu(1, allocations=())), Roster(), None, (), 0.0
    )
    assert (unknown.leaves[0].allocations, nobody.leaves[0].allocations) == (None, ())


def test_a_gpu_that_was_seen_and_is_gone_is_lost_and_keeps_its_identity_but_no_values() -> None:
    roster = Roster()
    attribute(node(gpu(0), gpu(1, signals={Signal.POWER: 50.0}, allocations=(held(),))), roster, 2, (), 0.0)
    got = attribute(node(gpu(0)), roster, 2, (), 10.0)
    assert names(got) == [("GPU-0", None), ("GPU-1", Fault.LOST)]
    lost = got[1].leaves[0]
    assert (lost.device.gpu, lost.signals, lost.allocations) == ("1", {}, None)


def test_without_a_nominal_count_the_most_ever_seen_is_expected() -> None:
    roster = Roster()
    attribute(node(gpu(0), gpu(1)), roster, None, (), 0.0)
    assert names(attribute(node(gpu(1)), roster, None, (), 1.0)) == [("GPU-0", Fault.LOST), ("GPU-1", None)]


def test_gpus_never_seen_are_missing_by_number() -> None:
    got = attribute(node(gpu(0)), Roster(), 3, (), 0.0)
    assert names(got) == [("GPU-0", None), ("missing-1", Fault.LOST), ("missing-2", Fault.LOST)]
    assert got[1].reading.model == "NVIDIA L4"


def test_a_lost_gpu_that_returns_is_healthy_again() -> None:
    roster = Roster()
    for present in ((gpu(0), gpu(1)), (gpu(0),)):
        attribute(node(*present), roster, 2, (), 0.0)
    assert names(attribute(node(gpu(0), gpu(1)), roster, 2, (), 5.0)) == [("GPU-0", None), ("GPU-1", None)]
    assert roster.lost_since == {}


def test_a_replaced_gpu_is_not_lost() -> None:
    roster = Roster()
    attribute(node(gpu(0), gpu(1)), roster, 2, (), 0.0)
    assert names(attribute(node(gpu(0), gpu(7)), roster, 2, (), 1.0)) == [("GPU-0", None), ("GPU-7", None)]
    assert names(attribute(node(gpu(0)), roster, 2, (), 2.0)) == [("GPU-0", None), ("GPU-7", Fault.LOST)]


def test_acknowledging_and_age_end_the_alert_and_nothing_else() -> None:
    roster = Roster()
    attribute(node(gpu(0), gpu(1)), roster, 2, (), 0.0)
    at_once = attribute(node(gpu(0)), roster, 2, ("GPU-1",), 1.0)
    just_before = attribute(node(gpu(0)), roster, 2, (), 1.0 + LOST_ALERT_SECONDS)
    after = attribute(node(gpu(0)), roster, 2, (), 2.0 + LOST_ALERT_SECONDS)
    assert [got[1].fault for got in (at_once, just_before, after)] == [
        Fault.LOST_ACKNOWLEDGED,
        Fault.LOST,
        Fault.LOST_EXPIRED,
    ]
    assert all(len(got) == 2 for got in (at_once, just_before, after))


def test_a_gpu_that_says_it_is_faulty_is_not_healthy() -> None:
    (got,) = attribute(node(gpu(0, fault=Fault.RESET_REQUIRED)), Roster(), None, (), 0.0)
    assert (got.fault, got.leaves[0].fault) == (Fault.RESET_REQUIRED, Fault.RESET_REQUIRED)


def test_when_nothing_could_be_read_gpus_are_unknown_and_only_lost_ones_lost() -> None:
    roster = Roster()
    attribute(node(gpu(0, signals={Signal.POWER: 1.0}, allocations=()), gpu(1)), roster, 3, (), 0.0)
    attribute(node(gpu(0)), roster, 3, (), 1.0)
    got = unread("n1", roster, 3, (), 2.0)
    assert names(got) == [("GPU-0", None), ("GPU-1", Fault.LOST), ("missing-1", Fault.LOST)]
    assert (got[0].leaves[0].signals, got[0].leaves[0].allocations) == ({}, None)


def test_a_lost_mig_gpu_keeps_its_instances() -> None:
    roster = Roster()
    instances = (
        InstanceReading(gi="1", profile="3g.40gb", signals={Signal.SM_ACTIVE: 1.0}, allocations=(held(),)),
    )
    attribute(node(gpu(0), gpu(1, mig=True, instances=instances)), roster, 2, (), 0.0)
    lost = attribute(node(gpu(0)), roster, 2, (), 1.0)[1]
    assert [(leaf.device.gi, leaf.signals, leaf.allocations, leaf.fault) for leaf in lost.leaves] == [
        ("1", {}, None, Fault.LOST)
    ]


def test_gpus_are_ordered_by_index_as_numbers_then_by_uuid() -> None:
    unnumbered = [GpuReading(uuid="GPU-y"), GpuReading(uuid="GPU-x")]
    unnumbered.append(GpuReading(uuid="GPU-z", gpu="1" * 5000))
    got = attribute(node(gpu(10), gpu(9), *unnumbered), Roster(), None, (), 0.0)
    assert [one.reading.uuid for one in got] == ["GPU-9", "GPU-10", "GPU-x", "GPU-y", "GPU-z"]


seen_sets = st.lists(st.sets(st.integers(0, 7)), min_size=1, max_size=8)


@given(history=seen_sets, nominal=st.none() | st.integers(1, 8))
def test_there_are_always_as_many_gpus_as_expected_and_each_once(
    history: list[set[int]], nominal: int | None
) -> None:
    roster = Roster()
    for second, present in enumerate(history):
        got = attribute(node(*map(gpu, sorted(present))), roster, nominal, (), float(second))
        most = max(len(seen) for seen in history[: second + 1])
        assert len(got) == max(len(present), most if nominal is None else nominal)
        assert len({one.reading.uuid for one in got}) == len(got)
        assert {one.reading.uuid for one in got if one.fault is None} == {f"GPU-{n}" for n in present}
        again = unread("n1", replace(roster, known=dict(roster.known)), nominal, (), float(second))
        assert [one.reading.uuid for one in again] == [one.reading.uuid for one in got]


@given(order=st.permutations(range(5)))
def test_the_order_of_the_readings_does_not_matter(order: list[int]) -> None:
    shuffled = NodeReadings(node="n1", gpus=tuple(gpu(n) for n in order))
    assert attribute(shuffled, Roster(), 5, (), 0.0) == attribute(
        node(*map(gpu, range(5))), Roster(), 5, (), 0.0
    )


# --- processes ----------------------------------------------------------------------------------------------

PIDS = itertools.count(1)


def process(user: str = "ann") -> Process:
    return Process(pid=next(PIDS), user=user, command="python")


def test_processes_are_passed_on_to_the_leaf_they_run_on() -> None:
    here, there = (process(),), (process("bob"),)
    instances = (InstanceReading(gi="2", processes=there), InstanceReading(gi="3"))
    readings = node(gpu(0, processes=here), gpu(1, mig=True, instances=instances))
    whole, cut = attribute(readings, Roster(), None, (), 0.0)
    assert [leaf.processes for leaf in (*whole.leaves, *cut.leaves)] == [here, there, None]
    assert [leaf.allocations for leaf in whole.leaves] == [None]


def test_what_ran_on_a_gpu_that_is_lost_or_unread_is_not_known_any_more() -> None:
    roster = Roster()
    busy = gpu(0, processes=(process(),), xids=(31,))
    cut = gpu(1, mig=True, instances=(InstanceReading(gi="2", processes=(process(),)),))
    attribute(node(busy, cut), roster, None, (), 0.0)
    for gpus in (unread("n1", roster, None, (), 5.0), attribute(node(), roster, 2, (), 5.0)):
        assert [leaf.processes for one in gpus for leaf in one.leaves] == [None, None]
        assert [one.reading.xids for one in gpus] == [None, None]
