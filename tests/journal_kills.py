"""Kill a real agent with SIGKILL at random moments, and compare its journal with the truth.

The truth: GPU-A is half used by a pod, GPU-B is nobody's, and nothing else ever happens; the agent runs from
its first sample, which its source wrote down, until it is killed. Times are seconds of the fast clock.
"""

from __future__ import annotations

import json
import random
import time
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeAlias

from tests.agents import started

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from tests.agents import Agent

    Sums: TypeAlias = dict[tuple[str, str, str], float]

SPEED = 10.0
LONGEST_RUN_SECONDS = 3.0
PRICE = 2_000_000
CONFIG = """
node: {{name: n1}}
agent: {{listen: "127.0.0.1:0", source: dcgm, interval_seconds: 1, state_dir: "{folder}/state"}}
sources: {{dcgm: {{file: "{folder}/page.prom"}}}}
pricing: {{book: [{{model: "H100 SXM", gpu_per_hour: "2"}}]}}
"""
LABELS = 'gpu="{n}",UUID="GPU-{uuid}",modelName="NVIDIA H100 80GB HBM3",Hostname="n1"'
HELD = ',namespace="team-a",pod="{pod}",container="main"'


def page(pod: str) -> str:
    """A dcgm-exporter page: the pod uses half of GPU-A."""
    held = LABELS.format(n=0, uuid="A") + HELD.format(pod=pod)
    free = LABELS.format(n=1, uuid="B")
    return f"DCGM_FI_DEV_GPU_UTIL{{{held}}} 50\nDCGM_FI_DEV_GPU_UTIL{{{free}}} 0\n"


@dataclass
class Machine:
    """A folder in which agents run one after the other.

    Attributes:
        folder: config, page, state and the truth.
        truth: what should have been metered so far, by device, pod and cause.
        pod: who holds GPU-A.
        killed_at: when the last agent was killed, by whose pod; None before the first.
    """

    folder: Path
    truth: Sums = field(default_factory=dict)
    pod: str = "train-0"
    killed_at: tuple[float, str] | None = None

    def hold(self, pod: str) -> None:
        """Let this pod hold GPU-A from now on."""
        self.pod = pod
        (self.folder / "page.prom").write_text(page(pod))

    @contextmanager
    def agent(self) -> Iterator[Agent]:
        """An agent, from its first sample on; the time in which none ran is the pod's that is still there."""
        config, seen = self.folder / "gpusteward.yaml", self.folder / "samples"
        config.write_text(CONFIG.format(folder=self.folder))
        before = len(self.samples())
        with started("-m", "tests.journal_agent", str(config), str(SPEED), str(seen)) as agent:
            first = self.samples()[before]
            if self.killed_at is not None and self.killed_at[1] == self.pod:
                self._add("GPU-A", self.pod, "unmeasured", first - self.killed_at[0])
            yield agent
            ended = now() if self.killed_at is None or self.killed_at[0] < first else self.killed_at[0]
            self._add("GPU-A", self.pod, "used", (ended - first) / 2)
            self._add("GPU-A", self.pod, "headroom", (ended - first) / 2)
            self._add("GPU-B", "", "unallocated", ended - first)

    def kill(self, agent: Agent) -> None:
        """SIGKILL, now."""
        agent.process.kill()
        self.killed_at = (now(), self.pod)
        agent.process.wait()

    def samples(self) -> list[float]:
        """The moments of all samples so far."""
        path = self.folder / "samples"
        return [float(line) for line in path.read_text().split()] if path.exists() else []

    def _add(self, device: str, pod: str, cause: str, seconds: float) -> None:
        key = (device, pod, cause)
        self.truth[key] = self.truth.get(key, 0.0) + seconds

    def wrong(self, sums: Sums) -> dict[str, float]:
        """By device: seconds by which the journal differs from the truth, over all holders and causes."""
        off: dict[str, float] = {}
        for key in self.truth.keys() | sums.keys():
            off[key[0]] = off.get(key[0], 0.0) + abs(self.truth.get(key, 0.0) - sums.get(key, 0.0))
        return off


def now() -> float:
    """The fast clock."""
    return time.monotonic() * SPEED


def rows_of(agent: Agent, limit: int = 1000) -> list[dict[str, Any]]:
    """The whole journal, read piece by piece."""
    rows: list[dict[str, Any]] = []
    after, more = 0, True
    while more:
        status, _, body = agent.get(f"/usage?after={after}&limit={limit}")
        assert status == 200, body
        piece = json.loads(body)
        rows += piece["rows"]
        after, more = piece["next"], piece["more"]
    return rows


def sums_of(rows: list[dict[str, Any]]) -> Sums:
    """Held seconds by device, pod and cause."""
    sums: Sums = {}
    for row in rows:
        key = (row["uuid"], row["pod"], row["cause"])
        sums[key] = sums.get(key, 0.0) + row["held_ms"] / 1000
    return sums


def run(folder: Path, kills: int, say: Callable[[str], None]) -> Machine:
    """Kill it that often; asserts the bound at each start that follows, and that no row ever changes."""
    machine, moments = Machine(folder), random.Random(1)  # noqa: S311 - no secret
    machine.hold("train-0")
    before: dict[str, float] = {"GPU-A": 0.0, "GPU-B": 0.0}
    known: list[dict[str, Any]] = []
    for kill in range(kills + 1):
        with machine.agent() as agent:
            wrong = machine.wrong(sums_of(rows := settled_rows(agent)))
            assert rows[: len(known)] == known, "rows that were read once are the same for ever"
            known = rows
            for device, seconds in wrong.items():
                assert seconds - before[device] <= 60.0, (kill, device, seconds, before, machine.truth)
            say(f"after {kill} kills: wrong by {wrong}, {len(rows)} rows")
            before |= wrong
            time.sleep(moments.uniform(0.0, LONGEST_RUN_SECONDS))
            machine.kill(agent)
        if kill % 5 == 4:
            machine.hold(f"train-{kill}")
    return machine


def settled_rows(agent: Agent) -> list[dict[str, Any]]:
    """The journal up to the agent's first sample: what was open before is closed once that was taken."""
    agent.wait_for("^gpusteward_journal_last_write_timestamp_seconds ")
    return rows_of(agent)
