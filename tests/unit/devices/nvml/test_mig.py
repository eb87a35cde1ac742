"""MIG: instances found and measured each for itself, never confused when a GPU is divided anew."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from gpusteward.devices.nvml.board import profile_of
from gpusteward.model import Signal
from tests.nvml.fake import Process
from tests.nvml.machine import MigInstance
from tests.nvml.profiles import A100, H100

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.unit.devices.nvml.conftest import Bench

GIB = float(1 << 30)
LEAF_SIGNALS = {
    Signal.GPU_UTILIZATION,
    Signal.SM_ACTIVE,
    Signal.MEMORY_USED,
    Signal.PCIE_TX,
    Signal.PCIE_RX,
    Signal.NVLINK,
}


def test_instances_are_told_with_profile_uuid_and_their_own_memory(bench: Callable[..., Bench]) -> None:
    on = bench([H100])
    first, second = on.fake.set_mig_layout(0, ["3g.40gb", "1g.10gb"])
    first.memory_used = int(7 * GIB)
    gpu = on.gpu()
    assert gpu.mig
    assert [(each.gi, each.profile, each.mig_uuid) for each in gpu.instances] == [
        (str(first.gi), "3g.40gb", first.uuid),
        (str(second.gi), "1g.10gb", second.uuid),
    ]
    assert [each.signals[Signal.MEMORY_USED] for each in gpu.instances] == [7 * GIB, 0]


def test_a_gpu_with_mig_on_tells_only_what_belongs_to_the_board(bench: Callable[..., Bench]) -> None:
    on = bench([H100])
    on.fake.set_mig_layout(0, ["1g.10gb"])
    on.gpu()
    gpu = on.gpu()
    assert gpu.signals.keys().isdisjoint(LEAF_SIGNALS)
    assert {Signal.POWER, Signal.TEMPERATURE, Signal.ENERGY_TOTAL, Signal.PCIE_TX_TOTAL} <= gpu.signals.keys()
    assert gpu.processes is None
    assert gpu.allocations is None


def test_slots_with_holes_between_them_are_all_found(bench: Callable[..., Bench]) -> None:
    on = bench([A100])
    instances = on.fake.set_mig_layout(0, ["1g.10gb"] * 3, slots=[0, 3, 6])
    readings = on.readings()
    (gpu,) = readings.nodes[0].gpus
    assert [each.mig_uuid for each in gpu.instances] == [each.uuid for each in instances]
    assert readings.errors == {}, "a hole is no error"


def test_mig_on_without_instances_has_none(bench: Callable[..., Bench]) -> None:
    on = bench([A100])
    on.fake.set_mig_layout(0, [])
    gpu = on.gpu()
    assert (gpu.mig, gpu.instances, gpu.fault) == (True, (), None)


def test_instances_are_measured_each_for_itself_engines_too(bench: Callable[..., Bench]) -> None:
    on = bench([H100])
    busy, idle = on.fake.set_mig_layout(0, ["1g.10gb", "2g.20gb"])
    on.fake.set_activity(0, gi=busy.gi, sm=0.8, tensor=0.4, decoder=0.3, jpeg=0.2, ofa=0.1, pcie_rx=2e9)
    on.gpu()
    told = {each.gi: each.signals for each in on.gpu().instances}
    mine = told[str(busy.gi)]
    assert mine[Signal.SM_ACTIVE] == pytest.approx(0.8)
    assert mine[Signal.TENSOR_ACTIVE] == pytest.approx(0.4)
    assert mine[Signal.DECODER_UTILIZATION] == pytest.approx(0.3)
    assert mine[Signal.JPEG_UTILIZATION] == pytest.approx(0.2)
    assert mine[Signal.OFA_UTILIZATION] == pytest.approx(0.1)
    assert mine[Signal.PCIE_RX] == pytest.approx(2e9)
    assert told[str(idle.gi)][Signal.SM_ACTIVE] == 0.0


def test_instances_below_hopper_have_no_activity_rather_than_none_at_all(bench: Callable[..., Bench]) -> None:
    on = bench([A100])
    on.fake.set_mig_layout(0, ["1g.10gb"])
    on.gpu()
    (instance,) = on.gpu().instances
    assert Signal.MEMORY_USED in instance.signals
    assert Signal.SM_ACTIVE not in instance.signals
    assert Signal.GPU_UTILIZATION not in instance.signals


def test_a_gpu_that_is_divided_anew_never_mixes_samples(bench: Callable[..., Bench]) -> None:
    """The new instance has the old one's id. A mean over both would tell of neither."""
    on = bench([H100])
    (before,) = on.fake.set_mig_layout(0, ["1g.10gb"])
    on.fake.set_activity(0, gi=before.gi, sm=1.0)
    on.gpu()
    assert on.gpu().instances[0].signals[Signal.SM_ACTIVE] == pytest.approx(1.0)
    (after,) = on.fake.set_mig_layout(0, ["1g.10gb"])
    assert after.gi == before.gi
    readings = on.readings()
    assert Signal.SM_ACTIVE not in readings.nodes[0].gpus[0].instances[0].signals
    assert readings.errors == {}
    assert on.gpu().instances[0].signals[Signal.SM_ACTIVE] == 0.0


def test_the_same_instance_under_the_same_name_is_another_after_a_division(
    bench: Callable[..., Bench],
) -> None:
    on = bench([H100])
    (instance,) = on.fake.set_mig_layout(0, ["1g.10gb"])
    on.gpu()
    assert Signal.SM_ACTIVE in on.gpu().instances[0].signals
    on.fake.event(0, 0x100, 0)  # MIG config change, with a layout that looks as before
    (other,) = on.gpu().instances
    assert other.mig_uuid == instance.uuid
    assert Signal.SM_ACTIVE not in other.signals
    assert Signal.SM_ACTIVE in on.gpu().instances[0].signals


def test_mig_may_be_switched_on_and_off(bench: Callable[..., Bench]) -> None:
    on = bench([H100])
    on.gpu()
    assert Signal.SM_ACTIVE in on.gpu().signals
    on.fake.set_mig_layout(0, ["1g.10gb"] * 7)
    divided = on.gpu()
    assert (divided.mig, len(divided.instances)) == (True, 7)
    on.fake.set_mig_layout(0, None)
    whole = on.gpu()
    assert (whole.mig, whole.instances) == (False, ())
    assert Signal.GPU_UTILIZATION in whole.signals, "what MIG refuses is asked for again without it"


def test_samples_of_instances_that_are_gone_are_freed(bench: Callable[..., Bench]) -> None:
    on = bench([H100])
    on.fake.set_mig_layout(0, ["1g.10gb"] * 7)
    on.gpu()
    assert on.fake.census().gpm_samples == 14
    for _ in range(5):
        on.fake.set_mig_layout(0, ["3g.40gb"])
        on.gpu()
        assert on.fake.census().gpm_samples == 2
    on.fake.set_mig_layout(0, None)
    on.gpu()
    assert on.fake.census().gpm_samples == 2


def test_samples_too_near_are_not_compared_and_too_old_ones_only_replaced(
    bench: Callable[..., Bench],
) -> None:
    on = bench([H100])
    on.fake.set_activity(0, sm=0.5)
    on.gpu()
    assert Signal.SM_ACTIVE not in on.gpu(0.4).signals
    assert on.gpu(0.6).signals[Signal.SM_ACTIVE] == pytest.approx(0.5), (
        "the near one did not replace the first"
    )
    assert Signal.SM_ACTIVE not in on.gpu(601).signals
    assert on.gpu(600).signals[Signal.SM_ACTIVE] == pytest.approx(0.5)


def test_two_samples_in_a_moment_tell_the_same_means(bench: Callable[..., Bench]) -> None:
    """As when the source is taken up again while a cycle is just over."""
    on = bench([H100, H100])
    (instance,) = on.fake.set_mig_layout(1, ["1g.10gb"])
    on.fake.set_activity(0, sm=0.5)
    on.fake.set_activity(1, gi=instance.gi, sm=0.7)
    on.gpus()
    on.gpus()
    on.fake.set_activity(0, sm=0.9)
    whole, divided = on.gpus(0.3)
    assert whole.signals[Signal.SM_ACTIVE] == pytest.approx(0.5)
    assert divided.instances[0].signals[Signal.SM_ACTIVE] == pytest.approx(0.7)
    whole, _ = on.gpus(0.3)
    assert whole.signals[Signal.SM_ACTIVE] == pytest.approx(0.9), "the near sample was not taken"


def test_compute_instances_of_one_gpu_instance_are_one_leaf(bench: Callable[..., Bench]) -> None:
    on = bench([H100])
    (first,) = on.fake.set_mig_layout(0, ["3g.40gb"])
    with on.fake.one_change():
        on.fake.gpu(0).mig.append(
            MigInstance(3, first.gi, first.start, "MIG-second", first.profile, rates=dict(first.rates))
        )
        on.fake.add_process(0, Process(11, 1, gi=first.gi))
    (instance,) = on.gpu().instances
    assert (instance.gi, instance.mig_uuid) == (str(first.gi), first.uuid)
    assert [each.pid for each in instance.processes or ()] == [11]


@pytest.mark.parametrize(
    ("name", "profile"),
    [
        ("NVIDIA A100-SXM4-80GB MIG 1g.10gb", "1g.10gb"),
        ("NVIDIA A100-SXM4-80GB MIG 1g.10gb+me", "1g.10gb+me"),
        ("NVIDIA A100-SXM4-80GB MIG 1c.3g.40gb", "3g.40gb"),
        ("NVIDIA A100-SXM4-80GB", ""),
        ("", ""),
    ],
)
def test_a_profile_is_told_by_the_end_of_the_name(name: str, profile: str) -> None:
    assert profile_of(name) == profile


def test_without_a_name_the_profile_is_told_by_size(bench: Callable[..., Bench]) -> None:
    on = bench([A100])
    on.gpu()
    on.fake.set_mig_layout(0, ["3g.40gb"])
    on.fake.fault("nvmlDeviceGetName", 999)
    assert on.gpu().instances[0].profile == "3g.39gb", "39.25 GiB are usable of 40"
