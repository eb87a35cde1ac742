"""The boards that tests put into the fake driver, idle and loaded.

Memory is what `nvidia-smi` prints for each (MiB), limits and clocks are the data sheets'; MIG tables follow
the project's survey of nvidia-smi listings (`mig_profiles.csv`); what that leaves blank is marked as assumed.
"""

from __future__ import annotations

import uuid
from dataclasses import dataclass, field
from typing import Final

from tests.nvml.machine import Gpu, MigProfile, Rate

TURING, AMPERE, ADA, HOPPER, BLACKWELL = 6, 7, 8, 9, 10  # NVML_DEVICE_ARCH_*
MIB: Final = 1 << 20

# shape: NVML's enumerator, profile id, compute slices, memory slices, starts, most instances
_SHAPES: Final = {
    "1g": (0, 19, 1, 1, (0, 1, 2, 3, 4, 5, 6), 7),
    "1g+me": (7, 20, 1, 1, (0, 1, 2, 3, 4, 5, 6), 1),
    "1g-double": (9, 15, 1, 2, (0, 2, 4, 6), 4),
    "2g": (1, 14, 2, 2, (0, 2, 4), 3),
    "3g": (2, 9, 3, 4, (0, 4), 2),
    "4g": (3, 5, 4, 4, (0,), 1),
    "7g": (4, 0, 7, 8, (0,), 1),
}


def _table(*rows: tuple[str, str, int, float, int, int, int]) -> tuple[MigProfile, ...]:
    """Rows are shape, name, SMs, usable GiB, decoders, JPEG engines, OFA engines."""
    profiles = []
    for shape, name, sm, gib, decoders, jpegs, ofas in rows:
        index, ident, compute, size, starts, most = _SHAPES[shape]
        mib = int(gib * 1024)
        profiles.append(
            MigProfile(name, index, ident, compute, size, starts, most, sm, mib, decoders, jpegs, ofas)
        )
    return tuple(profiles)


_A100_40GB: Final = _table(
    ("1g", "1g.5gb", 14, 4.75, 0, 0, 0),
    ("1g+me", "1g.5gb+me", 14, 4.75, 1, 1, 1),
    ("1g-double", "1g.10gb", 14, 9.62, 1, 0, 0),
    ("2g", "2g.10gb", 28, 9.75, 1, 0, 0),
    ("3g", "3g.20gb", 42, 19.62, 2, 0, 0),
    ("4g", "4g.20gb", 56, 19.62, 2, 0, 0),
    ("7g", "7g.40gb", 98, 39.5, 5, 1, 1),
)
_A100_80GB: Final = _table(
    ("1g", "1g.10gb", 14, 9.75, 0, 0, 0),
    ("1g+me", "1g.10gb+me", 14, 9.75, 1, 1, 1),
    ("1g-double", "1g.20gb", 14, 19.5, 1, 0, 0),
    ("2g", "2g.20gb", 28, 19.5, 1, 0, 0),
    ("3g", "3g.40gb", 42, 39.25, 2, 0, 0),
    ("4g", "4g.40gb", 56, 39.25, 2, 0, 0),
    ("7g", "7g.80gb", 98, 78.5, 5, 1, 1),
)
_H100_80GB: Final = _table(
    ("1g", "1g.10gb", 16, 9.75, 1, 1, 0),
    ("1g+me", "1g.10gb+me", 16, 9.75, 1, 1, 1),
    ("1g-double", "1g.20gb", 26, 19.62, 1, 1, 0),
    ("2g", "2g.20gb", 32, 19.62, 2, 2, 0),
    ("3g", "3g.40gb", 60, 39.5, 3, 3, 0),
    ("4g", "4g.40gb", 64, 39.5, 4, 4, 0),
    ("7g", "7g.80gb", 132, 79.25, 7, 7, 1),  # usable memory assumed
)
_H200_141GB: Final = _table(
    ("1g", "1g.18gb", 16, 16.0, 1, 1, 0),
    ("1g+me", "1g.18gb+me", 16, 16.0, 1, 1, 1),
    ("1g-double", "1g.35gb", 26, 32.25, 1, 1, 0),
    ("2g", "2g.35gb", 32, 32.25, 2, 2, 0),
    ("3g", "3g.71gb", 60, 69.5, 3, 3, 0),
    ("4g", "4g.71gb", 64, 69.5, 4, 4, 0),
    ("7g", "7g.141gb", 132, 139.75, 7, 7, 1),
)
_B200_180GB: Final = _table(
    ("1g", "1g.23gb", 18, 20.5, 1, 1, 0),
    ("1g+me", "1g.23gb+me", 18, 20.5, 1, 1, 1),
    ("1g-double", "1g.45gb", 30, 44.25, 1, 1, 0),
    ("2g", "2g.45gb", 36, 44.25, 2, 2, 0),
    ("3g", "3g.90gb", 70, 88.5, 3, 2, 0),  # SMs and memory of 3g, 4g and 7g assumed
    ("4g", "4g.90gb", 72, 88.5, 4, 4, 0),
    ("7g", "7g.180gb", 148, 177.5, 7, 4, 1),
)


@dataclass(frozen=True, slots=True)
class Board:
    """A model of GPU. Memory in MiB, power in watts, clocks in MHz (SM, memory)."""

    name: str
    architecture: int
    capability: tuple[int, int]
    device_id: int
    cores: int
    memory_mib: int
    tdp: int
    idle_watts: int
    clocks: tuple[int, int]
    nvlinks: tuple[int, int] | None = None  # how many, NVML_NVLINK_VERSION_*
    stacked_memory: bool = True  # HBM tells its temperature and remaps rows; GDDR tells 0
    pcie: tuple[int, int] = (4, 16)  # generation, width
    engines: frozenset[str] = frozenset({"encoder", "decoder", "jpeg", "ofa"})
    mig: tuple[MigProfile, ...] = field(default=(), repr=False)


T4: Final = Board(
    "Tesla T4", TURING, (7, 5), 0x1EB810DE, 2560, 15360, 70, 10, (1590, 5001),
    stacked_memory=False, pcie=(3, 16), engines=frozenset({"encoder", "decoder"}),
)  # fmt: skip
A10G: Final = Board(
    "NVIDIA A10G", AMPERE, (8, 6), 0x223710DE, 10240, 23028, 300, 16, (1710, 6251), stacked_memory=False
)
L4: Final = Board(
    "NVIDIA L4", ADA, (8, 9), 0x27B810DE, 7424, 23034, 72, 16, (2040, 6251), stacked_memory=False
)
L40S: Final = Board(
    "NVIDIA L40S", ADA, (8, 9), 0x26B910DE, 18176, 46068, 350, 35, (2520, 9001), stacked_memory=False
)
A100_40GB: Final = Board(
    "NVIDIA A100-SXM4-40GB",
    AMPERE,
    (8, 0),
    0x20B010DE,
    6912,
    40960,
    400,
    55,
    (1410, 1215),
    (12, 4),
    mig=_A100_40GB,
)
A100: Final = Board(
    "NVIDIA A100-SXM4-80GB",
    AMPERE,
    (8, 0),
    0x20B210DE,
    6912,
    81920,
    400,
    60,
    (1410, 1593),
    (12, 4),
    mig=_A100_80GB,
)
H100: Final = Board(
    "NVIDIA H100 80GB HBM3", HOPPER, (9, 0), 0x233010DE, 16896, 81559, 700, 72, (1980, 2619), (18, 6),
    pcie=(5, 16), mig=_H100_80GB,
)  # fmt: skip
H200: Final = Board(
    "NVIDIA H200", HOPPER, (9, 0), 0x233510DE, 16896, 143771, 700, 77, (1980, 3201), (18, 6),
    pcie=(5, 16), mig=_H200_141GB,
)  # fmt: skip
B200: Final = Board(
    "NVIDIA B200", BLACKWELL, (10, 0), 0x290110DE, 18944, 183359, 1000, 145, (1965, 3996), (18, 7),
    pcie=(5, 16), mig=_B200_180GB,
)  # fmt: skip
BOARDS: Final = (T4, A10G, L4, L40S, A100_40GB, A100, H100, H200, B200)

IDLE: Final[dict[str, float]] = {
    "gpu": 0.0, "memory": 0.0, "encoder": 0.0, "decoder": 0.0, "jpeg": 0.0, "ofa": 0.0,
    "graphics": 0.0, "sm": 0.0, "occupancy": 0.0, "integer": 0.0, "tensor": 0.0, "tensor_hmma": 0.0,
    "dram": 0.0, "fp64": 0.0, "fp32": 0.0, "fp16": 0.0, "pcie_tx": 0.0, "pcie_rx": 0.0,
    "nvlink_tx": 0.0, "nvlink_rx": 0.0, "throttle_power": 0.0, "throttle_thermal": 0.0,
    "throttle_sync_boost": 0.0, "throttle_board_limit": 0.0, "throttle_low_utilization": 0.0,
    "throttle_reliability": 0.0, "throttle_app_clocks": 0.0, "throttle_base_clocks": 0.0,
}  # fmt: skip
"""Levels of c/state.h's channels, but power: ratios 0 to 1, transfer in bytes a second."""

LOADED: Final = IDLE | {
    "gpu": 0.97, "memory": 0.6, "graphics": 0.96, "sm": 0.85, "occupancy": 0.45, "integer": 0.1,
    "tensor": 0.4, "tensor_hmma": 0.4, "dram": 0.5, "fp32": 0.2, "fp16": 0.1, "pcie_tx": 1.5e9,
    "pcie_rx": 3e9, "nvlink_tx": 20e9, "nvlink_rx": 20e9, "throttle_power": 0.25,
}  # fmt: skip
LOADED_POWER: Final = 0.85
"""Share of the limit that a loaded board draws."""


def install(board: Board, position: int, now_ns: int, *, loaded: bool = False) -> Gpu:
    """Makes the board at `position` of a machine; its identity follows from model and position alone."""
    seed = uuid.uuid5(uuid.NAMESPACE_OID, f"{board.name} {position}")
    levels = dict(LOADED if loaded else IDLE)
    levels["power"] = board.tdp * LOADED_POWER if loaded else float(board.idle_watts)
    for engine in {"encoder", "decoder", "jpeg", "ofa"} - board.engines:
        del levels[engine]
    if board.nvlinks is None:
        del levels["nvlink_tx"], levels["nvlink_rx"]
    return Gpu(
        uuid=f"GPU-{seed}",
        name=board.name,
        serial=f"{1320000000000 + position}",
        bus_id=f"{0:08X}:{0x10 + position:02X}:00.0",
        vbios="96.00.74.00.01",
        numbers=_identity(board, position) | _readings(board, loaded=loaded) | _health(board),
        rates={name: Rate(value, now_ns, value) for name, value in levels.items()},
        profiles=board.mig,
    )


def _identity(board: Board, position: int) -> dict[str, int]:
    major, minor = board.capability
    numbers = {
        "minor": position, "architecture": board.architecture, "cc_major": major, "cc_minor": minor,
        "cores": board.cores, "brand": 14, "device_id": board.device_id, "subsystem_id": 0x16C110DE,
        "power_limit": board.tdp * 1000, "power_enforced": board.tdp * 1000,
        "power_default_limit": board.tdp * 1000, "power_max_limit": board.tdp * 1000,
        "power_min_limit": board.tdp * 400, "max_clock_graphics": board.clocks[0],
        "max_clock_sm": board.clocks[0], "max_clock_memory": board.clocks[1], "max_clock_video": 1500,
        "threshold_shutdown": 95, "threshold_slowdown": 90, "threshold_gpu": 87,
        "pcie_max_generation": board.pcie[0], "pcie_max_width": board.pcie[1],
        "pcie_generation": board.pcie[0], "pcie_width": board.pcie[1],
        "persistence": 1, "compute_mode": 0, "accounting": 0, "vgpu_mode": 0,
        "gpm": int(board.architecture >= HOPPER), "event_types": 0x8 | (0x100 if board.mig else 0),
    }  # fmt: skip
    if board.mig:
        numbers |= {"mig_mode": 0, "mig_pending": 0, "max_mig": 7}
    if board.nvlinks is not None:
        numbers |= {"nvlinks": board.nvlinks[0], "nvlink_version": board.nvlinks[1]}
    if board.architecture >= HOPPER:
        numbers |= {"fabric_state": 3, "fabric_status": 0, "margin": 50, "tlimit_shutdown": -8,
                    "tlimit_slowdown": -2, "tlimit_gpu": 0, "tlimit_memory": 0}  # fmt: skip
    return numbers


def _readings(board: Board, *, loaded: bool) -> dict[str, int]:
    numbers = {
        "memory_total": board.memory_mib * MIB, "memory_reserved": 512 * MIB,
        "memory_used": board.memory_mib * MIB * 7 // 10 if loaded else 0,
        "bar1_total": 65536 * MIB, "bar1_used": MIB, "temperature": 66 if loaded else 32,
        "clock_graphics": board.clocks[0] if loaded else 345, "clock_sm": board.clocks[0] if loaded else 345,
        "clock_memory": board.clocks[1], "clock_video": 1200 if loaded else 765,
        "pstate": 0 if loaded or board.stacked_memory else 8, "clock_reasons": 0x4 if loaded else 0x1,
    }  # fmt: skip
    # GDDR boards answer 0, as recorded pages of dcgm-exporter show for T4, L4 and L40S.
    numbers["memory_temperature"] = (74 if loaded else 38) if board.stacked_memory else 0
    return numbers


def _health(board: Board) -> dict[str, int]:
    numbers = {
        "ecc": 1, "ecc_pending": 1, "ecc_corrected_volatile": 0, "ecc_corrected_aggregate": 0,
        "ecc_uncorrected_volatile": 0, "ecc_uncorrected_aggregate": 0, "pcie_replay": 0, "recovery_action": 0,
    }  # fmt: skip
    if board.architecture >= AMPERE:  # rows are remapped from Ampere on; before, pages were retired
        return numbers | {
            "remapped_corrected": 0,
            "remapped_uncorrected": 0,
            "remap_pending": 0,
            "remap_failure": 0,
        }
    return numbers | {"retired_single": 0, "retired_double": 0, "retired_pending": 0}
