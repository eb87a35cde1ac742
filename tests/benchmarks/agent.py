"""`python -m tests.benchmarks.agent [--short]`: what the agent costs the node that it runs on.

8 GPUs × 7 MIG instances held by 64 pods (the bundled profile `benchmark`), sampled every 5 s. Prints a table
of figures beside the targets of design §11 and §6; docs/benchmarks.md says what each means. Targets that are
missed are printed, not failed: the exit code is 0 unless the benchmark itself breaks.
"""

from __future__ import annotations

import argparse
import datetime as dt
from typing import TYPE_CHECKING

from tests.benchmarks import cycle, process
from tests.benchmarks.table import Line, load, machine, table

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.benchmarks.process import Pace


def figures(pace: Pace) -> Iterator[Line]:
    """All figures; those of this process first, so that nothing else has used its memory before."""
    yield from cycle.churn(pace.churn_step)
    yield from cycle.series()
    yield from cycle.stages(pace.cycles)
    yield from process.starts(pace)
    with process.benchmark_agent() as agent:
        address = agent.url.removeprefix("http://")
        yield from process.usage(pace, agent, address)
        yield from process.pages(pace, address)
    yield from peers()


def peers() -> Iterator[Line]:
    """Other exporters on the same machine in the same run.

    nvitop-exporter belongs here: it reads NVML only, so it comes with our NVML source, on the fake driver of
    tests/nvml (design §11: a scrape of ours is to be 4 times faster at least).
    """
    yield from ()


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks.agent", description=__doc__)
    parser.add_argument(
        "--short", action="store_true", help="half a minute: to see that it works, not to quote"
    )
    pace = process.SHORT if parser.parse_args().short else process.FULL
    print(f"{dt.datetime.now(dt.UTC):%Y-%m-%d %H:%M} UTC, {machine()}")
    print(f"before: {load()}", flush=True)
    lines = list(figures(pace))
    print(f"after:  {load()}\n")
    print(table(lines))
    missed = [line.name for line in lines if line.verdict == "MISSED"]
    print(f"\n{len(missed)} targets missed: {'; '.join(missed)}" if missed else "\nno target missed")
    print("not measured: nvitop-exporter on the same fake NVML, which comes with the NVML source")


if __name__ == "__main__":
    main()
