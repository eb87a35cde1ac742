"""Faults of GPUs and of the driver: only what is faulty is lost, and what is well again comes back."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from gpusteward.config import NvmlSettings
from gpusteward.devices.nvml import reasons
from gpusteward.errors import SourceError
from gpusteward.model import Fault, Signal
from tests.nvml.fake import Field
from tests.nvml.profiles import H100, T4

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.unit.devices.nvml.conftest import Bench


def refusal(on: Bench, seconds: float = 5.0) -> SourceError:
    """Why there is no sample."""
    with pytest.raises(SourceError) as caught:
        on.readings(seconds)
    assert caught.value.hint, "every reason has a next step"
    return caught.value


@pytest.mark.parametrize(
    ("code", "fault"), [(15, Fault.LOST), (16, Fault.RESET_REQUIRED), (999, Fault.UNREADABLE)]
)
def test_a_gpu_that_answers_nothing_keeps_its_identity_and_comes_back(
    bench: Callable[..., Bench], code: int, fault: Fault
) -> None:
    on = bench([H100, T4, H100])
    before = on.gpus()
    broken = on.fake.fault("*", code, gpu=1)
    during = on.gpus()
    assert [gpu.fault for gpu in during] == [None, fault, None]
    assert [(gpu.uuid, gpu.model, gpu.gpu) for gpu in during] == [
        (gpu.uuid, gpu.model, gpu.gpu) for gpu in before
    ]
    assert during[1].signals == {}
    assert (during[1].processes, during[1].allocations) == (None, None)
    assert Signal.GPU_UTILIZATION in during[0].signals
    on.fake.clear_faults(broken)
    after = on.gpus()
    assert [gpu.fault for gpu in after] == [None, None, None]
    assert Signal.GPU_UTILIZATION in after[1].signals


def test_a_gpu_that_is_lost_half_way_tells_none_of_what_it_said_before(bench: Callable[..., Bench]) -> None:
    on = bench([H100, T4])
    on.fake.fault("nvmlDeviceGetClockInfo", 15, gpu=0)
    lost, well = on.gpus()
    assert (lost.fault, lost.signals) == (Fault.LOST, {})
    assert well.fault is None


def test_a_field_that_says_that_the_gpu_is_lost_is_believed(bench: Callable[..., Bench]) -> None:
    on = bench([H100])
    on.fake.add_gpu(T4)
    on.fake.set_field(0, Field(83, code=15))
    assert [gpu.fault for gpu in on.gpus()] == [Fault.LOST, None]


def test_a_mig_gpu_that_is_lost_keeps_its_instances(bench: Callable[..., Bench]) -> None:
    on = bench([H100, T4])
    on.fake.set_mig_layout(0, ["3g.40gb", "1g.10gb"])
    before = on.gpus()[0].instances
    on.fake.lose(0)
    during = on.gpus()[0]
    assert during.mig
    assert [(each.gi, each.profile, each.mig_uuid) for each in during.instances] == [
        (each.gi, each.profile, each.mig_uuid) for each in before
    ]
    assert [each.signals for each in during.instances] == [{}, {}]


def test_a_gpu_that_is_bad_at_the_start_is_shown_beside_those_that_work(bench: Callable[..., Bench]) -> None:
    on = bench([T4, T4, T4])
    bad = on.fake.fault("*", 999, gpu=1)
    gpus = on.gpus()
    assert [gpu.fault for gpu in gpus] == [None, Fault.UNREADABLE, None]
    assert (gpus[1].uuid, gpus[1].gpu, gpus[1].model) == ("unreadable-1", "1", "Tesla T4")
    on.fake.clear_faults(bad)
    assert on.gpus()[1].uuid == on.fake.gpu(1).uuid


def test_a_bad_gpu_between_different_models_has_no_model(bench: Callable[..., Bench]) -> None:
    on = bench([T4, H100, H100])
    on.fake.fault("*", 15, gpu=1)
    assert [gpu.model for gpu in on.gpus()] == ["Tesla T4", "", "NVIDIA H100 80GB HBM3"]


def test_a_gpu_more_and_a_gpu_less_are_seen(bench: Callable[..., Bench]) -> None:
    on = bench([T4, H100])
    assert len(on.gpus()) == 2
    on.fake.add_gpu(T4)
    assert [gpu.model for gpu in on.gpus()] == ["Tesla T4", "NVIDIA H100 80GB HBM3", "Tesla T4"]
    on.fake.remove_gpu(0)
    assert [gpu.model for gpu in on.gpus()] == ["NVIDIA H100 80GB HBM3", "Tesla T4"]
    on.fake.lose(0)
    assert [gpu.model for gpu in on.gpus()] == ["NVIDIA H100 80GB HBM3", "Tesla T4"], (
        "one that was taken out is not mistaken for the one that is lost"
    )


def test_no_gpu_at_all_is_said_and_ends_by_itself(bench: Callable[..., Bench]) -> None:
    on = bench([])
    assert refusal(on).reason == reasons.NO_GPUS
    on.fake.add_gpu(T4)
    assert len(on.gpus()) == 1


@pytest.mark.parametrize(
    ("code", "reason"),
    [
        (9, reasons.DRIVER_NOT_LOADED),
        (18, reasons.DRIVER_MISMATCH),
        (4, reasons.NO_PERMISSION),
        (999, reasons.UNKNOWN_ERROR),
        (1, reasons.UNKNOWN_ERROR),
    ],
)
def test_a_driver_that_refuses_everything_is_said_and_tried_again(
    bench: Callable[..., Bench], code: int, reason: str
) -> None:
    """At the start and later: 999 for all is what a container sees that lost its devices."""
    on = bench([H100])
    fault = on.fake.fault("*", code)
    error = refusal(on)
    assert error.reason == reason
    assert "nvmlInit answered" in error.message
    on.fake.clear_faults(fault)
    assert len(on.gpus()) == 1
    on.fake.fault("*", code)
    assert refusal(on).reason == reason
    on.fake.clear_faults()
    assert len(on.gpus()) == 1


@pytest.mark.parametrize(("code", "reason"), [(4, reasons.NO_PERMISSION), (999, reasons.UNKNOWN_ERROR)])
def test_when_every_gpu_refuses_for_a_reason_of_this_process_no_gpu_is_blamed(
    bench: Callable[..., Bench], code: int, reason: str
) -> None:
    on = bench([H100, T4])
    on.gpus()
    on.fake.fault("nvmlDeviceGetHandleByIndex_v2", code)
    assert refusal(on).reason == reason
    on.fake.clear_faults()
    assert len(on.gpus()) == 2


def test_when_every_gpu_is_lost_each_is(bench: Callable[..., Bench]) -> None:
    on = bench([H100, T4])
    on.gpus()
    for index in (0, 1):
        on.fake.lose(index)
    assert [gpu.fault for gpu in on.gpus()] == [Fault.LOST, Fault.LOST]


def test_a_driver_that_is_upgraded_takes_a_new_process(bench: Callable[..., Bench]) -> None:
    on = bench([H100])
    assert on.gpu().driver_version == "580.65.06"
    on.fake.upgrade_driver("580.82.07")
    error = refusal(on)
    assert error.reason == reasons.DRIVER_MISMATCH
    assert "LIB_RM_VERSION_MISMATCH" in error.message
    assert on.gpu().driver_version == "580.82.07"
    assert on.fake.census().processes == 2


def test_tries_follow_each_other_after_1_2_4_up_to_60_seconds(bench: Callable[..., Bench]) -> None:
    on = bench([H100])
    on.gpu()
    on.fake.fault("*", 9)
    tries = []
    for second in range(300):
        before = on.fake.census().processes
        error = refusal(on, 1.0)
        assert error.reason == reasons.DRIVER_NOT_LOADED
        if on.fake.census().processes > before:
            tries.append(second)
        elif second:
            assert "next try in" in error.message
    assert tries == [1, 3, 7, 15, 31, 63, 123, 183, 243]
    on.fake.clear_faults()
    with pytest.raises(SourceError):
        on.readings(1.0)
    assert len(on.gpus(60.0)) == 1
    for _ in range(4):
        on.gpus(1.0)
    on.fake.fault("*", 9)
    refusal(on)
    on.fake.clear_faults()
    assert len(on.gpus(1.0)) == 1, "five good cycles start the count anew"


def test_a_library_that_is_not_there_says_where_it_was_looked_for(
    bench: Callable[..., Bench], tmp_path: Path, library: Path
) -> None:
    root = tmp_path / "driver"
    on = bench([H100], settings=NvmlSettings(driver_root=str(root), deadline_seconds=10))
    on.fake.remove_library()
    error = refusal(on)
    assert error.reason == reasons.LIBRARY_MISSING
    for place in ("libnvidia-ml.so.1 (", f"{root}/usr/lib64/libnvidia-ml.so.1 (no such file)", "/usr/lib64/"):
        assert place in error.message
    there = root / "usr/lib/x86_64-linux-gnu/libnvidia-ml.so.1"
    there.parent.mkdir(parents=True)
    there.symlink_to(library)
    assert on.gpu().model == "NVIDIA H100 80GB HBM3"


def test_a_library_may_be_named_and_then_no_other_is_tried(
    bench: Callable[..., Bench], tmp_path: Path, library: Path
) -> None:
    named = tmp_path / "libnvidia-ml.so.580"
    on = bench([H100], settings=NvmlSettings(library=str(named), deadline_seconds=10))
    error = refusal(on)
    assert error.message == f"no libnvidia-ml.so.1; tried {named} (no such file)"
    named.write_text("no library")
    assert "invalid ELF header" in refusal(on).message or "too short" in refusal(on).message
    named.unlink()
    named.symlink_to(library)
    on.fake.remove_library()
    assert on.gpu(60).fault is None


def test_a_count_that_is_refused_ends_the_sample_and_says_which_call_it_was(
    bench: Callable[..., Bench],
) -> None:
    on = bench([H100])
    on.gpus()
    on.fake.fault("nvmlDeviceGetCount_v2", 999)
    assert refusal(on).message == "nvmlDeviceGetCount answered UNKNOWN"
    on.fake.clear_faults()
    assert len(on.gpus()) == 1
