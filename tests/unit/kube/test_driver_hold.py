"""When the driver must be let go: the operator's labels, and what is known of them while nobody answers."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

import pytest

from gpusteward.clock import SystemClock
from gpusteward.errors import KubeError
from gpusteward.kube.driver_hold import FIRST_ANSWER_SECONDS, POLL_SECONDS, DriverHold, paused_by
from gpusteward.kube.node_client import ApiServer, NodeClient
from gpusteward.kube.objects import Metadata, Node
from tests.clocks import TurnedClock
from tests.fake_apiserver_nodes import NodeApi, hang

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

PLUGIN = "nvidia.com/gpu.deploy.device-plugin"
UPGRADE = {PLUGIN: "paused-for-driver-upgrade"}
WAIT_SECONDS = 20.0


class Told:
    """Gives what it is told to, one answer a question; the last one for ever."""

    def __init__(self, *answers: dict[str, str] | Exception) -> None:
        self.answers = list(answers)
        self.closed = 0
        self.at_last: Callable[[], None] = lambda: None

    def get(self) -> Node:
        last = len(self.answers) == 1
        answer = self.answers[0] if last else self.answers.pop(0)
        if last:
            self.at_last()
        if isinstance(answer, Exception):
            raise answer
        return Node(Metadata(labels=answer))

    def close(self) -> None:
        self.closed += 1


def failing(reason: str = "unreachable", retry_after: float | None = None) -> KubeError:
    return KubeError("nobody answers", reason, "start it", retry_after)


def held(client: Told, jitter: float = 0.5) -> DriverHold:
    return DriverHold(client, TurnedClock(), lambda: jitter)


def refusal(hold: DriverHold) -> tuple[str, bool | None]:
    """Why the last question failed, and whether it did not."""
    return (hold.failing[0].reason if hold.failing else ""), hold.known


# --- labels -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("key", "text"),
    [
        (PLUGIN, "paused-for-driver-upgrade"),
        ("nvidia.com/gpu.deploy.client", "paused-for-mig-change"),
        ("nvidia.com/gpu.deploy.dcgm-exporter", "paused-for-vgpu-change"),
        ("nvidia.com/gpu.deploy.driver", "pre-installed_paused-for-driver-upgrade"),
    ],
)
def test_a_paused_component_asks_to_let_the_driver_go(key: str, text: str) -> None:
    assert paused_by({"kubernetes.io/arch": "amd64", key: text}) == f"{key}={text}"


@pytest.mark.parametrize(
    ("key", "text"),
    [
        (PLUGIN, "true"),
        (PLUGIN, "false"),
        (PLUGIN, "paused"),
        (PLUGIN, ""),
        ("nvidia.com/gpu.deploy.driver", "pre-installed"),
        ("nvidia.com/gpu-driver-upgrade-state", "paused-for-driver-upgrade"),
        ("amd.com/gpu.deploy.driver", "paused-for-driver-upgrade"),
        ("xnvidia.com/gpu.deploy.driver", "paused-for-driver-upgrade"),
    ],
)
def test_what_only_looks_like_a_pause_asks_for_nothing(key: str, text: str) -> None:
    assert paused_by({key: text}) == ""


def test_of_several_the_first_by_name_is_named() -> None:
    both = {**UPGRADE, "nvidia.com/gpu.deploy.client": "paused-for-mig-change"}
    assert paused_by(both) == "nvidia.com/gpu.deploy.client=paused-for-mig-change"


# --- what is known ------------------------------------------------------------------------------------------


def test_a_pause_is_known_after_the_next_question_and_so_is_its_end() -> None:
    hold = held(Told({PLUGIN: "true"}, UPGRADE, {PLUGIN: "true"}))
    seen = []
    for _ in range(3):
        hold.ask()
        seen.append(hold.paused())
    assert seen == ["", f"{PLUGIN}=paused-for-driver-upgrade", ""]


def test_while_nobody_answers_what_was_known_last_stands(caplog: pytest.LogCaptureFixture) -> None:
    hold = held(Told(UPGRADE, failing(), failing(), {PLUGIN: "true"}))
    hold.ask()
    for _ in range(2):
        hold.ask()
        assert hold.paused() == f"{PLUGIN}=paused-for-driver-upgrade"
        assert refusal(hold) == ("unreachable", False)
    assert caplog.text.count("nobody answers") == 1
    assert "stands as it was" in caplog.text
    hold.ask()
    assert (hold.paused(), *refusal(hold)) == ("", "", True)


def test_until_something_is_known_nothing_is_held_up() -> None:
    hold = held(Told(failing("forbidden")))
    hold.ask()
    assert (hold.paused(), *refusal(hold)) == ("", "forbidden", False)


def test_before_the_first_question_it_is_not_known_whether_the_labels_can_be_read() -> None:
    assert refusal(held(Told({}))) == ("", None)


def test_failures_date_from_the_first_in_a_row_whatever_their_reasons() -> None:
    clock = TurnedClock()
    hold = DriverHold(Told(failing(), failing("forbidden"), {}, failing("forbidden"), {}), clock, lambda: 0.5)
    begun, since = clock.now().wall, []
    for _ in range(5):
        hold.ask()
        since.append(None if hold.failing is None else hold.failing[1] - begun)
        clock.turn(10.0)
    assert since == [0.0, 0.0, None, 30.0, None]


def test_another_reason_is_logged_again_and_the_end_of_all_too(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO")
    hold = held(Told(failing(), failing("forbidden"), {}, {}))
    for _ in range(4):
        hold.ask()
    assert caplog.text.count("nobody answers") == 2
    assert caplog.text.count("can be read again") == 1


# --- when it asks -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("jitter", "seconds"), [(0.0, 0.9), (0.5, 1.0), (1.0, 1.1)])
def test_agents_do_not_ask_in_step(jitter: float, seconds: float) -> None:
    assert held(Told({}), jitter).ask() == pytest.approx(POLL_SECONDS * seconds)


def test_it_asks_ever_more_seldom_while_nobody_answers_and_soon_again_afterwards() -> None:
    hold = held(Told(*[failing()] * 8, {}, failing()), jitter=1.0)
    assert [hold.ask() for _ in range(8)] == [1.0, 2.0, 4.0, 8.0, 16.0, 30.0, 30.0, 30.0]
    hold.ask()
    assert hold.ask() == 1.0


def test_the_least_wait_is_half_a_second_and_the_servers_wish_goes_before() -> None:
    assert held(Told(failing()), jitter=0.0).ask() == 0.5
    assert held(Told(failing("overloaded", 45.0)), jitter=0.0).ask() == 45.0
    assert held(Told(failing("overloaded", 0.0)), jitter=0.0).ask() == 0.5


def test_the_first_question_waits_for_an_answer_and_no_other_does() -> None:
    clock = TurnedClock()
    hold = DriverHold(Told(UPGRADE), clock, lambda: 0.5)
    assert hold.paused() == ""
    assert hold.paused() == ""
    assert clock.waits == [FIRST_ANSWER_SECONDS]


def test_what_the_first_answer_says_is_known_before_anybody_is_woken_by_it() -> None:
    hold = held(Told(UPGRADE))
    known = []

    class Alarm(threading.Event):
        def set(self) -> None:
            known.append(hold._label)
            super().set()

    hold._asked = Alarm()
    hold.ask()
    assert known == [f"{PLUGIN}=paused-for-driver-upgrade"]


# --- in its thread, against a real server -------------------------------------------------------------------


def test_the_thread_asks_until_it_is_closed_and_closes_its_client(caplog: pytest.LogCaptureFixture) -> None:
    client = Told({}, failing(), RuntimeError("a bug"), UPGRADE)
    reached = threading.Event()
    client.at_last = reached.set
    hold = DriverHold(client, TurnedClock(), lambda: 0.5)
    hold.start()
    assert reached.wait(WAIT_SECONDS)
    hold.close()
    hold.close()
    hold.join(WAIT_SECONDS)
    assert hold.paused() == f"{PLUGIN}=paused-for-driver-upgrade"
    assert client.closed == 1
    assert "a bug" in caplog.text


def test_one_that_was_never_started_may_be_closed() -> None:
    held(Told({})).close()


def test_a_node_that_is_paused_at_the_start_is_known_at_the_first_question(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gpusteward.kube.driver_hold.FIRST_ANSWER_SECONDS", WAIT_SECONDS)
    (tmp_path / "token").write_text("good")
    with NodeApi({"metadata": {"name": "gpu-1"}}) as api:
        api.label("gpu-1", device_plugin="paused-for-driver-upgrade")
        client = NodeClient(
            ApiServer(api.url, tmp_path / "token", tmp_path / "ca.crt"), "gpu-1", SystemClock()
        )
        hold = DriverHold(client, SystemClock(), lambda: 0.5)
        hold.start()
        assert hold.paused() == f"{PLUGIN}=paused-for-driver-upgrade"
        hold.close()
        hold.join(WAIT_SECONDS)


def test_a_server_that_hangs_holds_up_no_sample(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gpusteward.kube.driver_hold.FIRST_ANSWER_SECONDS", 0.05)
    (tmp_path / "token").write_text("good")
    with NodeApi({"metadata": {"name": "gpu-1"}}) as api:
        api.faults.append(hang)
        client = NodeClient(
            ApiServer(api.url, tmp_path / "token", tmp_path / "ca.crt"), "gpu-1", SystemClock()
        )
        hold = DriverHold(client, SystemClock(), lambda: 0.5)
        hold.start()
        assert hold.paused() == ""
        hold.close()
        api.stopping.set()
        hold.join(WAIT_SECONDS)
