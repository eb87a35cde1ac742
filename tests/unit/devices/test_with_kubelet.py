"""A source with the kubelet beside it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from gpusteward.devices import CanStick
from gpusteward.devices.with_kubelet import SourceWithKubelet
from gpusteward.errors import SourceError
from gpusteward.model import Holdings, NodeReadings, Readings
from tests.leaves import T0

if TYPE_CHECKING:
    from gpusteward.clock import Moment

HOLDINGS = Holdings(node="n1", devices=None)


class Devices:
    name = "nvml"

    def __init__(self) -> None:
        self.closed = 0
        self.failing = False

    def read(self, at: Moment) -> Readings:
        if self.failing:
            raise SourceError("no driver", "no_driver")
        return Readings(at=at, source="nvml", nodes=(NodeReadings(node="n1", gpus=()),))

    def close(self) -> None:
        self.closed += 1


class Sticky(Devices):
    stuck = True


class Kubelet:
    def __init__(self) -> None:
        self.asked: list[Moment] = []
        self.closed = 0

    def holdings(self, at: Moment) -> Holdings:
        self.asked.append(at)
        return HOLDINGS

    def close(self) -> None:
        self.closed += 1


def test_a_sample_carries_the_holdings_of_its_moment() -> None:
    devices, kubelet = Devices(), Kubelet()
    readings = SourceWithKubelet(devices, kubelet).read(T0)
    assert readings.holdings is HOLDINGS
    assert readings.nodes == devices.read(T0).nodes
    assert kubelet.asked == [T0]


def test_a_source_that_gives_nothing_is_that_sources_failure() -> None:
    devices = Devices()
    devices.failing = True
    with pytest.raises(SourceError, match="no driver"):
        SourceWithKubelet(devices, Kubelet()).read(T0)


def test_it_has_its_sources_name_closes_both_and_says_whether_the_source_is_stuck() -> None:
    devices, kubelet = Devices(), Kubelet()
    source = SourceWithKubelet(devices, kubelet)
    source.close()
    assert (source.name, devices.closed, kubelet.closed) == ("nvml", 1, 1)
    assert source.stuck is None
    sticky = SourceWithKubelet(Sticky(), kubelet)
    assert isinstance(sticky, CanStick)
    assert sticky.stuck is True


def test_what_the_source_knows_of_its_hold_is_passed_on() -> None:
    class Held(Devices):
        hold_known = False

    assert SourceWithKubelet(Held(), Kubelet()).hold_known is False
    assert SourceWithKubelet(Devices(), Kubelet()).hold_known is None
