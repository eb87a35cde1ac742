"""The real source, its real worker and the real pynvml, on a fake driver whose clock the test turns."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from gpusteward.clock import Moment, SystemClock
from gpusteward.config import NvmlSettings
from gpusteward.devices.nvml.source import NvmlSource
from tests.nvml.fake import FakeNvml, build

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    from gpusteward.model import GpuReading, Readings
    from tests.nvml.fake import Board

INTERVAL = 5.0


class Bench:
    """A source on a fake machine."""

    def __init__(self, fake: FakeNvml, source: NvmlSource) -> None:
        self.fake = fake
        self.source = source
        self.at = Moment(1_800_000_000.0, 1000.0)

    def readings(self, seconds: float = INTERVAL) -> Readings:
        """A sample, so many seconds after the one before."""
        self.fake.advance(seconds)
        self.at = self.at.plus(seconds)
        return self.source.read(self.at)

    def gpus(self, seconds: float = INTERVAL) -> tuple[GpuReading, ...]:
        (node,) = self.readings(seconds).nodes
        return node.gpus

    def gpu(self, seconds: float = INTERVAL) -> GpuReading:
        (only,) = self.gpus(seconds)
        return only


@pytest.fixture(scope="session")
def library(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build(tmp_path_factory.mktemp("nvml"))


@pytest.fixture
def bench(tmp_path: Path, library: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., Bench]]:
    """Makes benches: `bench([H100], driver="525.60.13", settings=NvmlSettings())`."""
    made: list[Bench] = []

    def make(
        boards: Sequence[Board],
        *,
        driver: str = "580.65.06",
        settings: NvmlSettings | None = None,
        symbols: Path = library,
    ) -> Bench:
        fake = FakeNvml(tmp_path / str(len(made)), boards, library=symbols, driver=driver, manual_clock=True)
        for name, value in fake.env().items():
            monkeypatch.setenv(name, value)
        source = NvmlSource(settings or NvmlSettings(deadline_seconds=10), "node-1", SystemClock())
        made.append(Bench(fake, source))
        return made[-1]

    yield make
    for each in made:
        each.source.close()
        each.fake.__exit__()
