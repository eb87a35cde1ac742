"""The vocabulary: every type that crosses rooms.

Frozen, slotted dataclasses and closed enums; no behaviour beyond small derived facts, no I/O, no imports
but units, errors and clock. A value that is not known is absent from its mapping or None, never 0.
"""

from gpusteward.model.devices import (
    Allocation,
    CapacityType,
    Device,
    Fault,
    GpuReading,
    Holder,
    HolderKind,
    InstanceReading,
    LeafKind,
    NodeFacts,
    NodeReadings,
    Process,
    Readings,
    Signal,
    Signals,
)
from gpusteward.model.holdings import AttributionError, HeldDevice, Holdings, KubeletDevices
from gpusteward.model.judgement import (
    WASTE,
    AttributedGpu,
    Cause,
    Confidence,
    Leaf,
    Portion,
    State,
    Verdict,
)
from gpusteward.model.money import Basis, NodeRate, PriceSource, Rate
from gpusteward.model.snapshot import (
    Charge,
    CollectHealth,
    DeviceTotals,
    EndedLeaf,
    GpuSnapshot,
    LeafSnapshot,
    NodeSnapshot,
    Snapshot,
)
from gpusteward.model.usage import JournalHealth, Price, UsageRow, UsageWindow, price_of

__all__ = [
    "WASTE",
    "Allocation",
    "AttributedGpu",
    "AttributionError",
    "Basis",
    "CapacityType",
    "Cause",
    "Charge",
    "CollectHealth",
    "Confidence",
    "Device",
    "DeviceTotals",
    "EndedLeaf",
    "Fault",
    "GpuReading",
    "GpuSnapshot",
    "HeldDevice",
    "Holder",
    "HolderKind",
    "Holdings",
    "InstanceReading",
    "JournalHealth",
    "KubeletDevices",
    "Leaf",
    "LeafKind",
    "LeafSnapshot",
    "NodeFacts",
    "NodeRate",
    "NodeReadings",
    "NodeSnapshot",
    "Portion",
    "Price",
    "PriceSource",
    "Process",
    "Rate",
    "Readings",
    "Signal",
    "Signals",
    "Snapshot",
    "State",
    "UsageRow",
    "UsageWindow",
    "Verdict",
    "price_of",
]
