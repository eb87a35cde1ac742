"""The driver let go while it is asked for, and taken up again: by labels of a Node over real HTTP."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from gpusteward.clock import SystemClock
from gpusteward.devices import CanBeHeld, CanStick
from gpusteward.devices.auto import AutoSource
from gpusteward.devices.released import PausableSource
from gpusteward.errors import KubeError, SourceError
from gpusteward.kube.driver_hold import DriverHold
from gpusteward.kube.node_client import ApiServer, NodeClient
from gpusteward.model import NodeReadings, Readings
from tests.fake_apiserver_nodes import NodeApi
from tests.leaves import T0

if TYPE_CHECKING:
    from pathlib import Path

    from gpusteward.clock import Moment


class Driver:
    """A source that says whether it has the driver open."""

    name = "nvml"

    def __init__(self) -> None:
        self.open = False
        self.closed = 0

    def read(self, at: Moment) -> Readings:
        self.open = True
        return Readings(at=at, source="nvml", nodes=(NodeReadings(node="n1", gpus=()),))

    def close(self) -> None:
        self.open = False
        self.closed += 1


class Sticky(Driver):
    stuck = True


class Asked:
    """A hold that is told what to say."""

    def __init__(self, why: str = "") -> None:
        self.why = why
        self.closed = 0
        self.known: bool | None = True
        self.failing: tuple[KubeError, float] | None = None

    def paused(self) -> str:
        return self.why

    def close(self) -> None:
        self.closed += 1


def reason(source: PausableSource | AutoSource) -> str:
    try:
        source.read(T0)
    except SourceError as error:
        return error.reason
    return ""


def test_without_a_pause_it_is_the_source() -> None:
    driver = Driver()
    source = PausableSource(driver, Asked())
    assert source.read(T0).source == source.name == "nvml"
    assert driver.open


def test_a_pause_closes_the_source_once_and_says_why() -> None:
    driver, hold = Driver(), Asked()
    source = PausableSource(driver, hold)
    source.read(T0)
    hold.why = "nvidia.com/gpu.deploy.client=paused-for-mig-change"
    for _ in range(3):
        with pytest.raises(SourceError, match="paused-for-mig-change") as caught:
            source.read(T0)
        assert caught.value.reason == "released"
    assert (driver.open, driver.closed) == (False, 1)


def told(source: PausableSource) -> SourceError:
    with pytest.raises(SourceError) as caught:
        source.read(T0)
    return caught.value


def test_a_pause_that_can_no_longer_be_confirmed_says_since_when_and_what_to_do() -> None:
    hold = Asked("nvidia.com/gpu.deploy.client=paused-for-mig-change")
    source = PausableSource(Driver(), hold)
    sure = told(source)
    assert (sure.message.partition(",")[1], sure.hint.partition(":")[0]) == ("", "nothing")
    hold.failing = KubeError("it answered 403", "forbidden", "give it the right"), 1_800_000_000.0
    unsure = told(source)
    assert unsure.reason == "released"
    assert "since 2027-01-15T08:00:00+00:00 its labels cannot be read: it answered 403" in unsure.message
    assert unsure.hint.startswith("give it the right; ")
    assert "recreate the agent's pod" in unsure.hint


@pytest.mark.parametrize("known", [True, False, None])
def test_whether_that_can_be_told_is_told_also_while_the_driver_is_in_use(known: bool | None) -> None:
    hold = Asked()
    hold.known = known
    source = PausableSource(Driver(), hold)
    source.read(T0)
    assert isinstance(source, CanBeHeld)
    assert source.hold_known is known


def test_of_several_sources_the_one_in_use_tells_and_before_one_is_that_which_can() -> None:
    hold = Asked()
    hold.known = False
    held, other = PausableSource(Driver(), hold), Driver()
    assert AutoSource([other, held]).hold_known is False
    auto = AutoSource([other, held])
    auto.read(T0)
    assert auto.hold_known is None, "it reads no driver that could be asked back"
    auto = AutoSource([held, other])
    auto.read(T0)
    assert auto.hold_known is False
    assert AutoSource([other]).hold_known is None


def test_after_the_pause_it_reads_again_and_lets_go_again_at_the_next() -> None:
    driver, hold = Driver(), Asked("paused")
    source = PausableSource(driver, hold)
    seen = []
    for why in ("paused", "", "paused", ""):
        hold.why = why
        seen.append((reason(source), driver.open))
    assert seen == [("released", False), ("", True), ("released", False), ("", True)]
    assert driver.closed == 2


def test_a_driver_that_is_let_go_is_waited_for_and_not_passed_over() -> None:
    other = Driver()
    auto = AutoSource([PausableSource(Driver(), Asked("paused")), other])
    assert (reason(auto), other.open) == ("released", False)


def test_it_is_stuck_when_its_source_is_and_cannot_say_so_of_one_that_cannot() -> None:
    assert isinstance(PausableSource(Driver(), Asked()), CanStick)
    assert PausableSource(Sticky(), Asked()).stuck is True
    assert PausableSource(Driver(), Asked()).stuck is None


def test_closing_it_closes_source_and_hold() -> None:
    driver, hold = Driver(), Asked()
    PausableSource(driver, hold).close()
    assert (driver.closed, hold.closed) == (1, 1)


def test_the_operators_labels_on_the_node_let_the_driver_go_and_take_it_up_again(tmp_path: Path) -> None:
    (tmp_path / "token").write_text("good")
    driver = Driver()
    with NodeApi({"metadata": {"name": "gpu-1"}}) as api:
        client = NodeClient(
            ApiServer(api.url, tmp_path / "token", tmp_path / "ca.crt"), "gpu-1", SystemClock()
        )
        hold = DriverHold(client, SystemClock(), lambda: 0.5)
        source = PausableSource(driver, hold)
        seen = []
        for label in ("true", "paused-for-driver-upgrade", "true"):
            api.label("gpu-1", device_plugin=label)
            hold.ask()
            seen.append((reason(source), driver.open))
        api.may_get = False  # and a right that is taken away later changes nothing
        hold.ask()
        seen.append((reason(source), driver.open))
        client.close()
    assert seen == [("", True), ("released", False), ("", True), ("", True)]
