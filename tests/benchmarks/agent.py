"""`python -m tests.benchmarks.agent [--short]`: what the agent costs the node that it runs on.

8 GPUs × 7 MIG instances, sampled every 5 s: simulated and held by 64 pods (the bundled profile `benchmark`);
and on the fake NVML, held by 64 processes, where nvitop-exporter is measured too. Prints figures beside the
targets of design §11 and §6; docs/benchmarks.md says what each means. Targets that are missed are printed,
not failed: the exit code is 0 unless the benchmark itself breaks.
"""

from __future__ import annotations

import argparse
import datetime as dt
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from typing import TYPE_CHECKING

from tests.benchmarks import cycle, nvitop, nvml, process
from tests.benchmarks.table import Line, load, machine, table

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.benchmarks.process import Pace


def sections(pace: Pace) -> Iterator[tuple[str, list[Line]]]:
    """All figures, under the headline that they belong to."""
    yield (
        "One process, simulated",
        [
            *cycle.windows(pace.churn_step),
            *cycle.churn(pace.churn_step),
            *cycle.series(),
            *cycle.stages(pace.cycles),
        ],
    )
    yield "The agent, simulated source", list(simulated(pace))
    with nvml.benchmark_machine() as fake:
        ours, lines = nvml.agent_figures(pace, fake)
        yield "The agent, NVML source", lines
        try:
            yield f"nvitop-exporter {nvitop.VERSION}, the same NVML", nvitop.figures(pace, fake, ours)
        except nvitop.UnavailableError as error:
            print(f"not measured: nvitop-exporter {nvitop.VERSION}: {error}", flush=True)


def _afresh(measure: Callable[[float], list[Line]], step: float) -> list[Line]:
    """Lines measured in a process of their own: memory that was used before would hide growth."""
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
        return pool.submit(measure, step).result()


def simulated(pace: Pace) -> Iterator[Line]:
    """The agent as a process of its own, its fleet simulated in it."""
    yield from process.starts(pace)
    with process.benchmark_agent() as agent:
        address = agent.url.removeprefix("http://")
        yield from process.usage(process.watch(pace, agent.process.pid, address))
        yield from process.pages(pace, address)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks.agent", description=__doc__)
    parser.add_argument("--short", action="store_true", help="a minute: to see that it works, not to quote")
    pace = process.SHORT if parser.parse_args().short else process.FULL
    print(f"{dt.datetime.now(dt.UTC):%Y-%m-%d %H:%M} UTC, {machine()}")
    missed: list[str] = []
    for title, lines in sections(pace):
        print(f"\n### {title}\n\n{table(lines)}\n\n{load()}", flush=True)
        missed += [f"{line.name} ({title})" for line in lines if line.verdict == "MISSED"]
    print(f"\n{len(missed)} targets missed: {'; '.join(missed)}" if missed else "\nno target missed")


if __name__ == "__main__":
    main()
