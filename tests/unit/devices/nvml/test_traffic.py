"""Byte counters: rates between readings, counters that go on where the driver's wrap."""

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
def test_a_counter_that_wraps_goes_on(bits: int, steps: list[float]) -> None:
    """Whatever is moved in a cycle, as long as it is less than half of the range."""
    width = 2**bits
    true, traffic, at = width * 3 // 4, Traffic(), 0.0
    first = followed(traffic, true % width, at)[TX_TOTAL]
    for step in steps:
        moved = int(step * width)
        true, at = true + moved, at + 1000.0
        total = followed(traffic, true % width, at)[TX_TOTAL]
        assert total - first == true - width * 3 // 4


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
