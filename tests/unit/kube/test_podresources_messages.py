"""The kubelet's messages: recorded replies decode as recorded, and the Python is what the proto makes."""

from __future__ import annotations

import base64
import json
from typing import TYPE_CHECKING

import pytest
from google.protobuf.json_format import MessageToDict

from gpusteward.clock import Moment
from gpusteward.kube.podresources.answers import GpuResources, devices
from gpusteward.kube.podresources.api_pb2 import AllocatableResourcesResponse, ListPodResourcesResponse
from gpusteward.model import HeldDevice, Holder
from tests.fake_kubelet import RECORDINGS, listing, offering, recorded, recorded_allocatable, recorded_list
from tests.generate_podresources import EXPORTER, MADE, generate

if TYPE_CHECKING:
    from pathlib import Path

AT = Moment(1_800_000_000.0, 1_000.0)
ANSWERED = [
    path.stem
    for path in sorted(RECORDINGS.glob("*.json"))
    if "response_base64" in json.loads(path.read_text()) and not path.stem.startswith("11-")
]


def without_unread(value: object) -> object:
    """A recorded reply without the fields of other versions that are not read here."""
    if isinstance(value, dict):
        return {
            key: without_unread(inner) for key, inner in value.items() if key not in {"cpu_ids", "memory"}
        }
    return [without_unread(inner) for inner in value] if isinstance(value, list) else value


def test_the_python_of_the_messages_is_what_the_proto_makes(tmp_path: Path) -> None:
    generate(tmp_path)
    for made in MADE:
        assert (tmp_path / made).read_text() == (EXPORTER / made).read_text(), (
            f"{made}: run python -m tests.generate_podresources"
        )


@pytest.mark.parametrize("name", ANSWERED)
def test_a_recorded_reply_decodes_as_recorded(name: str) -> None:
    raw, expected = recorded(name)
    kind = AllocatableResourcesResponse if name.endswith(".allocatable") else ListPodResourcesResponse
    decoded = MessageToDict(kind.FromString(raw), preserving_proto_field_name=True)
    assert decoded == without_unread(expected)


def test_the_recordings_hold_lists_and_allocatables() -> None:
    assert sum(name.endswith(".list") for name in ANSWERED) >= 15
    assert sum(name.endswith(".allocatable") for name in ANSWERED) >= 6


def test_a_restarting_kubelet_decodes_as_recorded() -> None:
    events = json.loads((RECORDINGS / "12-kubelet-restart.timeline.json").read_text())["events"]
    empty, full = (
        ListPodResourcesResponse.FromString(base64.b64decode(event["list_base64"])) for event in events
    )
    assert not empty.pod_resources
    assert [pod.name for pod in full.pod_resources] == ["one-gpu"]


def test_each_device_of_a_container_is_one_held_device() -> None:
    answer = devices(recorded_list("03-four-gpus"), None, GpuResources(), AT)
    four = [held for held in answer.held if held.holder.pod == "four-gpus"]
    assert len({held.device_id for held in four}) == 4
    assert {held.holder for held in four} == {Holder("ml", "four-gpus", "trainer")}
    assert answer.advertised is None


def test_seats_on_offer_are_counted_from_the_recorded_reply() -> None:
    answer = devices(
        recorded_list("40-timeslicing"), recorded_allocatable("40-timeslicing"), GpuResources(), AT
    )
    assert answer.advertised is not None
    assert len(answer.advertised) == 32
    assert {held.device_id.partition("::")[1] for held in answer.held} == {"::"}


@pytest.mark.parametrize(
    ("resource", "known"),
    [
        ("nvidia.com/gpu", True),
        ("nvidia.com/gpu.shared", True),
        ("nvidia.com/mig-1g.10gb", True),
        ("nvidia.com/mig-1g.5gb.me", True),
        ("nvidia.com/gpu.count", False),
        ("amd.com/gpu", False),
        ("rdma/hca", False),
        ("example.com/a100-big", False),
    ],
)
def test_only_resources_of_nvidias_plugin_are_gpus(resource: str, known: bool) -> None:
    answer = devices(
        listing(("ml", "a", "main", "x"), resource=resource),
        offering("x", resource=resource),
        GpuResources(),
        AT,
    )
    assert bool(answer.held) is bool(answer.advertised) is known


def test_a_renamed_resource_is_a_gpu_where_the_config_says_so() -> None:
    listed = listing(("ml", "a", "main", "GPU-x"), resource="example.com/a100-big")
    answer = devices(listed, None, GpuResources(("example.com/a100-*",)), AT)
    assert answer.held == (HeldDevice("GPU-x", Holder("ml", "a", "main")),)


@pytest.mark.parametrize(("driver", "claimed"), [("gpu.nvidia.com", True), ("dra.net", False)])
def test_a_claim_of_a_gpu_is_noticed_and_one_of_anything_else_is_not(driver: str, claimed: bool) -> None:
    listed = ListPodResourcesResponse()
    container = listed.pod_resources.add(name="a", namespace="ml").containers.add(name="main")
    container.dynamic_resources.add(claim_name="c").claim_resources.add(driver_name=driver)
    assert devices(listed, None, GpuResources(), AT).claimed is claimed
