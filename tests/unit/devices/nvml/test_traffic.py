"""Byte counters as the driver has them, and the rates between readings, over a wrap too."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gpusteward.devices.nvml.traffic import Traffic
from gpusteward.model import Signal

TX, TX_TOTAL = Signal.PCIE_TX, Signal.PCIE_TX_TOTAL


def followed(traffic: Traffic, raw: float, at: float) -> dict[Signal, float]:
    signals = {TX_TOTAL: raw}
    traffic.follow(signals, at)
    return signals


def test_the_first_reading_has_a_total_and_no_rate() -> None:
    assert followed(Traffic(), 10.0, 1.0) == {TX_TOTAL: 10.0}


def test_the_second_has_the_rate_since_the_first() -> None:
    traffic = Traffic()
    followed(traffic, 10.0, 1.0)
    assert followed(traffic, 30.0, 6.0) == {TX_TOTAL: 30.0, TX: 4.0}


def test_nvlink_is_both_directions_together_and_unknown_while_one_is() -> None:
    traffic = Traffic()
    traffic.follow({Signal.NVLINK_TX_TOTAL: 0.0, Signal.NVLINK_RX_TOTAL: 0.0}, 0.0)
    both = {Signal.NVLINK_TX_TOTAL: 10.0, Signal.NVLINK_RX_TOTAL: 30.0}
    traffic.follow(both, 10.0)
    assert both[Signal.NVLINK] == 4.0
    one = {Signal.NVLINK_TX_TOTAL: 20.0}
    traffic.follow(one, 20.0)
    assert Signal.NVLINK not in one


@pytest.mark.parametrize("bits", [32, 40, 48])
@given(steps=st.lists(st.floats(0, 0.49), min_size=1, max_size=12))
def test_over_a_wrap_the_rate_is_that_of_what_was_moved(bits: int, steps: list[float]) -> None:
    """Whatever is moved in a cycle, if less than half of the range; the total is the driver's."""
    width = 2**bits
    true, traffic, at = width * 3 // 4, Traffic(), 0.0
    followed(traffic, true % width, at)
    for step in steps:
        moved = int(step * width)
        true, at = true + moved, at + 10_000.0
        assert followed(traffic, true % width, at) == {TX_TOTAL: true % width, TX: moved / 10_000.0}


@pytest.mark.parametrize(("seconds", "rate"), [(17.0, None), (17.1, (2**40 - 10**10) / 17.1)])
def test_a_fall_is_a_wrap_only_where_the_bus_can_move_as_much_in_that_time(
    seconds: float, rate: float | None
) -> None:
    """A reset of the GPU sets its counters back: that is no traffic."""
    traffic = Traffic()
    followed(traffic, 2.0**39 + 10.0**10, 0.0)
    told = followed(traffic, 2.0**39, seconds)
    assert told[TX_TOTAL] == 2.0**39
    assert told.get(TX) == rate


@given(readings=st.lists(st.floats(0, 2**60), min_size=2, max_size=12))
def test_a_total_is_always_the_drivers_and_no_rate_is_more_than_a_board_moves(readings: list[float]) -> None:
    """So that a worker that begins anew, and knows none of what was before, tells the same total."""
    traffic = Traffic()
    for at, raw in enumerate(readings):
        told = followed(traffic, raw, at * 5.0)
        assert told[TX_TOTAL] == raw
        assert 0.0 <= told.get(TX, 0.0) <= 4e12


def test_an_nvlink_counter_that_falls_was_set_back_and_has_no_rate() -> None:
    traffic = Traffic()
    for at, tx in enumerate((4e9, 4.2e9, 1e8, 3e8)):
        both = {Signal.NVLINK_TX_TOTAL: tx, Signal.NVLINK_RX_TOTAL: 0.0}
        traffic.follow(both, float(at))
        assert both[Signal.NVLINK_TX_TOTAL] == tx
        assert both.get(Signal.NVLINK) == (None, 0.2e9, None, 0.2e9)[at]


def test_after_a_counter_was_set_back_the_next_rate_is_from_there() -> None:
    traffic = Traffic()
    for at, raw, rate in ((0.0, 5e15, None), (5.0, 5e15 + 1e9, 2e8), (10.0, 3e9, None), (15.0, 4e9, 2e8)):
        assert followed(traffic, raw, at).get(TX) == rate


def test_a_rate_that_no_board_reaches_is_not_told() -> None:
    traffic = Traffic()
    followed(traffic, 0.0, 0.0)
    assert TX in followed(traffic, 4e12, 1.0)
    assert TX not in followed(traffic, 4e12 + 4.1e12, 2.0)


def test_two_readings_of_one_moment_have_no_rate() -> None:
    traffic = Traffic()
    followed(traffic, 0.0, 1.0)
    assert TX not in followed(traffic, 5.0, 1.0)


def test_a_counter_that_was_away_starts_anew() -> None:
    traffic = Traffic()
    followed(traffic, 10.0, 0.0)
    traffic.follow({}, 1.0)
    assert TX not in followed(traffic, 20.0, 2.0)
