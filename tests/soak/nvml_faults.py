"""`python -m tests.soak nvml_faults --faults N`: the NVML source on a machine that breaks N times.

After every fault the source must be well again; file descriptors, memory, children and what the worker holds
in the driver must not grow with their number.
"""

from __future__ import annotations

import gc
import itertools
import os
import signal
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from gpusteward.clock import Moment, SystemClock
from gpusteward.config import NvmlSettings
from gpusteward.devices.nvml.source import NvmlSource
from gpusteward.errors import SourceError
from gpusteward.model import Fault
from tests.nvml.fake import FakeNvml, build
from tests.nvml.profiles import H100, L4
from tests.nvml.waits import only_waits

if TYPE_CHECKING:
    from collections.abc import Callable

    from gpusteward.model import Readings

GPUS: Final = 3
GROWTH_KIB: Final = 1024.0
"""What memory may grow by from the first tenth of the faults to the last."""

LAYOUTS: Final = (["1g.10gb"] * 7, ["3g.40gb", "1g.10gb"], None)


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a run came to, after all its checks passed.

    Attributes:
        seen: how many faults were seen, by what was seen: a reason, a GPU's fault, or `harmless`.
        workers: how many worker processes there were.
        growth_kib: of this process's memory, from the first tenth of the faults to the last.
    """

    seen: dict[str, int]
    workers: int
    growth_kib: float


class Breakage:
    """The machine, its source, and each way to break it."""

    def __init__(self, fake: FakeNvml, source: NvmlSource) -> None:
        self.fake = fake
        self.source = source
        self.at = Moment(1_800_000_000.0, 1000.0)
        self._layouts = itertools.cycle(LAYOUTS)
        self._versions = itertools.count(1)
        self.ways: tuple[Callable[[], object], ...] = (
            lambda: fake.lose(1),
            lambda: fake.fault("*", 16, gpu=0),
            lambda: fake.fault("nvmlDeviceGetClockInfo", 999),
            self._divide,
            self._take_out,
            lambda: os.kill(fake.census().pid, signal.SIGKILL),
            lambda: fake.fault("*", 999),
            lambda: fake.upgrade_driver(f"580.82.{next(self._versions)}"),
            lambda: fake.hang("nvmlDeviceGetUtilizationRates"),
            lambda: fake.fault("nvmlDeviceGetFieldValues", 15, gpu=2),
        )

    def cycle(self, seconds: float = 5.0) -> Readings:
        """One sample."""
        self.fake.advance(seconds)
        self.at = self.at.plus(seconds)
        return self.source.read(self.at)

    def seen(self) -> str:
        """What the fault looks like from the source."""
        try:
            gpus = self.cycle().nodes[0].gpus
        except SourceError as error:
            return error.reason
        return next((str(gpu.fault) for gpu in gpus if gpu.fault), "harmless")

    def mend(self) -> None:
        """Take the fault away; all must be well by the longest wait between two tries."""
        self.fake.clear_faults()
        if len(self.fake.machine.gpus) < GPUS:
            self.fake.add_gpu(L4)
        for _ in range(100):
            try:
                gpus = self.cycle(61.0).nodes[0].gpus
            except SourceError as error:
                if not only_waits(error):
                    raise
            else:
                if Fault.NOT_RESPONDING not in {gpu.fault for gpu in gpus}:  # it is tried once in a while
                    break
        assert [gpu.fault for gpu in gpus] == [None] * GPUS
        assert all(gpu.signals for gpu in gpus)

    def _divide(self) -> None:
        self.fake.set_mig_layout(0, next(self._layouts))

    def _take_out(self) -> None:
        self.fake.remove_gpu(GPUS - 1)


def run(faults: int, say: Callable[[str], None]) -> Outcome:
    """Break and mend so many times.

    Raises:
        AssertionError: it was not well again, or something grew.
    """
    with tempfile.TemporaryDirectory() as directory:
        library = build(Path(directory))
        with FakeNvml(Path(directory, "machine"), [H100, L4, L4], library=library, manual_clock=True) as fake:
            before = {name: os.environ.get(name) for name in fake.env()}
            os.environ.update(fake.env())
            source = NvmlSource(NvmlSettings(deadline_seconds=2.0), "node-1", SystemClock())
            try:
                return _run(Breakage(fake, source), faults, say)
            finally:
                source.close()
                for name, value in before.items():
                    os.environ.pop(name)
                    if value is not None:
                        os.environ[name] = value


def _run(breakage: Breakage, faults: int, say: Callable[[str], None]) -> Outcome:
    breakage.mend()
    descriptors, seen, settled = open_files(), dict[str, int](), 0.0
    for number in range(1, faults + 1):
        breakage.ways[number % len(breakage.ways)]()
        what = breakage.seen()
        seen[what] = seen.get(what, 0) + 1
        breakage.mend()
        assert open_files() == descriptors, (
            f"{open_files()} files open after {number} faults, not {descriptors}"
        )
        assert children() == 1, f"{children()} workers after {number} faults"
        census = breakage.fake.census()
        assert census.gpm_samples <= 2 * 7, census
        assert census.event_sets == 1, census
        if number == max(1, faults // 10):
            settled = memory_kib()
        if number % 100 == 0:
            say(f"{number} faults, {memory_kib():.0f} KiB, {open_files()} files open: {seen}")
    growth = memory_kib() - settled
    assert growth < GROWTH_KIB, f"memory grew by {growth:.0f} KiB over {faults} faults"
    return Outcome(seen, breakage.fake.census().processes, growth)


def open_files() -> int:
    """Descriptors of this process."""
    return len(os.listdir("/proc/self/fd"))  # noqa: PTH208 - a path object for each would be garbage in the measure


def children() -> int:
    """Processes whose parent is this one, dead ones that were not reaped included."""
    return len(Path("/proc/self/task", str(os.getpid()), "children").read_text(encoding="ascii").split())


def memory_kib() -> float:
    """This process's own resident memory in KiB, once garbage is gone."""
    gc.collect()
    fields = Path("/proc/self/statm").read_text(encoding="ascii").split()
    return int(fields[1]) * os.sysconf("SC_PAGE_SIZE") / 1024


def main(faults: int, say: Callable[[str], None]) -> None:
    """Run and say what it came to."""
    outcome = run(faults, say)
    say(f"{faults} faults, {outcome.workers} workers, {outcome.growth_kib:.0f} KiB more: {outcome.seen}")
