"""An exporter as a process of its own: how soon it is there, what it takes while it runs."""

from __future__ import annotations

import gzip
import os
import tempfile
import time
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from tests.agents import agent_with
from tests.benchmarks.scraping import AS_PROMETHEUS, ASKS, scrape
from tests.benchmarks.table import Line, quantile
from tests.soak.memory import pss_kib

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from contextlib import AbstractContextManager

    from tests.agents import Agent
    from tests.benchmarks.scraping import Ask

INTERVAL_SECONDS = 5.0
CONFIG = """
agent: {{listen: "127.0.0.1:0", source: simulated, interval_seconds: 5}}
sources: {{simulated: {{profile: benchmark, warmup_minutes: {minutes}}}}}
"""
WARMUP_MINUTES = 45
SCRAPERS = 10
_KIB_PER_MIB = 1024.0


@dataclass(frozen=True, slots=True)
class Pace:
    """How long to measure.

    Attributes:
        scrape_seconds: for each kind of page and number of scrapers.
        cpu_seconds: for processor time and memory.
        starts: how many times to start the agent.
        churn_step: simulated seconds between samples of the churn.
        cycles: how many cycles to take the median of.
    """

    scrape_seconds: float
    cpu_seconds: float
    starts: int
    churn_step: float
    cycles: int


FULL = Pace(scrape_seconds=6.0, cpu_seconds=60.0, starts=5, churn_step=5.0, cycles=100)
SHORT = Pace(scrape_seconds=0.4, cpu_seconds=5.0, starts=1, churn_step=30.0, cycles=10)


@dataclass(frozen=True, slots=True)
class Usage:
    """What a process and its children took while one Prometheus asked for every sample once.

    Attributes:
        seconds: how long they were watched.
        cpu: per cent of a core, of each process, the parent first.
        alone: MiB of all at the end, as PSS would be if no others mapped the same files.
        pss: MiB of each at the end.
        fresh: seconds of each page.
        pages: their texts.
    """

    seconds: float
    cpu: list[float]
    alone: float
    pss: list[float]
    fresh: list[float]
    pages: list[str]


def watch(pace: Pace, pid: int, address: str) -> Usage:
    """Watch a process that serves `/metrics`, and its children."""
    watched = _family(pid)
    before, began = [_cpu_seconds(each) for each in watched], time.monotonic()
    fresh: list[float] = []
    pages: list[str] = []
    while time.monotonic() - began < pace.cpu_seconds:
        seen = scrape(address, AS_PROMETHEUS, 1, 0.0, 0.0)
        fresh += seen.seconds
        pages.append(gzip.decompress(seen.body).decode())
        time.sleep(INTERVAL_SECONDS)
    elapsed = time.monotonic() - began
    assert _family(pid) == watched, "a child came or went while it was watched"
    cpu = [100 * (_cpu_seconds(each) - used) / elapsed for each, used in zip(watched, before, strict=True)]
    pss = [pss_kib(each) / _KIB_PER_MIB for each in watched]
    return Usage(elapsed, cpu, _alone_kib(watched) / _KIB_PER_MIB, pss, fresh, pages)


def starts(pace: Pace) -> Iterator[Line]:
    """From the start of the process to its first sample on the page, without and with simulated history."""
    bare = [start_seconds(lambda: benchmark_agent(0)) for _ in range(pace.starts)]
    yield Line("start to first sample", quantile(bare, 0.5), "s", 2.0, note=f"median of {len(bare)} starts")
    yield Line(
        f"… with {WARMUP_MINUTES} simulated min first",
        start_seconds(lambda: benchmark_agent(WARMUP_MINUTES)),
        "s",
        note="only a simulated source has them",
    )


def start_seconds(start: Callable[[], AbstractContextManager[object]]) -> float:
    """Seconds until the block is entered: once a sample is on the page, to within the polling for it."""
    began = time.monotonic()
    with start():
        return time.monotonic() - began


def pages(pace: Pace, address: str, asks: tuple[Ask, ...] = ASKS) -> Iterator[Line]:
    """Page times and sizes, for one scraper and for ten that ask at the same moment."""
    for ask in asks:
        for scrapers, every in ((1, 0.02), (SCRAPERS, 0.1)):
            seen = scrape(address, ask, scrapers, pace.scrape_seconds, every)
            name = f"page, {ask.name}, {scrapers} scraper{'s at once' if scrapers > 1 else ''}"
            count = f"{len(seen.seconds)} pages"
            yield Line(f"{name}: p50", 1000 * quantile(seen.seconds, 0.5), "ms", 5.0, note=count)
            yield Line(f"{name}: p99", 1000 * quantile(seen.seconds, 0.99), "ms", 20.0, note=count)
        yield Line(f"page, {ask.name}: size", len(seen.body) / 1024, "KiB")


def usage(used: Usage) -> Iterator[Line]:
    """Page times, processor time and memory of an agent with or without a worker, beside their targets."""
    count = len(used.fresh)
    yield Line("first page of a sample, as Prometheus asks: p50", 1000 * quantile(used.fresh, 0.5), "ms", 5.0)
    yield Line("… the slowest", 1000 * max(used.fresh), "ms", note=f"of {count}: renders and compresses")
    note = f"over {used.seconds:.0f} s, 5 s sampling"
    yield Line("processor", sum(used.cpu), "% of a core", 2.0, note=note)
    yield from _apart(used.cpu, "% of a core")
    yield Line("memory", used.alone, "MiB", 64.0, note="PSS if no other Python ran here")
    yield Line("memory, PSS", sum(used.pss), "MiB", note="part of the files is counted to other Pythons")
    yield from _apart(used.pss, "MiB")


def _apart(figures: list[float], unit: str) -> Iterator[Line]:
    """The same for the agent and its worker, where there is one."""
    if len(figures) == 2:
        yield Line("… of the agent", figures[0], unit)
        yield Line("… of its NVML worker", figures[1], unit)


@contextmanager
def benchmark_agent(minutes: int = WARMUP_MINUTES) -> Iterator[Agent]:
    """`gpusteward agent` on the bundled profile `benchmark`, sampling every 5 s."""
    with (
        tempfile.TemporaryDirectory() as directory,
        agent_with(CONFIG.format(minutes=minutes), Path(directory)) as agent,
    ):
        yield agent


def _family(pid: int) -> list[int]:
    """The process and its children, whichever of its threads started them."""
    listed = [file.read_text(encoding="ascii") for file in Path(f"/proc/{pid}/task").glob("*/children")]
    return [pid, *sorted(int(child) for child in " ".join(listed).split())]


def _alone_kib(pids: list[int]) -> float:
    """Memory of these processes if no others mapped their files; see proc(5), smaps.

    Of each stretch of a file the largest resident part of one of them counts, once: they run the same
    programs, so that what one has resident of it the other has too, or has not at all.
    """
    own = 0.0
    files: dict[str, float] = {}
    for pid in pids:
        stretch, resident = "", 0.0
        for line in Path(f"/proc/{pid}/smaps").read_text(encoding="utf-8").splitlines():
            name, _, rest = line.partition(" ")
            if not name.endswith(":"):  # a mapping: addresses, permissions, offset, device, inode, path
                stretch = " ".join(rest.split()[1:])
            elif name == "Rss:":
                resident = float(rest.split()[0])
            elif name == "Anonymous:":
                anonymous = float(rest.split()[0])
                own += anonymous
                files[stretch] = max(files.get(stretch, 0.0), resident - anonymous)
    return own + sum(files.values())


def _cpu_seconds(pid: int) -> float:
    """Processor time that a process has used: user and system, see proc(5), stat."""
    fields = Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
