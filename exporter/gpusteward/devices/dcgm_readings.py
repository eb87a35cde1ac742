"""Rows of a dcgm-exporter page to readings: nodes, GPUs, MIG instances, their signals and holders. Pure.

Of several rows for one device and field the greatest value counts. With KUBERNETES_VIRTUAL_GPUS
dcgm-exporter repeats the value of the whole GPU once per pod, so a sum would over-count as many times
(dcgm-exporter #725: 48 slots, memory used × 48). Where it splits utilization and memory by process instead
(its PR #594), the greatest part understates the GPU; graphics-engine and SM activity, not split, do not.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import dataclass, field
from fractions import Fraction
from typing import TYPE_CHECKING, Literal

from gpusteward.devices.dcgm_page import Row, Skip, rows, why_absent
from gpusteward.devices.dcgm_vocabulary import (
    DRIVER_LABELS,
    HOST_LABELS,
    MODEL_LABELS,
    OTHER_ENTITY_LABELS,
    UUID_LABELS,
    Scope,
    vocabulary,
)
from gpusteward.errors import SourceError
from gpusteward.model import (
    Allocation,
    GpuReading,
    Holder,
    InstanceReading,
    NodeReadings,
    Readings,
    Signal,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from gpusteward.clock import Moment
    from gpusteward.devices.dcgm_vocabulary import Field

# Labels that name a holder: (namespace, pod, container).
_EXPORTED = ("exported_namespace", "exported_pod", "exported_container")
_BARE = ("namespace", "pod", "container")
_OLD_NAMESPACE = ("pod_namespace", "pod_name", "container_name")

_MOST_DIGITS = 10
_TOTAL_PARTS = (Signal.MEMORY_FREE, Signal.MEMORY_USED, Signal.MEMORY_RESERVED)


@dataclass(frozen=True, slots=True)
class Reader:
    """How pages of one source are understood.

    Attributes:
        node_name: the node of rows that carry no host label.
        holder_labels: as `sources.dcgm.holder_labels`.
        certain: whether node_name is stated (config, downward API) and so wins over the one host that a page
            names, which is a pod's name where dcgm-exporter was not told its node. A page of several hosts
            keeps their names.
    """

    node_name: str
    holder_labels: Literal["auto", "always", "never"] = "auto"
    certain: bool = False

    def read(self, page: str, at: Moment) -> Readings:
        """The page's readings.

        Raises:
            SourceError: `empty`, `not_dcgm` or `no_gpus`.
        """
        parsed = list(rows(page))
        samples = [row for row in parsed if row is not None]
        skipped = Counter({Skip.SYNTAX: len(parsed) - len(samples)})
        dcgm = [row for row in samples if row.name.startswith("DCGM_")]
        if not dcgm:
            raise _no_dcgm(page, parsed)
        gpus = self._collect(dcgm, skipped)
        if not gpus:
            raise SourceError(
                f"the page has {len(dcgm)} DCGM rows and none of a GPU",
                "no_gpus",
                "see which GPUs it can reach: nvidia-smi -L in its container, and its option -d",
            )
        nodes = self._nodes(gpus, skipped)
        return Readings(
            at=at, source="dcgm", nodes=nodes, skipped={str(k): n for k, n in skipped.items() if n}
        )

    def _collect(self, dcgm: Sequence[Row], skipped: Counter[Skip]) -> dict[tuple[str, str], _Gpu]:
        spellings = _holder_spellings(dcgm)
        gpus: dict[tuple[str, str], _Gpu] = defaultdict(_Gpu)
        for row in dcgm:
            uuid = _first(row.labels, UUID_LABELS)
            if any(label in row.labels for label in OTHER_ENTITY_LABELS):
                skipped[Skip.OTHER_ENTITY] += 1
            elif not uuid:
                skipped[Skip.NO_UUID] += 1
            else:
                gpu = gpus[_first(row.labels, HOST_LABELS) or self.node_name, uuid]
                skip = gpu.note(row, spellings)
                if skip is not None:
                    skipped[skip] += 1
        return gpus

    def _nodes(
        self, gpus: Mapping[tuple[str, str], _Gpu], skipped: Counter[Skip]
    ) -> tuple[NodeReadings, ...]:
        known = self.holder_labels == "always" or (
            self.holder_labels == "auto" and any(gpu.held for gpu in gpus.values())
        )
        by_node: dict[str, list[GpuReading]] = {}
        for (node, uuid), gpu in gpus.items():
            by_node.setdefault(node, []).append(gpu.reading(uuid, holders_known=known))
            skipped[Skip.MIG_PARENT] += gpu.left_out
        if self.certain and len(by_node) == 1:
            by_node = {self.node_name: next(iter(by_node.values()))}
        return tuple(
            NodeReadings(node=node, gpus=tuple(sorted(by_node[node], key=lambda g: (_number(g.gpu), g.uuid))))
            for node in sorted(by_node)
        )


@dataclass(slots=True)
class _Values:
    """Values of one thing: per signal the preferred field's greatest."""

    best: dict[Signal, tuple[int, float]] = field(default_factory=dict)
    rows: int = 0

    def note(self, signal: Signal, preference: int, value: float) -> None:
        self.rows += 1
        found = (-preference, value)
        self.best[signal] = max(self.best.get(signal, found), found)

    def signals(self) -> dict[Signal, float]:
        return {signal: self.best[signal][1] for signal in Signal if signal in self.best}


@dataclass(slots=True)
class _Leaf:
    """What the rows say of one whole GPU or MIG instance."""

    values: _Values = field(default_factory=_Values)
    profiles: set[str] = field(default_factory=set)
    holders: set[Holder] = field(default_factory=set)
    virtual: bool = False

    def allocations(self) -> tuple[Allocation, ...]:
        """Holders in equal shares: the page tells neither how many seats there are nor who holds how many."""
        return tuple(Allocation(holder, Fraction(1, len(self.holders))) for holder in sorted(self.holders))


@dataclass(slots=True)
class _Gpu:
    """What the rows say of one physical GPU."""

    board: _Values = field(default_factory=_Values)
    whole: _Leaf = field(default_factory=_Leaf)
    instances: dict[str, _Leaf] = field(default_factory=lambda: defaultdict(_Leaf))
    identity: dict[str, set[str]] = field(default_factory=lambda: defaultdict(set))

    @property
    def held(self) -> bool:
        """Whether any row names a holder."""
        return bool(self.whole.holders or any(leaf.holders for leaf in self.instances.values()))

    @property
    def left_out(self) -> int:
        """Rows of a MIG parent that its instances answer for."""
        return self.whole.values.rows if self.instances else 0

    def note(self, row: Row, spellings: Iterable[tuple[str, str, str]]) -> Skip | None:
        """Take a row in; the reason when its value was left out (its labels still count)."""
        labels = row.labels
        gi = labels.get("GPU_I_ID", "")
        leaf = self.instances[gi] if gi else self.whole
        leaf.profiles.add(labels.get("GPU_I_PROFILE", ""))
        leaf.virtual |= bool(labels.get("vgpu"))
        leaf.holders.update(_holder(labels, spellings))
        for name, spelled in (
            ("gpu", ("gpu",)),
            ("pci", ("pci_bus_id",)),
            ("device", ("device",)),
            ("model", MODEL_LABELS),
            ("driver", DRIVER_LABELS),
        ):
            self.identity[name].add(_first(labels, spelled))
        if row.name.startswith("DCGM_EXP_"):
            return None  # made by the exporter itself (health, counts of XIDs in a window): not read yet
        known = vocabulary().get(row.name)
        return Skip.UNKNOWN_FIELD if known is None else self._value(known, row.value, gi)

    def _value(self, known: Field, value: float, gi: str) -> Skip | None:
        if known.signal is None:
            return None
        if gi and known.scope is Scope.WHOLE:
            return Skip.NOT_OF_INSTANCE
        skip = why_absent(known, value)
        if skip is None:
            leaf = self.instances[gi] if gi else self.whole
            target = self.board if known.scope is Scope.BOARD else leaf.values
            target.note(known.signal, known.preference, known.convert(value))
        return skip

    def reading(self, uuid: str, *, holders_known: bool) -> GpuReading:
        """The GPU; of a MIG parent only board facts, the rest is told by its instances."""
        board = self.board.signals()
        mig = bool(self.instances)
        return GpuReading(
            uuid=uuid,
            gpu=self._said("gpu"),
            model=self._said("model"),
            pci_bus_id=self._said("pci"),
            driver_version=self._said("driver"),
            signals=board if mig else with_total(board | self.whole.values.signals()),
            mig=mig,
            instances=tuple(
                InstanceReading(
                    gi=gi,
                    profile=_least(self.instances[gi].profiles),
                    signals=with_total(self.instances[gi].values.signals()),
                    allocations=self.instances[gi].allocations() if holders_known else None,
                )
                for gi in sorted(self.instances, key=lambda gi: (_number(gi), gi))
            ),
            allocations=self.whole.allocations() if holders_known and not mig else None,
            device=self._said("device"),
            sharing="vgpu" if any(leaf.virtual for leaf in (self.whole, *self.instances.values())) else "",
        )

    def _said(self, name: str) -> str:
        return _least(self.identity[name])


def with_total(signals: dict[Signal, float]) -> dict[Signal, float]:
    """Signals and, when the page has no total, total memory as free + used + reserved.

    The only value that is derived here, and only when all three parts are known: without the reserved part
    the total is too small, and used / total overstates.
    """
    if Signal.MEMORY_TOTAL not in signals and all(part in signals for part in _TOTAL_PARTS):
        return signals | {Signal.MEMORY_TOTAL: sum(signals[part] for part in _TOTAL_PARTS)}
    return signals


def _holder_spellings(dcgm: Sequence[Row]) -> tuple[tuple[str, str, str], ...]:
    """Which labels name holders on this page.

    On a page that a Prometheus has relabelled, the bare labels are those of its scrape target,
    dcgm-exporter's own pod, on every row: also on rows of GPUs that nobody holds, which carry no
    `exported_*`. Such a page is told by an `exported_pod` anywhere, or by `job` and `instance`, which
    dcgm-exporter itself never writes.
    """
    relabelled = any(
        row.labels.get("exported_pod") or ("job" in row.labels and "instance" in row.labels) for row in dcgm
    )
    return (_EXPORTED, _OLD_NAMESPACE) if relabelled else (_BARE, _OLD_NAMESPACE)


def _holder(labels: Mapping[str, str], spellings: Iterable[tuple[str, str, str]]) -> set[Holder]:
    for namespace, pod, container in spellings:
        if labels.get(pod):
            return {Holder(labels.get(namespace, ""), labels[pod], labels.get(container, ""))}
    return set()


def _no_dcgm(page: str, parsed: Sequence[Row | None]) -> SourceError:
    if not parsed:
        return SourceError(
            "the page is empty",
            "empty",
            "dcgm-exporter serves an empty page for some seconds when it reloads; if it stays, read its log",
        )
    what = "is HTML" if page.lstrip().startswith("<") else "has no DCGM_ metric"
    return SourceError(
        f"the page {what}",
        "not_dcgm",
        "set sources.dcgm.url to dcgm-exporter's own page, usually http://HOST:9400/metrics",
    )


def _first(labels: Mapping[str, str], names: Iterable[str]) -> str:
    return next((labels[name] for name in names if labels.get(name)), "")


def _least(words: Iterable[str]) -> str:
    """One of several spellings, the same whatever the order of the lines; empty when there is none."""
    return min((word for word in words if word), default="")


def _number(text: str) -> float:
    """For sorting by index; what is no index comes last."""
    return int(text) if text.isdecimal() and len(text) < _MOST_DIGITS else float("inf")
