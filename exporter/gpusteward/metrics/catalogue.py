"""Every metric once: name, type, unit, meaning, labels, and when it is absent.

Rules, dashboards and docs import these constants, so that renaming a metric breaks an import and not
somebody's alert. Names follow the Prometheus conventions: base units, `_total` for counters, `_ratio` for
0 to 1.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum, StrEnum
from typing import Final

PREFIX: Final = "gpusteward_"


class Kind(StrEnum):
    """How a value behaves. INFO is a gauge that is always 1 and carries its facts as labels."""

    GAUGE = "gauge"
    COUNTER = "counter"
    INFO = "info"


class Scope(StrEnum):
    """What one series is about; the value heads its part of the reference."""

    GPU = "Physical GPUs"
    LEAF = "Leaves: whole GPUs, MIG instances, and the free or stranded rest of a MIG GPU"
    HOLDER = "Who holds a leaf"
    NODE = "Nodes"
    AGENT = "The agent itself"


class Tier(IntEnum):
    """What the series budget gives up, first to last. A metric without a tier is never dropped.

    Single process holders (plain hosts) go first, and not by metric: those that would not fit are summed
    under one holder before they reach the page.
    """

    PROCESS_HOLDERS = 1
    LINKS = 2
    CLOCKS = 3


DEVICE: Final = ("node", "gpu", "uuid", "gi")
HOLDER: Final = ("namespace", "pod", "container")
CLUSTER: Final = "cluster"
_LABELS: Final = {
    Scope.GPU: DEVICE,
    Scope.LEAF: DEVICE,
    Scope.HOLDER: (*DEVICE, *HOLDER),
    Scope.NODE: ("node",),
    Scope.AGENT: (),
}


@dataclass(frozen=True, slots=True)
class Metric:
    """One metric.

    Attributes:
        name: without the prefix.
        kind: its type.
        scope: what one series is about; decides the first labels.
        unit: Prometheus base unit in the plural, or what is counted; empty for an INFO.
        meaning: what the value says and what it is for, in sentences.
        absent: completes "Absent ..."; empty when the series is always there.
        extra: labels beyond the scope's.
        tier: when the series budget drops it; None = never.
    """

    name: str
    kind: Kind
    scope: Scope
    unit: str
    meaning: str
    absent: str
    extra: tuple[str, ...] = ()
    tier: Tier | None = None

    @property
    def full_name(self) -> str:
        """The name as it is exported."""
        return PREFIX + self.name

    @property
    def labels(self) -> tuple[str, ...]:
        """Label names in the order in which collectors give the values, without `cluster` and prefixes."""
        return (*_LABELS[self.scope], *self.extra)

    @property
    def help(self) -> str:
        """The HELP text."""
        unit = "Always 1." if self.kind is Kind.INFO else f"Unit: {self.unit}."
        absent = f"Absent {self.absent}." if self.absent else "Always there."
        return f"{self.meaning} {unit} {absent}"


_G, _C, _I = Kind.GAUGE, Kind.COUNTER, Kind.INFO
_GPU, _LEAF, _HOLDER, _NODE, _AGENT = Scope.GPU, Scope.LEAF, Scope.HOLDER, Scope.NODE, Scope.AGENT
_UNREAD: Final = "when the source does not report it"
_UNKNOWN: Final = "until it was first known"
_UNPRICED: Final = "when there is no price"
_NO_JOURNAL: Final = "without `agent.state_dir`"

# One metric is one row of a table, which the formatter would unfold to ten lines each.
# fmt: off
# --- physical GPUs: on gi="", for a MIG GPU's parent too --------------------------------------------------
GPU_UP = Metric(
    "gpu_up", _G, _GPU, "1 or 0", "Whether the GPU is healthy; reason says why not and is empty when it is.",
    "while nothing could be read and no fault is known", ("reason",))
GPU_RECOVERY_ACTION = Metric(
    "gpu_recovery_action", _G, _GPU, "1 or 0",
    "Whether the driver (from 570 on) asks for the action; exactly one of all actions is 1: none, reset "
    "(the GPU), reboot (the node), drain_p2p, drain_and_reset, imex (its domain), or other, for one that is "
    "newer than this version.", _UNREAD, ("action",))
GPU_POWER = Metric(
    "gpu_power_watts", _G, _GPU, "watts",
    "Power that the board draws, on most boards averaged over a second.", _UNREAD)
GPU_POWER_INSTANT = Metric(
    "gpu_power_instant_watts", _G, _GPU, "watts", "Power that the board draws at the moment of the sample.",
    _UNREAD)
GPU_POWER_LIMIT = Metric(
    "gpu_power_limit_watts", _G, _GPU, "watts", "Power that the board may draw, as enforced.", _UNREAD)
GPU_ENERGY = Metric(
    "gpu_energy_joules_total", _C, _GPU, "joules", "Energy that the board used since its driver was loaded.",
    _UNREAD)
GPU_TEMPERATURE = Metric(
    "gpu_temperature_celsius", _G, _GPU, "degrees Celsius", "Temperature of the GPU die.", _UNREAD)
GPU_MEMORY_TEMPERATURE = Metric(
    "gpu_memory_temperature_celsius", _G, _GPU, "degrees Celsius", "Temperature of the memory.",
    "when the source does not report it, as on boards with GDDR memory")
GPU_TEMPERATURE_MARGIN = Metric(
    "gpu_temperature_margin_celsius", _G, _GPU, "degrees Celsius",
    "How much hotter the GPU may get before it slows down.", _UNREAD)
GPU_THROTTLED = Metric(
    "gpu_throttled_seconds_total", _C, _GPU, "seconds",
    "Time in which clocks were held down, as the driver counts it, by reason: power, thermal, sync_boost, "
    "board_limit, low_utilization (idle: no fault) or reliability. Reasons overlap.", _UNREAD, ("reason",))
GPU_XID_ERRORS = Metric(
    "gpu_xid_errors_total", _C, _GPU, "errors",
    "XID errors that were seen to happen since the agent began; class says what they ask for: reset, "
    "reboot, investigate, app (the workload's owner) or info.", "for an XID that was never seen",
    ("xid", "class"))
GPU_XID_LAST = Metric(
    "gpu_xid_last_timestamp_seconds", _G, _GPU, "seconds since the epoch",
    "Time of the sample that saw the last error of an XID. Alert on this: rate() cannot see the first one of "
    "a counter that begins with it.", "for an XID that was not seen to happen", ("xid", "class"))
GPU_ECC_ERRORS = Metric(
    "gpu_ecc_errors_total", _C, _GPU, "errors", "Memory errors by kind: corrected or uncorrected.", _UNREAD,
    ("kind",))
GPU_ROW_REMAPS = Metric(
    "gpu_row_remaps_total", _C, _GPU, "rows",
    "Memory rows remapped after errors of a kind: correctable or uncorrectable.", _UNREAD, ("kind",))
GPU_ROW_REMAP_FAILED = Metric(
    "gpu_row_remap_failed", _G, _GPU, "1 or 0",
    "Whether a row could not be remapped: the board is due for replacement.", _UNREAD)
GPU_ROW_REMAP_PENDING = Metric(
    "gpu_row_remap_pending", _G, _GPU, "1 or 0", "Whether a row waits for a reset of the GPU to be remapped.",
    _UNREAD)
GPU_PAGES_RETIRED = Metric(
    "gpu_pages_retired_total", _C, _GPU, "pages",
    "Memory pages retired after errors of a kind, single_bit or double_bit, where rows cannot be remapped.",
    _UNREAD, ("kind",))
GPU_PAGE_RETIREMENT_PENDING = Metric(
    "gpu_page_retirement_pending", _G, _GPU, "1 or 0",
    "Whether a page waits for a reset of the GPU to be retired.", _UNREAD)
GPU_PCIE_REPLAYS = Metric(
    "gpu_pcie_replays_total", _C, _GPU, "replays", "PCIe packets sent again: a bad riser, slot or cable.",
    _UNREAD)
GPU_PCIE_TRANSMIT_BYTES = Metric(
    "gpu_pcie_transmit_bytes_total", _C, _GPU, "bytes", "PCIe traffic out of the GPU.", _UNREAD,
    tier=Tier.LINKS)
GPU_PCIE_RECEIVE_BYTES = Metric(
    "gpu_pcie_receive_bytes_total", _C, _GPU, "bytes", "PCIe traffic into the GPU.", _UNREAD, tier=Tier.LINKS)
GPU_NVLINK_TRANSMIT_BYTES = Metric(
    "gpu_nvlink_transmit_bytes_total", _C, _GPU, "bytes", "NVLink traffic out of the GPU, all links.",
    _UNREAD, tier=Tier.LINKS)
GPU_NVLINK_RECEIVE_BYTES = Metric(
    "gpu_nvlink_receive_bytes_total", _C, _GPU, "bytes", "NVLink traffic into the GPU, all links.", _UNREAD,
    tier=Tier.LINKS)

# --- leaves: identity and signals -------------------------------------------------------------------------
GPU_INFO = Metric(
    "gpu_info", _I, _LEAF, "",
    "Identity of a leaf, or of a MIG GPU's parent, to join names on by node, uuid and gi.", "",
    ("model", "pci_bus_id", "driver_version", "mig_uuid", "mig_profile", "sharing", "source"))
GPU_SIGNAL_INFO = Metric(
    "gpu_signal_info", _I, _LEAF, "", "Which signal activity is judged by, and which source it is from.",
    "when no activity signal is known", ("signal", "source"))
GPU_UTILIZATION = Metric(
    "gpu_utilization_ratio", _G, _LEAF, "ratio",
    "Part of the time in which any kernel ran. Reads high: one small kernel counts fully.", _UNREAD)
GPU_ENGINE_ACTIVE = Metric(
    "gpu_engine_active_ratio", _G, _LEAF, "ratio",
    "Part of the time in which the graphics or compute engine was active.", _UNREAD)
GPU_SM_ACTIVE = Metric(
    "gpu_sm_active_ratio", _G, _LEAF, "ratio", "Mean part of the SMs that had work.", _UNREAD)
GPU_SM_OCCUPANCY = Metric(
    "gpu_sm_occupancy_ratio", _G, _LEAF, "ratio", "Mean part of the warps that were resident.", _UNREAD)
GPU_TENSOR_ACTIVE = Metric(
    "gpu_tensor_active_ratio", _G, _LEAF, "ratio", "Part of the cycles in which tensor cores were active.",
    _UNREAD)
GPU_DRAM_ACTIVE = Metric(
    "gpu_dram_active_ratio", _G, _LEAF, "ratio", "Part of the cycles in which memory moved data.", _UNREAD)
GPU_FP64_ACTIVE = Metric(
    "gpu_fp64_active_ratio", _G, _LEAF, "ratio", "Part of the cycles in which FP64 pipes were active.",
    _UNREAD)
GPU_FP32_ACTIVE = Metric(
    "gpu_fp32_active_ratio", _G, _LEAF, "ratio", "Part of the cycles in which FP32 pipes were active.",
    _UNREAD)
GPU_FP16_ACTIVE = Metric(
    "gpu_fp16_active_ratio", _G, _LEAF, "ratio", "Part of the cycles in which FP16 pipes were active.",
    _UNREAD)
GPU_MEMORY_COPY_UTILIZATION = Metric(
    "gpu_memory_copy_utilization_ratio", _G, _LEAF, "ratio",
    "Part of the time in which memory was read or written.", _UNREAD)
GPU_ENCODER_UTILIZATION = Metric(
    "gpu_encoder_utilization_ratio", _G, _LEAF, "ratio", "Use of the video encoders.", _UNREAD)
GPU_DECODER_UTILIZATION = Metric(
    "gpu_decoder_utilization_ratio", _G, _LEAF, "ratio", "Use of the video decoders.", _UNREAD)
GPU_JPEG_UTILIZATION = Metric(
    "gpu_jpeg_utilization_ratio", _G, _LEAF, "ratio", "Use of the JPEG engines.", _UNREAD)
GPU_OFA_UTILIZATION = Metric(
    "gpu_ofa_utilization_ratio", _G, _LEAF, "ratio", "Use of the optical-flow engine.", _UNREAD)
GPU_MEMORY_USED = Metric("gpu_memory_used_bytes", _G, _LEAF, "bytes", "Memory in use.", _UNREAD)
GPU_MEMORY_FREE = Metric("gpu_memory_free_bytes", _G, _LEAF, "bytes", "Memory that is free.", _UNREAD)
GPU_MEMORY_RESERVED = Metric(
    "gpu_memory_reserved_bytes", _G, _LEAF, "bytes", "Memory that driver and firmware keep.", _UNREAD)
GPU_MEMORY_TOTAL = Metric("gpu_memory_total_bytes", _G, _LEAF, "bytes", "Memory in all.", _UNREAD)
GPU_SM_CLOCK = Metric(
    "gpu_sm_clock_hertz", _G, _LEAF, "hertz", "Clock of the SMs.", _UNREAD, tier=Tier.CLOCKS)
GPU_MEMORY_CLOCK = Metric(
    "gpu_memory_clock_hertz", _G, _LEAF, "hertz", "Clock of the memory.", _UNREAD, tier=Tier.CLOCKS)
GPU_PCIE_TRANSMIT = Metric(
    "gpu_pcie_transmit_bytes_per_second", _G, _LEAF, "bytes per second",
    "PCIe traffic out of the GPU; a rate at the source.", _UNREAD, tier=Tier.LINKS)
GPU_PCIE_RECEIVE = Metric(
    "gpu_pcie_receive_bytes_per_second", _G, _LEAF, "bytes per second",
    "PCIe traffic into the GPU; a rate at the source.", _UNREAD, tier=Tier.LINKS)
GPU_NVLINK = Metric(
    "gpu_nvlink_bytes_per_second", _G, _LEAF, "bytes per second",
    "NVLink traffic of all links and both directions; a rate at the source.", _UNREAD, tier=Tier.LINKS)

# --- leaves: accumulated by the agent, so that any scrape interval gives an exact mean --------------------
GPU_ACTIVE_SECONDS = Metric(
    "gpu_active_seconds_total", _C, _LEAF, "seconds",
    "Activity integrated over time: its rate is mean activity, whichever signal that is judged by.", _UNKNOWN)
GPU_UTILIZATION_SECONDS = Metric(
    "gpu_utilization_seconds_total", _C, _LEAF, "seconds", "GPU utilization integrated over time.", _UNKNOWN)
GPU_ENGINE_ACTIVE_SECONDS = Metric(
    "gpu_engine_active_seconds_total", _C, _LEAF, "seconds", "Engine activity integrated over time.",
    _UNKNOWN)
GPU_SM_ACTIVE_SECONDS = Metric(
    "gpu_sm_active_seconds_total", _C, _LEAF, "seconds", "SM activity integrated over time.", _UNKNOWN)
GPU_TENSOR_ACTIVE_SECONDS = Metric(
    "gpu_tensor_active_seconds_total", _C, _LEAF, "seconds", "Tensor activity integrated over time.",
    _UNKNOWN)
GPU_DRAM_ACTIVE_SECONDS = Metric(
    "gpu_dram_active_seconds_total", _C, _LEAF, "seconds", "Memory activity integrated over time.", _UNKNOWN)

# --- leaves: judgement and price --------------------------------------------------------------------------
GPU_STATE = Metric(
    "gpu_state", _G, _LEAF, "1 or 0", "Whether the leaf is in the state; exactly one of all states is 1.", "",
    ("state",))
GPU_STATE_SECONDS = Metric(
    "gpu_state_seconds_total", _C, _LEAF, "seconds", "Time spent in a state since the agent began.",
    "for a state that did not occur", ("state",))
GPU_IDLE_SECONDS = Metric(
    "gpu_idle_seconds", _G, _LEAF, "seconds",
    "How long all that was measured was quiet: no activity, quiet buses, power near idle. Time that nobody "
    "measured is not in it.",
    "when activity is not known, or nobody holds the leaf")
GPU_UNDERUSED = Metric(
    "gpu_underused", _G, _LEAF, "1 or 0",
    "Whether the leaf is held and does too little: state underused, idle_held or idle_empty.",
    "when the state is unknown or unhealthy")
GPU_PRICE = Metric(
    "gpu_price_per_hour", _G, _LEAF, "currency of price_info per hour",
    "Price of the leaf; the leaves of a GPU sum to its price. Labels say where it is from and how far to "
    "trust it.", _UNPRICED, ("capacity_type", "basis", "source", "confidence"))
GPU_PRICE_MISSING = Metric(
    "gpu_price_missing", _G, _LEAF, "1 or 0", "Whether no price was found: its cost is unknown, not 0.", "")

# --- holders ----------------------------------------------------------------------------------------------
GPU_ALLOCATION_SHARE = Metric(
    "gpu_allocation_share", _G, _HOLDER, "ratio",
    "Part of the leaf that a holder was given; the part that nobody holds has empty holder labels.",
    "when it is not known who holds the leaf")
GPU_COST = Metric(
    "gpu_cost_per_hour", _G, _HOLDER, "currency of price_info per hour",
    "What a holder's part of the leaf costs now, by cause; sums to the leaf's price. For dashboards: bills "
    "use the ledger.", _UNPRICED, ("cause",))
GPU_HELD_SECONDS = Metric(
    "gpu_held_seconds_total", _C, _HOLDER, "seconds",
    "Time times share of the leaf by holder and cause since the agent began; stays a while after the holder "
    "ended.", "for a cause that did not occur", ("cause",))
GPU_COST_TOTAL = Metric(
    "gpu_cost_total", _C, _HOLDER, "currency of price_info",
    "Held time times price by holder and cause since the agent began; stays a while after the holder ended.",
    "for a cause that did not occur, and while there was no price", ("cause",))

# --- nodes ------------------------------------------------------------------------------------------------
GPU_EXPECTED = Metric(
    "gpu_expected", _G, _NODE, "GPUs",
    "GPUs that the node should have. Its price is divided by this, or by those seen where they are more.", "")
GPU_SEEN = Metric(
    "gpu_seen", _G, _NODE, "GPUs", "GPUs that were read in the last sample.", "when the source gave nothing")
NODE_PRICE_INFO = Metric(
    "node_price_info", _I, _NODE, "",
    "What priced the node: its facts, which step found the price, and the date of that figure (empty when "
    "its owner stated none).", _UNPRICED,
    ("provider", "instance_type", "region", "capacity_type", "source", "as_of"))
NODE_PRICE = Metric(
    "node_price_per_hour", _G, _NODE, "currency of price_info per hour",
    "List price of the node: its GPUs' prices and its other cost sum to this.", _UNPRICED)
NODE_OTHER_COST = Metric(
    "node_other_cost_per_hour", _G, _NODE, "currency of price_info per hour",
    "What of the node's price is not its GPUs': CPU and memory on the fitted basis, 0 on the others.",
    _UNPRICED)
NODE_OTHER_COST_TOTAL = Metric(
    "node_other_cost_total", _C, _NODE, "currency of price_info",
    "The node's other cost since the agent began.", "while there was no price")
COST_CONSERVATION_ERROR = Metric(
    "cost_conservation_error", _G, _NODE, "currency of price_info",
    "What was charged to GPUs and other cost, less list price times time. Other than 0 is a defect: report "
    "it.", _UNPRICED)

# --- the agent --------------------------------------------------------------------------------------------
BUILD_INFO = Metric(
    "build_info", _I, _AGENT, "",
    "Version of GPU Steward; mode is real, or simulated when no value is of this world.", "",
    ("version", "mode"))
PRICE_INFO = Metric(
    "price_info", _I, _AGENT, "",
    "Currency of all money here, and date of the newest figure of the price catalogue.", "",
    ("currency", "catalogue_date"))
COLLECT_SUCCESS = Metric(
    "collect_success", _G, _AGENT, "1 or 0", "Whether the last cycle gave readings; 0 before the first.", "")
COLLECT_TIMESTAMP = Metric(
    "collect_timestamp_seconds", _G, _AGENT, "seconds since the epoch", "Time of the last good sample.",
    "before the first")
COLLECT_DURATION = Metric(
    "collect_duration_seconds", _G, _AGENT, "seconds", "How long the last cycle's reading took.",
    "before the first cycle")
COLLECT_CYCLES = Metric(
    "collect_cycles_total", _C, _AGENT, "cycles", "Cycles by outcome: reason is ok, or why one gave nothing.",
    "for an outcome that did not occur", ("reason",))
SOURCE_SKIPPED = Metric(
    "source_skipped_total", _C, _AGENT, "inputs",
    "Inputs that the source left out because they made no sense.", "for a reason that did not occur",
    ("reason",))
COLLECTOR_STUCK = Metric(
    "collector_stuck", _G, _AGENT, "1 or 0",
    "Whether a driver call that never returned is being waited out; a reboot may be all that helps.",
    "for a source that makes no driver calls")
DRIVER_HOLD_SUCCESS = Metric(
    "driver_hold_success", _G, _AGENT, "1 or 0",
    "Whether the Node's labels could be read, by which NVIDIA's operator asks to let the driver go. While "
    "not, what they said last stands: a driver upgrade may fail, or the driver not be taken up again.",
    "until they were first asked for, and for an agent that is in no pod or does not read NVML")
NVML_ERRORS = Metric(
    "nvml_errors_total", _C, _AGENT, "calls",
    "Driver calls that failed, by call and NVML's name of the error; each costs only its own value.",
    "for a call that did not fail", ("call", "code"))
ATTRIBUTION_ERRORS = Metric(
    "attribution_errors_total", _C, _AGENT, "errors",
    "What kept a holder from being known, by reason: failed questions to the kubelet, and in each sample the "
    "device ids that could not be put on a GPU. docs/kubelet.md has a next step for each reason.",
    "where no kubelet is asked", ("reason",))
ATTRIBUTION_TIMESTAMP = Metric(
    "attribution_timestamp_seconds", _G, _AGENT, "seconds since the epoch",
    "When the kubelet gave the answer that holders are taken from. While it fails, its last answer is kept "
    "for 60 s; then holders are unknown.",
    "while holders are unknown, or where no kubelet is asked")
CONFIG_RELOAD_SUCCESS = Metric(
    "config_reload_success", _G, _AGENT, "1 or 0",
    "Whether the last reload of the config was accepted; the old one runs on if not.", "")
CONFIG_RELOAD_TIMESTAMP = Metric(
    "config_last_reload_success_timestamp_seconds", _G, _AGENT, "seconds since the epoch",
    "When the config in force was read.", "when the config is the built-in one")
JOURNAL_ROWS = Metric("journal_rows", _G, _AGENT, "rows", "Rows of usage that can be read.", _NO_JOURNAL)
JOURNAL_BYTES = Metric("journal_bytes", _G, _AGENT, "bytes", "Size of the journal's files.", _NO_JOURNAL)
JOURNAL_WAITING = Metric(
    "journal_waiting_rows", _G, _AGENT, "rows", "Closed rows in memory, not written yet.", _NO_JOURNAL)
JOURNAL_LOST = Metric(
    "journal_lost_rows_total", _C, _AGENT, "rows", "Rows given up: no room on disk or memory.", _NO_JOURNAL)
JOURNAL_CORRUPT = Metric(
    "journal_corrupt", _G, _AGENT, "places", "Damaged places found at the start, skipped.", _NO_JOURNAL)
JOURNAL_ERRORS = Metric(
    "journal_write_errors_total", _C, _AGENT, "errors", "Reads and writes of it that failed.", _NO_JOURNAL)
JOURNAL_LAST_WRITE = Metric(
    "journal_last_write_timestamp_seconds", _G, _AGENT, "seconds since the epoch",
    "Last checkpoint that reached the disk.", "without `agent.state_dir`, and before the first")
JOURNAL_OLDEST = Metric(
    "journal_oldest_row_timestamp_seconds", _G, _AGENT, "seconds since the epoch",
    "When the oldest row begins.", "without `agent.state_dir`, and before the first row")
SERIES = Metric("series", _G, _AGENT, "series", "Series on this page.", "")
SERIES_BUDGET = Metric(
    "series_budget", _G, _AGENT, "series",
    "Series that this page may have; above it they are dropped by tier.", "")
SERIES_DROPPED = Metric(
    "series_dropped", _G, _AGENT, "series",
    "Series left out of this page to keep to the budget; of process_holders the most that those might have "
    "which are summed under pod other.", "", ("tier",))
# fmt: on

CATALOGUE: Final = tuple(value for value in list(globals().values()) if isinstance(value, Metric))
"""All metrics in the order above."""
