from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gpusteward.config import SimulatedSettings
from gpusteward.devices.simulated import SimulatedSource
from gpusteward.model import Signal
from tests.unit.devices.simulated.fleets import EPOCH, UNTIMED, activity, fleet, gpu, leaves, nodes

if TYPE_CHECKING:
    from collections.abc import Iterator

    from gpusteward.model import GpuReading

MIXED = """
- gpus: [0]
  cycle_minutes: 120
  jobs:
    - {pattern: training, namespace: ns, pod: train, minutes: 50, pulling_minutes: 2, starting_minutes: 3}
    - {pattern: leftover, start_minutes: 50, minutes: 20}
    - {pattern: inference, namespace: ns, pod: serve, start_minutes: 80, minutes: 30}
- gpus: [1]
  cycle_minutes: 90
  mig:
    - {profile: 3g.40gb, jobs: [{pattern: inference, namespace: ns, pod: a}]}
    - {profile: 1g.10gb, count: 2, jobs: [{pattern: underused, namespace: ns, pod: b, minutes: 70}]}
- gpus: [2]
  jobs: [{pattern: decode, namespace: ns, pod: decode}]
- gpus: [3]
  cycle_minutes: 100
  jobs: [{pattern: training, namespace: ns, pod: failing}]
  events: [{start_minutes: 20, minutes: 30, fault: failed, xid: 95}]
"""


def source(profile: str = "default", seed: int = 1, warmup_minutes: float = 45.0) -> SimulatedSource:
    return SimulatedSource(
        SimulatedSettings(profile=profile, seed=seed, warmup_minutes=warmup_minutes), EPOCH
    )


def test_the_same_seed_and_profile_give_the_same_readings() -> None:
    assert source().read(EPOCH) == source().read(EPOCH)


def test_another_seed_gives_other_devices_and_other_pods() -> None:
    one, other = source(seed=1).read(EPOCH), source(seed=2).read(EPOCH)
    assert {gpu.uuid for node in one.nodes for gpu in node.gpus}.isdisjoint(
        gpu.uuid for node in other.nodes for gpu in node.gpus
    )
    assert [node.facts for node in one.nodes] == [node.facts for node in other.nodes]


@given(order=st.permutations(range(0, 7200, 600)))
@settings(UNTIMED, max_examples=20)
def test_a_fleet_answers_alike_however_often_and_in_which_order_it_is_asked(order: list[int]) -> None:
    asked = fleet(MIXED, gpus=4)
    answers = {at: nodes(asked, at) for at in order}
    assert answers == {at: nodes(fleet(MIXED, gpus=4), at) for at in sorted(order)}


def test_what_is_not_a_mean_does_not_depend_on_the_reads_before() -> None:
    often, once = source(), source()
    for seconds in range(0, 100, 5):
        often.read(EPOCH.plus(seconds))
    instant = (Signal.ENERGY_TOTAL, Signal.MEMORY_USED, Signal.TEMPERATURE, Signal.SM_CLOCK, Signal.LAST_XID)
    for left, right in zip(_gpus(often, 300.0), _gpus(once, 300.0), strict=True):
        assert left.allocations == right.allocations
        assert [left.signals.get(s) for s in instant] == [right.signals.get(s) for s in instant]


def _gpus(simulated: SimulatedSource, seconds: float) -> Iterator[GpuReading]:
    for node in simulated.read(EPOCH.plus(seconds)).nodes:
        yield from node.gpus


@pytest.mark.parametrize("interval", [1.0, 5.0, 15.0, 47.0])
def test_summed_readings_equal_the_integral_where_the_gpu_is_well(interval: float) -> None:
    simulated = fleet(MIXED, gpus=4)
    healthy = {key for key, _ in leaves(nodes(simulated, 5.0))}
    begin, count = 600.0, int(4200 / interval)
    summed = dict.fromkeys(healthy, 0.0)
    for n in range(1, count + 1):
        for key, signals in leaves(nodes(simulated, begin + n * interval, interval)):
            if signals.keys() - {Signal.LAST_XID}:
                summed[key] += interval * activity(signals)
            else:
                healthy.discard(key)
    assert len(healthy) == 5
    for key in healthy:
        expected = simulated.activity_integral(*key, begin, begin + count * interval)
        assert expected > 0
        assert summed[key] == pytest.approx(expected, rel=1e-6)


def test_a_failed_gpu_is_inactive_while_it_has_failed() -> None:
    simulated = fleet(MIXED, gpus=4)
    uuid = nodes(simulated, 5.0)[0].gpus[3].uuid
    assert simulated.activity_integral("n1", uuid, "", 1200.0, 3000.0) == pytest.approx(0.0, abs=1e-9)
    assert simulated.activity_integral("n1", uuid, "", 1200.0, 3060.0) > 1


def test_the_integral_of_a_device_that_is_not_there_is_refused() -> None:
    with pytest.raises(KeyError, match="GPU-none"):
        fleet(MIXED, gpus=4).activity_integral("n1", "GPU-none", "", 0.0, 1.0)


@given(times=st.lists(st.floats(0, 100_000), min_size=2, max_size=8).map(sorted))
@settings(UNTIMED, max_examples=30)
def test_energy_never_falls_and_grows_by_mean_power(times: list[float]) -> None:
    simulated = fleet(MIXED, gpus=4)
    for start, end in pairwise(times):
        if end - start < 1:
            continue
        before, after = nodes(simulated, start)[0].gpus, nodes(simulated, end, end - start)[0].gpus
        for earlier, later in zip(before, after, strict=True):
            if earlier.fault or later.fault:
                continue
            grown = later.signals[Signal.ENERGY_TOTAL] - earlier.signals[Signal.ENERGY_TOTAL]
            assert grown > 0
            assert grown == pytest.approx(later.signals[Signal.POWER] * (end - start), rel=1e-6)


def test_power_and_temperature_follow_the_work_between_floor_and_limit() -> None:
    simulated = fleet(MIXED, gpus=4)
    resting, working = gpu(simulated, 75 * 60.0).signals, gpu(simulated, 20 * 60.0).signals
    assert resting[Signal.POWER] == 70.0
    assert 400.0 < working[Signal.POWER] < working[Signal.POWER_LIMIT] == 700.0
    assert working[Signal.TEMPERATURE] > resting[Signal.TEMPERATURE] + 20
    assert working[Signal.SM_CLOCK] == 1980e6
    assert resting[Signal.SM_CLOCK] == 345e6


def test_a_mig_gpu_tells_only_what_the_board_knows() -> None:
    parent = nodes(fleet(MIXED, gpus=4), 600.0)[0].gpus[1]
    assert parent.mig
    assert parent.allocations is None
    assert parent.signals.keys() == {
        Signal.TEMPERATURE,
        Signal.MEMORY_TEMPERATURE,
        Signal.POWER,
        Signal.POWER_LIMIT,
        Signal.ENERGY_TOTAL,
        Signal.LAST_XID,
    }
    assert [(i.gi, i.profile) for i in parent.instances] == [
        ("1", "3g.40gb"),
        ("7", "1g.10gb"),
        ("8", "1g.10gb"),
    ]
    assert len({instance.mig_uuid for instance in parent.instances}) == 3


def test_a_gddr_board_has_no_memory_temperature() -> None:
    signals = gpu(fleet("[]", model="NVIDIA L4"), 60.0).signals
    assert Signal.MEMORY_TEMPERATURE not in signals
    assert signals[Signal.MEMORY_TOTAL] == 23_034 * 1024**2


def test_memory_used_free_and_reserved_make_up_the_total() -> None:
    signals = gpu(fleet(MIXED, gpus=4), 1200.0).signals
    parts = (Signal.MEMORY_USED, Signal.MEMORY_FREE, Signal.MEMORY_RESERVED)
    assert sum(signals[part] for part in parts) == signals[Signal.MEMORY_TOTAL]
    assert signals[Signal.MEMORY_USED] > 0.8 * signals[Signal.MEMORY_TOTAL]


def test_a_read_is_a_mean_over_the_time_since_the_one_before_it() -> None:
    simulated = source("small")
    simulated.read(EPOCH)
    whole_period = simulated.read(EPOCH.plus(1200)).nodes[0].gpus[0]
    assert 0.25 < whole_period.signals[Signal.SM_ACTIVE] < 0.4


def test_the_first_read_and_one_that_goes_back_are_means_over_five_seconds() -> None:
    simulated, fresh = source("small"), source("small")
    simulated.read(EPOCH.plus(1200))
    assert simulated.read(EPOCH.plus(600)) == fresh.read(EPOCH.plus(600))


def test_reading_the_same_moment_twice_gives_the_same_reading() -> None:
    simulated = source("small")
    assert simulated.read(EPOCH) == simulated.read(EPOCH)


def test_the_warm_up_can_be_replayed_and_before_it_time_stands_still() -> None:
    simulated = source(warmup_minutes=45)
    assert simulated.simulated_seconds(EPOCH) == 2700.0
    assert simulated.simulated_seconds(EPOCH.plus(-2700)) == 0.0
    assert simulated.simulated_seconds(EPOCH.plus(-9000)) == 0.0
    first = simulated.read(EPOCH.plus(-9000)).nodes[0].gpus[0]
    assert first.signals[Signal.ENERGY_TOTAL] == 0.0


def test_a_step_of_the_wall_clock_moves_no_pod() -> None:
    straight, stepped = source(), source()
    moment = EPOCH.plus(60)
    late = type(moment)(moment.wall + 3600, moment.monotonic)
    assert straight.read(moment).nodes == stepped.read(late).nodes


def test_it_says_that_it_is_simulated() -> None:
    simulated = source("small")
    assert simulated.name == simulated.read(EPOCH).source == "simulated"
    simulated.close()
    simulated.close()
