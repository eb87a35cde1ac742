"""What is known of holders while the kubelet answers, fails, restarts and comes back."""

from __future__ import annotations

import base64
import json
import logging
import threading
from typing import TYPE_CHECKING

import pytest

from gpusteward.clock import SystemClock
from gpusteward.errors import KubeError
from gpusteward.kube.podresources.api_pb2 import AllocatableResourcesResponse, ListPodResourcesResponse
from gpusteward.kube.podresources.client import PodResourcesClient
from gpusteward.kube.podresources.watch import CONFIRM_SECONDS, KEPT_SECONDS, Asking, HoldingsWatch
from gpusteward.model import AttributionError, Holder
from tests.clocks import TurnedClock
from tests.fake_kubelet import RECORDINGS, FakeKubelet, listing, offering

if TYPE_CHECKING:
    from pathlib import Path

ONE = listing(("ml", "a", "main", "GPU-a"))
NONE = ListPodResourcesResponse()


class Told:
    """Answers what it is told to, one a question; the last for ever."""

    def __init__(self, *answers: ListPodResourcesResponse | Exception) -> None:
        self.answers = list(answers)
        self.offered: AllocatableResourcesResponse | Exception = offering("GPU-a", "GPU-b")
        self.closed = threading.Event()

    def held(self) -> ListPodResourcesResponse:
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if isinstance(answer, Exception):
            raise answer
        return answer

    def advertised(self) -> AllocatableResourcesResponse:
        if isinstance(self.offered, Exception):
            raise self.offered
        return self.offered

    def close(self) -> None:
        self.closed.set()


class Watched:
    """A watch with its clock, asked by the test."""

    def __init__(self, client: Told, *, demanded: bool = True) -> None:
        self.clock = TurnedClock()
        asking = Asking(node="n1", demanded=demanded)
        self.watch = HoldingsWatch(client, asking, self.clock, lambda: 0.5)

    def ask(self) -> float:
        """Ask, and wait as long as it says."""
        seconds = self.watch.ask()
        self.clock.turn(seconds)
        return seconds

    def pods(self) -> list[str] | None:
        """Names of the holders; None = not known."""
        devices = self.watch.holdings(self.clock.now()).devices
        return None if devices is None else [held.holder.pod for held in devices.held]

    def errors(self) -> dict[AttributionError, int]:
        return dict(self.watch.holdings(self.clock.now()).errors)


def failing(reason: AttributionError = AttributionError.RESTARTING) -> KubeError:
    return KubeError("nobody answers", reason, "start it")


def test_what_the_kubelet_says_is_known_and_asked_again_ten_seconds_later() -> None:
    watched = Watched(Told(ONE))
    assert watched.ask() == 10.0
    holdings = watched.watch.holdings(watched.clock.now())
    assert holdings.node == "n1"
    assert holdings.devices is not None
    assert holdings.devices.held[0].holder == Holder("ml", "a", "main")
    assert holdings.devices.advertised == frozenset({"GPU-a", "GPU-b"})
    assert not holdings.absent
    assert watched.errors() == {}


def test_before_the_first_answer_nothing_is_known() -> None:
    watched = Watched(Told(ONE))
    assert watched.pods() is None
    assert watched.clock.waits == [3.5], "the first sample waits for it"
    assert watched.pods() is None
    assert watched.clock.waits == [3.5], "no other does"


def test_the_last_answer_is_kept_for_a_minute_of_failures_and_then_nothing_is_known() -> None:
    watched = Watched(Told(ONE, failing()))
    watched.watch.ask()
    watched.clock.turn(KEPT_SECONDS)
    watched.watch.ask()
    assert watched.pods() == ["a"]
    watched.clock.turn(0.001)
    assert watched.pods() is None
    assert watched.errors() == {AttributionError.RESTARTING: 1}


def test_failures_are_asked_again_ever_more_slowly_and_an_answer_ends_that() -> None:
    watched = Watched(Told(*[failing(AttributionError.RATE_LIMITED)] * 6, ONE))
    waits = [watched.ask() for _ in range(6)]
    assert waits == [1.5, 2.5, 4.5, 8.0, 8.0, 8.0]
    assert watched.ask() == 10.0
    assert watched.errors() == {AttributionError.RATE_LIMITED: 6}


def test_one_empty_answer_of_a_restarted_kubelet_frees_no_gpu() -> None:
    events = json.loads((RECORDINGS / "12-kubelet-restart.timeline.json").read_text())["events"]
    empty, full = (
        ListPodResourcesResponse.FromString(base64.b64decode(event["list_base64"])) for event in events
    )
    watched = Watched(Told(full, failing(), empty, full))
    known = []
    for _ in range(4):
        watched.ask()
        known.append(watched.pods())
    assert known == [["one-gpu"]] * 4
    assert watched.errors() == {AttributionError.RESTARTING: 1, AttributionError.EMPTY_REPLY: 1}


def test_one_empty_answer_frees_no_gpu_of_a_kubelet_whose_restart_was_not_noticed() -> None:
    watched = Watched(Told(ONE, NONE, ONE))
    watched.ask()
    assert watched.ask() == CONFIRM_SECONDS
    assert watched.pods() == ["a"]
    watched.ask()
    assert watched.pods() == ["a"]


def test_two_empty_answers_five_seconds_apart_free_the_gpus() -> None:
    watched = Watched(Told(ONE, NONE))
    watched.ask()
    watched.ask()
    assert watched.ask() == 10.0
    assert watched.pods() == []
    watched.ask()
    assert watched.errors() == {AttributionError.EMPTY_REPLY: 1}, "nobody, as before, is no cause for doubt"


def test_a_first_answer_without_holders_is_confirmed_too() -> None:
    watched = Watched(Told(NONE))
    watched.ask()
    assert watched.pods() is None
    watched.ask()
    assert watched.pods() == []


def test_an_empty_answer_after_a_failure_is_doubted_even_where_nobody_was_known() -> None:
    watched = Watched(Told(NONE, NONE, failing(), NONE, ONE))
    watched.ask()
    watched.ask()
    watched.ask()
    assert watched.ask() == CONFIRM_SECONDS
    assert watched.errors()[AttributionError.EMPTY_REPLY] == 2
    watched.ask()
    assert watched.pods() == ["a"]


def test_an_answer_with_other_holders_is_no_cause_for_doubt() -> None:
    watched = Watched(Told(ONE, listing(("ml", "b", "main", "GPU-a"))))
    watched.ask()
    watched.ask()
    assert watched.pods() == ["b"]


def test_a_kubelet_that_does_not_tell_what_is_on_offer_still_tells_who_holds_it() -> None:
    client = Told(ONE)
    client.offered = failing(AttributionError.UNIMPLEMENTED)
    watched = Watched(client)
    watched.ask()
    devices = watched.watch.holdings(watched.clock.now()).devices
    assert devices is not None
    assert devices.advertised is None
    assert watched.pods() == ["a"]


def test_half_an_answer_is_none() -> None:
    client = Told(ONE)
    client.offered = failing(AttributionError.TIMEOUT)
    watched = Watched(client)
    watched.ask()
    assert watched.pods() is None
    assert watched.errors() == {AttributionError.TIMEOUT: 1}


def test_seats_of_a_device_that_fell_ill_stand_while_it_is_held() -> None:
    client = Told(listing(("ml", "a", "main", "GPU-a::0")))
    client.offered = offering("GPU-a::0", "GPU-a::1", "GPU-b::0", "GPU-b::1")
    watched = Watched(client)
    watched.ask()
    client.offered = offering()
    watched.ask()
    devices = watched.watch.holdings(watched.clock.now()).devices
    assert devices is not None
    assert devices.advertised == frozenset({"GPU-a::0", "GPU-a::1"}), (
        "GPU-b is neither held nor offered any more"
    )


def test_other_seats_of_a_device_replace_those_it_had() -> None:
    client = Told(listing(("ml", "a", "main", "GPU-a::0")))
    client.offered = offering("GPU-a::0", "GPU-a::1")
    watched = Watched(client)
    watched.ask()
    client.offered = offering("GPU-a::0", "GPU-a::1", "GPU-a::2")
    watched.ask()
    client.offered = offering("GPU-a::0")
    watched.ask()
    devices = watched.watch.holdings(watched.clock.now()).devices
    assert devices is not None
    assert devices.advertised == frozenset({"GPU-a::0"})


@pytest.mark.parametrize(
    ("demanded", "reason", "absent"),
    [
        (False, AttributionError.SOCKET_ABSENT, True),
        (True, AttributionError.SOCKET_ABSENT, False),
        (False, AttributionError.PERMISSION_DENIED, False),
        (False, AttributionError.RESTARTING, False),
    ],
)
def test_a_kubelet_that_was_never_there_is_absent_only_where_none_is_demanded(
    demanded: bool, reason: AttributionError, absent: bool
) -> None:
    watched = Watched(Told(failing(reason)), demanded=demanded)
    watched.ask()
    assert watched.watch.holdings(watched.clock.now()).absent is absent


def test_a_kubelet_that_was_there_once_is_never_absent_again() -> None:
    watched = Watched(Told(ONE, failing(AttributionError.SOCKET_ABSENT)), demanded=False)
    watched.ask()
    watched.clock.turn(KEPT_SECONDS)
    watched.ask()
    assert watched.pods() is None
    assert not watched.watch.holdings(watched.clock.now()).absent


def test_each_reason_is_said_once_with_its_next_step_and_so_is_the_end(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.INFO)
    watched = Watched(Told(failing(), failing(), failing(AttributionError.TIMEOUT), ONE, ONE))
    for _ in range(5):
        watched.ask()
    assert [record.message for record in caplog.records] == [
        "nobody answers\n  next: start it",
        "nobody answers\n  next: start it",
        "the kubelet says again who holds the GPUs",
    ]


def test_its_thread_asks_a_real_socket_until_it_is_closed(tmp_path: Path) -> None:
    client = PodResourcesClient(tmp_path / "kubelet.sock")
    with FakeKubelet(tmp_path / "kubelet.sock", listed=ONE, offered=offering("GPU-a")) as kubelet:
        watch = HoldingsWatch(client, Asking(every_seconds=0.01), SystemClock(), lambda: 0.5)
        watch.start()
        devices = watch.holdings(SystemClock().now()).devices
        assert devices is not None
        assert devices.advertised == frozenset({"GPU-a"})
        while kubelet.asked < 6:
            threading.Event().wait(0.01)
        watch.close()
        watch.close()


def test_a_mistake_of_ours_is_counted_and_asking_goes_on(caplog: pytest.LogCaptureFixture) -> None:
    client = Told(RuntimeError("unforeseen"), ONE)
    watched = Watched(client)
    over = threading.Event()

    def turns() -> None:
        if len(watched.clock.waits) == 1:
            over.set()
            watched.watch._stop.set()

    watched.clock.on_wait = turns
    watched.watch.start()
    assert over.wait(20)
    assert client.closed.wait(20)
    assert "please report this log" in caplog.text
    assert watched.errors() == {AttributionError.INTERNAL: 1}
