"""How far a sample has come: what was received of it, and at which GPU the worker is."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gpusteward.devices.nvml.frames import Began, Done, Happened, Read, Sample

if TYPE_CHECKING:
    from collections.abc import Iterable

    from gpusteward.devices.nvml.frames import Gpu, Part, Turn


class Progress:
    """The parts of one sample, as they come.

    Attributes:
        began: what the worker said first; None = nothing yet.
        gpus: those that were read, by index.
        turn: the GPU that the worker was at last; None = at none, before the first or after the last.
        since: when that turn was heard of, in monotonic seconds.
        xids: XIDs that were told, by bus id. They outlast the sample: `take_xids` gives and forgets them.
    """

    def __init__(self) -> None:
        self.xids: dict[str, list[int]] = {}
        self.restart()

    def restart(self) -> None:
        """A new sample begins."""
        self.began: Began | None = None
        self.gpus: dict[int, Gpu] = {}
        self.turn: Turn | None = None
        self.since = 0.0

    def take(self, part: Part, now: float) -> Sample | None:
        """Take in a part; the sample when it was the last one.

        Args:
            part: what came.
            now: when, in monotonic seconds.
        """
        match part:
            case Happened():
                for bus_id, codes in part.xids.items():
                    self.xids.setdefault(bus_id, []).extend(codes)
            case Began():
                self.began = part
            case Read():
                self.gpus[part.gpu.index] = part.gpu
            case Done():
                self.turn = None
                return self.sample(part.errors)
            case _:
                self.turn, self.since = part, now
        return None

    def unfinished(self) -> Turn | None:
        """The GPU at which the worker is; None = at none."""
        return None if self.turn is None or self.turn.index in self.gpus else self.turn

    def sample(self, errors: Iterable[tuple[str, str, int]] = ()) -> Sample:
        """What was read so far, in the order of the indices. A part has no errors: they are told last."""
        driver, total = (self.began.driver, self.began.count) if self.began else ("", 0)
        gpus = [gpu for _, gpu in sorted(self.gpus.items())]
        return Sample(driver=driver, total=total, gpus=gpus, errors=list(errors))

    def take_xids(self) -> dict[str, list[int]]:
        """The XIDs that were told and not taken before."""
        taken, self.xids = self.xids, {}
        return taken
