"""Series of GPUs and leaves: identity, health, signals, states, accumulated seconds."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Final

from gpusteward.metrics import catalogue as c
from gpusteward.metrics.xid import xid_class
from gpusteward.model import Signal, State
from gpusteward.units import MICROSECONDS, PPB

if TYPE_CHECKING:
    from gpusteward.metrics.sheet import Sheet
    from gpusteward.model import (
        Device,
        DeviceTotals,
        GpuReading,
        GpuSnapshot,
        LeafSnapshot,
        NodeSnapshot,
        Verdict,
    )

BOARD_SIGNALS: Final[dict[Signal, tuple[c.Metric, tuple[str, ...]]]] = {
    Signal.POWER: (c.GPU_POWER, ()),
    Signal.POWER_INSTANT: (c.GPU_POWER_INSTANT, ()),
    Signal.POWER_LIMIT: (c.GPU_POWER_LIMIT, ()),
    Signal.ENERGY_TOTAL: (c.GPU_ENERGY, ()),
    Signal.TEMPERATURE: (c.GPU_TEMPERATURE, ()),
    Signal.MEMORY_TEMPERATURE: (c.GPU_MEMORY_TEMPERATURE, ()),
    Signal.TEMPERATURE_MARGIN: (c.GPU_TEMPERATURE_MARGIN, ()),
    Signal.THROTTLED_POWER_TOTAL: (c.GPU_THROTTLED, ("power",)),
    Signal.THROTTLED_THERMAL_TOTAL: (c.GPU_THROTTLED, ("thermal",)),
    Signal.THROTTLED_SYNC_BOOST_TOTAL: (c.GPU_THROTTLED, ("sync_boost",)),
    Signal.THROTTLED_BOARD_LIMIT_TOTAL: (c.GPU_THROTTLED, ("board_limit",)),
    Signal.THROTTLED_LOW_UTILIZATION_TOTAL: (c.GPU_THROTTLED, ("low_utilization",)),
    Signal.THROTTLED_RELIABILITY_TOTAL: (c.GPU_THROTTLED, ("reliability",)),
    Signal.PCIE_REPLAYS_TOTAL: (c.GPU_PCIE_REPLAYS, ()),
    Signal.PCIE_TX_TOTAL: (c.GPU_PCIE_TRANSMIT_BYTES, ()),
    Signal.PCIE_RX_TOTAL: (c.GPU_PCIE_RECEIVE_BYTES, ()),
    Signal.NVLINK_TX_TOTAL: (c.GPU_NVLINK_TRANSMIT_BYTES, ()),
    Signal.NVLINK_RX_TOTAL: (c.GPU_NVLINK_RECEIVE_BYTES, ()),
    Signal.ROWS_REMAPPED_CORRECTABLE_TOTAL: (c.GPU_ROW_REMAPS, ("correctable",)),
    Signal.ROWS_REMAPPED_UNCORRECTABLE_TOTAL: (c.GPU_ROW_REMAPS, ("uncorrectable",)),
    Signal.ROW_REMAP_FAILURE: (c.GPU_ROW_REMAP_FAILED, ()),
    Signal.ROW_REMAP_PENDING: (c.GPU_ROW_REMAP_PENDING, ()),
    Signal.PAGES_RETIRED_SINGLE_BIT_TOTAL: (c.GPU_PAGES_RETIRED, ("single_bit",)),
    Signal.PAGES_RETIRED_DOUBLE_BIT_TOTAL: (c.GPU_PAGES_RETIRED, ("double_bit",)),
    Signal.PAGES_RETIREMENT_PENDING: (c.GPU_PAGE_RETIREMENT_PENDING, ()),
    Signal.ECC_CORRECTED_TOTAL: (c.GPU_ECC_ERRORS, ("corrected",)),
    Signal.ECC_UNCORRECTED_TOTAL: (c.GPU_ECC_ERRORS, ("uncorrected",)),
}
"""Facts of the board: once per physical GPU, on gi="", never on an instance: a sum would count them twice."""

LEAF_SIGNALS: Final = {
    Signal.GPU_UTILIZATION: c.GPU_UTILIZATION,
    Signal.ENGINE_ACTIVE: c.GPU_ENGINE_ACTIVE,
    Signal.SM_ACTIVE: c.GPU_SM_ACTIVE,
    Signal.SM_OCCUPANCY: c.GPU_SM_OCCUPANCY,
    Signal.TENSOR_ACTIVE: c.GPU_TENSOR_ACTIVE,
    Signal.DRAM_ACTIVE: c.GPU_DRAM_ACTIVE,
    Signal.FP64_ACTIVE: c.GPU_FP64_ACTIVE,
    Signal.FP32_ACTIVE: c.GPU_FP32_ACTIVE,
    Signal.FP16_ACTIVE: c.GPU_FP16_ACTIVE,
    Signal.MEMORY_COPY_UTILIZATION: c.GPU_MEMORY_COPY_UTILIZATION,
    Signal.ENCODER_UTILIZATION: c.GPU_ENCODER_UTILIZATION,
    Signal.DECODER_UTILIZATION: c.GPU_DECODER_UTILIZATION,
    Signal.JPEG_UTILIZATION: c.GPU_JPEG_UTILIZATION,
    Signal.OFA_UTILIZATION: c.GPU_OFA_UTILIZATION,
    Signal.MEMORY_USED: c.GPU_MEMORY_USED,
    Signal.MEMORY_FREE: c.GPU_MEMORY_FREE,
    Signal.MEMORY_RESERVED: c.GPU_MEMORY_RESERVED,
    Signal.MEMORY_TOTAL: c.GPU_MEMORY_TOTAL,
    Signal.SM_CLOCK: c.GPU_SM_CLOCK,
    Signal.MEMORY_CLOCK: c.GPU_MEMORY_CLOCK,
    Signal.PCIE_TX: c.GPU_PCIE_TRANSMIT,
    Signal.PCIE_RX: c.GPU_PCIE_RECEIVE,
    Signal.NVLINK: c.GPU_NVLINK,
}
"""Values of a whole GPU or an instance. In neither table are LAST_XID, which is counted and not shown, and
RECOVERY_ACTION, which is a code and not a quantity."""

RECOVERY_ACTIONS: Final = ("none", "reset", "reboot", "drain_p2p", "drain_and_reset", "imex")
"""By NVML's code, nvmlDeviceGpuRecoveryAction_t."""

SIGNAL_SECONDS: Final = {
    Signal.GPU_UTILIZATION: c.GPU_UTILIZATION_SECONDS,
    Signal.ENGINE_ACTIVE: c.GPU_ENGINE_ACTIVE_SECONDS,
    Signal.SM_ACTIVE: c.GPU_SM_ACTIVE_SECONDS,
    Signal.TENSOR_ACTIVE: c.GPU_TENSOR_ACTIVE_SECONDS,
    Signal.DRAM_ACTIVE: c.GPU_DRAM_ACTIVE_SECONDS,
}

_UNDERUSED: Final = frozenset({State.UNDERUSED, State.IDLE_HELD, State.IDLE_EMPTY})
_UNJUDGED: Final = frozenset({State.UNKNOWN, State.UNHEALTHY})


def device_labels(device: Device) -> tuple[str, ...]:
    """Values of the device labels of a leaf."""
    return (device.node, device.gpu, device.uuid, device.gi)


def put_gpu(sheet: Sheet, node: NodeSnapshot, gpu: GpuSnapshot, source: str) -> None:
    """A physical GPU: health and the board's values, and a MIG parent's identity."""
    reading = gpu.reading
    labels = (node.node, reading.gpu, reading.uuid, "")
    if gpu.fault is not None or node.seen is not None:  # unread: neither up nor down is known
        sheet.put(c.GPU_UP, (*labels, gpu.fault or ""), 0.0 if gpu.fault else 1.0)
    if reading.mig:
        sheet.put(c.GPU_INFO, (*labels, *_identity(reading, "", ""), source), 1.0)
    for signal, (metric, extra) in BOARD_SIGNALS.items():
        sheet.put(metric, (*labels, *extra), reading.signals.get(signal))
    _put_recovery_action(sheet, labels, reading.signals.get(Signal.RECOVERY_ACTION))
    for xid, count in sorted(gpu.xids.items()):
        code = (*labels, str(xid), xid_class(xid))
        sheet.put(c.GPU_XID_ERRORS, code, count)
        sheet.put(c.GPU_XID_LAST, code, gpu.xid_last.get(xid))


def _put_recovery_action(sheet: Sheet, labels: tuple[str, ...], code: float | None) -> None:
    """A state set: one series an action, so that a change of the action begins and ends no series."""
    if code is None or not math.isfinite(code):
        return
    asked = dict(enumerate(RECOVERY_ACTIONS)).get(int(code), "other")
    for action in (*RECOVERY_ACTIONS, "other"):
        sheet.put(c.GPU_RECOVERY_ACTION, (*labels, action), 1.0 if action == asked else 0.0)


def put_leaf(sheet: Sheet, gpu: GpuSnapshot, snapshot: LeafSnapshot, source: str) -> None:
    """A leaf: identity, signals, state and seconds."""
    leaf = snapshot.leaf
    labels = device_labels(leaf.device)
    identity = _identity(gpu.reading, leaf.mig_uuid, leaf.device.mig_profile)
    sheet.put(c.GPU_INFO, (*labels, *identity, source), 1.0)
    for signal, metric in LEAF_SIGNALS.items():
        sheet.put(metric, labels, leaf.signals.get(signal))
    put_seconds(sheet, labels, snapshot.totals)
    _put_verdict(sheet, labels, snapshot.verdict, source)


def _identity(reading: GpuReading, mig_uuid: str, mig_profile: str) -> tuple[str, ...]:
    return (
        reading.model,
        reading.pci_bus_id,
        reading.driver_version,
        mig_uuid,
        mig_profile,
        reading.sharing,
    )


def put_seconds(sheet: Sheet, labels: tuple[str, ...], totals: DeviceTotals) -> None:
    """What a leaf has accumulated."""
    if totals.active_us is not None:
        sheet.put(c.GPU_ACTIVE_SECONDS, labels, totals.active_us / (MICROSECONDS * PPB))
    for signal, metric in SIGNAL_SECONDS.items():
        if signal in totals.signal_us:
            sheet.put(metric, labels, totals.signal_us[signal] / (MICROSECONDS * PPB))
    for state, spent in sorted(totals.state_us.items()):
        sheet.put(c.GPU_STATE_SECONDS, (*labels, state), spent / MICROSECONDS)


def _put_verdict(sheet: Sheet, labels: tuple[str, ...], verdict: Verdict, source: str) -> None:
    for state in State:
        sheet.put(c.GPU_STATE, (*labels, state), 1.0 if state is verdict.state else 0.0)
    sheet.put(c.GPU_IDLE_SECONDS, labels, verdict.idle_seconds)
    if verdict.state not in _UNJUDGED:
        sheet.put(c.GPU_UNDERUSED, labels, 1.0 if verdict.state in _UNDERUSED else 0.0)
    if verdict.signal is not None:
        sheet.put(c.GPU_SIGNAL_INFO, (*labels, verdict.signal, source), 1.0)
