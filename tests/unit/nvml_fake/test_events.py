from __future__ import annotations

from typing import TYPE_CHECKING

import pynvml
import pytest

from tests.nvml import profiles
from tests.nvml.fake import MIG_CHANGED_EVENT, UNKNOWN_XID, XID_EVENT

if TYPE_CHECKING:
    from tests.nvml.client import Client
    from tests.nvml.fake import FakeNvml
    from tests.unit.nvml_fake.conftest import StartClient, StartMachine

WAIT = """
def wait(ms=0):
    e = n.nvmlEventSetWait_v2(events, ms)
    return [n.nvmlDeviceGetUUID(e.device), e.eventType, e.eventData, e.gpuInstanceId]
"""
NO_INSTANCE = 0xFFFFFFFF


@pytest.fixture
def listener(on_h100: Client) -> Client:
    on_h100.run("events = n.nvmlEventSetCreate(); n.nvmlDeviceRegisterEvents(g, 0x108, events)" + WAIT)
    return on_h100


def test_each_event_comes_once_and_in_order(h100: FakeNvml, listener: Client) -> None:
    h100.xid(0, 79)
    h100.xid(0, 31, gi=2)
    uuid = h100.gpu(0).uuid
    assert listener("wait()") == [uuid, XID_EVENT, 79, NO_INSTANCE]
    assert listener("wait()") == [uuid, XID_EVENT, 31, 2]
    assert listener.code("wait()") == pynvml.NVML_ERROR_TIMEOUT


def test_an_xid_that_nvml_does_not_know_is_999(h100: FakeNvml, listener: Client) -> None:
    h100.xid(0, UNKNOWN_XID)
    assert listener("wait()")[2] == 999


def test_what_happened_before_registration_is_never_heard_of(h100: FakeNvml, on_h100: Client) -> None:
    h100.xid(0, 48)
    on_h100.run("events = n.nvmlEventSetCreate(); n.nvmlDeviceRegisterEvents(g, 8, events)" + WAIT)
    assert on_h100.code("wait()") == pynvml.NVML_ERROR_TIMEOUT


def test_a_type_that_was_not_registered_is_not_delivered(h100: FakeNvml, on_h100: Client) -> None:
    on_h100.run("events = n.nvmlEventSetCreate(); n.nvmlDeviceRegisterEvents(g, 8, events)" + WAIT)
    h100.set_mig_layout(0, ["1g.10gb"])
    h100.xid(0, 63)
    assert on_h100("wait()")[1:3] == [XID_EVENT, 63]


def test_reconfiguring_mig_is_an_event(h100: FakeNvml, listener: Client) -> None:
    h100.set_mig_layout(0, ["1g.10gb"])
    assert listener("wait()")[1] == MIG_CHANGED_EVENT


def test_a_waiting_client_wakes_when_the_event_comes(h100: FakeNvml, listener: Client) -> None:
    listener.send("wait(30000)")
    h100.xid(0, 94)
    assert listener.receive()[2] == 94


@pytest.mark.parametrize(
    ("board", "driver", "types"),
    [
        (profiles.H100, "580.65.06", 0xC108),
        (profiles.H100, "560.35.03", 0x108),
        (profiles.L4, "560.35.03", 0x8),
    ],
    ids=["580", "560", "no MIG"],
)
def test_supported_types_depend_on_board_and_driver_and_others_cannot_be_registered(
    board: profiles.Board, driver: str, types: int, machine: StartMachine, client: StartClient
) -> None:
    one = client(machine(board, driver=driver))
    one.run("g = n.nvmlDeviceGetHandleByIndex(0); events = n.nvmlEventSetCreate()")
    assert one("n.nvmlDeviceGetSupportedEventTypes(g)") == types
    assert one.code(f"n.nvmlDeviceRegisterEvents(g, {types}, events)") == 0
    assert (
        one.code(f"n.nvmlDeviceRegisterEvents(g, {types} | 0x2000, events)")
        == pynvml.NVML_ERROR_NOT_SUPPORTED
    )


def test_a_mig_device_cannot_register(h100: FakeNvml, listener: Client) -> None:
    h100.set_mig_layout(0, ["1g.10gb"])
    listener.run("m = n.nvmlDeviceGetMigDeviceHandleByIndex(g, 0)")
    assert listener.code("n.nvmlDeviceRegisterEvents(m, 8, events)") == pynvml.NVML_ERROR_NOT_SUPPORTED


def test_waiting_says_that_a_gpu_is_lost_after_it_gave_what_was_queued(
    h100: FakeNvml, listener: Client
) -> None:
    h100.xid(0, 79)
    h100.lose(0)
    assert listener("n.nvmlEventSetWait_v2(events, 0).eventData") == 79
    assert listener.code("wait(0)") == pynvml.NVML_ERROR_GPU_IS_LOST
    h100.clear_faults()
    assert listener.code("wait(0)") == pynvml.NVML_ERROR_TIMEOUT


def test_one_set_hears_of_several_gpus(h100: FakeNvml, listener: Client) -> None:
    second = h100.add_gpu(profiles.H200)
    listener.run("n.nvmlDeviceRegisterEvents(n.nvmlDeviceGetHandleByIndex(1), 8, events)")
    h100.xid(1, 74)
    assert listener("wait()") == [second.uuid, XID_EVENT, 74, NO_INSTANCE]


def test_sets_not_given_back_are_counted(h100: FakeNvml, listener: Client) -> None:
    assert h100.census().event_sets == 1
    listener.run("n.nvmlEventSetFree(events)")
    assert h100.census().event_sets == 0
