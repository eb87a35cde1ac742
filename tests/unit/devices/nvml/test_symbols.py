"""Every NVML call that the worker makes, the driver that has it, and where that is written.

The driver is the branch whose nvml.h first declares the function, in the history of NVIDIA/go-nvml
(`gen/nvml/nvml.h`); 525 is the oldest that we support, for all that CUDA 12.0's header has already. The place
is the page of NVIDIA's NVML API reference (docs.nvidia.com/deploy/nvml-api) that documents it; for 525 it is
also in the archive (docs.nvidia.com/deploy/archive/R525/nvml-api).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from gpusteward.devices.nvml.fields import FIELDS
from gpusteward.model import Signal
from tests.nvml.fake import Process, build, newer_than
from tests.nvml.library import greatest_field
from tests.nvml.profiles import A10G, A100, B200, H100, T4

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.nvml.fake import Board
    from tests.unit.devices.nvml.conftest import Bench

INIT = "group__nvmlInitializationAndCleanup"
SYSTEM = "group__nvmlSystemQueries"
DEVICE = "group__nvmlDeviceQueries"
FIELD_VALUES = "group__nvmlFieldValueQueries"
EVENTS = "group__nvmlEvents"
MIG = "group__nvmlMultiInstanceGPU"
GPM = "group__nvmlGpmFunctions"

CALLS = {
    "nvmlInitWithFlags": (525, INIT),
    "nvmlSystemGetDriverVersion": (525, SYSTEM),
    "nvmlDeviceGetCount_v2": (525, DEVICE),
    "nvmlDeviceGetHandleByIndex_v2": (525, DEVICE),
    "nvmlDeviceGetPciInfo_v3": (525, DEVICE),
    "nvmlDeviceGetUUID": (525, DEVICE),
    "nvmlDeviceGetMinorNumber": (525, DEVICE),
    "nvmlDeviceGetName": (525, DEVICE),
    "nvmlDeviceGetFieldValues": (525, FIELD_VALUES),
    "nvmlDeviceGetPowerUsage": (525, DEVICE),
    "nvmlDeviceGetEnforcedPowerLimit": (525, DEVICE),
    "nvmlDeviceGetTemperatureV": (570, DEVICE),
    "nvmlDeviceGetTemperature": (525, DEVICE),
    "nvmlDeviceGetMarginTemperature": (570, DEVICE),
    "nvmlDeviceGetClockInfo": (525, DEVICE),
    "nvmlDeviceGetMemoryInfo_v2": (525, DEVICE),
    "nvmlDeviceGetMemoryInfo": (525, DEVICE),
    "nvmlDeviceGetUtilizationRates": (525, DEVICE),
    "nvmlDeviceGetEncoderUtilization": (525, DEVICE),
    "nvmlDeviceGetDecoderUtilization": (525, DEVICE),
    "nvmlDeviceGetJpgUtilization": (535, DEVICE),
    "nvmlDeviceGetOfaUtilization": (535, DEVICE),
    "nvmlDeviceGetComputeRunningProcesses_v3": (525, DEVICE),
    "nvmlDeviceGetGraphicsRunningProcesses_v3": (525, DEVICE),
    "nvmlDeviceGetMPSComputeRunningProcesses_v3": (525, DEVICE),
    "nvmlDeviceGetSupportedEventTypes": (525, EVENTS),
    "nvmlDeviceRegisterEvents": (525, EVENTS),
    "nvmlEventSetCreate": (525, EVENTS),
    "nvmlEventSetWait_v2": (525, EVENTS),
    "nvmlEventSetFree": (525, EVENTS),
    "nvmlDeviceGetMigMode": (525, MIG),
    "nvmlDeviceGetMaxMigDeviceCount": (525, MIG),
    "nvmlDeviceGetMigDeviceHandleByIndex": (525, MIG),
    "nvmlDeviceGetGpuInstanceId": (525, MIG),
    "nvmlDeviceGetAttributes_v2": (525, DEVICE),
    "nvmlGpmQueryDeviceSupport": (525, GPM),
    "nvmlGpmSampleAlloc": (525, GPM),
    "nvmlGpmSampleFree": (525, GPM),
    "nvmlGpmSampleGet": (525, GPM),
    "nvmlGpmMigSampleGet": (525, GPM),
    "nvmlGpmMetricsGet": (525, GPM),
}

NEWER_SIGNALS = {
    Signal.JPEG_UTILIZATION,
    Signal.OFA_UTILIZATION,
    Signal.POWER_INSTANT,
    Signal.PCIE_TX_TOTAL,
    Signal.PCIE_RX_TOTAL,
    Signal.RECOVERY_ACTION,
}
"""What a 525 driver cannot tell of an A10G."""


DAY = [A10G, H100, A100, H100]


def exercised(on: Bench) -> set[str]:
    """Names of the functions called over a day in which everything happens."""
    on.fake.set_mig_layout(1, ["1g.10gb", "2g.20gb"])
    on.fake.add_process(0, Process(1, 1))
    for _ in range(2):
        on.gpus()
    unnamed = on.fake.fault("nvmlDeviceGetName", 999, gpu=1)
    on.fake.set_mig_layout(1, ["1g.10gb"])
    on.gpus()
    on.fake.clear_faults(unnamed)
    old = on.fake.fault("nvmlDeviceGetMemoryInfo_v2", 13)
    lost = on.fake.lose(2)
    on.gpus()
    on.fake.clear_faults(old, lost)
    on.gpus()
    return set(on.fake.calls())


def test_every_call_that_is_made_is_in_the_table_and_no_other(bench: Callable[..., Bench]) -> None:
    assert exercised(bench(DAY)) == CALLS.keys() - {
        "nvmlDeviceGetTemperature",  # where the newer form is missing
    }
    assert exercised(bench(DAY, driver="525.60.13")) == CALLS.keys() - {"nvmlDeviceGetTemperature"}


@pytest.mark.parametrize("branch", [525, 535, 550])
def test_on_an_older_driver_the_same_calls_are_made_but_those_that_it_lacks(
    bench: Callable[..., Bench], tmp_path: Path, branch: int
) -> None:
    symbols = build(tmp_path, without=newer_than(branch))
    made = exercised(bench(DAY, driver=f"{branch}.60.13", symbols=symbols))
    assert made == {name for name, (since, _) in CALLS.items() if since <= branch}


def test_each_field_is_of_the_driver_that_its_number_says() -> None:
    for field in FIELDS:
        assert field.ident <= greatest_field(field.since), field
    by_number = {field.ident: field.since for field in FIELDS}
    assert by_number[197] == 550
    assert by_number[230] == 570


@pytest.mark.parametrize("board", [T4, A10G, A100, H100, B200], ids=lambda board: board.name)
def test_with_all_newer_symbols_removed_it_works_as_on_driver_525(
    bench: Callable[..., Bench], tmp_path: Path, board: Board
) -> None:
    symbols = build(tmp_path, without=newer_than(525))
    on = bench([board], driver="525.60.13", symbols=symbols)
    on.fake.add_gpu(board, loaded=True)
    on.readings()
    readings = on.readings()
    assert readings.errors == {}, "what an old driver lacks is no error"
    for gpu in readings.nodes[0].gpus:
        assert gpu.fault is None
        assert {
            Signal.POWER,
            Signal.POWER_LIMIT,
            Signal.ENERGY_TOTAL,
            Signal.TEMPERATURE,
            Signal.MEMORY_USED,
            Signal.MEMORY_RESERVED,
            Signal.GPU_UTILIZATION,
            Signal.SM_CLOCK,
        } <= gpu.signals.keys()
        assert gpu.xids == ()
        assert gpu.processes is not None or gpu.allocations is None


def test_what_a_525_driver_cannot_tell_is_absent_and_the_rest_is_as_on_a_new_one(
    bench: Callable[..., Bench], tmp_path: Path
) -> None:
    new = bench([A10G])
    new.gpu()
    of_new = new.gpu().signals.keys()
    old = bench([A10G], driver="525.60.13", symbols=build(tmp_path, without=newer_than(525)))
    old.gpu()
    of_old = old.gpu().signals.keys()
    assert of_new - of_old == NEWER_SIGNALS | {Signal.PCIE_TX, Signal.PCIE_RX}
    assert of_old <= of_new


def test_where_no_counter_tells_it_gpm_tells_the_traffic(bench: Callable[..., Bench], tmp_path: Path) -> None:
    on = bench([H100], driver="535.54.03", symbols=build(tmp_path, without=newer_than(535)))
    on.fake.set_activity(0, pcie_tx=1e9, nvlink_rx=2e9)
    on.gpu()
    signals = on.gpu().signals
    assert Signal.PCIE_TX_TOTAL not in signals
    assert signals[Signal.PCIE_TX] == pytest.approx(1e9)
    assert signals[Signal.NVLINK] == pytest.approx(2e9, rel=1e-6)
