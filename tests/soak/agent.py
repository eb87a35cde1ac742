"""`python -m tests.soak agent --minutes M`: a real agent at real pace, on a dcgm page that misbehaves."""

from __future__ import annotations

import re
import signal
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from gpusteward.clock import SystemClock
from tests.agents import agent_with
from tests.dcgm_server import Behaviour, DcgmServer
from tests.soak.audit import check_holders, series_of
from tests.soak.churn import LIST_PRICE_PER_HOUR, churning_fleet, trouble_at
from tests.soak.dcgm_page import dcgm_page
from tests.soak.memory import KIB_PER_HOUR, pss_kib, slope_per_hour

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.agents import Agent

INTERVAL_SECONDS = 5.0
CONFIG = """
node: {{provider: aws, instance_type: p5.48xlarge, region: us-east-1, capacity_type: on-demand}}
agent: {{listen: "127.0.0.1:0", source: dcgm, interval_seconds: {interval}}}
sources: {{dcgm: {{url: "{url}"}}}}
"""
SETTLED_SECONDS = 35 * 60.0
"""Until then the windows of half an hour fill; memory is judged after it, over JUDGED_SECONDS at least."""
JUDGED_SECONDS = 20 * 60.0
BEHAVIOURS = {
    "": Behaviour.SERVE,
    "timeout": Behaviour.HANG,
    "refused": Behaviour.REFUSE,
    "bug": Behaviour.HTML,
    "stopped": Behaviour.SERVE,
}
_COST = re.compile(r"^(gpusteward_gpu_cost_total\{.*\}) (\S+)$", re.MULTILINE)
_LATE_SECONDS = 3 * INTERVAL_SECONDS
"""How long after a change the page may still tell of before: a read, a sample and this program's own pace."""


@dataclass(slots=True)
class Watch:
    """What was seen of the agent from the outside.

    Attributes:
        costs: last value of every cost counter there ever was.
        first: (Unix time of the sample, sum of the cost counters) of the first page.
        held: monotonic seconds at which each pod last stood on the dcgm page.
        memory: PSS in KiB by seconds.
        slowest: seconds that the slowest page took.
        pages: how many pages were read.
        most_series: the greatest number of series on a page.
    """

    costs: dict[str, float] = field(default_factory=dict)
    first: tuple[float, float] | None = None
    last: tuple[float, float] = (0.0, 0.0)
    held: dict[str, float] = field(default_factory=dict)
    memory: dict[float, float] = field(default_factory=dict)
    slowest: float = 0.0
    pages: int = 0
    most_series: int = 0

    def read(self, agent: Agent, elapsed: float) -> None:
        """Ask for the page and check it."""
        began = time.monotonic()
        page = agent.metrics()
        now = time.monotonic()
        self.slowest = max(self.slowest, now - began)
        self.pages += 1
        series = series_of(page)
        self.most_series = max(self.most_series, len(series))
        held_ago = {pod: now - last for pod, last in self.held.items()}
        check_holders(series, held_ago, _LATE_SECONDS, 600 + _LATE_SECONDS)
        assert 'gpusteward_cost_conservation_error{node="gpu-node-1"} 0.0' in page
        for name, text in _COST.findall(page):
            value = float(text)
            assert value >= self.costs.get(name, 0.0), f"{name} went down"
            self.costs[name] = value
        if "\ngpusteward_collect_success 1.0" in page:
            sampled = re.search(r"^gpusteward_collect_timestamp_seconds (\S+)$", page, re.MULTILINE)
            assert sampled is not None
            self.last = float(sampled[1]), sum(self.costs.values())
            self.first = self.first or self.last
        if elapsed >= SETTLED_SECONDS:
            self.memory[elapsed] = pss_kib(agent.process.pid)

    def check_money(self) -> None:
        """What was charged between the first and the last good sample is the list price of that time."""
        assert self.first is not None, "no sample was good"
        due = float(LIST_PRICE_PER_HOUR) * (self.last[0] - self.first[0]) / 3600
        charged = self.last[1] - self.first[1]
        # The page has the samples' time on a clock that may be adjusted, and money on one that may not.
        assert abs(charged - due) <= 0.001 * due + 0.001, f"charged {charged} USD, due {due} USD"


def main(minutes: float, say: Callable[[str], None]) -> None:
    """Run it; fails by assertion."""
    epoch = SystemClock().now()
    fleet = churning_fleet(epoch)
    watch = Watch()
    with tempfile.TemporaryDirectory() as directory, DcgmServer() as server:
        server.page = dcgm_page(fleet.read(epoch).nodes[0])
        config = CONFIG.format(url=server.url, interval=INTERVAL_SECONDS)
        with agent_with(config, Path(directory)) as agent:
            try:
                _follow(agent, server, watch, minutes * 60, say)
            finally:
                agent.signal(signal.SIGCONT)
    say(f"{watch.pages} pages, the slowest {watch.slowest * 1000:.0f} ms, at most {watch.most_series} series")
    watch.check_money()
    say(f"{watch.last[1]:.4f} USD charged, as is due; {len(watch.held)} pods")
    _judge_memory(watch, say)


def _follow(
    agent: Agent, server: DcgmServer, watch: Watch, seconds: float, say: Callable[[str], None]
) -> None:
    """A second at a time: what the page says, how it misbehaves, and what the agent makes of it."""
    epoch = SystemClock().now()
    fleet = churning_fleet(epoch)
    stopped_at, elapsed, tick = 0.0, 0.0, 0
    while elapsed < seconds:
        now = SystemClock().now()
        elapsed = now.monotonic - epoch.monotonic
        node = fleet.read(now).nodes[0]
        server.page = dcgm_page(node)
        held = {a.holder.pod for gpu in node.gpus for one in gpu.instances for a in one.allocations or ()}
        watch.held |= dict.fromkeys(held, now.monotonic)
        trouble = trouble_at(elapsed / 60)
        server.behaviour = BEHAVIOURS[trouble]
        agent.signal(signal.SIGSTOP if trouble == "stopped" else signal.SIGCONT)
        stopped_at = elapsed if trouble == "stopped" else stopped_at
        settling = stopped_at and elapsed - stopped_at < _LATE_SECONDS
        if tick % int(INTERVAL_SECONDS) == 0 and not settling:
            watch.read(agent, elapsed)
        if tick % 600 == 0:
            say(
                f"minute {elapsed / 60:.0f}: {len(watch.held)} pods, {pss_kib(agent.process.pid):.0f} KiB PSS"
            )
        tick += 1
        time.sleep(max(0.0, epoch.monotonic + tick - time.monotonic()))


def _judge_memory(watch: Watch, say: Callable[[str], None]) -> None:
    span = max(watch.memory, default=0.0) - min(watch.memory, default=0.0)
    if span < JUDGED_SECONDS:
        say(f"memory is judged from {(SETTLED_SECONDS + JUDGED_SECONDS) / 60 + 1:.0f} minutes on")
        return
    slope = slope_per_hour(watch.memory)
    say(f"memory: {slope:+.0f} KiB an hour over the last {span / 60:.0f} minutes")
    assert slope < KIB_PER_HOUR, "more than 1 MiB an hour"
