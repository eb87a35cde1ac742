"""What a simulated GPU is made of: the boards that profiles may name, and the fields of one's own."""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import Field

from gpusteward.config.section import Section, Unit

if TYPE_CHECKING:
    from collections.abc import Mapping

MiB = Annotated[int, Field(gt=0), Unit("MiB")]
Megahertz = Annotated[int, Field(gt=0), Unit("MHz")]
Watts = Annotated[float, Field(gt=0), Unit("watts")]
ActivitySignal = Literal["sm", "engine", "utilization"]


class Hardware(Section):
    """A GPU board. Only needed for a model that is not bundled."""

    memory_mib: MiB = Field(description="All its memory in MiB, as nvidia-smi shows it.")
    reserved_mib: Annotated[int, Field(ge=0), Unit("MiB")] = Field(
        default=512, description="Part of the memory that the driver keeps, in MiB."
    )
    idle_watts: Watts = Field(description="Power in watts with nothing on it.")
    tdp_watts: Watts = Field(description="Power limit in watts.")
    activity: ActivitySignal = Field(
        description="Its best activity signal: `sm`, `engine` or `utilization`. It has those after it too."
    )
    sm_clock_mhz: Megahertz = Field(description="SM clock under load in MHz.")
    idle_sm_clock_mhz: Megahertz = Field(default=210, description="SM clock at rest in MHz.")
    memory_clock_mhz: Megahertz = Field(description="Memory clock under load in MHz.")
    idle_memory_clock_mhz: Megahertz = Field(default=405, description="Memory clock at rest in MHz.")
    hbm: bool = Field(
        default=False, description="HBM, with a temperature of its own. GDDR boards have no such sensor."
    )
    nvlink: bool = Field(default=False, description="Whether it has NVLink.")
    encoder: bool = Field(default=True, description="Whether it has a video encoder (NVENC).")
    row_remapping: bool = Field(default=True, description="Whether it counts remapped memory rows.")
    mig_slices: Annotated[int, Field(ge=0, le=7)] = Field(
        default=0, description="Compute slices that MIG can share out. 0: it cannot."
    )


def _hbm(
    memory_mib: int, reserved_mib: int, watts: tuple[float, float], clocks: tuple[int, int], idle_sm_mhz: int
) -> Hardware:
    """A board with HBM, NVLink and MIG, and without NVENC. Watts: idle, limit; MHz: SM, memory."""
    return Hardware(
        memory_mib=memory_mib,
        reserved_mib=reserved_mib,
        idle_watts=watts[0],
        tdp_watts=watts[1],
        activity="sm",
        sm_clock_mhz=clocks[0],
        idle_sm_clock_mhz=idle_sm_mhz,
        memory_clock_mhz=clocks[1],
        idle_memory_clock_mhz=clocks[1],  # HBM keeps its clock
        hbm=True,
        nvlink=True,
        encoder=False,
        mig_slices=7,
    )


def _gddr(
    memory_mib: int, watts: tuple[float, float], clocks: tuple[int, int], activity: ActivitySignal
) -> Hardware:
    """A board with GDDR memory and NVENC. Watts: idle, limit; MHz: SM, memory."""
    return Hardware(
        memory_mib=memory_mib,
        idle_watts=watts[0],
        tdp_watts=watts[1],
        activity=activity,
        sm_clock_mhz=clocks[0],
        memory_clock_mhz=clocks[1],
        row_remapping=activity == "sm",  # of the boards below: those of Ampere and later made for servers
    )


HARDWARE: Mapping[str, Hardware] = MappingProxyType(
    {
        "NVIDIA H100 80GB HBM3": _hbm(81_559, 551, (70.0, 700.0), (1980, 2619), 345),
        "NVIDIA H200": _hbm(143_771, 620, (76.0, 700.0), (1980, 3201), 345),
        "NVIDIA A100-SXM4-40GB": _hbm(40_960, 577, (52.0, 400.0), (1410, 1215), 210),
        "NVIDIA A100-SXM4-80GB": _hbm(81_920, 606, (60.0, 400.0), (1410, 1593), 210),
        "NVIDIA L4": _gddr(23_034, (16.0, 72.0), (2040, 6251), "sm"),
        "NVIDIA L40S": _gddr(46_068, (35.0, 350.0), (2520, 9001), "sm"),
        "NVIDIA A10G": _gddr(23_028, (18.0, 300.0), (1710, 6251), "sm"),
        "NVIDIA RTX A6000": _gddr(49_140, (21.0, 300.0), (1800, 8001), "sm"),
        "Tesla T4": _gddr(15_360, (11.0, 70.0), (1590, 5001), "engine"),
        "NVIDIA GeForce RTX 4090": _gddr(24_564, (22.0, 450.0), (2520, 10_501), "utilization"),
    }
)
"""Boards by NVML's spelling of the model.

Power limits are the vendor's TDP; memory is what nvidia-smi shows; idle watts of L4, L40S and H100 are near
those of recorded dcgm-exporter pages (cncf/k8s-ai-conformance, NVIDIA/aicr), the others and the clocks are
typical values. `activity` is what DCGM profiling gives; GeForce boards have none of it.
"""
