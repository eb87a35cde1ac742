"""XID errors, and word that a GPU was divided anew, as the driver reports them between two samples."""

from __future__ import annotations

import ctypes
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final

import pynvml as nvml

from gpusteward.devices.nvml.calls import GpuError

if TYPE_CHECKING:
    from gpusteward.devices.nvml.calls import Calls, Support

MOST_AT_ONCE: Final = 1000
"""Events taken in one cycle; the rest waits for the next. A board that storms must not hold up the sample."""

_REGISTER: Final = nvml.nvmlDeviceRegisterEvents.__name__
_WANTED: Final = nvml.nvmlEventTypeXidCriticalError | nvml.nvmlEventMigConfigChange


def address(handle: object) -> int:
    """What a device handle points to: the same for the same GPU as long as the library lives."""
    return ctypes.cast(handle, ctypes.c_void_p).value or 0  # type: ignore[arg-type]  # pynvml's pointer type


class Events:
    """One event set with every GPU that can report into it."""

    def __init__(self, calls: Calls) -> None:
        self._calls = calls
        self._set: Any = None
        self._registered: dict[int, str] = {}
        self._xids: dict[str, list[int]] = {}
        self._divided: set[str] = set()

    def register(self, bus_id: str, handle: object, support: Support) -> None:
        """Hear of this GPU from now on.

        Raises:
            GpuError: the GPU answers nothing any more.
        """
        where = address(handle)
        if where in self._registered or _REGISTER in support.lacks:
            return
        types = self._calls.ask(support, nvml.nvmlDeviceGetSupportedEventTypes, handle)
        if types is None:
            return
        wanted = int(types) & _WANTED
        if not wanted & nvml.nvmlEventTypeXidCriticalError:
            support.lacks.add(_REGISTER)
            return
        if self._set is None:
            self._set = self._calls.ask(None, nvml.nvmlEventSetCreate)
        if self._set is not None and self._calls.done(
            support, nvml.nvmlDeviceRegisterEvents, handle, wanted, self._set
        ):
            self._registered[where] = bus_id

    def drain(self) -> None:
        """Take in what happened since the last time, without waiting."""
        for _ in range(MOST_AT_ONCE if self._set is not None else 0):
            try:
                event = nvml.nvmlEventSetWait_v2(self._set, 0)
            except nvml.NVMLError as error:
                if error.value != nvml.NVML_ERROR_TIMEOUT:
                    self._spoilt(error)
                return
            bus_id = self._registered.get(address(event.device))
            if bus_id is None:
                continue
            if event.eventType == nvml.nvmlEventTypeXidCriticalError:
                self._xids.setdefault(bus_id, []).append(int(event.eventData))
            elif event.eventType == nvml.nvmlEventMigConfigChange:
                self._divided.add(bus_id)

    def take_xids(self) -> dict[str, list[int]]:
        """XIDs that were taken in since this was asked last, by bus id."""
        taken, self._xids = self._xids, {}
        return taken

    def reports(self, bus_id: str) -> bool:
        """Whether XIDs of this GPU are heard of."""
        return bus_id in self._registered.values()

    def divided(self, bus_id: str) -> bool:
        """Whether this GPU was divided anew since this was asked last."""
        known = bus_id in self._divided
        self._divided.discard(bus_id)
        return known

    def _spoilt(self, error: nvml.NVMLError) -> None:
        """A GPU that fell off the bus spoils the set for all: the next registrations fill a new one."""
        self._calls.refused(nvml.nvmlEventSetWait_v2.__name__, error)
        with suppress(GpuError):
            self._calls.done(None, nvml.nvmlEventSetFree, self._set)
        self._set, self._registered = None, {}
