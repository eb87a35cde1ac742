"""Which processes are on a device: compute, graphics and MPS clients, each once."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import pynvml as nvml

from gpusteward.devices.nvml.frames import RunningProcess

if TYPE_CHECKING:
    from collections.abc import Callable

    from gpusteward.devices.nvml.calls import Calls, Support

TRIES: Final = 3
"""A list is asked for twice, first for its length, and may have outgrown it by then."""

_KINDS: Final = (
    nvml.nvmlDeviceGetComputeRunningProcesses_v3,
    nvml.nvmlDeviceGetGraphicsRunningProcesses_v3,
    nvml.nvmlDeviceGetMPSComputeRunningProcesses_v3,
)


def list_processes(calls: Calls, support: Support, handle: object) -> list[RunningProcess] | None:
    """Processes by pid; None when a list that the board has could not be read: others may be on it.

    A process that is in several lists, or in one several times, counts with the most memory that one says:
    they tell of the same memory.

    Raises:
        GpuError: the GPU answers nothing any more.
        LibraryError: the library does not.
    """
    lists = [calls.ask(support, _patient(kind), handle) for kind in _KINDS]
    missing = [kind.__name__ for kind, found in zip(_KINDS, lists, strict=True) if found is None]
    if len(missing) == len(lists) or not support.lacks.issuperset(missing):
        return None
    memory: dict[int, int | None] = {}
    for process in (process for found in lists for process in found or ()):
        known, said = memory.get(process.pid), process.usedGpuMemory
        memory[process.pid] = said if known is None else max(known, said or 0)
    return [RunningProcess(pid, memory[pid]) for pid in sorted(memory)]


def _patient(kind: Callable[[object], list[Any]]) -> Callable[[object], list[Any]]:
    """The same call, asked again when the list grew between its two questions."""

    def listed(handle: object) -> list[Any]:
        for _ in range(TRIES - 1):
            try:
                return kind(handle)
            except nvml.NVMLError_InsufficientSize:
                continue
        return kind(handle)

    listed.__name__ = kind.__name__
    return listed
