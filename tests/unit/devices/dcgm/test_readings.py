from __future__ import annotations

from fractions import Fraction
from typing import Literal

import pytest

from gpusteward.clock import Moment
from gpusteward.devices.dcgm_readings import Reader
from gpusteward.errors import SourceError
from gpusteward.model import Allocation, GpuReading, Holder, Readings, Signal

AT = Moment(1_800_000_000.0, 1_000.0)


def row(value: float, name: str = "DEV_GPU_TEMP", uuid: str = "GPU-1", **labels: str) -> str:
    shown = "".join(f',{label}="{text}"' for label, text in labels.items())
    return f'DCGM_FI_{name}{{UUID="{uuid}"{shown}}} {value}'


def read(*lines: str, holder_labels: Literal["auto", "always", "never"] = "auto") -> Readings:
    return Reader("fallback", holder_labels).read("\n".join(lines), AT)


def only_gpu(*lines: str, holder_labels: Literal["auto", "always", "never"] = "auto") -> GpuReading:
    (node,) = read(*lines, holder_labels=holder_labels).nodes
    (gpu,) = node.gpus
    return gpu


def test_readings_say_when_and_from_which_source() -> None:
    readings = read(row(40))
    assert (readings.at, readings.source) == (AT, "dcgm")


# Identity


@pytest.mark.parametrize("label", ["Hostname", "hostname"])
def test_the_node_is_the_host_label_in_either_spelling(label: str) -> None:
    assert [node.node for node in read(row(40, **{label: "a"})).nodes] == ["a"]


def test_without_a_host_label_the_configured_name_is_the_node() -> None:
    assert [node.node for node in read(row(40, Hostname="")).nodes] == ["fallback"]


def test_several_hosts_are_several_nodes_in_the_order_of_their_names() -> None:
    nodes = read(row(40, uuid="GPU-2", Hostname="b"), row(41, Hostname="a")).nodes
    assert [(node.node, [gpu.uuid for gpu in node.gpus]) for node in nodes] == [
        ("a", ["GPU-1"]),
        ("b", ["GPU-2"]),
    ]


@pytest.mark.parametrize("label", ["UUID", "uuid", "gpu_uuid"])
def test_a_gpu_is_known_by_its_uuid_in_any_spelling(label: str) -> None:
    assert only_gpu(f'DCGM_FI_DEV_GPU_TEMP{{{label}="GPU-7"}} 40').uuid == "GPU-7"


def test_gpus_are_in_the_order_of_their_index_and_those_without_come_last() -> None:
    indexes = ["10", "", "2", "x", "1" * 5000]
    (node,) = read(*(row(40, uuid=f"GPU-{n}", gpu=index) for n, index in enumerate(indexes))).nodes
    assert [gpu.uuid for gpu in node.gpus] == ["GPU-2", "GPU-0", "GPU-1", "GPU-3", "GPU-4"]


@pytest.mark.parametrize("model", ["modelName", "model_name"])
@pytest.mark.parametrize("driver", ["DCGM_FI_DRIVER_VERSION", "DCGM_FI_SYSTEM_DRIVER_VERSION"])
def test_model_driver_and_bus_id_are_kept_as_spelled(model: str, driver: str) -> None:
    gpu = only_gpu(row(40, pci_bus_id="00000000:53:00.0", **{model: "NVIDIA A16-2Q", driver: "580.105.08"}))
    assert (gpu.model, gpu.driver_version, gpu.pci_bus_id) == (
        "NVIDIA A16-2Q",
        "580.105.08",
        "00000000:53:00.0",
    )


def test_identity_that_only_some_rows_carry_is_taken_from_them() -> None:
    assert (
        only_gpu(row(40, name="DEV_MEMORY_TEMP"), row(40, modelName="NVIDIA L4", gpu="0")).model
        == "NVIDIA L4"
    )


@pytest.mark.parametrize("label", ["nvswitch", "nvlink", "cpu", "cpucore"])
def test_rows_of_other_entities_are_no_gpus(label: str) -> None:
    readings = read(row(40), row(50, uuid="GPU-9", **{label: "0"}))
    assert [gpu.uuid for gpu in readings.nodes[0].gpus] == ["GPU-1"]
    assert readings.skipped == {"other_entity": 1}


# Values


def test_a_gpu_whose_fields_are_all_unknown_is_seen_without_signals() -> None:
    readings = read(row(40, name="DEV_GPU_TEMP_KELVIN"))
    assert readings.nodes[0].gpus[0].signals == {}
    assert readings.skipped == {"unknown_field": 1}


def test_rows_that_the_exporter_makes_itself_identify_a_gpu_and_are_not_read() -> None:
    readings = read('DCGM_EXP_XID_ERRORS_COUNT{UUID="GPU-1",xid="79"} 2')
    assert (readings.nodes[0].gpus[0].signals, readings.skipped) == ({}, {})


def test_rows_of_other_programs_are_passed_over() -> None:
    assert read(row(40), "go_goroutines 9", 'process_cpu{UUID="GPU-8"} 1').skipped == {}


def test_what_was_left_out_is_counted_by_reason() -> None:
    readings = read(
        row(40),
        "}{ broken",
        "DCGM_FI_DEV_GPU_TEMP 40",
        row(0, name="DEV_MEMORY_TEMP"),
        row(2147483632, name="DEV_POWER_USAGE"),
        row(float("nan"), name="DEV_FB_USED"),
        row(150, name="DEV_GPU_UTIL"),
    )
    assert readings.skipped == {
        "syntax": 1,
        "no_uuid": 1,
        "no_sensor": 1,
        "blank": 1,
        "not_finite": 1,
        "out_of_range": 1,
    }
    assert readings.nodes[0].gpus[0].signals == {Signal.TEMPERATURE: 40}


def test_of_rows_repeated_for_one_gpu_the_greatest_counts() -> None:
    gpu = only_gpu(*(row(value, name="DEV_FB_USED", vgpu=str(n)) for n, value in enumerate([5, 7, 6])))
    assert gpu.signals == {Signal.MEMORY_USED: 7 * 1024 * 1024}


@pytest.mark.parametrize(
    ("preferred", "other"),
    [
        ("DEV_ENFORCED_POWER_LIMIT", "DEV_POWER_MGMT_LIMIT"),
        ("DEV_POWER_USAGE", "DEV_POWER_USAGE_INSTANT"),
        ("DEV_ECC_DBE_VOL_TOTAL", "DEV_ECC_DBE_AGG_TOTAL"),
    ],
)
def test_of_two_fields_for_one_signal_the_preferred_counts_even_when_it_is_less(
    preferred: str, other: str
) -> None:
    for lines in ([row(1, name=preferred), row(9, name=other)], [row(9, name=other), row(1, name=preferred)]):
        assert list(only_gpu(*lines).signals.values()) == [1]
    assert list(only_gpu(row(9, name=other)).signals.values()) == [9]


def test_jpeg_activity_is_that_of_the_busiest_engine() -> None:
    gpu = only_gpu(row(0.25, name="PROF_NVJPG0_ACTIVE"), row(0.75, name="PROF_NVJPG5_ACTIVE"))
    assert gpu.signals == {Signal.JPEG_UTILIZATION: 0.75}


MIB = 1024 * 1024
PARTS = ["DEV_FB_FREE", "DEV_FB_USED", "DEV_FB_RESERVED"]


def test_total_memory_is_the_sum_of_its_three_parts() -> None:
    gpu = only_gpu(*(row(n, name=part) for n, part in zip([100, 20, 3], PARTS, strict=True)))
    assert gpu.signals[Signal.MEMORY_TOTAL] == 123 * MIB


@pytest.mark.parametrize("missing", PARTS)
def test_total_memory_is_unknown_while_a_part_is(missing: str) -> None:
    gpu = only_gpu(*(row(100, name=part) for part in PARTS if part != missing))
    assert Signal.MEMORY_TOTAL not in gpu.signals


def test_a_stated_total_is_not_overwritten_by_the_sum() -> None:
    gpu = only_gpu(*(row(100, name=part) for part in PARTS), row(310, name="DEV_FB_TOTAL"))
    assert gpu.signals[Signal.MEMORY_TOTAL] == 310 * MIB


# MIG


def test_board_values_on_an_instances_row_are_the_parents() -> None:
    gpu = only_gpu(
        row(40, GPU_I_ID="9", GPU_I_PROFILE="1g.10gb"),
        row(0.5, name="PROF_SM_ACTIVE", GPU_I_ID="9", GPU_I_PROFILE="1g.10gb"),
    )
    (instance,) = gpu.instances
    assert (gpu.mig, gpu.signals) == (True, {Signal.TEMPERATURE: 40})
    assert (instance.gi, instance.profile, instance.mig_uuid) == ("9", "1g.10gb", "")
    assert instance.signals == {Signal.SM_ACTIVE: 0.5}


def test_instances_are_in_the_order_of_their_number() -> None:
    gpu = only_gpu(*(row(0, name="PROF_SM_ACTIVE", GPU_I_ID=gi) for gi in ("10", "9", "1")))
    assert [instance.gi for instance in gpu.instances] == ["1", "9", "10"]


def test_an_empty_instance_label_is_a_whole_gpu() -> None:
    gpu = only_gpu(row(0.5, name="PROF_SM_ACTIVE", GPU_I_ID="", GPU_I_PROFILE=""))
    assert (gpu.mig, gpu.instances, gpu.signals) == (False, (), {Signal.SM_ACTIVE: 0.5})


def test_one_gpu_may_be_cut_and_its_neighbour_whole() -> None:
    (node,) = read(
        row(0.5, name="PROF_SM_ACTIVE", GPU_I_ID="1", pod="p"),
        row(0.25, name="PROF_SM_ACTIVE", uuid="GPU-2"),
    ).nodes
    cut, whole = node.gpus
    assert (cut.mig, cut.allocations, whole.mig, whole.allocations) == (True, None, False, ())


# Holders

POD = Allocation(Holder("ns", "p", "c"))


@pytest.mark.parametrize(
    "labels",
    [
        {"namespace": "ns", "pod": "p", "container": "c"},
        {"exported_namespace": "ns", "exported_pod": "p", "exported_container": "c"},
        {"pod_namespace": "ns", "pod_name": "p", "container_name": "c"},
        {
            "exported_namespace": "ns",
            "exported_pod": "p",
            "exported_container": "c",
            "namespace": "monitoring",
            "pod": "dcgm-exporter-abcde",
            "container": "exporter",
        },
    ],
    ids=["bare", "exported", "old namespace", "exported beside the target's"],
)
def test_a_holder_is_read_in_every_spelling(labels: dict[str, str]) -> None:
    assert only_gpu(row(40, **labels)).allocations == (POD,)


def test_a_holder_may_lack_namespace_and_container() -> None:
    assert only_gpu(row(40, pod="p")).allocations == (Allocation(Holder("", "p", "")),)


def test_on_a_page_with_exported_labels_bare_ones_name_the_scrape_target_on_every_row() -> None:
    (node,) = read(
        row(40, exported_pod="p", pod="dcgm-exporter-abcde"),
        row(40, uuid="GPU-2", pod="dcgm-exporter-abcde"),
    ).nodes
    assert [gpu.allocations for gpu in node.gpus] == [(Allocation(Holder("", "p", "")),), ()]


def test_on_a_scraped_page_without_a_held_gpu_allocation_is_unknown() -> None:
    gpu = only_gpu(row(40, job="dcgm", instance="10.0.0.9:9400", pod="dcgm-exporter-abcde"))
    assert gpu.allocations is None


def test_a_pod_label_called_job_alone_does_not_make_a_page_a_scraped_one() -> None:
    assert only_gpu(row(40, job="nightly", pod="p")).allocations == (Allocation(Holder("", "p", "")),)


def test_a_holder_on_any_row_counts_for_the_whole_gpu() -> None:
    assert only_gpu(
        row(40), row(9, name="DEV_POWER_USAGE", namespace="ns", pod="p", container="c")
    ).allocations == (POD,)


def test_holders_are_counted_once_however_many_rows_they_have() -> None:
    gpu = only_gpu(*(row(40, pod=pod, vgpu=str(n)) for n, pod in enumerate("aabac")))
    assert [(a.holder.pod, a.share) for a in gpu.allocations or ()] == [
        ("a", Fraction(1, 3)),
        ("b", Fraction(1, 3)),
        ("c", Fraction(1, 3)),
    ]
    assert gpu.sharing == "vgpu"


def test_two_holders_without_replica_numbers_share_too_and_how_is_unknown() -> None:
    gpu = only_gpu(row(40, pod="a"), row(50, pod="b"))
    assert [a.share for a in gpu.allocations or ()] == [Fraction(1, 2)] * 2
    assert gpu.sharing == ""


def test_holders_of_a_shared_instance_share_that_instance() -> None:
    gpu = only_gpu(*(row(0, name="PROF_SM_ACTIVE", GPU_I_ID="1", pod=pod, vgpu="0") for pod in "ab"))
    assert [a.share for a in gpu.instances[0].allocations or ()] == [Fraction(1, 2)] * 2
    assert (gpu.sharing, gpu.allocations) == ("vgpu", None)


@pytest.mark.parametrize(
    ("setting", "page", "held", "other"),
    [
        ("auto", "with", (Allocation(Holder("", "p", "")),), ()),
        ("auto", "without", None, None),
        ("always", "with", (Allocation(Holder("", "p", "")),), ()),
        ("always", "without", (), ()),
        ("never", "with", None, None),
        ("never", "without", None, None),
    ],
)
def test_absence_of_holder_labels_means_what_the_setting_says(
    setting: Literal["auto", "always", "never"],
    page: str,
    held: tuple[Allocation, ...] | None,
    other: tuple[Allocation, ...] | None,
) -> None:
    pod = "p" if page == "with" else ""
    (node,) = read(row(40, pod=pod), row(40, uuid="GPU-2"), holder_labels=setting).nodes
    assert [gpu.allocations for gpu in node.gpus] == [held, other]


# Pages that are none


@pytest.mark.parametrize(
    "page", ["", "\n\n", "# HELP DCGM_FI_DEV_GPU_TEMP t\n# TYPE DCGM_FI_DEV_GPU_TEMP gauge\n"]
)
def test_an_empty_page_is_no_reading_of_nothing(page: str) -> None:
    with pytest.raises(SourceError, match="the page is empty") as caught:
        read(page)
    assert caught.value.reason == "empty"
    assert "reloads" in caught.value.hint


@pytest.mark.parametrize(
    ("page", "message"),
    [
        ("<!doctype html><title>Sign in</title>", "the page is HTML"),
        ("go_goroutines 9", "the page has no DCGM_ metric"),
        ("dcgm_gpu_temp{uuid='GPU-1'} 4", "the page has no DCGM_ metric"),
        ('{"error": 1}', "the page has no DCGM_ metric"),
    ],
)
def test_another_page_is_told_apart(page: str, message: str) -> None:
    with pytest.raises(SourceError, match=message) as caught:
        read(page)
    assert caught.value.reason == "not_dcgm"
    assert "/metrics" in caught.value.hint


def test_a_page_of_switches_only_has_no_gpus() -> None:
    with pytest.raises(SourceError, match="2 DCGM rows and none of a GPU") as caught:
        read(row(1, nvswitch="0"), "DCGM_FI_DEV_COUNT 0")
    assert caught.value.reason == "no_gpus"


def test_a_stated_node_name_wins_over_the_one_host_of_a_page_and_not_over_several() -> None:
    one = 'DCGM_FI_DEV_GPU_TEMP{gpu="0",UUID="GPU-a",Hostname="dcgm-exporter-x7k2p"} 30\n'
    two = one + 'DCGM_FI_DEV_GPU_TEMP{gpu="0",UUID="GPU-b",Hostname="n2"} 30\n'
    at = Moment(0.0, 0.0)
    assert [n.node for n in Reader("n1", certain=True).read(one, at).nodes] == ["n1"]
    assert [n.node for n in Reader("n1").read(one, at).nodes] == ["dcgm-exporter-x7k2p"]
    assert [n.node for n in Reader("n1", certain=True).read(two, at).nodes] == ["dcgm-exporter-x7k2p", "n2"]
