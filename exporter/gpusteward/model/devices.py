"""What a source reads: nodes, GPUs, MIG instances, their signals and holders."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from fractions import Fraction
from typing import TYPE_CHECKING, Final, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Mapping

    from gpusteward.clock import Moment
    from gpusteward.model.holdings import Holdings

_MPS_SERVER: Final = "nvidia-cuda-mps-server"


class Signal(StrEnum):
    """Every measured value, in Prometheus base units. A signal absent from a mapping is unknown.

    Ratios are 0 to 1. `*_TOTAL` are cumulative counts that the device keeps (reset with the driver);
    `*_PER_SECOND` are rates over the source's own last period.
    """

    GPU_UTILIZATION = "gpu_utilization_ratio"
    ENGINE_ACTIVE = "engine_active_ratio"
    SM_ACTIVE = "sm_active_ratio"
    SM_OCCUPANCY = "sm_occupancy_ratio"
    TENSOR_ACTIVE = "tensor_active_ratio"
    DRAM_ACTIVE = "dram_active_ratio"
    FP64_ACTIVE = "fp64_active_ratio"
    FP32_ACTIVE = "fp32_active_ratio"
    FP16_ACTIVE = "fp16_active_ratio"
    MEMORY_COPY_UTILIZATION = "memory_copy_utilization_ratio"
    ENCODER_UTILIZATION = "encoder_utilization_ratio"
    DECODER_UTILIZATION = "decoder_utilization_ratio"
    JPEG_UTILIZATION = "jpeg_utilization_ratio"
    OFA_UTILIZATION = "ofa_utilization_ratio"
    MEMORY_USED = "memory_used_bytes"
    MEMORY_FREE = "memory_free_bytes"
    MEMORY_RESERVED = "memory_reserved_bytes"
    MEMORY_TOTAL = "memory_total_bytes"
    POWER = "power_watts"
    POWER_INSTANT = "power_instant_watts"
    POWER_LIMIT = "power_limit_watts"
    ENERGY_TOTAL = "energy_joules_total"
    TEMPERATURE = "temperature_celsius"
    MEMORY_TEMPERATURE = "memory_temperature_celsius"
    TEMPERATURE_MARGIN = "temperature_margin_celsius"
    SM_CLOCK = "sm_clock_hertz"
    MEMORY_CLOCK = "memory_clock_hertz"
    PCIE_TX = "pcie_tx_bytes_per_second"
    PCIE_RX = "pcie_rx_bytes_per_second"
    NVLINK = "nvlink_bytes_per_second"
    PCIE_TX_TOTAL = "pcie_tx_bytes_total"
    PCIE_RX_TOTAL = "pcie_rx_bytes_total"
    NVLINK_TX_TOTAL = "nvlink_tx_bytes_total"
    NVLINK_RX_TOTAL = "nvlink_rx_bytes_total"
    PCIE_REPLAYS_TOTAL = "pcie_replays_total"
    ROWS_REMAPPED_CORRECTABLE_TOTAL = "rows_remapped_correctable_total"
    ROWS_REMAPPED_UNCORRECTABLE_TOTAL = "rows_remapped_uncorrectable_total"
    ROW_REMAP_FAILURE = "row_remap_failure"
    ROW_REMAP_PENDING = "row_remap_pending"
    PAGES_RETIRED_SINGLE_BIT_TOTAL = "pages_retired_single_bit_total"
    PAGES_RETIRED_DOUBLE_BIT_TOTAL = "pages_retired_double_bit_total"
    PAGES_RETIREMENT_PENDING = "pages_retirement_pending"
    ECC_CORRECTED_TOTAL = "ecc_corrected_total"
    ECC_UNCORRECTED_TOTAL = "ecc_uncorrected_total"
    LAST_XID = "last_xid"
    RECOVERY_ACTION = "recovery_action"
    THROTTLED_POWER_TOTAL = "throttled_power_seconds_total"
    THROTTLED_THERMAL_TOTAL = "throttled_thermal_seconds_total"
    THROTTLED_SYNC_BOOST_TOTAL = "throttled_sync_boost_seconds_total"
    THROTTLED_BOARD_LIMIT_TOTAL = "throttled_board_limit_seconds_total"
    THROTTLED_LOW_UTILIZATION_TOTAL = "throttled_low_utilization_seconds_total"
    THROTTLED_RELIABILITY_TOTAL = "throttled_reliability_seconds_total"


Signals: TypeAlias = "Mapping[Signal, float]"


class LeafKind(StrEnum):
    """What a leaf is: the units that are held, priced and judged."""

    WHOLE = "whole"
    INSTANCE = "instance"
    FREE = "free"
    STRANDED = "stranded"


class CapacityType(StrEnum):
    """How the node was bought. `unknown` when no label or config decides."""

    ON_DEMAND = "on-demand"
    SPOT = "spot"
    RESERVED = "reserved"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class Device:
    """A leaf's identity. Key: (node, uuid, gi).

    Attributes:
        node: node name.
        uuid: the physical GPU's UUID, also for MIG; `missing-<n>` for one that was never seen.
        gi: GPU-instance id; empty for a whole GPU; `free` or `stranded` for the rest of a MIG GPU.
        gpu: index as the source enumerates it (not stable over reboots); empty when unknown.
        kind: what the leaf is.
        model: the model as the source spells it; empty when unknown.
        mig_profile: as in `1g.10gb`; empty when not an instance.
    """

    node: str
    uuid: str
    gi: str = ""
    gpu: str = ""
    kind: LeafKind = LeafKind.WHOLE
    model: str = ""
    mig_profile: str = ""

    @property
    def key(self) -> tuple[str, str, str]:
        """What makes two samples the same leaf."""
        return (self.node, self.uuid, self.gi)


@dataclass(frozen=True, slots=True, order=True)
class Holder:
    """Who holds a device: a pod's container; on a plain host (namespace=user, pod=command).

    The empty holder (all fields empty) stands for nobody, or nobody known.
    """

    namespace: str = ""
    pod: str = ""
    container: str = ""


class HolderKind(StrEnum):
    """What a holder is. Processes come and go by the hundred, so the series budget may sum them up."""

    POD = "pod"
    PROCESS = "process"


@dataclass(frozen=True, slots=True)
class Allocation:
    """One holder's part of one device.

    Attributes:
        holder: who.
        share: part of the device, 0 < share ≤ 1. Shares of a device sum to at most 1.
        running: False while the pod has never run; None when its phase is unknown.
        started_at: Unix time its container started; None when unknown.
        exempt_until: Unix time until which it may not be called idle (inf = always); None = not exempt.
        kind: what the holder is.
    """

    holder: Holder
    share: Fraction = Fraction(1)
    running: bool | None = None
    started_at: float | None = None
    exempt_until: float | None = None
    kind: HolderKind = HolderKind.POD


class Fault(StrEnum):
    """Why a GPU is not healthy; the `reason` label of gpu_up."""

    LOST = "lost"
    LOST_ACKNOWLEDGED = "lost_acknowledged"
    LOST_EXPIRED = "lost_expired"
    RESET_REQUIRED = "reset_required"
    UNREADABLE = "unreadable"
    NOT_RESPONDING = "not_responding"
    FAILED = "failed"


@dataclass(frozen=True, slots=True, kw_only=True)
class Process:
    """A process on a device.

    Attributes:
        pid: in the host's namespace.
        user: who runs it; empty when not known (another pid namespace).
        command: the executable's name, no arguments (they hold secrets); empty when not known.
        memory_bytes: device memory it holds; None when the driver does not say.
        gone: whether it has ended for certain, though the driver still lists it.
    """

    pid: int
    user: str = ""
    command: str = ""
    memory_bytes: int | None = None
    gone: bool = False

    @property
    def serves_sharing(self) -> bool:
        """Whether it only serves those who share the GPU, and stays between them: CUDA's MPS server.

        Linux keeps 15 characters of a command (proc_pid_comm(5)), so it may come cut.
        """
        return self.command in {_MPS_SERVER, _MPS_SERVER[:15]}


@dataclass(frozen=True, slots=True, kw_only=True)
class InstanceReading:
    """One MIG GPU instance.

    Attributes:
        gi: GPU-instance id.
        profile: as in `1g.10gb`; empty when the source does not say.
        mig_uuid: the instance's own UUID; empty when the source does not say.
        signals: measured values of this instance.
        allocations: who holds it; empty = nobody; None = not known.
        processes: what runs on it; empty = nothing; None = not known.
    """

    gi: str
    profile: str = ""
    mig_uuid: str = ""
    signals: Signals = field(default_factory=dict)
    allocations: tuple[Allocation, ...] | None = None
    processes: tuple[Process, ...] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class GpuReading:
    """One physical GPU as sampled once.

    Attributes:
        uuid: physical UUID.
        gpu: index label.
        model: the source's spelling of the model; empty when unknown.
        pci_bus_id: as the source spells it; empty when unknown.
        driver_version: empty when unknown.
        signals: values of the whole board; of a MIG parent only board facts (temperature, power, energy).
        mig: True when MIG is on; then the leaves are `instances` and the rest, else the GPU is one leaf.
        instances: MIG instances, in the order of gi.
        allocations: holders of a whole GPU; empty = nobody; None = not known.
        fault: why the GPU is not healthy; None when it is.
        sharing: how replicas share it (`time-slicing`, `mps`, `vgpu`); empty = exclusive or unknown.
        processes: what runs on a whole GPU; empty = nothing; None = not known.
        device: name of its device file, `nvidia0`; empty when the source does not say.
        xids: XID errors that happened since the sample before, in order; None where the source cannot tell
            events (then LAST_XID may hold the last one).
    """

    uuid: str
    gpu: str = ""
    model: str = ""
    pci_bus_id: str = ""
    driver_version: str = ""
    signals: Signals = field(default_factory=dict)
    mig: bool = False
    instances: tuple[InstanceReading, ...] = ()
    allocations: tuple[Allocation, ...] | None = None
    fault: Fault | None = None
    sharing: str = ""
    processes: tuple[Process, ...] | None = None
    device: str = ""
    xids: tuple[int, ...] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeFacts:
    """What prices a node. Empty or None = not known.

    Attributes:
        name: node name.
        provider: `aws`, `gcp`, `azure`, `lambda`, `coreweave`, or the operator's own word.
        instance_type: as the provider spells it.
        region: as the provider spells it.
        capacity_type: how it was bought.
        gpus: nominal number of GPUs; None when not known.
        price_per_gpu_hour: the node annotation's text, book currency, per whole GPU; empty when none.
    """

    name: str
    provider: str = ""
    instance_type: str = ""
    region: str = ""
    capacity_type: CapacityType = CapacityType.UNKNOWN
    gpus: int | None = None
    price_per_gpu_hour: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeReadings:
    """All GPUs of one node in one sample.

    Attributes:
        node: node name.
        gpus: what was seen, ordered by index.
        facts: what the source knows of the node; None when it knows nothing.
    """

    node: str
    gpus: tuple[GpuReading, ...]
    facts: NodeFacts | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Readings:
    """One sample of a source: what it read, and beside it what it could not.

    Attributes:
        at: when the sample was taken.
        source: `nvml`, `dcgm` or `simulated`.
        nodes: in the order of their names.
        skipped: how many inputs were left out of this sample, by reason (a bad line, say).
        errors: failed driver calls of this sample, by (call, code name); they cost only their own value.
        holdings: what the kubelet says of holders; None where none is asked.
    """

    at: Moment
    source: str
    nodes: tuple[NodeReadings, ...]
    skipped: Mapping[str, int] = field(default_factory=dict)
    errors: Mapping[tuple[str, str], int] = field(default_factory=dict)
    holdings: Holdings | None = None
