from __future__ import annotations

import re
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import pytest

from gpusteward.clock import Moment
from gpusteward.devices.dcgm_readings import Reader
from gpusteward.devices.dcgm_vocabulary import vocabulary
from gpusteward.model import Allocation, Holder, Readings, Signal

CAPTURES = Path(__file__).parents[3] / "captures"
RECORDED = ["dcgm-8xh100-one-pod", "dcgm-l4", "dcgm-l40s", "dcgm-t4"]
AT = Moment(1_800_000_000.0, 1_000.0)
PARTS = {Signal.MEMORY_FREE, Signal.MEMORY_USED, Signal.MEMORY_RESERVED}


@dataclass(frozen=True)
class Line:
    """One line as this test's own small parser sees it."""

    name: str
    uuid: str
    value: Fraction


def lines_of(name: str) -> list[Line]:
    """Enough for recorded pages, whose labels hold no quotes or braces; shares no code with ours."""
    text = (CAPTURES / f"{name}.prom").read_text()
    samples = [line for line in text.splitlines() if line and line[0] != "#"]
    found = []
    for line in samples:
        head, _, value = line.rpartition(" ")
        uuids = re.findall(r'UUID="([^"]*)"', head)
        assert len(uuids) == 1
        found.append(Line(head.split("{")[0], uuids[0], Fraction(value)))
    return found


def read(name: str) -> Readings:
    return Reader("fallback").read((CAPTURES / f"{name}.prom").read_text(), AT)


@pytest.mark.parametrize("name", RECORDED)
def test_every_value_is_explained_by_exactly_one_line_times_the_tables_factor(name: str) -> None:
    lines = lines_of(name)
    explained = 0
    for node in read(name).nodes:
        for gpu in node.gpus:
            for signal, value in gpu.signals.items():
                if signal is Signal.MEMORY_TOTAL:
                    assert value == sum(gpu.signals[part] for part in PARTS)  # the one derived value
                    continue
                explaining = [
                    line
                    for line in lines
                    if line.uuid == gpu.uuid
                    and vocabulary()[line.name].signal is signal
                    and float(line.value * vocabulary()[line.name].factor) == value
                ]
                assert len(explaining) == 1, (gpu.uuid, signal, value)
                explained += 1
    # And nothing was lost: all lines but unread fields and the GDDR boards' missing sensor.
    told = [line for line in lines if vocabulary()[line.name].signal is not None]
    no_sensor = [line for line in told if line.name == "DCGM_FI_DEV_MEMORY_TEMP" and line.value == 0]
    assert explained == len(told) - len(no_sensor)


@pytest.mark.parametrize(
    ("name", "node", "model", "driver"),
    [
        ("dcgm-l4", "i-030791dc5a37cd257", "NVIDIA L4", "580.105.08"),
        ("dcgm-l40s", "gpu1-wl8sg", "NVIDIA L40S", "595.58.03"),
        ("dcgm-t4", "cp-bm14r7", "Tesla T4", "590.48.01"),
    ],
)
def test_a_recorded_single_gpu_has_its_identity_and_no_invented_facts(
    name: str, node: str, model: str, driver: str
) -> None:
    readings = read(name)
    (only,) = readings.nodes
    (gpu,) = only.gpus
    assert (only.node, gpu.gpu, gpu.model, gpu.driver_version) == (node, "0", model, driver)
    assert Signal.MEMORY_TEMPERATURE not in gpu.signals
    assert Signal.SM_ACTIVE not in gpu.signals
    assert gpu.allocations is None
    assert (gpu.fault, gpu.mig, gpu.sharing) == (None, False, "")
    assert readings.skipped == {"no_sensor": 1}


def test_the_recorded_t4_reads_as_its_operators_saw_it() -> None:
    (gpu,) = read("dcgm-t4").nodes[0].gpus
    assert gpu.signals[Signal.GPU_UTILIZATION] == 0.91
    assert gpu.signals[Signal.ENGINE_ACTIVE] == 0.156205
    assert gpu.signals[Signal.MEMORY_USED] == 5 * 1024**3
    assert gpu.signals[Signal.MEMORY_TOTAL] == (9791 + 5120 + 447) * 1024**2
    assert gpu.signals[Signal.ENERGY_TOTAL] == 15152422.938


def test_of_the_recorded_h100s_one_is_held_and_seven_are_not() -> None:
    readings = read("dcgm-8xh100-one-pod")
    (node,) = readings.nodes
    held, *others = node.gpus
    holder = Holder("dynamo-workload", "vllm-agg-0-vllmdecodeworker-s65j5", "main")
    assert (node.node, len(node.gpus), readings.skipped) == ("gpu-node-1", 8, {})
    assert held.allocations == (Allocation(holder),)
    assert [gpu.allocations for gpu in others] == [()] * 7


def test_fields_that_a_recorded_page_leaves_out_for_some_gpus_are_unknown_for_those() -> None:
    (node,) = read("dcgm-8xh100-one-pod").nodes
    assert [Signal.MEMORY_COPY_UTILIZATION in gpu.signals for gpu in node.gpus] == [True] * 6 + [False] * 2
