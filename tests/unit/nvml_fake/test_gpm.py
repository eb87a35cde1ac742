from __future__ import annotations

from typing import TYPE_CHECKING

import pynvml
import pytest

from tests.nvml import profiles

if TYPE_CHECKING:
    from tests.nvml.client import Client
    from tests.nvml.fake import FakeNvml
    from tests.unit.nvml_fake.conftest import StartClient, StartMachine

SAMPLES = """
a, b = n.nvmlGpmSampleAlloc(), n.nvmlGpmSampleAlloc()
def mean(first, second, *idents, version=n.NVML_GPM_METRICS_GET_VERSION):
    get = n.c_nvmlGpmMetricsGet_t(version=version, numMetrics=len(idents), sample1=first, sample2=second)
    for metric, ident in zip(get.metrics, idents): metric.metricId = ident
    n.nvmlGpmMetricsGet(get)
    return [[m.nvmlReturn, round(m.value, 6)] for m in get.metrics[:len(idents)]]
"""


@pytest.fixture
def gpm(on_h100: Client) -> Client:
    on_h100.run(SAMPLES)
    return on_h100


def test_a_metric_is_the_true_mean_between_two_samples(h100: FakeNvml, gpm: Client) -> None:
    h100.set_activity(0, sm=0.2, tensor=0.1, dram=0.5)
    gpm.run("n.nvmlGpmSampleGet(g, a)")
    h100.advance(3)
    h100.set_activity(0, sm=0.6, tensor=0.0, dram=0.5)
    h100.advance(1)
    gpm.run("n.nvmlGpmSampleGet(g, b)")
    assert gpm("mean(a, b, 2, 5, 10)") == [[0, 30.0], [0, 7.5], [0, 50.0]]


def test_traffic_is_in_mebibytes_a_second(h100: FakeNvml, gpm: Client) -> None:
    h100.set_activity(0, pcie_tx=2**20, pcie_rx=2**21, nvlink_rx=2**30, nvlink_tx=2**31)
    gpm.run("n.nvmlGpmSampleGet(g, a)")
    h100.advance(1)
    gpm.run("n.nvmlGpmSampleGet(g, b)")
    assert gpm("mean(a, b, 20, 21, 60, 61)") == [[0, 1.0], [0, 2.0], [0, 1024.0], [0, 2048.0]]


def test_a_metric_that_the_board_lacks_fails_alone(h100: FakeNvml, gpm: Client) -> None:
    gpm.run("n.nvmlGpmSampleGet(g, a)")
    h100.advance(1)
    gpm.run("n.nvmlGpmSampleGet(g, b)")
    assert gpm("mean(a, b, 2, 100, 3)") == [[0, 0.0], [pynvml.NVML_ERROR_NOT_SUPPORTED, 0.0], [0, 0.0]]


def test_samples_closer_than_a_tenth_of_a_second_give_nothing_and_just_apart_they_do(
    h100: FakeNvml, gpm: Client
) -> None:
    gpm.run("n.nvmlGpmSampleGet(g, a)")
    h100.advance(0.099)
    gpm.run("n.nvmlGpmSampleGet(g, b)")
    assert gpm.code("mean(a, b, 2)") == pynvml.NVML_ERROR_INVALID_ARGUMENT
    h100.advance(0.001)
    gpm.run("n.nvmlGpmSampleGet(g, b)")
    assert gpm("mean(a, b, 2)") == [[0, 0.0]]


def test_samples_of_two_devices_or_empty_ones_do_not_mix(h100: FakeNvml, gpm: Client) -> None:
    h100.add_gpu(profiles.H100)
    gpm.run("n.nvmlGpmSampleGet(g, a)")
    assert gpm.code("mean(a, b, 2)") == pynvml.NVML_ERROR_INVALID_ARGUMENT
    h100.advance(1)
    gpm.run("n.nvmlGpmSampleGet(n.nvmlDeviceGetHandleByIndex(1), b)")
    assert gpm.code("mean(a, b, 2)") == pynvml.NVML_ERROR_INVALID_ARGUMENT


def test_another_version_word_is_refused(gpm: Client) -> None:
    assert gpm.code("mean(a, b, 2, version=2)") == pynvml.NVML_ERROR_ARGUMENT_VERSION_MISMATCH


def test_before_hopper_no_sample_can_be_taken(machine: StartMachine, client: StartClient) -> None:
    old = client(machine(profiles.A100))
    old.run("g = n.nvmlDeviceGetHandleByIndex(0)" + SAMPLES)
    assert old.code("n.nvmlGpmSampleGet(g, a)") == pynvml.NVML_ERROR_NOT_SUPPORTED


def test_each_mig_instance_has_its_own_mean_by_its_handle_or_by_its_parents(
    h100: FakeNvml, gpm: Client
) -> None:
    busy, idle = h100.set_mig_layout(0, ["3g.40gb", "1g.10gb"])
    h100.set_activity(0, gi=busy.gi, sm=0.8)
    gpm.run(
        "m = [n.nvmlDeviceGetMigDeviceHandleByIndex(g, i) for i in (0, 1)]\n"
        "c, d = n.nvmlGpmSampleAlloc(), n.nvmlGpmSampleAlloc()"
    )
    gpm.run(f"n.nvmlGpmSampleGet(m[0], a); n.nvmlGpmMigSampleGet(g, {idle.gi}, c)")
    h100.advance(5)
    gpm.run(f"n.nvmlGpmMigSampleGet(g, {busy.gi}, b); n.nvmlGpmSampleGet(m[1], d)")
    assert gpm("[mean(a, b, 2), mean(c, d, 2)]") == [[[0, 80.0]], [[0, 0.0]]]


def test_a_sample_from_before_a_reconfiguration_does_not_meet_one_from_after(
    h100: FakeNvml, gpm: Client
) -> None:
    h100.set_mig_layout(0, ["1g.10gb"])
    gpm.run("n.nvmlGpmSampleGet(n.nvmlDeviceGetMigDeviceHandleByIndex(g, 0), a)")
    h100.set_mig_layout(0, ["1g.10gb"])
    h100.advance(1)
    gpm.run("n.nvmlGpmSampleGet(n.nvmlDeviceGetMigDeviceHandleByIndex(g, 0), b)")
    assert gpm.code("mean(a, b, 2)") == pynvml.NVML_ERROR_INVALID_ARGUMENT


def test_an_instance_that_is_not_there_is_not_found(h100: FakeNvml, gpm: Client) -> None:
    h100.set_mig_layout(0, ["1g.10gb"])
    assert gpm.code("n.nvmlGpmMigSampleGet(g, 1, a)") == pynvml.NVML_ERROR_NOT_FOUND


def test_samples_not_given_back_are_counted(h100: FakeNvml, gpm: Client) -> None:
    assert h100.census().gpm_samples == 2
    gpm.run("n.nvmlGpmSampleFree(a)")
    assert h100.census().gpm_samples == 1
