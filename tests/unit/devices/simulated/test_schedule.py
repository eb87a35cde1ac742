"""Pods come and go to the second, and are young for as long as the rules think they are."""

from __future__ import annotations

import math

import pytest

from gpusteward.config import UnderuseSettings
from gpusteward.model import Fault, Signal
from tests.unit.devices.simulated.fleets import ORIGIN, fleet, gpu, held, nodes, one_job, traffic

GRACE = UnderuseSettings().grace_seconds


@pytest.mark.parametrize(
    ("at", "is_held"),
    [(599.9, False), (600.0, True), (2399.9, True), (2400.0, False), (4199.9, False), (4200.0, True)],
)
def test_a_job_holds_its_device_from_its_start_up_to_its_end_in_each_cycle(at: float, is_held: bool) -> None:
    job = one_job(pattern="notebook", start_minutes=10, minutes=30)
    assert bool(held(job, at)) is is_held


def test_a_job_that_comes_again_has_a_new_pod_and_one_that_stays_keeps_it() -> None:
    comes = one_job(pattern="notebook", minutes=30)
    stays = one_job(pattern="notebook")
    assert held(comes, 60)[0].holder != held(comes, 3660)[0].holder
    assert held(comes, 3660)[0].started_at == ORIGIN + 3600
    assert held(stays, 60) == held(stays, 3660) == held(stays, 400_000)
    assert held(stays, 60)[0].started_at == ORIGIN - 86_400


def test_a_pod_pulls_its_image_then_starts_then_works() -> None:
    job = one_job(pattern="training", minutes=50, pulling_minutes=5, starting_minutes=10)
    pulling, started, working = held(job, 299.9)[0], held(job, 300)[0], gpu(job, 965)
    assert (pulling.running, pulling.started_at) == (False, None)
    assert (started.running, started.started_at) == (True, ORIGIN + 300)
    assert gpu(job, 899.9).signals[Signal.MEMORY_USED] == 0.0
    assert working.signals[Signal.MEMORY_USED] > 0.0
    assert working.signals[Signal.SM_ACTIVE] > 0.5
    assert pulling.holder == started.holder


def test_a_starting_pod_does_nothing_that_only_its_age_could_excuse() -> None:
    job = one_job(pattern="training", minutes=50, starting_minutes=30)
    signals = gpu(job, GRACE, seconds=GRACE - 1).signals
    assert (signals[Signal.SM_ACTIVE], signals[Signal.MEMORY_USED], traffic(signals)) == (0.0, 0.0, 0.0)


@pytest.mark.parametrize(("at", "young"), [(GRACE - 0.1, True), (GRACE, False)])
def test_a_pod_is_young_for_exactly_the_grace_after_its_container_started(at: float, young: bool) -> None:
    job = one_job(pattern="empty", minutes=60, pulling_minutes=3)
    (allocation,) = held(job, 180 + at)
    assert allocation.started_at is not None
    age = ORIGIN + 180 + at - allocation.started_at
    assert (age < GRACE - 1e-6) is young


def test_a_pod_that_cannot_pull_its_image_never_runs() -> None:
    job = one_job(pattern="pulling")
    for at in (5.0, 3605.0, 90_000.0):
        (allocation,) = held(job, at)
        assert (allocation.running, allocation.started_at) == (False, None)
        assert gpu(job, at).signals[Signal.MEMORY_USED] == 0.0


def test_a_held_device_may_be_empty() -> None:
    job = one_job(pattern="empty")
    assert held(job, 900)
    assert gpu(job, 900).signals[Signal.MEMORY_USED] == 0.0


def test_a_notebook_holds_memory_and_does_nothing() -> None:
    job = one_job(pattern="notebook", memory=0.5)
    signals = gpu(job, 3600, seconds=3600).signals
    assert signals[Signal.MEMORY_USED] == pytest.approx(signals[Signal.MEMORY_TOTAL] / 2, rel=0.01)
    assert (signals[Signal.SM_ACTIVE], signals[Signal.GPU_UTILIZATION], traffic(signals)) == (0.0, 0.0, 0.0)


def test_after_a_crash_memory_is_held_and_nobody_holds_the_device() -> None:
    simulated = fleet("""
        - gpus: [0]
          cycle_minutes: 60
          jobs:
            - {pattern: training, namespace: ns, pod: p, minutes: 30}
            - {pattern: leftover, start_minutes: 30, minutes: 20}
    """)
    assert held(simulated, 1799.9)
    crashed, gone = gpu(simulated, 1805), gpu(simulated, 3005)
    assert crashed.allocations == gone.allocations == ()
    assert crashed.signals[Signal.MEMORY_USED] > 1e9
    assert gone.signals[Signal.MEMORY_USED] == 0.0


@pytest.mark.parametrize(("at", "exempt"), [(1499.9, True), (1500.1, False)])
def test_an_exemption_may_end(at: float, exempt: bool) -> None:
    job = one_job(pattern="notebook", minutes=60, pulling_minutes=5, idle_exempt_minutes=20)
    until = held(job, at)[0].exempt_until
    assert until is not None
    assert (until > ORIGIN + at) is exempt


def test_an_exemption_may_hold_always_and_none_is_none() -> None:
    assert held(one_job(pattern="notebook", idle_exempt=True), 60)[0].exempt_until == math.inf
    assert held(one_job(pattern="notebook"), 60)[0].exempt_until is None


def test_pods_of_a_shared_gpu_have_a_seat_each_and_unheld_seats_stay() -> None:
    simulated = fleet("""
        - gpus: [0]
          replicas: 4
          jobs: [{pattern: inference, namespace: ns, pod: p, pods: 3}]
    """)
    allocations = held(simulated, 60)
    assert gpu(simulated, 60).sharing == "time-slicing"
    assert [str(a.share) for a in allocations] == ["1/4"] * 3
    assert len({a.holder for a in allocations}) == 3


def test_a_pod_holds_all_gpus_of_its_group_and_works_on_them_in_step() -> None:
    simulated = fleet("- {gpus: [0, 1], jobs: [{pattern: training, namespace: ns, pod: p}]}", gpus=3)
    first, second, free = nodes(simulated, 20_000, 20_000)[0].gpus
    assert first.allocations == second.allocations
    assert free.allocations == ()
    assert first.signals[Signal.SM_ACTIVE] == pytest.approx(second.signals[Signal.SM_ACTIVE], abs=0.05)
    assert first.signals[Signal.SM_ACTIVE] != second.signals[Signal.SM_ACTIVE]


def test_each_mig_instance_has_a_pod_of_its_own() -> None:
    simulated = fleet(
        """
        - gpus: [0, 1]
          mig: [{profile: 1g.10gb, count: 7, jobs: [{pattern: inference, namespace: ns, pod: p}]}]
    """,
        gpus=2,
    )
    instances = [instance for reading in nodes(simulated, 60)[0].gpus for instance in reading.instances]
    holders = {allocation.holder for instance in instances for allocation in instance.allocations or ()}
    assert len(instances) == len(holders) == 14


EVENTS = """
- gpus: [0]
  cycle_minutes: 60
  jobs: [{pattern: training, namespace: ns, pod: p}]
  events:
    - {start_minutes: 10, minutes: 5, fault: reset_required, xid: 95}
    - {start_minutes: 30, minutes: 5, fault: lost, xid: 79}
    - {start_minutes: 50, xid: 31}
"""


@pytest.mark.parametrize(
    ("at", "fault"),
    [(599.9, None), (600.0, Fault.RESET_REQUIRED), (899.9, Fault.RESET_REQUIRED), (900.0, None)],
)
def test_a_fault_lasts_from_its_start_up_to_its_end(at: float, fault: Fault | None) -> None:
    assert gpu(fleet(EVENTS), at).fault is fault


def test_a_faulty_gpu_keeps_its_identity_and_holder_and_tells_only_its_xid() -> None:
    well, faulty = gpu(fleet(EVENTS), 595), gpu(fleet(EVENTS), 700)
    assert (faulty.uuid, faulty.model, faulty.allocations) == (well.uuid, well.model, well.allocations)
    assert faulty.signals == {Signal.LAST_XID: 95.0}


def test_a_lost_gpu_is_missing_and_the_node_still_says_how_many_there_should_be() -> None:
    simulated = fleet(EVENTS, gpus=2)
    (missed,) = nodes(simulated, 1900)
    (whole,) = nodes(simulated, 2100)
    assert [reading.gpu for reading in missed.gpus] == ["1"]
    assert [reading.gpu for reading in whole.gpus] == ["0", "1"]
    assert missed.facts == whole.facts
    assert missed.facts is not None
    assert missed.facts.gpus == 2


@pytest.mark.parametrize(("at", "xid"), [(5, 0), (605, 95), (2105, 79), (2999, 79), (3000, 31), (3605, 31)])
def test_the_last_xid_stays_until_the_next_one(at: float, xid: int) -> None:
    assert gpu(fleet(EVENTS), at).signals[Signal.LAST_XID] == xid


def test_a_faulty_mig_gpu_keeps_its_instances_without_values() -> None:
    simulated = fleet("""
        - gpus: [0]
          cycle_minutes: 60
          mig: [{profile: 2g.20gb, jobs: [{pattern: inference, namespace: ns, pod: p}]}]
          events: [{start_minutes: 10, minutes: 5, fault: failed}]
    """)
    faulty = gpu(simulated, 700)
    assert faulty.fault is Fault.FAILED
    (instance,) = faulty.instances
    assert (instance.gi, instance.profile, instance.signals) == ("3", "2g.20gb", {})
    assert instance.allocations
