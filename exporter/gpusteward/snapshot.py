"""The pipeline: readings in, snapshot out, in one function. The order of the stages is stated here only.

    read → hold (as the kubelet says) → attribute → price → judge → sum up process holders → charge → snapshot

Pure but for the memory of what was seen before (rosters, histories, the meter).
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from msgspec import Struct

from gpusteward.attribution import Roster, attribute, unread, with_holders
from gpusteward.meter import Interval, Meter, MeterState, OpenRows, dump_meter, load_meter
from gpusteward.metrics.budget import process_seats
from gpusteward.model import (
    AttributedGpu,
    AttributionError,
    CapacityType,
    GpuSnapshot,
    Leaf,
    LeafSnapshot,
    NodeFacts,
    NodeRate,
    NodeReadings,
    NodeSnapshot,
    Rate,
    Signal,
    Snapshot,
)
from gpusteward.pricing import MissingPrice, NodeGpus, leaf_rates, with_rest
from gpusteward.processes import ProcessHolders
from gpusteward.underuse import History, HistoryState, dump_history, judge, load_history, portions
from gpusteward.units import microseconds

if TYPE_CHECKING:
    from collections.abc import Mapping

    from gpusteward.clock import Moment
    from gpusteward.config import Config, NodeSettings
    from gpusteward.model import CollectHealth, Holdings, Readings
    from gpusteward.pricing import PriceBook

FORGET_NODE_SECONDS = 15 * 60.0
"""A node that a page of several nodes no longer names is gone from the page, not lost."""

LONGEST_GAP_SECONDS = 30.0
"""A sample stands for at most this long, or three intervals; after a longer gap it does not tell the gap."""


@dataclass(slots=True)
class _Node:
    """What is remembered of one node between samples.

    Attributes:
        roster: its GPUs.
        facts: what its source last knew of it, before the config's overrides.
        last_at: the last sample, good or not.
        last_read: monotonic seconds of the last good one.
    """

    roster: Roster = field(default_factory=Roster)
    facts: NodeFacts | None = None
    last_at: Moment | None = None
    last_read: float = 0.0


class PipelineState(Struct, frozen=True, kw_only=True):
    """What a pipeline remembers that is worth outliving its process: counters and windows.

    Attributes:
        nodes: the nodes that it metered.
        meter: the counters.
        histories: the windows, by leaf.
    """

    nodes: list[str]
    meter: MeterState
    histories: list[tuple[tuple[str, str, str], HistoryState]]


class Pipeline:
    """Turns each sample into a snapshot.

    Args:
        config: thresholds and overrides; may be replaced between samples.
        book: prices; may be replaced between samples.
        mode: `real` or `simulated`.
    """

    def __init__(self, config: Config, book: PriceBook, mode: str) -> None:
        self.mode = mode
        self._config = config
        self._book = book
        self._nodes: dict[str, _Node] = {}
        self._stopped: dict[str, float] = {}
        self._resumed_at: float | None = None
        self._histories: dict[tuple[str, str, str], History] = {}
        self._meter = Meter(config.metrics.ended_holder_seconds)
        self._processes = ProcessHolders(config.metrics.ended_holder_seconds)
        self._holdings: Holdings | None = None
        self._unattributed: Counter[AttributionError] = Counter()

    @property
    def book(self) -> PriceBook:
        """The prices in force."""
        return self._book

    @property
    def open_rows(self) -> OpenRows:
        """The usage that is not closed yet."""
        return self._meter.open

    def dump(self) -> PipelineState:
        """What another pipeline needs to go on where this one is."""
        return PipelineState(
            nodes=list(self._nodes),
            meter=dump_meter(self._meter),
            histories=[(key, dump_history(history)) for key, history in self._histories.items()],
        )

    def load(self, state: PipelineState, stopped: float, *, counters: bool) -> None:
        """Go on where another pipeline ended, in the same boot. Before the first sample.

        Args:
            state: what that one remembered.
            stopped: monotonic seconds at which it ended; the time since then is charged as downtime.
            counters: whether its counters go on too (see `load_meter`).
        """
        load_meter(self._meter, state.meter, counters=counters)
        self._histories = {key: load_history(history) for key, history in state.histories}
        self._stopped = dict.fromkeys(state.nodes, stopped)

    def reconfigure(self, config: Config, book: PriceBook) -> None:
        """Use other settings from the next sample on; nothing measured so far is lost or restated."""
        self._config, self._book = config, book
        self._meter.ended_seconds = config.metrics.ended_holder_seconds
        self._processes.ended_seconds = config.metrics.ended_holder_seconds

    def take(self, readings: Readings, health: CollectHealth) -> Snapshot:
        """The snapshot of a good sample."""
        readings = self._with_holders(readings)
        read = {node.node: node for node in readings.nodes}
        for name in read:
            self._nodes.setdefault(name, _Node()).last_read = readings.at.monotonic
        self._drop_gone(readings.at.monotonic, read)
        seats = process_seats(readings.nodes, self._config.metrics.series_budget)
        self._processes.begin(seats, readings.at.monotonic)
        nodes = tuple(self._node(name, read.get(name), readings.at) for name in sorted(self._nodes))
        self._forget(readings.at.monotonic)
        return Snapshot(
            at=readings.at, source=readings.source, mode=self.mode, nodes=nodes, health=self._told(health)
        )

    def miss(self, at: Moment, source: str, health: CollectHealth) -> Snapshot:
        """The snapshot of a sample that gave nothing: known devices go on costing, as unmeasured."""
        nodes = tuple(self._node(name, None, at) for name in sorted(self._nodes))
        told = replace(self._told(health), holders_at=None)  # of what was not read no holder is known
        return Snapshot(at=at, source=source, mode=self.mode, nodes=nodes, health=told)

    def _with_holders(self, readings: Readings) -> Readings:
        """The readings with the kubelet's holders; what could not be attributed is counted."""
        attributed = with_holders(readings)
        self._holdings = readings.holdings
        self._unattributed.update(attributed.errors)
        return attributed.readings

    def _told(self, health: CollectHealth) -> CollectHealth:
        """The health with what is known of holders."""
        holdings = self._holdings
        if holdings is None:
            return health
        devices = holdings.devices
        return replace(
            health,
            attribution_errors={
                reason: holdings.errors.get(reason, 0) + self._unattributed[reason]
                for reason in AttributionError
            },
            holders_at=None if devices is None else devices.at.wall,
        )

    def _node(self, name: str, readings: NodeReadings | None, at: Moment) -> NodeSnapshot:
        """One node through all the stages."""
        node = self._nodes[name]
        if readings is not None and readings.facts is not None:
            node.facts = readings.facts
        facts = _overridden(node.facts or NodeFacts(name=name), self._config.node)
        interval = self._interval(name, node, at)
        node.last_at = at  # whatever happens below, this interval is not charged a second time
        nominal = self._book.nominal_gpus(facts)
        gpus = self._attribute(name, node, readings, nominal, at)
        price = self._book.price_node(facts, _priced(gpus, nominal))
        rate = price if isinstance(price, NodeRate) else None
        snapshots = tuple(
            self._gpu(name, gpu, _gpu_rate(rate, position), interval, at) for position, gpu in enumerate(gpus)
        )
        present = {leaf.leaf.device.key for gpu in snapshots for leaf in gpu.leaves}
        other, error = self._meter.close_node(name, rate, interval)
        return NodeSnapshot(
            node=name,
            facts=facts,
            rate=rate,
            missing_price=str(price) if isinstance(price, MissingPrice) else "",
            gpus=snapshots,
            expected=len(gpus) if nominal is None else nominal,
            seen=None if readings is None else len(readings.gpus),
            other_cost=other,
            conservation_error=error,
            ended=self._meter.ended(name, present, at.monotonic),
        )

    def _attribute(
        self, name: str, node: _Node, readings: NodeReadings | None, nominal: int | None, at: Moment
    ) -> tuple[AttributedGpu, ...]:
        acknowledged = self._config.node.lost_acknowledged
        if readings is None:
            return unread(name, node.roster, nominal, acknowledged, at.monotonic)
        return attribute(readings, node.roster, nominal, acknowledged, at.monotonic)

    def _gpu(
        self, node: str, gpu: AttributedGpu, rate: Rate | None, interval: Interval, at: Moment
    ) -> GpuSnapshot:
        """One GPU: its leaves priced, judged and charged."""
        leaves = with_rest(node, gpu)
        rates = leaf_rates(leaves, rate.micro_per_hour, rate) if rate else (None,) * len(leaves)
        snapshots = tuple(
            self._leaf(leaf, leaf_rate, interval, at) for leaf, leaf_rate in zip(leaves, rates, strict=True)
        )
        xids, last = self._meter.count_xids(node, gpu.reading, at.wall)
        return GpuSnapshot(reading=gpu.reading, fault=gpu.fault, leaves=snapshots, xids=xids, xid_last=last)

    def _leaf(self, leaf: Leaf, rate: Rate | None, interval: Interval, at: Moment) -> LeafSnapshot:
        settings = self._config.underuse
        history = self._histories.setdefault(leaf.device.key, History())
        seconds = interval.microseconds / 1e6 if interval.sampled else 0.0
        verdict = judge(leaf, history, settings, at, seconds)
        leaf, parts, summed = self._processes.sum_up(leaf, portions(leaf, verdict))
        return LeafSnapshot(
            leaf=leaf,
            rate=rate,
            verdict=verdict,
            portions=parts,
            charges=self._meter.charge(leaf, parts, rate, interval),
            totals=self._meter.total(leaf, verdict, interval),
            summed_holders=summed,
        )

    def _interval(self, name: str, node: _Node, at: Moment) -> Interval:
        if node.last_at is None:
            downtime = max(0.0, at.monotonic - self._stopped.pop(name, at.monotonic))
            return Interval(microseconds(downtime), at.monotonic, sampled=not downtime, running=not downtime)
        seconds = max(0.0, at.monotonic - node.last_at.monotonic)
        longest = max(LONGEST_GAP_SECONDS, 3 * self._config.agent.interval_seconds)
        return Interval(microseconds(seconds), at.monotonic, sampled=seconds <= longest)

    def _drop_gone(self, now: float, read: Mapping[str, NodeReadings]) -> None:
        """Drop nodes that a page has not named for long, and those whose GPUs it names under another node.

        The latter is one node that changed its name (dcgm-exporter told its pod's name, say), not two.
        """
        seen = {gpu.uuid for node in read.values() for gpu in node.gpus}
        self._nodes = {
            name: node
            for name, node in self._nodes.items()
            if name in read
            or (now - node.last_read <= FORGET_NODE_SECONDS and not seen & node.roster.known.keys())
        }

    def _forget(self, now: float) -> None:
        """Drop what is remembered of leaves and nodes that are gone, or did not come back after a restart."""
        if self._resumed_at is None:
            self._resumed_at = now
        if now - self._resumed_at > FORGET_NODE_SECONDS:
            self._stopped = {}
        self._meter.forget(now, [*self._nodes, *self._stopped])
        kept = {node: known.roster.known for node, known in self._nodes.items()}
        self._histories = {
            key: history
            for key, history in self._histories.items()
            if key[1].startswith("missing-") or key[0] in self._stopped or key[1] in kept.get(key[0], {})
        }


def _overridden(facts: NodeFacts, settings: NodeSettings) -> NodeFacts:
    """What prices the node: the config's word over the source's."""
    unknown = CapacityType.UNKNOWN
    return replace(
        facts,
        provider=settings.provider or facts.provider,
        instance_type=settings.instance_type or facts.instance_type,
        region=settings.region or facts.region,
        capacity_type=facts.capacity_type if settings.capacity_type is unknown else settings.capacity_type,
        gpus=facts.gpus if settings.gpus is None else settings.gpus,
    )


def _gpu_rate(node: NodeRate | None, position: int) -> Rate | None:
    """The rate of the GPU at this position of the node."""
    if node is None:
        return None
    return replace(node.rate, micro_per_hour=node.gpu_micro_per_hour[position])


def _priced(gpus: tuple[AttributedGpu, ...], nominal: int | None) -> NodeGpus:
    """What pricing needs to know of the node's GPUs."""
    watts = [gpu.reading.signals.get(Signal.POWER) for gpu in gpus]
    known = [value for value in watts if value is not None]
    return NodeGpus(
        models=tuple(gpu.reading.model for gpu in gpus),
        nominal=nominal or len(gpus),
        measured_watts=sum(known) if known and len(known) == len(watts) else None,
    )
