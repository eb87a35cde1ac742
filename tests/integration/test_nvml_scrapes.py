"""Golden scrapes of each GPU model, idle and loaded, through NVML: what a user's Prometheus would store.

The real source and its worker on a fake machine whose clock the test turns, through the real pipeline and
page; each scrape is also checked by promtool. Two GPUs of each model, the second divided where it has MIG.
"""

from __future__ import annotations

import shutil
import subprocess
from contextlib import ExitStack
from typing import TYPE_CHECKING, TypeAlias

import pytest

from gpusteward.clock import SystemClock
from gpusteward.config import Config
from gpusteward.devices.nvml.source import NvmlSource
from gpusteward.metrics.exposure import Exposure
from gpusteward.metrics.page import render
from gpusteward.runtime import price_book
from gpusteward.sampler import Sampler
from gpusteward.snapshot import Pipeline
from tests.clocks import TurnedClock
from tests.conftest import ROOT
from tests.nvml.fake import FakeNvml, Process, build
from tests.nvml.profiles import A10G, A100, B200, H100, H200, L4, L40S, LOADED, T4

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from gpusteward.model import Snapshot
    from tests.conftest import Golden
    from tests.nvml.fake import Board

BOARDS = {
    "t4": T4,
    "a10g": A10G,
    "l4": L4,
    "l40s": L40S,
    "a100": A100,
    "h100": H100,
    "h200": H200,
    "b200": B200,
}
DIVIDED = {"a100": ["3g.40gb", "2g.20gb", "1g.10gb"], "h100": ["3g.40gb", "2g.20gb", "1g.10gb"]}
LOADS = ("idle", "loaded")
CYCLES = 4
INTERVAL = 5.0
GIB = 1 << 30


@pytest.fixture(scope="session")
def library(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build(tmp_path_factory.mktemp("nvml"))


Start: TypeAlias = "Callable[[str, str], tuple[FakeNvml, Path]]"


@pytest.fixture
def start(tmp_path: Path, library: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Start]:
    """Makes a machine, and a /proc to go with it."""
    with ExitStack() as stack:

        def begin(name: str, load: str) -> tuple[FakeNvml, Path]:
            fake = stack.enter_context(machine(tmp_path / "machine", library, name, load))
            for variable, text in fake.env().items():
                monkeypatch.setenv(variable, text)
            return fake, proc(tmp_path / "proc")

        yield begin


def machine(directory: Path, library: Path, name: str, load: str) -> FakeNvml:
    """Two GPUs; loaded, a process of root's on each device, and XIDs."""
    board = BOARDS[name]
    fake = FakeNvml(directory, library=library, manual_clock=True)
    loaded = load == "loaded"
    with fake.one_change():
        for index in (0, 1):
            fake.add_gpu(board, loaded=loaded)
            if loaded and not (index == 1 and name in DIVIDED):
                fake.add_process(index, Process(1000 + index, 12 * GIB))
        for instance in fake.set_mig_layout(1, DIVIDED[name]) if name in DIVIDED else ():
            if loaded:
                instance.memory_used = 3 * GIB
                fake.add_process(1, Process(2000 + instance.gi, 3 * GIB, gi=instance.gi))
                levels = {level: LOADED[level] for level in instance.rates}
                fake.set_activity(1, gi=instance.gi, **levels)
    return fake


def proc(directory: Path) -> Path:
    """A /proc in which every process is root's python."""
    for pid in (1000, 1001, *range(2000, 2020)):
        own = directory / str(pid)
        own.mkdir(parents=True)
        (own / "stat").write_text(f"{pid} (python) " + " ".join(["0"] * 30))
        (own / "comm").write_text("python\n")
        (own / "status").write_text("Uid:\t0\t0\t0\t0\n")
    return directory


def scrape(fake: FakeNvml, board: Board, proc_path: Path, *, loaded: bool) -> str:
    """The page after a few cycles."""
    config = Config.model_validate(
        {
            "node": {"name": "node-1", "gpus": 2},
            "sources": {"nvml": {"holders": "processes", "proc": str(proc_path), "deadline_seconds": 10}},
        }
    )
    book = price_book(config.pricing)
    exposure = Exposure(
        mode="real",
        currency="USD",
        catalogue_date=book.catalogue.as_of,
        cluster="",
        holder_label_prefix="",
        series_budget=config.metrics.series_budget,
        reload_success=True,
        reloaded_at=None,
        version="VERSION",
    )
    taken: list[Snapshot] = []
    clock = TurnedClock()
    source = NvmlSource(config.nvml, "node-1", SystemClock())
    sampler = Sampler(source, Pipeline(config, book, "real"), taken.append, lambda: INTERVAL, clock)
    try:
        for cycle in range(CYCLES):
            sampler.cycle(clock.now())
            clock.turn(INTERVAL)
            fake.advance(INTERVAL)
            if loaded and cycle == 1:
                fake.xid(0, 31)
    finally:
        source.close()
    assert taken[-1].health.success, (board.name, taken[-1].health.message)
    return render(taken[-1], exposure, None).rendering("text/plain", "identity").body.decode()


@pytest.mark.parametrize("load", LOADS)
@pytest.mark.parametrize("name", BOARDS)
def test_a_model_gives_its_golden_scrape(name: str, load: str, start: Start, golden: Golden) -> None:
    fake, proc_path = start(name, load)
    page = scrape(fake, BOARDS[name], proc_path, loaded=load == "loaded")
    golden(page, f"tests/golden/scrapes/nvml-{name}-{load}.prom")


@pytest.mark.skipif(shutil.which("promtool") is None, reason="promtool is not installed (apt: prometheus)")
@pytest.mark.parametrize("load", LOADS)
@pytest.mark.parametrize("name", BOARDS)
def test_the_golden_scrape_passes_promtool(name: str, load: str) -> None:
    text = (ROOT / "tests" / "golden" / "scrapes" / f"nvml-{name}-{load}.prom").read_text()
    checked = subprocess.run(
        ["promtool", "check", "metrics"], input=text, capture_output=True, text=True, check=False
    )
    assert (checked.returncode, checked.stderr) == (0, "")
