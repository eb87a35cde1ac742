"""What is refused is unknown: neither none, nor free, nor gone for good."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from gpusteward.devices.nvml import reasons
from gpusteward.errors import SourceError
from gpusteward.model import Fault, Signal
from tests.nvml.fake import Field
from tests.nvml.profiles import A10G, A100, H100, T4

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.unit.devices.nvml.conftest import Bench

IDENTITY = ("nvmlInit", "nvmlSystem", "nvmlDeviceGetCount", "nvmlDeviceGetHandle", "nvmlDeviceGetPciInfo",
            "nvmlDeviceGetUUID", "nvmlDeviceGetName")  # fmt: skip


FALLBACKS = {"nvmlDeviceGetMemoryInfo", "nvmlDeviceGetPowerUsage", "nvmlDeviceGetTemperature"}


def refuse_all_but_identity(on: Bench, *codes: int, gpu: int | None = None, spare: str = "") -> None:
    """Every call that was made so far or may be yet, but those and `spare`; with several codes in turns."""
    called = FALLBACKS | on.fake.calls().keys()
    names = sorted(name for name in called if not name.startswith(IDENTITY) and name != spare)
    with on.fake.one_change():
        for place, name in enumerate(names):
            on.fake.fault(name, codes[place % len(codes)], gpu=gpu)


@pytest.mark.parametrize("code", [3, 4, 999])
@pytest.mark.parametrize(
    "call",
    ["nvmlDeviceGetMaxMigDeviceCount", "nvmlDeviceGetMigDeviceHandleByIndex", "nvmlDeviceGetGpuInstanceId"],
)
def test_instances_that_cannot_be_listed_are_not_taken_for_none(
    bench: Callable[..., Bench], call: str, code: int
) -> None:
    on = bench([H100, T4])
    on.fake.set_mig_layout(0, ["3g.40gb", "1g.10gb"])
    known = [(each.gi, each.profile, each.mig_uuid) for each in on.gpus()[0].instances]
    fault = on.fake.fault(call, code, gpu=0)
    readings = on.readings()
    gpu, other = readings.nodes[0].gpus
    assert (gpu.mig, gpu.fault, other.fault) == (True, Fault.UNREADABLE, None)
    assert [(each.gi, each.profile, each.mig_uuid) for each in gpu.instances] == known
    assert [(each.signals, each.allocations, each.processes) for each in gpu.instances] == [
        ({}, None, None)
    ] * 2
    assert list(readings.errors.values()) == [1]
    on.fake.clear_faults(fault)
    again = on.gpus()[0]
    assert again.fault is None
    assert [Signal.MEMORY_USED in each.signals for each in again.instances] == [True, True]


@pytest.mark.parametrize("code", [2, 6])
def test_an_instance_that_is_gone_when_its_id_is_asked_for_is_a_hole(
    bench: Callable[..., Bench], code: int
) -> None:
    on = bench([H100, T4])
    on.fake.set_mig_layout(0, ["3g.40gb"])
    on.fake.fault("nvmlDeviceGetGpuInstanceId", code, gpu=0)
    readings = on.readings()
    gpu, _ = readings.nodes[0].gpus
    assert (gpu.mig, gpu.instances, gpu.fault) == (True, (), None)
    assert readings.errors == {}


@pytest.mark.parametrize("code", [3, 4, 999])
def test_a_divided_gpu_whose_mode_is_refused_stays_divided(bench: Callable[..., Bench], code: int) -> None:
    on = bench([H100, T4])
    on.fake.set_mig_layout(0, ["3g.40gb"])
    on.gpus()
    fault = on.fake.fault("nvmlDeviceGetMigMode", code, gpu=0)
    gpu, other = on.gpus()
    assert (gpu.mig, gpu.fault, len(gpu.instances)) == (True, None, 1)
    assert Signal.SM_ACTIVE in gpu.instances[0].signals
    assert not other.mig
    on.fake.clear_faults(fault)
    on.fake.set_mig_layout(0, None)
    assert not on.gpus(301)[0].mig


def test_a_gpu_whose_mode_was_never_known_is_not_taken_for_whole(bench: Callable[..., Bench]) -> None:
    on = bench([H100, A10G])
    on.fake.set_mig_layout(0, ["3g.40gb"])
    fault = on.fake.fault("nvmlDeviceGetMigMode", 999, gpu=0)
    gpu, other = on.gpus()
    assert (gpu.fault, gpu.signals, other.fault) == (Fault.UNREADABLE, {}, None)
    on.fake.clear_faults(fault)
    gpu, _ = on.gpus()
    assert (gpu.fault, gpu.mig, len(gpu.instances)) == (None, True, 1)


@pytest.mark.parametrize("codes", [(999,), (4,), (4, 999)])
def test_a_gpu_that_says_nothing_but_who_it_is_is_unreadable(
    bench: Callable[..., Bench], codes: tuple[int, ...]
) -> None:
    on = bench([H100, T4])
    on.fake.set_mig_layout(0, ["3g.40gb"])
    on.gpus()
    refuse_all_but_identity(on, *codes, gpu=1)
    well, bad = on.gpus()
    assert (well.fault, bad.fault, bad.allocations) == (None, Fault.UNREADABLE, None)
    on.fake.clear_faults()
    refuse_all_but_identity(on, *codes, gpu=0)
    bad, well = on.gpus()
    assert (bad.fault, bad.mig, len(bad.instances), well.fault) == (Fault.UNREADABLE, True, 1, None)
    on.fake.clear_faults()
    assert [gpu.fault for gpu in on.gpus()] == [None, None]


@pytest.mark.parametrize("spare", ["nvmlDeviceGetPowerUsage", "nvmlDeviceGetUtilizationRates"])
def test_a_gpu_that_says_one_thing_more_is_readable(bench: Callable[..., Bench], spare: str) -> None:
    on = bench([A10G, T4])
    on.gpus()
    refuse_all_but_identity(on, 999, gpu=1, spare=spare)
    assert [gpu.fault for gpu in on.gpus()] == [None, None]


def test_a_gpu_that_supports_nothing_is_readable(bench: Callable[..., Bench]) -> None:
    on = bench([T4, T4])
    on.gpus()
    refuse_all_but_identity(on, 3, gpu=1)
    assert [gpu.fault for gpu in on.gpus()] == [None, None]


@pytest.mark.parametrize(("code", "reason"), [(4, reasons.NO_PERMISSION), (999, reasons.UNKNOWN_ERROR)])
def test_when_all_gpus_say_no_more_than_who_they_are_it_is_said_why(
    bench: Callable[..., Bench], code: int, reason: str
) -> None:
    on = bench([A10G, T4])
    on.gpus()
    refuse_all_but_identity(on, code)
    with pytest.raises(SourceError) as caught:
        on.readings()
    assert caught.value.reason == reason
    on.fake.clear_faults()
    assert [gpu.fault for gpu in on.gpus()] == [None, None]


@pytest.mark.parametrize("code", [3, 13])
@pytest.mark.parametrize(
    ("call", "signal"),
    [
        ("nvmlDeviceGetUtilizationRates", Signal.GPU_UTILIZATION),
        ("nvmlDeviceGetClockInfo", Signal.SM_CLOCK),
        ("nvmlDeviceGetMemoryInfo_v2", Signal.MEMORY_RESERVED),
    ],
)
def test_what_a_gpu_once_denied_is_asked_for_again_after_five_minutes(
    bench: Callable[..., Bench], call: str, signal: Signal, code: int
) -> None:
    on = bench([A10G])
    fault = on.fake.fault(call, code)
    assert signal not in on.gpu().signals
    on.fake.clear_faults(fault)
    assert signal not in on.gpu(299).signals, "not at each sample"
    assert signal in on.gpu(1).signals


def test_a_field_that_was_once_denied_is_asked_for_again_after_five_minutes(
    bench: Callable[..., Bench],
) -> None:
    on = bench([H100])
    on.fake.set_field(0, Field(82, code=3))
    assert Signal.MEMORY_TEMPERATURE not in on.gpu().signals
    on.fake.set_field(0, Field(82, value=44))
    assert Signal.MEMORY_TEMPERATURE not in on.gpu(299).signals
    assert on.gpu(1).signals[Signal.MEMORY_TEMPERATURE] == 44.0


@pytest.mark.parametrize("code", [3, 13])
def test_a_batch_of_fields_that_was_once_denied_is_there_at_the_next_sample(
    bench: Callable[..., Bench], code: int
) -> None:
    on = bench([H100])
    fault = on.fake.fault("nvmlDeviceGetFieldValues", code)
    assert Signal.ENERGY_TOTAL not in on.gpu().signals
    on.fake.clear_faults(fault)
    assert Signal.ENERGY_TOTAL in on.gpu().signals


@pytest.mark.parametrize("code", [3, 13])
@pytest.mark.parametrize(
    "call", ["nvmlGpmMetricsGet", "nvmlGpmSampleGet", "nvmlGpmSampleAlloc", "nvmlGpmMigSampleGet"]
)
def test_activity_that_was_once_denied_comes_back_by_itself(
    bench: Callable[..., Bench], call: str, code: int
) -> None:
    on = bench([H100, H100])
    on.fake.set_mig_layout(1, ["3g.40gb"])
    fault = on.fake.fault(call, code)
    for _ in range(2):
        on.gpus()
    on.fake.clear_faults(fault)
    for _ in range(2):
        whole, divided = on.gpus()
    assert Signal.SM_ACTIVE in whole.signals
    assert Signal.SM_ACTIVE in divided.instances[0].signals
    assert on.fake.census().gpm_samples == 4


def test_what_one_gpu_or_instance_denies_is_not_held_against_another(bench: Callable[..., Bench]) -> None:
    on = bench([H100, H100])
    on.fake.set_mig_layout(1, ["3g.40gb", "1g.10gb"])
    for call in ("nvmlGpmSampleGet", "nvmlDeviceGetUtilizationRates"):
        on.fake.fault(call, 3, gpu=0)
    on.gpus()
    denying, divided = on.gpus()
    assert Signal.SM_ACTIVE not in denying.signals
    assert [Signal.SM_ACTIVE in each.signals for each in divided.instances] == [True, True]


def test_what_was_denied_is_asked_for_again_when_the_gpu_is_divided_anew(bench: Callable[..., Bench]) -> None:
    on = bench([A100])
    on.fake.set_mig_layout(0, ["3g.40gb"])
    on.gpu()
    denied = [on.fake.fault(call, 3) for call in ("nvmlDeviceGetMemoryInfo_v2", "nvmlDeviceGetClockInfo")]
    on.gpu()
    on.fake.clear_faults(*denied)
    gpu = on.gpu()
    assert Signal.SM_CLOCK not in gpu.signals
    assert Signal.MEMORY_RESERVED not in gpu.instances[0].signals
    on.fake.set_mig_layout(0, ["1g.10gb", "1g.10gb"])
    gpu = on.gpu()
    assert Signal.SM_CLOCK in gpu.signals
    assert [Signal.MEMORY_RESERVED in each.signals for each in gpu.instances] == [True, True]


def test_xids_of_a_gpu_whose_event_types_were_once_refused_are_heard_of_later(
    bench: Callable[..., Bench],
) -> None:
    on = bench([H100])
    fault = on.fake.fault("nvmlDeviceGetSupportedEventTypes", 999)
    assert on.gpu().xids is None
    on.fake.clear_faults(fault)
    on.gpu()
    on.fake.xid(0, 31)
    assert on.gpu().xids == (31,)


def test_an_event_set_that_was_once_denied_is_asked_for_again(bench: Callable[..., Bench]) -> None:
    on = bench([H100])
    fault = on.fake.fault("nvmlEventSetCreate", 3)
    assert on.gpu().xids is None
    on.fake.clear_faults(fault)
    on.gpu()
    on.fake.xid(0, 31)
    assert on.gpu().xids == (31,)
