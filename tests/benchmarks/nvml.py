"""The agent on the fake NVML: 8 H100 of 7 MIG instances each, all loaded and held by 64 processes."""

from __future__ import annotations

import re
import shutil
import subprocess
import tempfile
import time
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from gpusteward.config import Config
from tests.agents import agent_with
from tests.benchmarks.process import INTERVAL_SECONDS, pages, start_seconds, usage, watch
from tests.benchmarks.scraping import AS_PROMETHEUS, ASKS, scrape_afresh
from tests.benchmarks.table import Line, quantile
from tests.nvml.fake import FakeNvml, Process, build
from tests.nvml.profiles import H100, LOADED
from tests.pages import labels_of, parsed
from tests.soak.audit import series_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.agents import Agent
    from tests.benchmarks.process import Pace, Usage

GPUS: Final = 8
PROFILE: Final = "1g.10gb"
INSTANCES: Final = 7
PROCESSES: Final = 64
GIB: Final = 1 << 30
EVERY_SECONDS: Final = 0.1
"""From one page to the next, where many are asked for to compare exporters."""
_ACTIVITY: Final = r"^gpusteward_gpu_sm_active_ratio"
"""On the page from the second sample on, as all that is a difference between two."""

CONFIG = """
agent: {{listen: "127.0.0.1:0", source: nvml, interval_seconds: 5}}
node: {{name: benchmark, provider: aws, instance_type: p5.48xlarge, region: us-east-1}}
sources: {{nvml: {{holders: processes, proc: {proc}}}}}
metrics: {{series_budget: {budget}}}
"""
DEFAULT_BUDGET: Final = Config().metrics.series_budget
ROOMY_BUDGET: Final = 6000
"""Room for all processes: in the default budget each would be summed under `other`, which costs less."""


@dataclass(frozen=True, slots=True)
class Exporter:
    """What was measured of one exporter, to set beside another.

    Attributes:
        usage: while one Prometheus asked for every sample once.
        calls: of NVML in that time, by function.
        text: seconds of each plain page when ten are asked for in a second.
    """

    usage: Usage
    calls: dict[str, int]
    text: list[float]

    @property
    def calls_per_minute(self) -> float:
        return 60 * sum(self.calls.values()) / self.usage.seconds


@contextmanager
def benchmark_machine() -> Iterator[FakeNvml]:
    """The machine. Its processes are real ones, since exporters look them up in /proc; they only sleep."""
    with tempfile.TemporaryDirectory() as name, ExitStack() as stack:
        directory = Path(name)
        fake = stack.enter_context(FakeNvml(directory / "machine", library=build(directory)))
        pids = [stack.enter_context(_process(directory, number)) for number in range(PROCESSES)]
        with fake.one_change():
            for index in range(GPUS):
                fake.add_gpu(H100, loaded=True)
                fake.set_mig_layout(index, [PROFILE] * INSTANCES)
            instances = [(index, each) for index in range(GPUS) for each in fake.gpu(index).mig]
            for index, instance in instances:
                fake.set_activity(index, gi=instance.gi, **{level: LOADED[level] for level in instance.rates})
            for number, pid in enumerate(pids):  # one on each instance, a second on the first few
                index, instance = instances[number % len(instances)]
                instance.memory_used += 3 * GIB
                fake.add_process(index, Process(pid, 3 * GIB, gi=instance.gi))
        yield fake


@contextmanager
def _process(directory: Path, number: int) -> Iterator[int]:
    """A process with a command of its own; its pid."""
    link = directory / f"job-{number:02}"
    link.symlink_to(shutil.which("sleep") or "/bin/sleep")
    with subprocess.Popen(("sleep", "3600"), executable=link) as process:
        try:
            yield process.pid
        finally:
            process.kill()


@contextmanager
def nvml_agent(fake: FakeNvml, budget: int = ROOMY_BUDGET) -> Iterator[Agent]:
    """The agent on this machine, sampling every 5 s, once its first sample is on the page."""
    with tempfile.TemporaryDirectory() as directory:
        # A path of its own: the pids are of this pid namespace, whether or not it is the host's.
        proc = Path(directory, "proc")
        proc.symlink_to("/proc")
        with agent_with(CONFIG.format(proc=proc, budget=budget), Path(directory), fake.env()) as agent:
            agent.wait_for(r"^gpusteward_collect_success\S* 1")
            yield agent


def measure(pace: Pace, fake: FakeNvml, pid: int, address: str) -> Exporter:
    """Measure an exporter on this machine, all that is done with each."""
    time.sleep(INTERVAL_SECONDS)  # what only a first sample does is not what it costs
    fake.reset_calls()
    used = watch(pace, pid, address)
    calls = fake.calls()
    text = scrape_afresh(address, ASKS[0], 2 * pace.scrape_seconds, EVERY_SECONDS).seconds
    return Exporter(used, calls, text)


def agent_figures(pace: Pace, fake: FakeNvml) -> tuple[Exporter, list[Line]]:
    """The agent and its worker on this machine."""
    taken = [start_seconds(lambda: nvml_agent(fake)) for _ in range(pace.starts)]
    lines = [
        Line("start to first sample", quantile(taken, 0.5), "s", 2.0, note=f"median of {len(taken)} starts")
    ]
    with nvml_agent(fake, DEFAULT_BUDGET) as agent:
        lines += _shown(agent.wait_for(_ACTIVITY), DEFAULT_BUDGET)
    with nvml_agent(fake) as agent:
        address = agent.url.removeprefix("http://")
        ours = measure(pace, fake, agent.process.pid, address)
        lines += _shown(agent.metrics(), ROOMY_BUDGET)
        lines += _sampling(ours)
        lines += usage(ours.usage)
        lines += pages(pace, address, (ASKS[0], AS_PROMETHEUS))
    return ours, lines


def _shown(page: str, budget: int) -> Iterator[Line]:
    """What is on the page; fails when the machine is not seen as it is."""
    shown = parsed(page.encode())
    leaves = len(labels_of(shown, "gpu_price_per_hour"))
    assert leaves == GPUS * (INSTANCES + 1), f"{leaves} leaves: not every instance, or no stranded rest"
    jobs = {labels["pod"] for labels in labels_of(shown, "gpu_allocation_share")} - {"", "other"}
    yield Line(f"series, budget of {budget:,}", len(series_of(page)), "series", DEFAULT_BUDGET)
    note = f"of {PROCESSES}{'' if len(jobs) == PROCESSES else '; the others are summed under pod=other'}"
    yield Line("… processes with series of their own", len(jobs), "processes", note=note)


def _sampling(ours: Exporter) -> Iterator[Line]:
    took = [_cycle_seconds(text) for text in ours.usage.pages]
    yield Line("reading of a cycle: p50", 1000 * quantile(took, 0.5), "ms", note="elapsed, in both processes")
    yield Line("… the slowest", 1000 * max(took), "ms", note=f"of {len(took)}")
    yield Line("NVML calls", ours.calls_per_minute, "a minute", note=most_called(ours.calls))


def _cycle_seconds(page: str) -> float:
    found = re.search(r"^gpusteward_collect_duration_seconds\S* (\S+)$", page, re.MULTILINE)
    assert found is not None, page
    return float(found[1])


def most_called(calls: dict[str, int]) -> str:
    """The function that was called most, in words."""
    name = max(calls, key=lambda each: calls[each])
    return f"most: {name}, {100 * calls[name] / sum(calls.values()):.0f} %"
