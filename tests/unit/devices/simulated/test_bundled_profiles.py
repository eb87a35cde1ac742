from __future__ import annotations

import csv
import io
from functools import cache
from importlib.resources import files
from typing import TYPE_CHECKING

import pytest

from gpusteward.attribution import Roster, attribute
from gpusteward.config import SimulatedSettings, UnderuseSettings
from gpusteward.devices.simulated import SimulatedSource, load_profile
from gpusteward.devices.simulated.loading import BUNDLED
from gpusteward.devices.simulated.patterns import Pattern
from gpusteward.model import CapacityType, Cause, State
from gpusteward.underuse import History, judge, portions
from tests.unit.devices.simulated.fleets import EPOCH, leaves

if TYPE_CHECKING:
    from gpusteward.devices.simulated.profile import Profile
    from gpusteward.model import Device, Verdict

STEP = 15


def jobs_of(profile: Profile) -> list[Pattern]:
    groups = [group for node in profile.nodes for group in node.groups]
    whole = [job for group in groups for job in group.jobs]
    sliced = [job for group in groups for instances in group.mig or () for job in instances.jobs]
    return [job.pattern for job in (*whole, *sliced)]


def read(profile: str) -> SimulatedSource:
    return SimulatedSource(SimulatedSettings(profile=profile), EPOCH)


@pytest.mark.parametrize("name", BUNDLED)
def test_every_bundled_profile_loads_and_says_what_it_is_for(name: str) -> None:
    assert load_profile(name).description


def test_no_name_means_the_default_profile() -> None:
    assert load_profile("") == load_profile("default")


def test_the_default_fleet_has_every_pattern_fault_and_kind_of_sharing() -> None:
    profile = load_profile("default")
    groups = [group for node in profile.nodes for group in node.groups]
    assert set(jobs_of(profile)) == set(Pattern)
    assert {event.fault for group in groups for event in group.events} == {"lost", "reset_required", None}
    assert any(group.replicas > 1 for group in groups)
    assert {node.board.activity for node in profile.nodes} == {"sm", "engine", "utilization"}
    assert CapacityType.SPOT in {node.capacity_type for node in profile.nodes}


def test_the_default_fleet_is_small_enough_for_the_series_budget() -> None:
    nodes = read("default").read(EPOCH).nodes
    assert sum(node.facts.gpus or 0 for node in nodes if node.facts) == 30
    assert len(list(leaves(nodes))) <= 45


@pytest.mark.parametrize("name", BUNDLED)
def test_every_instance_type_has_a_price_in_the_bundled_catalogue_and_that_many_gpus(name: str) -> None:
    text = files("gpusteward.pricing").joinpath("catalogue", "gpu_prices.csv").read_text(encoding="utf-8")
    rows = {
        (row["provider"], row["instance_type"], row["region"]): row["gpu_count"]
        for row in csv.DictReader(io.StringIO(text))
    }
    clouds = [node for node in load_profile(name).nodes if node.provider]
    assert clouds
    for node in clouds:
        assert int(rows[node.provider, node.instance_type, node.region]) == node.gpus


def test_the_benchmark_fleet_has_56_instances_held_by_64_pods() -> None:
    (node,) = read("benchmark").read(EPOCH).nodes
    instances = [instance for gpu in node.gpus for instance in gpu.instances]
    holders = [allocation.holder for i in instances for allocation in i.allocations or ()]
    assert len(instances) == 56
    assert len(holders) == len(set(holders)) == 64


def test_the_small_fleet_has_one_held_and_one_free_gpu() -> None:
    (node,) = read("small").read(EPOCH).nodes
    assert [bool(gpu.allocations) for gpu in node.gpus] == [True, False]


@cache
def first_page() -> dict[tuple[str, str, str], tuple[Device, Verdict, frozenset[Cause]]]:
    """The default fleet judged by the agent's own rules after the warm-up, by (node, gpu, gi)."""
    rules = UnderuseSettings()
    simulated = read("default")
    histories: dict[tuple[str, str, str], History] = {}
    rosters: dict[str, Roster] = {}
    page = {}
    for seconds in range(-45 * 60, 1, STEP):
        at = EPOCH.plus(seconds)
        for node in simulated.read(at).nodes:
            roster = rosters.setdefault(node.node, Roster())
            assert node.facts is not None
            for gpu in attribute(node, roster, node.facts.gpus, (), at.monotonic):
                for leaf in gpu.leaves:
                    history = histories.setdefault(leaf.device.key, History())
                    verdict = judge(leaf, history, rules, at, STEP)
                    causes = frozenset(portion.cause for portion in portions(leaf, verdict))
                    page[node.node, leaf.device.gpu, leaf.device.gi] = (leaf.device, verdict, causes)
    return page


def test_the_first_page_shows_every_state_where_the_profile_means_it() -> None:
    page = first_page()
    states = {key: verdict.state for key, (_, verdict, _) in page.items()}
    assert states["train-h100-1", "0", ""] is State.BUSY
    assert states["train-h100-1", "4", ""] is State.BUSY
    assert states["train-h100-1", "5", ""] is State.IDLE_HELD
    assert states["train-h100-1", "6", ""] is State.UNHEALTHY
    assert states["train-h100-1", "7", "3"] is State.IDLE_HELD
    assert states["train-h100-1", "7", "8"] is State.UNALLOCATED
    assert states["research-a100-1", "2", ""] is State.UNDERUSED
    assert states["research-a100-1", "3", ""] is State.IDLE_EMPTY
    assert states["research-a100-1", "5", ""] is State.UNALLOCATED
    assert states["video-l4-1", "0", ""] is State.BUSY
    assert states["video-l4-1", "2", ""] is State.UNHEALTHY
    assert states["serve-a10g-1", "1", ""] is State.UNDERUSED
    assert states["serve-a10g-1", "2", ""] is State.BUSY, "exempt"
    assert states["serve-a10g-1", "3", ""] not in {State.IDLE_EMPTY, State.IDLE_HELD}
    assert states["edge-t4-1", "0", ""] is State.BUSY
    assert states["desk-4090-1", "0", ""] is State.UNDERUSED


def test_the_first_page_shows_every_cause_that_a_reading_can_have() -> None:
    shown = {cause for _, _, causes in first_page().values() for cause in causes}
    by_the_rest_of_a_gpu, by_per_process_time, by_unknowns = (
        {Cause.STRANDED},
        {Cause.OVERHEAD},
        {Cause.UNMEASURED},
    )
    assert shown == set(Cause) - by_the_rest_of_a_gpu - by_per_process_time - by_unknowns
