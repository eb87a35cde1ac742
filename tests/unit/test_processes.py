"""Process holders: a place of their own or under `other`, for life; no counter goes down."""

from __future__ import annotations

from fractions import Fraction
from typing import TYPE_CHECKING

from hypothesis import given, settings
from hypothesis import strategies as st

from gpusteward.config import Config
from gpusteward.metrics.budget import HOLDER_SERIES
from gpusteward.metrics.collectors import families
from gpusteward.model import (
    Cause,
    CollectHealth,
    GpuReading,
    Holder,
    HolderKind,
    NodeFacts,
    NodeReadings,
    Portion,
    Readings,
    Signal,
)
from gpusteward.pricing import PriceBook, bundled_catalogue
from gpusteward.processes import OTHER, ProcessHolders
from gpusteward.snapshot import Pipeline
from gpusteward.units import PPB
from tests import snapshots
from tests.leaves import POD, T0, held, leaf
from tests.pages import Series, by_name, labels_of, value, values

if TYPE_CHECKING:
    from gpusteward.clock import Moment
    from gpusteward.model import Allocation, Leaf, Snapshot

HEALTH = CollectHealth(success=True, reason="", message="", last_success=None, duration_seconds=0.0)
H100 = "NVIDIA H100 80GB HBM3"


def process(user: str, share: Fraction | int = 1) -> Allocation:
    return held(Holder(user, "python"), share, kind=HolderKind.PROCESS)


def held_by(*users: str) -> Leaf:
    return leaf({}, tuple(process(user, Fraction(1, len(users))) for user in users))


def used(seen: Leaf) -> tuple[Portion, ...]:
    holders = [allocation.holder for allocation in seen.allocations or ()]
    return tuple(Portion(holder, Cause.USED, PPB // len(holders)) for holder in holders)


def names(seen: Leaf) -> list[tuple[str, str]]:
    return [(a.holder.namespace, a.holder.pod) for a in seen.allocations or ()]


def taken(holders: ProcessHolders, seen: Leaf, seats: int, now: float) -> list[tuple[str, str]]:
    holders.begin(seats, now)
    shown, portions, _ = holders.sum_up(seen, used(seen))
    assert {p.holder for p in portions} == {a.holder for a in shown.allocations or ()}
    return names(shown)


def test_who_finds_room_keeps_a_series_and_who_does_not_is_under_other() -> None:
    holders = ProcessHolders(600.0)
    holders.begin(2, 0.0)
    seen = held_by("ann", "bob", "cid", "dan")
    shown, portions, summed = holders.sum_up(seen, used(seen))
    assert names(shown) == [("", "other"), ("ann", "python"), ("bob", "python")]
    assert [a.share for a in shown.allocations or ()] == [Fraction(1, 2), Fraction(1, 4), Fraction(1, 4)]
    assert {p.holder.namespace: p.ppb for p in portions} == {"": PPB // 2, "ann": PPB // 4, "bob": PPB // 4}
    assert summed == 2


def test_the_last_place_is_given_and_a_leaf_that_all_have_a_place_on_is_left_as_it_is() -> None:
    holders = ProcessHolders(600.0)
    holders.begin(2, 0.0)
    seen = held_by("ann", "bob")
    assert holders.sum_up(seen, used(seen)) == (seen, used(seen), 0)


def test_a_place_is_kept_when_the_room_shrinks_and_not_given_anew_when_it_grows() -> None:
    holders = ProcessHolders(600.0)
    assert taken(holders, held_by("ann", "bob"), 1, 0.0) == [("", "other"), ("ann", "python")]
    assert taken(holders, held_by("ann", "bob"), 0, 5.0) == [("", "other"), ("ann", "python")]
    assert taken(holders, held_by("ann", "bob"), 9, 10.0) == [("", "other"), ("ann", "python")]


def test_a_place_falls_free_once_its_counters_are_gone_and_not_before() -> None:
    holders = ProcessHolders(600.0)
    taken(holders, held_by("ann"), 1, 0.0)
    assert taken(holders, held_by("bob"), 1, 600.0) == [("", "other")]
    assert taken(holders, held_by("cid"), 1, 600.1) == [("cid", "python")]


def test_one_that_was_under_other_may_have_a_place_when_it_comes_back_after_its_end() -> None:
    holders = ProcessHolders(600.0)
    taken(holders, held_by("ann", "bob"), 1, 0.0)
    assert taken(holders, held_by("bob"), 9, 600.0) == [("", "other")]
    taken(holders, held_by("ann"), 9, 601.0)
    assert taken(holders, held_by("bob"), 9, 1_201.0) == [("bob", "python")]


def test_a_sample_that_does_not_know_the_holders_ends_none() -> None:
    holders = ProcessHolders(600.0)
    taken(holders, held_by("ann", "bob"), 1, 0.0)
    unknown = leaf({}, None)
    holders.begin(9, 5.0)
    whole = (Portion(Holder(), Cause.UNMEASURED, PPB),)
    assert holders.sum_up(unknown, whole) == (unknown, whole, 0)
    assert taken(holders, held_by("ann", "bob"), 9, 10.0) == [("", "other"), ("ann", "python")]


def test_pods_are_never_summed_up() -> None:
    holders = ProcessHolders(600.0)
    pods = leaf({}, (held(POD),))
    assert taken(holders, pods, 0, 0.0) == [(POD.namespace, POD.pod)]


def test_a_command_that_is_named_other_and_has_no_user_takes_no_place() -> None:
    holders = ProcessHolders(600.0)
    assert taken(holders, leaf({}, (held(OTHER, kind=HolderKind.PROCESS),)), 1, 0.0) == [("", "other")]
    assert taken(holders, held_by("ann"), 1, 0.0) == [("ann", "python")]


def test_portions_of_one_cause_are_added_and_of_another_kept_apart() -> None:
    holders = ProcessHolders(600.0)
    holders.begin(0, 0.0)
    ann, bob = Holder("ann", "python"), Holder("bob", "python")
    portions = (Portion(ann, Cause.USED, 1), Portion(ann, Cause.HEADROOM, 2), Portion(bob, Cause.USED, 4))
    _, shown, _ = holders.sum_up(held_by("ann", "bob"), portions)
    assert shown == (Portion(OTHER, Cause.USED, 5), Portion(OTHER, Cause.HEADROOM, 2))


# --- through the whole pipeline -----------------------------------------------------------------------------


def host(at: Moment, *gpus: tuple[str, ...] | None) -> Readings:
    """A plain host with these users' processes on each GPU; None = not known whose."""
    read = tuple(
        GpuReading(
            uuid=f"GPU-{n}",
            gpu=str(n),
            model=H100,
            signals={**snapshots.BOARD, **snapshots.ACTIVITY, Signal.SM_ACTIVE: 0.4},
            allocations=None
            if users is None
            else tuple(process(user, Fraction(1, len(set(users)))) for user in sorted(set(users))),
        )
        for n, users in enumerate(gpus)
    )
    facts = NodeFacts(name="n1", price_per_gpu_hour="6.88", gpus=len(gpus))
    node = NodeReadings(node="n1", gpus=read, facts=facts)
    return Readings(at=at, source="nvml", nodes=(node,))


def pipeline(budget: int, ended: float = 600.0) -> Pipeline:
    config = Config.model_validate({"metrics": {"series_budget": budget, "ended_holder_seconds": ended}})
    return Pipeline(config, PriceBook(bundled_catalogue(), config.pricing), "real")


def page(snapshot: Snapshot, budget: int) -> Series:
    exposure = snapshots.EXPOSURE
    return by_name(families(snapshot, type(exposure)(mode="real", series_budget=budget)))


def test_a_host_of_a_thousand_commands_stays_within_its_budget_and_keeps_its_links_and_its_money() -> None:
    users = tuple(f"user-{n}" for n in range(125))
    pipe = pipeline(3_000)
    for step in range(3):
        snapshot = pipe.take(host(T0.plus(5.0 * step), *[users] * 8), HEALTH)
    series = page(snapshot, 3_000)
    assert value(series, "series") <= 3_000
    assert values(series, "gpu_pcie_transmit_bytes_per_second")
    assert value(series, "series_dropped", tier="links") == 0.0
    own = {tuple(sorted(row.items())) for row in labels_of(series, "gpu_allocation_share", pod="python")}
    assert own
    assert value(series, "series_dropped", tier="process_holders") == (1_000 - len(own)) * HOLDER_SERIES
    assert sum(values(series, "gpu_held_seconds_total")) == 80.0
    assert abs(sum(values(series, "gpu_cost_per_hour")) - 8 * 6.88) < 1e-9
    assert [row["namespace"] for row in labels_of(series, "gpu_cost_total", pod="other", uuid="GPU-7")] != []


def test_a_host_of_few_commands_has_a_series_for_each() -> None:
    snapshot = pipeline(3_000).take(host(T0, ("ann", "bob"), ("cid",)), HEALTH)
    series = page(snapshot, 3_000)
    assert {row["namespace"] for row in labels_of(series, "gpu_allocation_share")} == {"ann", "bob", "cid"}
    assert value(series, "series_dropped", tier="process_holders") == 0.0


users_of_a_gpu = st.none() | st.lists(st.sampled_from("abcdefgh"), max_size=6).map(tuple)
presence = st.lists(
    st.tuples(st.sampled_from([0.0, 1.0, 5.0, 300.0]), st.lists(users_of_a_gpu, min_size=2, max_size=2)),
    min_size=1,
    max_size=12,
)


@settings(max_examples=100, deadline=None)
@given(story=presence, budgets=st.lists(st.integers(450, 700), min_size=1, max_size=3))
def test_whoever_comes_and_goes_no_counter_goes_down_and_all_money_is_charged(
    story: list[tuple[float, list[tuple[str, ...] | None]]], budgets: list[int]
) -> None:
    pipe, at, elapsed = pipeline(budgets[0], ended=1e9), T0, 0
    counters: dict[tuple[str, Holder, Cause], int] = {}
    for n, (seconds, gpus) in enumerate(story):
        at, elapsed = at.plus(seconds), elapsed + (int(seconds) if n else 0)
        budget = budgets[n % len(budgets)]
        config = Config.model_validate({"metrics": {"series_budget": budget, "ended_holder_seconds": 1e9}})
        pipe.reconfigure(config, pipe.book)
        snapshot = pipe.take(host(at, *gpus), HEALTH)
        (node,) = snapshot.nodes
        assert node.conservation_error == 0
        leaves = [leaf for gpu in node.gpus for leaf in gpu.leaves]
        assert all(sum(portion.ppb for portion in one.portions) == PPB for one in leaves)
        now = {(o.leaf.device.uuid, c.holder, c.cause): c.cost for o in leaves for c in o.charges}
        assert all(now[key] >= before for key, before in counters.items())
        counters = now
    assert sum(counters.values()) == 2 * elapsed * 10**6 * PPB * 6_880_000


@settings(max_examples=60, deadline=None)
@given(
    users=st.lists(st.lists(st.integers(0, 400).map(str), max_size=60).map(tuple), min_size=1, max_size=8),
    budget=st.integers(600, 3_000),
)
def test_no_page_is_above_its_budget_for_a_processs_sake(users: list[tuple[str, ...]], budget: int) -> None:
    without = pipeline(budget).take(host(T0, *[()] * len(users)), HEALTH)
    alone = value(page(without, budget), "series")
    pipe = pipeline(budget)
    for step in range(3):
        snapshot = pipe.take(host(T0.plus(5.0 * step), *users), HEALTH)
    series = page(snapshot, budget)
    assert value(series, "series") <= max(budget, alone + 6 * len(users))  # a share and costs of `other`
