"""The first source that answers, and what was tried while none does."""

from __future__ import annotations

import pytest

from gpusteward.clock import Moment
from gpusteward.devices.auto import AutoSource
from gpusteward.errors import SourceError
from gpusteward.model import Readings

AT = Moment(0.0, 0.0)


class Scripted:
    """A source that answers or fails as told."""

    def __init__(self, name: str, *, answers: bool) -> None:
        self.name = name
        self.answers = answers
        self.reads = 0
        self.closed = False

    def read(self, at: Moment) -> Readings:
        self.reads += 1
        if not self.answers:
            raise SourceError(f"{self.name} is not there", "refused")
        return Readings(at=at, source=self.name, nodes=())

    def close(self) -> None:
        self.closed = True


def test_the_first_that_answers_is_chosen_and_kept() -> None:
    nvml, dcgm = Scripted("nvml", answers=False), Scripted("dcgm", answers=True)
    auto = AutoSource([nvml, dcgm])
    assert auto.name == "none"
    assert auto.read(AT).source == "dcgm"
    nvml.answers = True
    assert auto.read(AT).source == "dcgm"
    assert (auto.name, nvml.reads) == ("dcgm", 1)


def test_a_chosen_source_that_fails_is_not_left_for_another() -> None:
    nvml, dcgm = Scripted("nvml", answers=True), Scripted("dcgm", answers=True)
    auto = AutoSource([nvml, dcgm])
    auto.read(AT)
    nvml.answers = False
    with pytest.raises(SourceError, match="nvml is not there"):
        auto.read(AT)
    assert dcgm.reads == 0


def test_when_none_answers_it_says_what_each_said_and_tries_again() -> None:
    dcgm = Scripted("dcgm", answers=False)
    auto = AutoSource([dcgm], notes=("nvml: not in this version",))
    with pytest.raises(SourceError) as caught:
        auto.read(AT)
    assert (
        caught.value.message
        == "no GPU source found; tried nvml: not in this version; dcgm: dcgm is not there"
    )
    assert caught.value.reason == "no_source"
    dcgm.answers = True
    assert auto.read(AT).source == "dcgm"


def test_closing_closes_all() -> None:
    sources = [Scripted("nvml", answers=False), Scripted("dcgm", answers=False)]
    AutoSource(sources).close()
    assert all(source.closed for source in sources)


class Waking(Scripted):
    """A source that is there and not ready."""

    def read(self, at: Moment) -> Readings:
        if not self.answers:
            self.reads += 1
            raise SourceError(f"{self.name} is waking", "starting")
        return super().read(at)


def test_a_source_on_its_way_is_waited_for_and_not_passed_over() -> None:
    nvml, dcgm = Waking("nvml", answers=False), Scripted("dcgm", answers=True)
    auto = AutoSource([nvml, dcgm])
    with pytest.raises(SourceError, match="nvml is waking") as caught:
        auto.read(AT)
    assert (caught.value.reason, dcgm.reads) == ("starting", 0)
    nvml.answers = True
    assert auto.read(AT).source == "nvml"


def test_those_that_were_not_chosen_let_go_of_what_they_hold() -> None:
    nvml, dcgm = Scripted("nvml", answers=False), Scripted("dcgm", answers=True)
    AutoSource([nvml, dcgm]).read(AT)
    assert (nvml.closed, dcgm.closed) == (True, False)


class Stuck(Scripted):
    """A source that waits out a call, or says that it cannot tell."""

    stuck: bool | None = True


def test_it_is_stuck_when_a_candidate_is_and_cannot_tell_when_none_can() -> None:
    plain, stuck = Scripted("dcgm", answers=True), Stuck("nvml", answers=True)
    assert AutoSource([plain]).stuck is None
    assert AutoSource([stuck, plain]).stuck is True
    stuck.stuck = False
    assert AutoSource([stuck, plain]).stuck is False
    stuck.stuck = None
    assert AutoSource([stuck, plain]).stuck is None
