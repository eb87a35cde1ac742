"""Where libnvidia-ml.so.1 is, and bringing it into the worker.

pynvml opens the library by its soname only; one that was opened by path before is found under that name.
"""

from __future__ import annotations

import ctypes
from pathlib import Path
from typing import TYPE_CHECKING, Final

import pynvml as nvml

from gpusteward.devices.nvml import reasons
from gpusteward.devices.nvml.calls import LibraryError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from gpusteward.devices.nvml.calls import Calls

SONAME: Final = "libnvidia-ml.so.1"

DIRECTORIES: Final = (
    "usr/lib/x86_64-linux-gnu",
    "usr/lib/aarch64-linux-gnu",
    "usr/lib64",
    "usr/lib",
    "lib64",
)
"""Where distributions, driver containers and Google's installer (`lib64`) put it, below a root."""


def candidates(library: str, driver_root: str) -> Iterator[str]:
    """Names and paths to try in turn.

    Args:
        library: the only one to try; empty = search.
        driver_root: below which the GPU operator's driver container shows its files; empty = none.
    """
    if library:
        yield library
        return
    yield SONAME
    for root in (driver_root, "/"):
        if root:
            yield from (str(Path(root, directory, SONAME)) for directory in DIRECTORIES)


def load(library: str, driver_root: str, calls: Calls) -> str:
    """Bring the library into this process and initialise it; the name or path that served.

    Raises:
        LibraryError: none could be opened (the message says which were tried), or it refused.
    """
    tried = []
    for name in candidates(library, driver_root):
        if name != SONAME and not Path(name).exists():
            tried.append(f"{name} (no such file)")
            continue
        try:
            ctypes.CDLL(name, mode=ctypes.RTLD_GLOBAL)
        except OSError as error:
            tried.append(f"{name} ({error})")
            continue
        calls.must(nvml.nvmlInit)
        return name
    raise LibraryError(reasons.LIBRARY_MISSING, f"no {SONAME}; tried " + ", ".join(tried))
