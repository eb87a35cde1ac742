"""Builds the fake `libnvidia-ml.so.1`, whole or with the symbols and fields of an older driver only."""

from __future__ import annotations

import hashlib
import os
import subprocess
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterable

SOURCES: Final = Path(__file__).with_name("c")
SONAME: Final = "libnvidia-ml.so.1"

SINCE: Final = {
    "nvmlDeviceGetCurrentClocksEventReasons": 535,
    "nvmlDeviceGetSupportedClocksEventReasons": 535,
    "nvmlDeviceGetJpgUtilization": 535,
    "nvmlDeviceGetOfaUtilization": 535,
    "nvmlDeviceGetGpuFabricInfoV": 550,
    "nvmlDeviceGetProcessesUtilizationInfo": 550,
    "nvmlDeviceGetMarginTemperature": 570,
    "nvmlDeviceGetTemperatureV": 570,
}
"""Branch of the driver whose header first declares a function; what is not named here is in 525 already
(nvml.h of CUDA 12.0 to 13.3, as kept in the history of NVIDIA/go-nvml)."""

_GREATEST_FIELD: Final = (
    (610, 302),
    (575, 273),
    (570, 268),
    (560, 229),
    (555, 222),
    (550, 199),
    (535, 196),
    (530, 172),
    (0, 169),
)
"""The greatest NVML_FI_* of each branch (NVML_FI_MAX − 1, same source)."""


def newer_than(branch: int) -> tuple[str, ...]:
    """Functions of the fake that a driver of this branch, such as 525, does not have yet."""
    return tuple(sorted(name for name, since in SINCE.items() if since > branch))


def greatest_field(branch: int) -> int:
    """The greatest field id that a driver of this branch knows."""
    return next(field for since, field in _GREATEST_FIELD if branch >= since)


def build(cache_dir: Path, *, without: Iterable[str] = ()) -> Path:
    """Compiles the library once for each set of sources and symbols left out.

    Args:
        cache_dir: Where builds are kept; safe to share between processes.
        without: Exported functions to leave out, as a driver that is older than they are.

    Returns:
        The path of `libnvidia-ml.so.1`, alone in its directory.

    Raises:
        subprocess.CalledProcessError: The compiler refused; its words are on stderr.
    """
    left_out = sorted(without)
    sources = sorted(SOURCES.glob("*.c"))
    digest = hashlib.sha256("\n".join(left_out).encode())
    for source in sorted(SOURCES.iterdir()):
        digest.update(source.read_bytes())
    library = cache_dir / digest.hexdigest()[:16] / SONAME
    if library.exists():
        return library
    library.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=cache_dir) as scratch:
        exports = Path(scratch, "exports.map")
        hidden = "".join(f"{name};" for name in left_out)
        exports.write_text(f"{{ global: nvml*; local: {hidden} *; }};\n")
        built = Path(scratch, SONAME)
        flags = (
            "-std=gnu11",
            "-shared",
            "-fPIC",
            "-O1",
            "-Wall",
            "-Wextra",
            "-Werror",
            "-fvisibility=hidden",
        )
        linker = (f"-Wl,-soname,{SONAME}", f"-Wl,--version-script={exports}")
        subprocess.run(("cc", *flags, *linker, "-o", built, *sources, "-lm", "-lpthread"), check=True)
        os.replace(built, library)  # noqa: PTH105 - atomic, so that a second builder only repeats the work
    return library
