"""XID errors: each counted once, for the right GPU, also for one that is gone by the time they are read."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gpusteward.devices.nvml.events import MOST_AT_ONCE
from gpusteward.model import Fault
from tests.nvml.fake import UNKNOWN_XID
from tests.nvml.profiles import A100, H100, T4

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.unit.devices.nvml.conftest import Bench


def test_an_xid_is_told_once_in_order_and_to_its_gpu(bench: Callable[..., Bench]) -> None:
    on = bench([H100, T4])
    assert [gpu.xids for gpu in on.gpus()] == [(), ()]
    for code in (31, 43, 31):
        on.fake.xid(1, code)
    assert [gpu.xids for gpu in on.gpus()] == [(), (31, 43, 31)]
    assert [gpu.xids for gpu in on.gpus()] == [(), ()]


def test_an_xid_of_an_instance_comes_with_its_gpu(bench: Callable[..., Bench]) -> None:
    on = bench([A100])
    (instance,) = on.fake.set_mig_layout(0, ["1g.10gb"])
    on.gpu()
    on.fake.xid(0, 13, gi=instance.gi)
    assert on.gpu().xids == (13,)


def test_an_xid_that_nvml_does_not_know_is_told_as_such(bench: Callable[..., Bench]) -> None:
    on = bench([H100])
    on.gpu()
    on.fake.xid(0, UNKNOWN_XID)
    assert on.gpu().xids == (999,)


def test_a_board_that_cannot_report_has_unknown_xids_and_not_none(bench: Callable[..., Bench]) -> None:
    on = bench([H100, T4])
    on.fake.set_gpu(1, event_types=0)
    assert [gpu.xids for gpu in on.gpus()] == [(), None]
    on.fake.reset_calls()
    on.gpus()
    assert "nvmlDeviceGetSupportedEventTypes" not in on.fake.calls()


def test_the_xid_of_a_gpu_that_fell_off_the_bus_is_told_and_later_ones_too(
    bench: Callable[..., Bench],
) -> None:
    """A lost GPU spoils the event set for all: a new one is made of the others."""
    on = bench([H100, T4])
    on.gpus()
    with on.fake.one_change():
        on.fake.xid(0, 79)
        lost = on.fake.lose(0)
    first, second = on.gpus()
    assert (first.fault, first.xids) == (Fault.LOST, (79,))
    on.fake.xid(1, 31)
    assert on.gpus()[1].xids == (31,)
    on.fake.clear_faults(lost)
    on.gpus()
    on.fake.xid(0, 48)
    first, second = on.gpus()
    assert (first.fault, first.xids, second.xids) == (None, (48,), ())
    assert on.fake.census().event_sets == 1


def test_a_storm_is_taken_in_parts(bench: Callable[..., Bench]) -> None:
    on = bench([H100])
    on.gpu()
    for _ in range(200):
        on.fake.xid(0, 31)
    assert MOST_AT_ONCE > 200
    assert on.gpu().xids == (31,) * 200
