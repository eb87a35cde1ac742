"""GPUs whose calls did not return: who they are, and when each is tried again."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

import msgspec

from gpusteward.devices.nvml.frames import NO_ANSWER, Gpu, Instance, Sample

LEAST_BACK_OFF_SECONDS: Final = 1.0
MOST_BACK_OFF_SECONDS: Final = 60.0

SETTLED_CYCLES: Final = 5
"""Good cycles in a row after which a failure is forgotten. What fails every other cycle is not well."""


class BackOff:
    """When to try again: after 1, 2, 4 … 60 seconds, and from 1 again after `SETTLED_CYCLES`."""

    def __init__(self) -> None:
        self._seconds = 0.0
        self._good = 0
        self._retry_at = 0.0

    def failed(self, at: float) -> None:
        """A try failed, at so many monotonic seconds."""
        self._good = 0
        self._seconds = min(max(2 * self._seconds, LEAST_BACK_OFF_SECONDS), MOST_BACK_OFF_SECONDS)
        self._retry_at = at + self._seconds

    def well(self) -> bool:
        """A cycle was good; whether that makes enough of them."""
        self._good += 1
        if self._good >= SETTLED_CYCLES:
            self._seconds = 0.0
        return self._good >= SETTLED_CYCLES

    def left(self, at: float) -> float:
        """Seconds to the next try; 0 or less = it is due."""
        return self._retry_at - at


@dataclass(slots=True)
class _Suspect:
    """A GPU that did not answer; `out` while it has not answered since."""

    back_off: BackOff = field(default_factory=BackOff)
    out: bool = True


class Suspects:
    """Which GPUs are left out, by index, and what is known of every GPU since it was read last."""

    def __init__(self) -> None:
        self._known: dict[int, Gpu] = {}
        self._suspects: dict[int, _Suspect] = {}

    def blame(self, index: int, at: float) -> None:
        """This GPU did not answer in time."""
        suspect = self._suspects.setdefault(index, _Suspect())
        suspect.out = True
        suspect.back_off.failed(at)

    def out(self) -> set[int]:
        """Those that are left out."""
        return {index for index, suspect in self._suspects.items() if suspect.out}

    def due(self, at: float) -> int | None:
        """The one to try now; None = none. One at a time: each that still hangs costs a worker."""
        left = {index: self._suspects[index].back_off.left(at) for index in self.out()}
        first = min(left, key=lambda index: left[index], default=None)
        return first if first is not None and left[first] <= 0 else None

    def suffices(self, part: Sample) -> bool:
        """Whether a part of a sample is one: some GPU was read, and of the others it is known who they are.

        Of suspects it may be unknown: they may never have been seen.
        """
        read = {gpu.index for gpu in part.gpus}
        return any(gpu.code == 0 for gpu in part.gpus) and (
            set(range(part.total)) <= read | self._known.keys() | self.out()
        )

    def completed(self, sample: Sample) -> Sample:
        """The sample with the GPUs that are not in it: who they are, and for a suspect, that it is one."""
        read = {gpu.index for gpu in sample.gpus}
        self._follow(sample, read)
        out = self.out()
        missing = [
            self._absent(index, NO_ANSWER if index in out else 0)
            for index in range(sample.total)
            if index not in read
        ]
        gpus = sorted((*sample.gpus, *missing), key=lambda gpu: gpu.index)
        return Sample(sample.driver, sample.total, gpus, sample.errors)

    def _follow(self, sample: Sample, read: set[int]) -> None:
        """Take in who is where. Where the order changed, nobody is suspected by an index of before."""
        buses = {gpu.bus_id: gpu.index for gpu in sample.gpus if gpu.bus_id}
        moved = [index for index, gpu in self._known.items() if buses.get(gpu.bus_id, index) != index]
        if moved or any(index >= sample.total for index in self._known):
            self._known, self._suspects = {}, {}
        self._known |= {gpu.index: _identity(gpu) for gpu in sample.gpus if gpu.uuid}
        for index in read & self._suspects.keys():
            suspect = self._suspects[index]
            suspect.out = False
            if suspect.back_off.well():
                del self._suspects[index]

    def _absent(self, index: int, code: int) -> Gpu:
        known = self._known.get(index)
        if known is not None:
            return msgspec.structs.replace(known, code=code)
        return Gpu(
            index, "", "", "", NO_ANSWER, mig=False, signals={}, instances=[], processes=None, xids=None
        )


def _identity(gpu: Gpu) -> Gpu:
    """Who it is, without what was measured."""
    instances = [Instance(each.gi, each.uuid, each.profile, {}, None) for each in gpu.instances]
    return msgspec.structs.replace(gpu, code=0, signals={}, instances=instances, processes=None, xids=None)
