"""A GPU whose calls do not return costs its own values, and nothing of what was known by then is lost."""

from __future__ import annotations

import os
import signal
from typing import TYPE_CHECKING

import pytest

from gpusteward.config import NvmlSettings
from gpusteward.devices.nvml import reasons
from gpusteward.errors import SourceError
from gpusteward.model import Fault, Signal
from tests.nvml.profiles import A100, H100, T4
from tests.nvml.waits import only_waits

if TYPE_CHECKING:
    from collections.abc import Callable

    from gpusteward.model import GpuReading
    from tests.unit.devices.nvml.conftest import Bench

SHORT = NvmlSettings(deadline_seconds=1.0, start_seconds=20)


def patient(on: Bench, seconds: float = 0.01) -> tuple[GpuReading, ...]:
    """The readings of the next cycle in which no worker starts; the first is so many seconds later."""
    for wait in (seconds, *[0.001] * 200):
        try:
            return on.gpus(wait)
        except SourceError as error:
            if not only_waits(error):
                raise
    raise AssertionError("it does not start")


def reason(on: Bench, seconds: float = 5.0) -> str:
    """Why there is no sample, in the next cycle in which no worker starts."""
    with pytest.raises(SourceError) as caught:
        patient(on, seconds)
    return caught.value.reason


def measured(gpus: tuple[GpuReading, ...]) -> list[bool]:
    return [bool(gpu.signals) for gpu in gpus]


@pytest.mark.parametrize("function", ["*", "nvmlDeviceGetHandleByIndex_v2", "nvmlDeviceGetClockInfo"])
def test_one_gpu_that_hangs_leaves_the_others_their_values(
    bench: Callable[..., Bench], function: str
) -> None:
    on = bench([H100, T4, T4, T4], settings=SHORT)
    before = patient(on)
    hung = on.fake.hang(function, gpu=2)
    during = on.gpus()
    assert [gpu.fault for gpu in during] == [None, None, Fault.NOT_RESPONDING, None]
    assert measured(during) == [True, True, False, False], "the last one was not come to"
    for _ in range(2):
        during = patient(on)
        assert [gpu.fault for gpu in during] == [None, None, Fault.NOT_RESPONDING, None]
        assert measured(during) == [True, True, False, True]
    assert [(gpu.uuid, gpu.model, gpu.gpu) for gpu in during] == [
        (gpu.uuid, gpu.model, gpu.gpu) for gpu in before
    ]
    assert (during[2].processes, during[2].allocations) == (None, None)
    on.fake.clear_faults(hung)
    assert measured(patient(on, 60.0)) == [True] * 4
    assert on.fake.census().processes == 2


def test_a_gpu_that_still_hangs_is_tried_last_and_costs_a_worker_but_no_values(
    bench: Callable[..., Bench],
) -> None:
    on = bench([T4, T4, T4], settings=SHORT)
    patient(on)
    on.fake.hang("*", gpu=0)
    assert reason(on) == reasons.TIMEOUT, "it comes first, and nothing was read before it"
    assert measured(patient(on)) == [False, True, True]
    workers = on.fake.census().processes
    during = on.gpus(60.0)
    assert [gpu.fault for gpu in during] == [Fault.NOT_RESPONDING, None, None]
    assert measured(during) == [False, True, True]
    assert measured(patient(on)) == [False, True, True]
    assert on.fake.census().processes == workers + 1


def test_two_gpus_that_hang_leave_the_third_its_values(bench: Callable[..., Bench]) -> None:
    on = bench([T4, T4, T4], settings=SHORT)
    patient(on)
    with on.fake.one_change():
        for index in (0, 2):
            on.fake.hang("nvmlDeviceGetClockInfo", gpu=index)
    assert reason(on) == reasons.TIMEOUT
    for _ in range(3):
        try:
            during = patient(on)
        except SourceError as error:
            assert error.reason == reasons.TIMEOUT  # noqa: PT017 - it may take one cycle to find the second
    assert [gpu.fault for gpu in during] == [Fault.NOT_RESPONDING, None, Fault.NOT_RESPONDING]
    assert measured(during) == [False, True, False]
    on.fake.clear_faults()
    patient(on, 60.0)
    assert measured(patient(on)) == [True] * 3, "one is tried in a cycle"


def test_a_mig_gpu_that_hangs_keeps_its_instances(bench: Callable[..., Bench]) -> None:
    on = bench([T4, A100], settings=SHORT)
    on.fake.set_mig_layout(1, ["3g.40gb", "1g.10gb"])
    before = patient(on)[1]
    on.fake.hang("*", gpu=1)
    for during in (on.gpus()[1], patient(on)[1]):
        assert (during.mig, during.fault) == (True, Fault.NOT_RESPONDING)
        assert [(each.gi, each.profile, each.mig_uuid) for each in during.instances] == [
            (each.gi, each.profile, each.mig_uuid) for each in before.instances
        ]
        assert [each.signals for each in during.instances] == [{}, {}]


def test_a_gpu_that_hung_from_the_start_is_shown_beside_those_that_work(bench: Callable[..., Bench]) -> None:
    on = bench([T4, T4], settings=NvmlSettings(deadline_seconds=1.0, start_seconds=2))
    on.fake.hang("*", gpu=1)
    for _ in range(10):
        try:
            during = on.gpus(0.5)
        except SourceError as error:
            assert error.reason in {reasons.STARTING, reasons.TIMEOUT}  # noqa: PT017 - it may yet wake
        else:
            break
    assert [gpu.fault for gpu in during] == [None, Fault.NOT_RESPONDING]
    assert (during[1].uuid, during[1].model) == ("unreadable-1", "Tesla T4")


def test_a_slow_gpu_costs_its_own_values_and_a_less_slow_one_none(bench: Callable[..., Bench]) -> None:
    on = bench([T4, T4, T4], settings=SHORT)
    patient(on)
    slow = on.fake.slow("nvmlDeviceGetClockInfo", 20, gpu=1)
    assert measured(on.gpus()) == [True] * 3
    on.fake.clear_faults(slow)
    on.fake.slow("nvmlDeviceGetClockInfo", 700, gpu=1)
    assert measured(on.gpus()) == [True, False, False]
    assert measured(patient(on)) == [True, False, True]
    on.fake.clear_faults()
    assert measured(patient(on, 60.0)) == [True] * 3


def test_a_hang_before_any_gpu_is_no_gpus_fault(bench: Callable[..., Bench]) -> None:
    on = bench([T4, T4], settings=SHORT)
    patient(on)
    on.fake.hang("nvmlDeviceGetCount_v2")
    assert reason(on) == reasons.TIMEOUT
    on.fake.clear_faults()
    assert [gpu.fault for gpu in patient(on, 60.0)] == [None, None]


def test_when_no_gpu_answers_none_is_blamed(bench: Callable[..., Bench]) -> None:
    on = bench([T4, T4], settings=SHORT)
    patient(on)
    on.fake.hang("nvmlDeviceGetClockInfo")
    for _ in range(4):
        assert reason(on, 0.01) == reasons.TIMEOUT
    assert on.fake.census().processes == 3, "one for each GPU; the third leaves both out"


def test_the_xid_that_comes_with_a_hang_is_told_once_it_can_be(bench: Callable[..., Bench]) -> None:
    on = bench([T4, T4], settings=SHORT)
    assert [gpu.xids for gpu in patient(on)] == [(), ()]
    with on.fake.one_change():
        on.fake.xid(0, 119)
        hung = on.fake.hang("nvmlDeviceGetClockInfo")
    assert reason(on) == reasons.TIMEOUT
    on.fake.clear_faults(hung)
    assert [gpu.xids for gpu in patient(on, 60.0)] == [(119,), ()]
    assert [gpu.xids for gpu in patient(on)] == [(), ()]


def test_the_xid_of_the_gpu_that_hangs_is_told_at_once(bench: Callable[..., Bench]) -> None:
    on = bench([T4, T4], settings=SHORT)
    patient(on)
    with on.fake.one_change():
        on.fake.xid(1, 119)
        on.fake.hang("*", gpu=1)
    assert [(gpu.fault, gpu.xids) for gpu in on.gpus()] == [(None, ()), (Fault.NOT_RESPONDING, (119,))]
    assert [gpu.xids for gpu in patient(on)] == [(), None], "from now on it can tell no more"


def test_a_worker_that_dies_after_each_answer_is_started_ever_more_rarely(
    bench: Callable[..., Bench],
) -> None:
    on = bench([T4])
    good = []
    for second in range(64):
        try:
            on.gpus(1.0)
        except SourceError as error:
            assert error.reason == reasons.WORKER_DIED  # noqa: PT017 - every cycle but the good ones
        else:
            good.append(second)
            os.kill(on.fake.census().pid, signal.SIGKILL)
    assert good == [0, 2, 5, 10, 19, 36]


def test_a_worker_that_does_well_for_some_cycles_is_started_anew_at_once(bench: Callable[..., Bench]) -> None:
    on = bench([T4])
    for _ in range(3):
        for _ in range(5):
            on.gpus(1.0)
        os.kill(on.fake.census().pid, signal.SIGKILL)
        assert reason(on, 1.0) == reasons.WORKER_DIED
        assert Signal.POWER in on.gpu(1.0).signals
