"""The kubelet's two answers as this agent's types: GPUs only."""

from __future__ import annotations

from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Final

from gpusteward.model import HeldDevice, Holder, KubeletDevices

if TYPE_CHECKING:
    from collections.abc import Sequence

    from gpusteward.clock import Moment
    from gpusteward.kube.podresources.api_pb2 import AllocatableResourcesResponse, ListPodResourcesResponse

KNOWN: Final = ("nvidia.com/gpu", "nvidia.com/gpu.shared", "nvidia.com/mig-*")
"""Resources of NVIDIA's device plugin, which GKE's spells alike; renamed ones are configured."""

CLAIMED_FROM: Final = "gpu.nvidia.com"
"""The driver of NVIDIA's dynamic resource allocation."""


@dataclass(frozen=True, slots=True)
class GpuResources:
    """Which resources are GPUs.

    Attributes:
        renamed: further resource names, shell patterns, beside KNOWN.
    """

    renamed: Sequence[str] = ()

    def has(self, name: str) -> bool:
        """Whether a resource of this name is a GPU or a part of one."""
        return any(fnmatchcase(name, pattern) for pattern in (*KNOWN, *self.renamed))


def devices(
    listed: ListPodResourcesResponse,
    allocatable: AllocatableResourcesResponse | None,
    resources: GpuResources,
    at: Moment,
) -> KubeletDevices:
    """Who holds which GPU ids, and which ids there are.

    Args:
        listed: answer of List.
        allocatable: answer of GetAllocatableResources; None when there was none.
        resources: which of them are GPUs.
        at: when they were given.
    """
    containers = [
        (Holder(pod.namespace, pod.name, container.name), container)
        for pod in listed.pod_resources
        for container in pod.containers
    ]
    held = {
        HeldDevice(device_id, holder)
        for holder, container in containers
        for device in container.devices
        if resources.has(device.resource_name)
        for device_id in device.device_ids
    }
    return KubeletDevices(
        at=at,
        held=tuple(sorted(held)),
        advertised=None if allocatable is None else _ids(allocatable, resources),
        claimed=any(
            claimed.driver_name == CLAIMED_FROM
            for _, container in containers
            for claim in container.dynamic_resources
            for claimed in claim.claim_resources
        ),
    )


def _ids(allocatable: AllocatableResourcesResponse, resources: GpuResources) -> frozenset[str]:
    return frozenset(
        device_id
        for device in allocatable.devices
        if resources.has(device.resource_name)
        for device_id in device.device_ids
    )
