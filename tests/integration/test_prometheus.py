"""A real Prometheus scrapes a real agent.

Two things are shown. Labels: a target that itself carries `namespace`, `pod` and `container`, as every pod
target does, neither gets our unallocated money (honor_labels: true) nor hides that it would (without).
Counters: whatever the scrape interval, active seconds between two raw samples are the integral of what the
simulated fleet did between the two agent samples that they show.
"""

from __future__ import annotations

import shutil
import threading
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pytest

from gpusteward.clock import SystemClock
from gpusteward.config import ConfigWatch
from gpusteward.devices.simulated import SimulatedSource
from gpusteward.runtime import Parts, RunningAgent
from tests.prometheus_server import Prometheus, prometheus

if TYPE_CHECKING:
    from collections.abc import Iterator

    from gpusteward.clock import Moment

pytestmark = pytest.mark.skipif(
    shutil.which("prometheus") is None, reason="prometheus is not installed (apt: prometheus)"
)

INTERVALS = (1, 5, 15)
WATCHED_SECONDS = 35
TARGET_LABELS = "{namespace: monitoring, pod: gpusteward-agent-x7k2p, container: agent}"


@dataclass(frozen=True)
class Scraped:
    """A fleet, its beginning, and the Prometheus that has watched it for a while."""

    source: SimulatedSource
    epoch: Moment
    server: Prometheus


@pytest.fixture(scope="module")
def scraped(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scraped]:
    clock = SystemClock()
    epoch = clock.now()
    path = tmp_path_factory.mktemp("config") / "gpusteward.yaml"
    path.write_text("agent: {interval_seconds: 1}")
    watch = ConfigWatch(path, clock)
    source = SimulatedSource(watch.config.sources.simulated, epoch)
    agent = RunningAgent(
        Parts(
            watch=watch,
            source=source,
            clock=clock,
            mode="simulated",
            listen="127.0.0.1:0",
            warmed_up_at=epoch,
        )
    )
    ready = threading.Event()
    thread = threading.Thread(target=agent.serve, args=(ready.set,))
    thread.start()
    try:
        assert ready.wait(30)
        with prometheus(scrapes(agent.address), tmp_path_factory.mktemp("prometheus")) as server:
            server.wait_for('up{job="every-15s"} == 1', 60)
            time.sleep(WATCHED_SECONDS)
            yield Scraped(source, epoch, server)
    finally:
        agent.stop()
        thread.join(timeout=15)


def scrapes(address: str) -> str:
    target = f"static_configs: [{{targets: ['{address}'], labels: {TARGET_LABELS}}}]"
    jobs = [
        f"- {{job_name: every-{n}s, scrape_interval: {n}s, scrape_timeout: 1s, honor_labels: true, {target}}}"
        for n in INTERVALS
    ]
    jobs.append(f"- {{job_name: naive, scrape_interval: 1s, scrape_timeout: 1s, {target}}}")
    return "\n".join(jobs)


def test_with_honor_labels_unallocated_money_is_nobodys(scraped: Scraped) -> None:
    unallocated = scraped.server.query('gpusteward_gpu_cost_per_hour{job="every-1s",cause="unallocated"}')
    assert unallocated
    for series in unallocated:
        assert not {"pod", "namespace", "container"} & series["metric"].keys()
    billed = scraped.server.query('gpusteward_gpu_cost_per_hour{job="every-1s",pod="gpusteward-agent-x7k2p"}')
    assert billed == []
    held = scraped.server.query('gpusteward_gpu_cost_per_hour{job="every-1s",cause="used",pod!=""}')
    assert held
    assert scraped.server.query('{job="every-1s",exported_pod!=""}') == []


def test_without_honor_labels_the_case_is_recognisable(scraped: Scraped) -> None:
    billed = scraped.server.query(
        'gpusteward_gpu_cost_per_hour{job="naive",cause="unallocated",pod="gpusteward-agent-x7k2p"}'
    )
    assert billed, "Prometheus bills the target's own pod"
    assert scraped.server.query('gpusteward_gpu_cost_per_hour{job="naive",exported_pod!=""}')


def test_the_cost_of_a_gpu_is_its_price_whoever_holds_it(scraped: Scraped) -> None:
    off = scraped.server.query(
        'abs(sum by (uuid) (gpusteward_gpu_cost_per_hour{job="every-1s"})'
        ' - sum by (uuid) (gpusteward_gpu_price_per_hour{job="every-1s"})) > 1e-9'
    )
    assert off == []
    assert scraped.server.query('gpusteward_cost_conservation_error{job="every-1s"} != 0') == []


@pytest.mark.parametrize("interval", INTERVALS)
def test_active_seconds_are_the_integral_of_what_the_fleet_did(scraped: Scraped, interval: int) -> None:
    window = f'{{job="every-{interval}s"}}[{WATCHED_SECONDS + 30}s]'
    (sampled,) = scraped.server.query(f"gpusteward_collect_timestamp_seconds{window}")
    taken_at = {scrape: float(value) for scrape, value in sampled["values"]}
    checked = 0
    for series in scraped.server.query(f"gpusteward_gpu_active_seconds_total{window}"):
        labels, values = series["metric"], series["values"]
        first, last = values[0], values[-1]
        start, end = (scraped.epoch.plus(taken_at[t] - scraped.epoch.wall) for t in (first[0], last[0]))
        expected = scraped.source.fleet.activity_integral(
            labels["node"],
            labels["uuid"],
            labels.get("gi", ""),
            scraped.source.simulated_seconds(start),
            scraped.source.simulated_seconds(end),
        )
        assert len(values) >= 2
        counted = float(last[1]) - float(first[1])
        assert counted == pytest.approx(expected, rel=0.005, abs=0.01), labels
        checked += expected > 0
    assert checked >= 15
