"""The series budget drops whole tiers in order, and nothing that pays or warns."""

from __future__ import annotations

from dataclasses import replace

from gpusteward.metrics.budget import HOLDER_SERIES, process_seats
from gpusteward.metrics.catalogue import CATALOGUE, Tier
from gpusteward.metrics.collectors import families
from gpusteward.model import HolderKind, InstanceReading
from tests import snapshots
from tests.leaves import gpu, held, node
from tests.pages import Series, by_name, labels_of, value, values

LINKS = {metric.full_name for metric in CATALOGUE if metric.tier is Tier.LINKS}
CLOCKS = {metric.full_name for metric in CATALOGUE if metric.tier is Tier.CLOCKS}


def shown(budget: int) -> Series:
    return by_name(families(snapshots.mixed_snapshot(), replace(snapshots.EXPOSURE, series_budget=budget)))


def all_series(series: Series) -> int:
    return sum(map(len, series.values()))


FULL = all_series(shown(10_000))
LINK_SERIES = sum(len(rows) for name, rows in shown(10_000).items() if name in LINKS)
CLOCK_SERIES = sum(len(rows) for name, rows in shown(10_000).items() if name in CLOCKS)


def test_a_page_of_exactly_the_budget_stays_whole() -> None:
    series = shown(FULL)
    assert all_series(series) == FULL
    assert all(value(series, "series_dropped", tier=tier.name.lower()) == 0.0 for tier in Tier)


def test_one_series_too_many_costs_all_links_and_no_clock() -> None:
    series = shown(FULL - 1)
    assert not LINKS & series.keys()
    assert series.keys() >= CLOCKS
    assert value(series, "series_dropped", tier="links") == LINK_SERIES
    assert value(series, "series_dropped", tier="clocks") == 0.0


def test_clocks_stay_while_dropping_links_is_just_enough() -> None:
    assert shown(FULL - LINK_SERIES).keys() >= CLOCKS
    assert not CLOCKS & shown(FULL - LINK_SERIES - 1).keys()


def test_cost_and_health_stay_however_small_the_budget() -> None:
    series = shown(1)
    without = FULL - LINK_SERIES - CLOCK_SERIES
    assert all_series(series) == without
    assert series.keys() == shown(10_000).keys() - LINKS - CLOCKS
    assert value(series, "series_dropped", tier="clocks") == CLOCK_SERIES


def test_the_page_states_its_own_number_of_series() -> None:
    for budget in (10_000, FULL - 1, 1):
        series = shown(budget)
        assert value(series, "series") == all_series(series)
        assert value(series, "series_budget") == budget


def test_process_holders_have_the_first_place_even_where_there_are_none() -> None:
    series = shown(1)
    assert [row["tier"] for row in labels_of(series, "series_dropped")] == [
        "process_holders",
        "links",
        "clocks",
    ]
    assert values(series, "series_dropped", tier="process_holders") == [0.0]


def test_holders_that_were_summed_up_count_as_the_most_series_that_they_might_have() -> None:
    gpu = snapshots.whole_gpu()
    crowded = replace(gpu, leaves=(replace(gpu.leaves[0], summed_holders=40),))
    series = by_name(families(snapshots.snapshot(crowded), snapshots.EXPOSURE))
    assert value(series, "series_dropped", tier="process_holders") == 40 * HOLDER_SERIES


def test_seats_are_what_the_rest_leaves_and_never_fewer_than_none() -> None:
    empty = process_seats((), 3_000)
    assert process_seats((), 3_000 + HOLDER_SERIES) == empty + 1
    one = process_seats((node(gpu(0)),), 3_000)
    assert one < empty
    assert process_seats((node(gpu(0, allocations=(held(),))),), 3_000) == one - 1
    beside = gpu(0, allocations=(held(kind=HolderKind.PROCESS),))
    assert process_seats((node(beside),), 3_000) == one
    assert process_seats((node(gpu(0)),), 100) == 0


def test_signals_and_instances_take_room_from_processes() -> None:
    plain = process_seats((node(gpu(0)),), 3_000)
    assert process_seats((node(gpu(0, signals=snapshots.BOARD | snapshots.ACTIVITY)),), 3_000) < plain
    instances = tuple(InstanceReading(gi=str(n), signals=snapshots.ACTIVITY) for n in range(7))
    assert process_seats((node(gpu(0, mig=True, instances=instances)),), 3_000) < plain - 7
