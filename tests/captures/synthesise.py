"""Makes the synthesised-*.prom pages: 4.8.3, 4.9, MIG, vGPU, relabelled pages, edited CSVs; none is recorded.

The rows come from the vocabulary table, so these pages show that label spellings, layouts and sharing are
read as meant; that the table itself is right, only recorded pages can show. Rewrite with
`pytest tests/unit/devices/dcgm/test_synthesised.py --update-golden`.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from fractions import Fraction
from typing import TYPE_CHECKING

from gpusteward.devices.dcgm_vocabulary import Scope, vocabulary
from gpusteward.model import Signal

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

    from gpusteward.devices.dcgm_vocabulary import Field

MIB = 1024 * 1024

# What a busy H100 and an idle one read, in our units; each exact in the digits of every vocabulary.
BUSY: Mapping[Signal, float] = {
    Signal.SM_CLOCK: 1_980e6,
    Signal.MEMORY_CLOCK: 2_619e6,
    Signal.MEMORY_TEMPERATURE: 61,
    Signal.TEMPERATURE: 54,
    Signal.POWER: 512.5,
    Signal.ENERGY_TOTAL: 9_876_543,
    Signal.PCIE_REPLAYS_TOTAL: 3,
    Signal.GPU_UTILIZATION: 0.97,
    Signal.MEMORY_COPY_UTILIZATION: 0.41,
    Signal.ENCODER_UTILIZATION: 0,
    Signal.DECODER_UTILIZATION: 0,
    Signal.LAST_XID: 0,
    Signal.MEMORY_FREE: 20_000 * MIB,
    Signal.MEMORY_USED: 61_000 * MIB,
    Signal.MEMORY_RESERVED: 559 * MIB,
    Signal.ROWS_REMAPPED_UNCORRECTABLE_TOTAL: 0,
    Signal.ROWS_REMAPPED_CORRECTABLE_TOTAL: 1,
    Signal.ROW_REMAP_FAILURE: 0,
    Signal.ENGINE_ACTIVE: 0.95,
    Signal.TENSOR_ACTIVE: 0.375,
    Signal.DRAM_ACTIVE: 0.5,
    Signal.PCIE_TX: 1_250_000,
    Signal.PCIE_RX: 980_000,
}
IDLE: Mapping[Signal, float] = {
    **BUSY,
    Signal.SM_CLOCK: 345e6,
    Signal.TEMPERATURE: 31,
    Signal.MEMORY_TEMPERATURE: 38,
    Signal.POWER: 68.25,
    Signal.GPU_UTILIZATION: 0,
    Signal.MEMORY_COPY_UTILIZATION: 0,
    Signal.MEMORY_FREE: 81_000 * MIB,
    Signal.MEMORY_USED: 0,
    Signal.ENGINE_ACTIVE: 0,
    Signal.TENSOR_ACTIVE: 0,
    Signal.DRAM_ACTIVE: 0,
    Signal.PCIE_TX: 112_603,
    Signal.PCIE_RX: 17_544,
}


@dataclass(frozen=True, slots=True)
class Version:
    """How one generation of dcgm-exporter writes: its vocabulary and its label names."""

    fields: str
    host_label: str
    driver_label: str = "DCGM_FI_DRIVER_VERSION"


V482 = Version("4.8", "Hostname")
V483 = Version("4.8", "hostname")
V490 = Version("4.9", "hostname", "DCGM_FI_SYSTEM_DRIVER_VERSION")


@dataclass(frozen=True, slots=True)
class Entity:
    """A GPU, or a MIG instance with its parent's UUID, and the label sets it appears under."""

    gpu: int
    uuid: str
    model: str
    values: Mapping[Signal, float]
    gi: str = ""
    profile: str = ""
    extra: tuple[Mapping[str, str], ...] = field(default=({},))
    """One row per mapping: holder labels, or the target labels of a relabelled page."""


def page(
    title: str, version: Version, entities: Iterable[Entity], kinds: Mapping[str, str] | None = None
) -> str:
    """A page whose first line says that it is synthesised; `kinds` overrides what `# TYPE` declares."""
    entities = list(entities)
    lines = [f"# Synthesised by tests/captures/synthesise.py, not recorded: {title}."]
    for known in vocabulary().values():
        if known.signal is None or known.vocabulary not in (version.fields, "all") or known.preference > 1:
            continue
        of_field = [
            f"{known.name}{{{_labels(entity, version, extra)}}} {_digits(entity.values[known.signal], known)}"
            for entity in entities
            if known.signal in entity.values
            for extra in entity.extra
        ]
        if of_field and not _is_engine_part(known.name):
            kind = (kinds or {}).get(known.name, known.kind)
            lines += [f"# HELP {known.name} {known.signal.value}", f"# TYPE {known.name} {kind}", *of_field]
    return "\n".join(lines) + "\n"


def _is_engine_part(name: str) -> bool:
    """Per-engine fields beyond the first: one row for one signal keeps the pages traceable."""
    return any(part in name for part in ("NVDEC", "NVJPG", "NVOFA")) and "0" not in name


def _labels(entity: Entity, version: Version, extra: Mapping[str, str]) -> str:
    labels = {
        "gpu": str(entity.gpu),
        "UUID": entity.uuid,
        "pci_bus_id": f"00000000:{0x10 + entity.gpu:02X}:00.0",
        "device": f"nvidia{entity.gpu}",
        "modelName": entity.model,
        **({"GPU_I_PROFILE": entity.profile, "GPU_I_ID": entity.gi} if entity.gi else {}),
        version.host_label: "gpu-node-1",
        version.driver_label: "595.58.03",
        **extra,
    }
    return ",".join(f'{name}="{value}"' for name, value in labels.items())


def _digits(value: float, known: Field) -> str:
    """A value in the page's unit, in Go's writing: whole numbers plain, others with six decimals."""
    raw = Fraction(str(value)) / known.factor
    return str(raw) if raw.denominator == 1 else f"{float(raw):f}"


def _uuid(n: int) -> str:
    return f"GPU-5e1f0000-0000-4000-8000-{n:012d}"


def _pod(name: str, container: str = "main", namespace: str = "ml") -> dict[str, str]:
    return {"namespace": namespace, "pod": name, "container": container}


def _h100s() -> Iterator[Entity]:
    """Eight, of which one pod holds the first two."""
    for n in range(8):
        held = n < 2
        extra = ({**_pod("train-0"), "pod_uid": ""},) if held else ({},)
        yield Entity(n, _uuid(n), "NVIDIA H100 80GB HBM3", BUSY if held else IDLE, extra=extra)


def _instances(model: str, layout: Iterable[tuple[str, str, str]]) -> Iterator[Entity]:
    """Instances (gi, profile, pod) of GPU 0, as option `f` shows them: instead of the GPU.

    Board values are the board's on every row, and utilization is 0, which is no reading (dcgm-exporter #216).
    """
    whole = {known.signal for known in vocabulary().values() if known.scope is Scope.WHOLE}
    for n, (gi, profile, pod) in enumerate(layout):
        values = {**BUSY, Signal.ENGINE_ACTIVE: 0.25, Signal.SM_ACTIVE: 0.125 * (n + 1)}
        values |= {signal: 0.0 for signal in whole if signal in values}
        values |= {
            Signal.MEMORY_USED: (n + 1) * 1000 * MIB,
            Signal.MEMORY_FREE: 3000 * MIB,
            Signal.MEMORY_RESERVED: 0,
        }
        yield Entity(0, _uuid(0), model, values, gi, profile, (_pod(pod) if pod else {},))


def _seven() -> str:
    layout = [(str(gi), "1g.5gb", "") for gi in range(7, 14)]
    return page("A100 40GB cut into 7 × 1g", V482, _instances("NVIDIA A100-SXM4-40GB", layout))


def _four_three() -> str:
    """The parent's row beside those of its instances, as with the options `f,i` and `g` together."""
    model = "NVIDIA H100 80GB HBM3"
    parent = Entity(0, _uuid(0), model, BUSY)
    cut = _instances(model, [("1", "4g.40gb", "serve-a"), ("2", "3g.40gb", "")])
    return page("H100 cut into 4g + 3g, with the parent's rows", V483, [parent, *cut])


def _six() -> str:
    layout = [(str(gi), "1g.10gb", f"notebook-{gi}" if gi < 12 else "") for gi in range(7, 13)]
    return page("H100 cut into 6 × 1g, five held", V490, _instances("NVIDIA H100 80GB HBM3", layout))


def _vgpu() -> str:
    """KUBERNETES_VIRTUAL_GPUS: the whole GPU's value once per seat; one pod has two of the four seats."""
    seats = ({**_pod(f"web-{pod}"), "vgpu": str(seat)} for seat, pod in enumerate(("a", "b", "b", "c")))
    shared = Entity(0, _uuid(0), "Tesla T4", {**BUSY, Signal.MEMORY_TEMPERATURE: 0}, extra=tuple(seats))
    return page("a T4 shared by three pods on four seats", V482, [shared])


def _exported() -> str:
    """As Prometheus shows it without honorLabels, where the bare labels are dcgm-exporter's own pod."""
    target = {
        "job": "dcgm-exporter",
        "instance": "10.0.0.9:9400",
        **_pod("dcgm-exporter-x7k2p", "exporter", "gpu-operator"),
    }

    def relabelled(labels: Mapping[str, str]) -> dict[str, str]:
        return target | {f"exported_{name}" if name in target else name: v for name, v in labels.items()}

    gpus = (replace(gpu, extra=tuple(relabelled(labels) for labels in gpu.extra)) for gpu in _h100s())
    return page("relabelled by a Prometheus without honorLabels", V482, gpus)


def _edited(title: str, dropped: frozenset[Signal], added: Mapping[Signal, float]) -> str:
    kinds = {"DCGM_FI_PROF_PCIE_TX_BYTES": "counter", "DCGM_FI_PROF_PCIE_RX_BYTES": "counter"}
    gpus = (
        replace(gpu, values={s: v for s, v in {**gpu.values, **added}.items() if s not in dropped})
        for gpu in list(_h100s())[:2]
    )
    return page(title, V482, gpus, kinds)


def _nebius() -> str:
    added = {
        Signal.SM_ACTIVE: 0.875,
        Signal.SM_OCCUPANCY: 0.25,
        Signal.FP64_ACTIVE: 0.0,
        Signal.FP32_ACTIVE: 0.125,
        Signal.FP16_ACTIVE: 0.0625,
        Signal.POWER_LIMIT: 700.0,
        Signal.MEMORY_TOTAL: 81_559 * MIB,
    }
    return _edited("a CSV like Nebius's, PCIe rates declared counters", frozenset({Signal.LAST_XID}), added)


def _oracle() -> str:
    dropped = frozenset({Signal.MEMORY_RESERVED, Signal.ENGINE_ACTIVE})
    added = {Signal.ECC_CORRECTED_TOTAL: 12.0, Signal.ECC_UNCORRECTED_TOTAL: 0.0}
    return _edited("a CSV like Oracle's, PCIe rates declared counters, no reserved memory", dropped, added)


def _quotes() -> str:
    """Label values that a strict parser stops at: a quote, a backslash, braces, a comma, an equals sign."""
    awkward = {"DCGM_FI_PROCESS_NAME": r'python "train.py" --out=C:\new, {a="b"', **_pod("train-0")}
    return page("unescaped label values", V482, [Entity(0, _uuid(0), "NVIDIA L4", BUSY, extra=(awkward,))])


PAGES: Mapping[str, Callable[[], str]] = {
    "4.8.3-8xh100": lambda: page("8 × H100 in the words of 4.8.3", V483, _h100s()),
    "4.9-8xh100": lambda: page("8 × H100 in the words of 4.9", V490, _h100s()),
    "4.8.2-mig-a100-7x1g": _seven,
    "4.8.3-mig-h100-4g-3g": _four_three,
    "4.9-mig-h100-6x1g": _six,
    "4.8.2-vgpu-t4": _vgpu,
    "4.8.2-exported-labels": _exported,
    "4.8.2-nebius": _nebius,
    "4.8.2-oracle": _oracle,
    "4.8.2-quotes": _quotes,
}


def path_of(name: str) -> str:
    """Where the page is, from the repository root."""
    return f"tests/captures/synthesised-{name}.prom"
