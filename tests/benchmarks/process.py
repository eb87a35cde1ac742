"""The agent as a process of its own: how soon it is there, what it takes while it runs."""

from __future__ import annotations

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
from tests.soak.memory import memory_kib

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.agents import Agent

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


def starts(pace: Pace) -> Iterator[Line]:
    """From the start of the process to its first sample on the page, without and with simulated history."""
    bare = [_start_seconds(0) for _ in range(pace.starts)]
    yield Line("start to first sample", quantile(bare, 0.5), "s", 2.0, note=f"median of {len(bare)} starts")
    yield Line(
        f"… with {WARMUP_MINUTES} simulated min first",
        _start_seconds(WARMUP_MINUTES),
        "s",
        note="only a simulated source has them",
    )


def pages(pace: Pace, address: str) -> Iterator[Line]:
    """Page times and sizes, for one scraper and for ten that ask at the same moment."""
    for ask in ASKS:
        for scrapers, every in ((1, 0.02), (SCRAPERS, 0.1)):
            seen = scrape(address, ask, scrapers, pace.scrape_seconds, every)
            name = f"page, {ask.name}, {scrapers} scraper{'s at once' if scrapers > 1 else ''}"
            count = f"{len(seen.seconds)} pages"
            yield Line(f"{name}: p50", 1000 * quantile(seen.seconds, 0.5), "ms", 5.0, note=count)
            yield Line(f"{name}: p99", 1000 * quantile(seen.seconds, 0.99), "ms", 20.0, note=count)
        yield Line(f"page, {ask.name}: size", seen.bytes / 1024, "KiB")


def usage(pace: Pace, agent: Agent, address: str) -> Iterator[Line]:
    """Processor time and memory, while one Prometheus asks for every sample once."""
    fresh: list[float] = []
    cpu_before, began = _cpu_seconds(agent.process.pid), time.monotonic()
    while time.monotonic() - began < pace.cpu_seconds:
        fresh += scrape(address, AS_PROMETHEUS, 1, 0.0, 0.0).seconds
        time.sleep(5.0)
    elapsed = time.monotonic() - began
    cpu = (_cpu_seconds(agent.process.pid) - cpu_before) / elapsed
    yield Line("first page of a sample, as Prometheus asks: p50", 1000 * quantile(fresh, 0.5), "ms", 5.0)
    yield Line("… the slowest", 1000 * max(fresh), "ms", note=f"of {len(fresh)}: renders and compresses")
    yield Line("processor", 100 * cpu, "% of a core", 2.0, note=f"over {elapsed:.0f} s, 5 s sampling")
    memory = memory_kib(agent.process.pid)
    yield Line("memory, PSS", memory["Pss"] / _KIB_PER_MIB, "MiB", 64.0, note="one process: no NVML worker")
    yield Line("memory, RSS", memory["Rss"] / _KIB_PER_MIB, "MiB")


@contextmanager
def benchmark_agent(minutes: int = WARMUP_MINUTES) -> Iterator[Agent]:
    """`gpusteward agent` on the bundled profile `benchmark`, sampling every 5 s."""
    with (
        tempfile.TemporaryDirectory() as directory,
        agent_with(CONFIG.format(minutes=minutes), Path(directory)) as agent,
    ):
        yield agent


def _start_seconds(minutes: int) -> float:
    began = time.monotonic()
    with benchmark_agent(minutes):  # entered once a sample is on the page, within 50 ms
        return time.monotonic() - began


def _cpu_seconds(pid: int) -> float:
    """Processor time that a process has used: user and system, see proc(5), stat."""
    fields = Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
