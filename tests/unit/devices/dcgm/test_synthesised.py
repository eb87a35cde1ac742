from __future__ import annotations

from fractions import Fraction
from typing import TYPE_CHECKING

import pytest

from gpusteward.clock import Moment
from gpusteward.devices.dcgm_readings import Reader
from gpusteward.model import Allocation, GpuReading, Holder, Readings, Signal
from tests.captures.synthesise import BUSY, IDLE, MIB, PAGES, path_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    from tests.conftest import Golden

AT = Moment(1_800_000_000.0, 1_000.0)
TRAIN = (Allocation(Holder("ml", "train-0", "main")),)


def read(name: str) -> Readings:
    return Reader("fallback").read(PAGES[name](), AT)


def only_gpu(name: str) -> GpuReading:
    (node,) = read(name).nodes
    (gpu,) = node.gpus
    return gpu


def with_total(values: Mapping[Signal, float]) -> dict[Signal, float]:
    return {**values, Signal.MEMORY_TOTAL: 81_559 * MIB}


@pytest.mark.parametrize("name", PAGES)
def test_the_committed_page_is_what_the_generator_makes(name: str, golden: Golden) -> None:
    text = PAGES[name]()
    assert text.startswith("# Synthesised by tests/captures/synthesise.py, not recorded: ")
    golden(text, path_of(name))


@pytest.mark.parametrize("name", ["4.8.3-8xh100", "4.9-8xh100"])
def test_eight_gpus_read_the_same_whatever_the_vocabulary(name: str) -> None:
    readings = read(name)

    (node,) = readings.nodes
    assert (node.node, readings.skipped) == ("gpu-node-1", {})
    assert [gpu.gpu for gpu in node.gpus] == list("01234567")
    assert [gpu.driver_version for gpu in node.gpus] == ["595.58.03"] * 8
    for gpu in node.gpus[:2]:
        assert gpu.signals == pytest.approx(with_total(BUSY), rel=1e-12)
        assert gpu.allocations == TRAIN
    for gpu in node.gpus[2:]:
        assert gpu.signals == pytest.approx(with_total(IDLE), rel=1e-12)
        assert gpu.allocations == ()


def test_seven_instances_take_the_place_of_their_gpu() -> None:
    gpu = only_gpu("4.8.2-mig-a100-7x1g")

    assert gpu.mig
    assert [(i.gi, i.profile) for i in gpu.instances] == [(str(gi), "1g.5gb") for gi in range(7, 14)]
    assert [i.allocations for i in gpu.instances] == [None] * 7
    assert [i.signals[Signal.SM_ACTIVE] for i in gpu.instances] == [0.125 * n for n in range(1, 8)]
    assert gpu.allocations is None


def test_of_a_mig_parent_only_board_facts_are_told() -> None:
    readings = read("4.8.3-mig-h100-4g-3g")
    gpu = only_gpu("4.8.3-mig-h100-4g-3g")

    assert gpu.signals[Signal.POWER] == 512.5
    assert gpu.signals[Signal.TEMPERATURE] == 54
    assert not {Signal.ENGINE_ACTIVE, Signal.MEMORY_USED, Signal.GPU_UTILIZATION} & gpu.signals.keys()
    # Three activities, three memory fields and the four utilizations that only whole GPUs have.
    assert readings.skipped == {"mig_parent": 10, "not_of_instance": 8}


def test_instances_have_their_own_memory_activity_and_holders() -> None:
    four, three = only_gpu("4.8.3-mig-h100-4g-3g").instances

    assert (four.gi, four.profile, three.gi, three.profile) == ("1", "4g.40gb", "2", "3g.40gb")
    assert (four.signals[Signal.MEMORY_USED], three.signals[Signal.MEMORY_USED]) == (1000 * MIB, 2000 * MIB)
    assert four.signals[Signal.MEMORY_TOTAL] == 4000 * MIB
    assert four.allocations == (Allocation(Holder("ml", "serve-a", "main")),)
    assert three.allocations == ()
    assert Signal.POWER not in four.signals


def test_a_zero_utilization_of_an_instance_is_no_reading() -> None:
    gpu = only_gpu("4.9-mig-h100-6x1g")

    for instance in gpu.instances:
        assert Signal.GPU_UTILIZATION not in instance.signals
        assert instance.signals[Signal.ENGINE_ACTIVE] == 0.25
    pods = [[a.holder.pod for a in i.allocations or ()] for i in gpu.instances]
    assert pods == [[f"notebook-{gi}"] for gi in range(7, 12)] + [[]]


def test_seats_of_a_shared_gpu_are_not_added_up() -> None:
    gpu = only_gpu("4.8.2-vgpu-t4")

    assert gpu.signals[Signal.MEMORY_USED] == 61_000 * MIB
    assert gpu.signals[Signal.POWER] == 512.5
    assert gpu.sharing == "vgpu"
    assert Signal.MEMORY_TEMPERATURE not in gpu.signals


def test_holders_of_a_shared_gpu_have_equal_shares() -> None:
    third = Fraction(1, 3)
    assert only_gpu("4.8.2-vgpu-t4").allocations == tuple(
        Allocation(Holder("ml", f"web-{pod}", "main"), third) for pod in "abc"
    )


def test_on_a_relabelled_page_the_exporters_own_pod_holds_nothing() -> None:
    (node,) = read("4.8.2-exported-labels").nodes

    assert [gpu.allocations for gpu in node.gpus] == [TRAIN, TRAIN, *[()] * 6]


def test_a_csv_with_more_fields_gives_more_signals_and_wrong_types_change_nothing() -> None:
    (node,) = read("4.8.2-nebius").nodes
    signals = node.gpus[0].signals

    assert "# TYPE DCGM_FI_PROF_PCIE_TX_BYTES counter\n" in PAGES["4.8.2-nebius"]()
    assert signals[Signal.PCIE_TX] == 1_250_000
    assert signals[Signal.SM_ACTIVE] == 0.875
    assert signals[Signal.POWER_LIMIT] == 700
    assert signals[Signal.MEMORY_TOTAL] == 81_559 * MIB
    assert Signal.LAST_XID not in signals


def test_without_reserved_memory_there_is_no_total() -> None:
    (node,) = read("4.8.2-oracle").nodes
    signals = node.gpus[0].signals

    assert {Signal.MEMORY_USED, Signal.MEMORY_FREE} <= signals.keys()
    assert not {Signal.MEMORY_TOTAL, Signal.MEMORY_RESERVED} & signals.keys()
    assert signals[Signal.ECC_CORRECTED_TOTAL] == 12


def test_label_values_that_are_not_escaped_cost_nothing() -> None:
    readings = read("4.8.2-quotes")
    gpu = only_gpu("4.8.2-quotes")

    assert readings.skipped == {}
    assert gpu.signals == pytest.approx(with_total(BUSY), rel=1e-12)
    assert gpu.allocations == TRAIN
