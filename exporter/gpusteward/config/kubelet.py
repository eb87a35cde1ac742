"""How the kubelet is asked who holds the GPUs."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from gpusteward.config.section import Section, Unit


class KubeletSettings(Section):
    """The kubelet of this node, asked which pod holds which GPU. Read once, at the start."""

    enabled: Literal["auto", "always", "never"] = Field(
        default="auto",
        description="`always`: holders are what the kubelet says, unknown while it does not answer. "
        "`never`: it is not asked. `auto`: asked in a pod; until its socket was seen once, the source's "
        "own word on holders stands.",
    )
    socket: str = Field(
        default="/var/lib/kubelet/pod-resources/kubelet.sock",
        description="Its pod-resources socket. It follows the kubelet's --root-dir, and is root's alone.",
    )
    resources: tuple[str, ...] = Field(
        default=(),
        description="Further resource names that are GPUs, shell patterns: those that the device plugin was "
        "told to rename. `nvidia.com/gpu`, `nvidia.com/gpu.shared` and `nvidia.com/mig-*` are known.",
        examples=["example.com/a100-*"],
    )
    interval_seconds: Annotated[float, Field(ge=1, le=30), Unit("seconds")] = Field(
        default=10.0,
        description="Seconds between two questions. Its answer is used for 60 s, then holders are unknown.",
    )
