"""One cycle of the agent, in this process: what each stage takes, what comes out, what a pod adds."""

from __future__ import annotations

import gc
import tempfile
import time
from collections import Counter
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

from prometheus_client import generate_latest

from gpusteward.clock import Moment
from gpusteward.config import Config, DcgmSettings, SimulatedSettings
from gpusteward.devices.dcgm import DcgmSource
from gpusteward.devices.simulated import SimulatedSource
from gpusteward.metrics.collectors import families
from gpusteward.metrics.exposure import Exposure
from gpusteward.metrics.page import Page, render
from gpusteward.model import Allocation, CollectHealth, Holder, Readings
from gpusteward.pricing import PriceBook, bundled_catalogue
from gpusteward.sampler import warm_up
from gpusteward.snapshot import Pipeline
from tests.benchmarks.scraping import AS_PROMETHEUS
from tests.benchmarks.table import Line, quantile
from tests.soak.audit import series_of
from tests.soak.churn import churning_fleet
from tests.soak.dcgm_page import dcgm_page
from tests.soak.memory import KIB_PER_HOUR, memory_kib, slope_per_hour

if TYPE_CHECKING:
    from collections.abc import Iterator

    from prometheus_client.metrics_core import Metric as Family

    from gpusteward.model import InstanceReading, Signal, Snapshot

EPOCH = Moment(wall=1_800_000_000.0, monotonic=10_000.0)
HEALTH = CollectHealth(success=True, reason="", message="", last_success=None, duration_seconds=0.0)
EXPOSURE = Exposure(mode="simulated")
NEWCOMER = Holder("benchmark", "newcomer", "main")


def new_pipeline() -> Pipeline:
    config = Config()
    return Pipeline(config, PriceBook(bundled_catalogue(), config.pricing), "simulated")


def benchmark_fleet() -> SimulatedSource:
    return SimulatedSource(SimulatedSettings(profile="benchmark"), EPOCH)


@dataclass(slots=True)
class Stopwatch:
    """Processor time by stage."""

    taken: dict[str, list[float]] = field(default_factory=dict)

    @contextmanager
    def time(self, stage: str) -> Iterator[None]:
        began = time.process_time()
        yield
        self.taken.setdefault(stage, []).append(time.process_time() - began)

    def milliseconds(self, stage: str) -> float:
        """The median."""
        return 1000 * quantile(self.taken[stage], 0.5)


@dataclass(frozen=True, slots=True)
class Peer:
    """Families as prometheus_client's registry would hold them."""

    families: list[Family]

    def collect(self) -> list[Family]:
        return self.families


def stages(cycles: int) -> Iterator[Line]:
    """Processor time of each stage; the page against prometheus_client's own text of the same families."""
    source, pipeline, watch = benchmark_fleet(), new_pipeline(), Stopwatch()
    warm_up(source, pipeline, EPOCH, 45.0, lambda: False)
    with tempfile.TemporaryDirectory() as directory:
        file = Path(directory) / "page.prom"
        dcgm = DcgmSource(DcgmSettings(file=str(file)), "benchmark")
        for cycle in range(cycles):
            at = EPOCH.plus(5.0 * cycle)
            with watch.time("simulated"):
                readings = source.read(at)
            file.write_text(dcgm_page(readings.nodes[0]))
            with watch.time("dcgm"):
                dcgm.read(at)
            with watch.time("snapshot"):
                snapshot = pipeline.take(readings, HEALTH)
            with watch.time("render"):
                page = render(snapshot, EXPOSURE)
            with watch.time("first"):
                page.rendering(AS_PROMETHEUS.accept, "gzip")
            _against_peer(snapshot, watch)
    yield Line("cycle: read, simulated", watch.milliseconds("simulated"), "ms", note="median processor time")
    yield Line("cycle: read, dcgm page of the same", watch.milliseconds("dcgm"), "ms", note="from a file")
    yield Line(
        "cycle: snapshot", watch.milliseconds("snapshot"), "ms", note="attribute, price, judge, charge"
    )
    yield Line("cycle: render", watch.milliseconds("render"), "ms", note="families, and their plain text")
    yield Line("… OpenMetrics and gzip", watch.milliseconds("first"), "ms", note="once, if asked for")
    ours, theirs = watch.milliseconds("ours"), watch.milliseconds("peer")
    yield Line("text of the families, ours", ours, "ms")
    yield Line("text of the families, prometheus_client's", theirs, "ms", note=f"{theirs / ours:.1f} × ours")


def _against_peer(snapshot: Snapshot, watch: Stopwatch) -> None:
    """The same families as text, by us and by prometheus_client; they must come to the same bytes."""
    shown = families(snapshot, EXPOSURE)
    with watch.time("ours"):
        ours = Page(shown).text
    with watch.time("peer"):
        peer = generate_latest(Peer(shown))
    assert ours == peer


def series() -> Iterator[Line]:
    """Series on the page, by family, and what a pod adds to them."""
    source, pipeline = benchmark_fleet(), new_pipeline()
    warm_up(source, pipeline, EPOCH, 45.0, lambda: False)
    page = render(pipeline.take(source.read(EPOCH), HEALTH), EXPOSURE).text.decode()
    shown = series_of(page)
    budget = Config().metrics.series_budget
    yield Line("series", len(shown), "series", budget, note="without our own process' nine or so")
    by_family = Counter(line.partition("{")[0] for line in shown)
    for name, count in by_family.most_common(10):
        yield Line(f"… {name}", count, "series")
    rest = sum(by_family.values()) - sum(count for _, count in by_family.most_common(10))
    yield Line(f"… {len(by_family) - 10} other families", rest, "series")
    yield from _newcomer()


PHASES: tuple[tuple[str, int, bool], ...] = (("pulling", 2, False), ("working", 40, True), ("idle", 40, True))
"""A pod's life: name, minutes, whether it runs."""


def _newcomer() -> Iterator[Line]:
    """A pod comes to one instance of 56 and lives through every phase; the other 55 stay as they are."""
    source, pipeline = benchmark_fleet(), new_pipeline()
    at = EPOCH.plus(-45 * 60.0)
    for _ in range(90):  # nobody on it, until its windows are full
        snapshot = pipeline.take(_with_newcomer(source.read(at), (), resting=True), HEALTH)
        at = at.plus(30.0)
    before = _series(snapshot)
    seen: set[str] = set()
    at_once: dict[str, int] = {}
    for phase, minutes, running in PHASES:
        allocation = Allocation(NEWCOMER, running=running)
        for step in range(2 * minutes):
            readings = _with_newcomer(source.read(at), (allocation,), resting=phase != "working")
            snapshot = pipeline.take(readings, HEALTH)
            at = at.plus(30.0)
            if step % 2 == 0:
                continue
            after = _series(snapshot)
            own = {line for line in after if f'pod="{NEWCOMER.pod}"' in line}
            at_once[phase] = max(at_once.get(phase, 0), len(own))
            seen |= own
    broken = {line for line in before - after if ",pod=" not in line}
    yield Line("series of a new pod while its image is pulled", at_once["pulling"], "series", 8)
    yield Line(
        "series of a new pod once it works",
        at_once["working"],
        "series",
        8,
        note="its not_running counters are kept",
    )
    yield Line("series of a new pod once it idles", at_once["idle"], "series", 8, note="after 40 min of work")
    yield Line("… over all its life", len(seen), "series", note="most are never there together")
    yield Line("device series that it broke", len(broken), "series", 0)


def _with_newcomer(readings: Readings, allocations: tuple[Allocation, ...], *, resting: bool) -> Readings:
    """The readings with other holders of the first instance of the first GPU, and no activity if it rests."""
    node = readings.nodes[0]
    gpu = node.gpus[0]
    first = replace(gpu.instances[0], allocations=allocations)
    if resting:
        first = replace(first, signals=_at_rest(first))
    changed = replace(gpu, instances=(first, *gpu.instances[1:]))
    return replace(readings, nodes=(replace(node, gpus=(changed, *node.gpus[1:])),))


def _at_rest(instance: InstanceReading) -> dict[Signal, float]:
    """The instance's signals with nothing running and no memory used."""
    return {
        signal: 0.0 if signal.endswith(("_ratio", "used_bytes")) else value
        for signal, value in instance.signals.items()
    }


def _series(snapshot: Snapshot) -> set[str]:
    return series_of(render(snapshot, EXPOSURE).text.decode())


def churn(step: float) -> list[Line]:
    """Own memory of this process while pods come and go: half an hour to settle, then an hour that counts.

    Own is anonymous memory: PSS also moves with how many others map the same libraries.

    Args:
        step: simulated seconds between samples.
    """
    source, pipeline = churning_fleet(EPOCH), new_pipeline()
    memory: dict[float, float] = {}
    pods: set[str] = set()
    elapsed = 0.0
    while elapsed <= 90 * 60:
        readings = source.read(EPOCH.plus(elapsed))
        render(pipeline.take(readings, HEALTH), EXPOSURE).rendering(AS_PROMETHEUS.accept, "gzip")
        if elapsed >= 30 * 60:
            pods |= {a.holder.pod for i in _instances(readings) for a in i.allocations or ()}
            memory[elapsed] = own_kib()
        elapsed += step
    slope = slope_per_hour(memory) / 1024
    note = f"{len(pods)} pods in a simulated hour, {len(memory)} samples"
    return [Line("memory growth under churn", slope, "MiB/h", KIB_PER_HOUR / 1024, note=note)]


def windows(step: float) -> list[Line]:
    """What the windows add, the longest of which is full after half an hour; every holder stays.

    Args:
        step: as in `churn`.
    """
    source, pipeline = benchmark_fleet(), new_pipeline()
    memory: dict[float, float] = {}
    elapsed = 0.0
    while elapsed <= 40 * 60:
        render(pipeline.take(source.read(EPOCH.plus(elapsed)), HEALTH), EXPOSURE)
        if elapsed % 60 == 0:
            memory[elapsed] = own_kib()
        elapsed += step
    added = (memory[40 * 60] - memory[60]) / 1024
    name = "memory added from the first minute to the 40th"
    return [Line(name, added, "MiB", note="nobody comes or goes; windows fill for 30 min")]


def own_kib() -> float:
    """Memory of this process that no other shares, once garbage is gone."""
    gc.collect()
    return memory_kib()["Anonymous"]


def _instances(readings: Readings) -> Iterator[InstanceReading]:
    for node in readings.nodes:
        for gpu in node.gpus:
            yield from gpu.instances
