"""Field values: one call for a board's many numbers, each of which says whether it could be read."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

import pynvml as nvml

from gpusteward.devices.nvml.calls import GPU_OF_NO_USE, NOT_THERE, GpuError
from gpusteward.model.devices import Signal

if TYPE_CHECKING:
    from gpusteward.devices.nvml.calls import Calls, Support

MILLI: Final = 1e-3
NANO: Final = 1e-9
KIB: Final = 1024.0

ALL_LINKS: Final = 0xFFFFFFFF
"""The scope that sums a link counter over all links (nvml.h at NVML_FI_DEV_NVLINK_*)."""


class Field(NamedTuple):
    """A field of the batch.

    Attributes:
        ident: NVML_FI_DEV_*.
        signal: what it is.
        unit: our base unit for one of the driver's.
        scope: link number, where the field is of links.
        since: driver branch that first knows it (nvml.h of that branch, in the history of NVIDIA/go-nvml).
    """

    ident: int
    signal: Signal
    unit: float = 1.0
    scope: int = 0
    since: int = 525


FIELDS: Final = (
    Field(nvml.NVML_FI_DEV_ECC_SBE_VOL_TOTAL, Signal.ECC_CORRECTED_TOTAL),
    Field(nvml.NVML_FI_DEV_ECC_DBE_VOL_TOTAL, Signal.ECC_UNCORRECTED_TOTAL),
    Field(nvml.NVML_FI_DEV_RETIRED_SBE, Signal.PAGES_RETIRED_SINGLE_BIT_TOTAL),
    Field(nvml.NVML_FI_DEV_RETIRED_DBE, Signal.PAGES_RETIRED_DOUBLE_BIT_TOTAL),
    Field(nvml.NVML_FI_DEV_RETIRED_PENDING, Signal.PAGES_RETIREMENT_PENDING),
    Field(nvml.NVML_FI_DEV_PERF_POLICY_POWER, Signal.THROTTLED_POWER_TOTAL, NANO),
    Field(nvml.NVML_FI_DEV_PERF_POLICY_THERMAL, Signal.THROTTLED_THERMAL_TOTAL, NANO),
    Field(nvml.NVML_FI_DEV_PERF_POLICY_SYNC_BOOST, Signal.THROTTLED_SYNC_BOOST_TOTAL, NANO),
    Field(nvml.NVML_FI_DEV_PERF_POLICY_BOARD_LIMIT, Signal.THROTTLED_BOARD_LIMIT_TOTAL, NANO),
    Field(nvml.NVML_FI_DEV_PERF_POLICY_LOW_UTILIZATION, Signal.THROTTLED_LOW_UTILIZATION_TOTAL, NANO),
    Field(nvml.NVML_FI_DEV_PERF_POLICY_RELIABILITY, Signal.THROTTLED_RELIABILITY_TOTAL, NANO),
    Field(nvml.NVML_FI_DEV_MEMORY_TEMP, Signal.MEMORY_TEMPERATURE),
    Field(nvml.NVML_FI_DEV_TOTAL_ENERGY_CONSUMPTION, Signal.ENERGY_TOTAL, MILLI),
    Field(nvml.NVML_FI_DEV_PCIE_REPLAY_COUNTER, Signal.PCIE_REPLAYS_TOTAL),
    Field(nvml.NVML_FI_DEV_REMAPPED_COR, Signal.ROWS_REMAPPED_CORRECTABLE_TOTAL),
    Field(nvml.NVML_FI_DEV_REMAPPED_UNC, Signal.ROWS_REMAPPED_UNCORRECTABLE_TOTAL),
    Field(nvml.NVML_FI_DEV_REMAPPED_PENDING, Signal.ROW_REMAP_PENDING),
    Field(nvml.NVML_FI_DEV_REMAPPED_FAILURE, Signal.ROW_REMAP_FAILURE),
    Field(nvml.NVML_FI_DEV_POWER_AVERAGE, Signal.POWER, MILLI, since=535),
    Field(nvml.NVML_FI_DEV_POWER_INSTANT, Signal.POWER_INSTANT, MILLI, since=535),
    Field(nvml.NVML_FI_DEV_PCIE_COUNT_TX_BYTES, Signal.PCIE_TX_TOTAL, since=550),
    Field(nvml.NVML_FI_DEV_PCIE_COUNT_RX_BYTES, Signal.PCIE_RX_TOTAL, since=550),
    # NVLink 5 counts bytes in fields of its own, the generations before it KiB; a board has one or the other.
    Field(nvml.NVML_FI_DEV_NVLINK_COUNT_XMIT_BYTES, Signal.NVLINK_TX_TOTAL, scope=ALL_LINKS, since=555),
    Field(nvml.NVML_FI_DEV_NVLINK_COUNT_RCV_BYTES, Signal.NVLINK_RX_TOTAL, scope=ALL_LINKS, since=555),
    Field(nvml.NVML_FI_DEV_NVLINK_THROUGHPUT_DATA_TX, Signal.NVLINK_TX_TOTAL, KIB, ALL_LINKS),
    Field(nvml.NVML_FI_DEV_NVLINK_THROUGHPUT_DATA_RX, Signal.NVLINK_RX_TOTAL, KIB, ALL_LINKS),
    Field(nvml.NVML_FI_DEV_GET_GPU_RECOVERY_ACTION, Signal.RECOVERY_ACTION, since=570),
)
"""Values of the board. ECC counts are those since the driver was loaded; aggregate ones outlive a repair."""

_TYPES: Final = {
    nvml.NVML_VALUE_TYPE_DOUBLE: "dVal",
    nvml.NVML_VALUE_TYPE_UNSIGNED_INT: "uiVal",
    nvml.NVML_VALUE_TYPE_UNSIGNED_LONG: "ulVal",
    nvml.NVML_VALUE_TYPE_UNSIGNED_LONG_LONG: "ullVal",
    nvml.NVML_VALUE_TYPE_SIGNED_LONG_LONG: "sllVal",
    nvml.NVML_VALUE_TYPE_SIGNED_INT: "siVal",
    nvml.NVML_VALUE_TYPE_UNSIGNED_SHORT: "usVal",
}

_UNKNOWN_FIELD: Final = NOT_THERE | {nvml.NVML_ERROR_INVALID_ARGUMENT}
"""How drivers refuse a field that is newer than they are."""


def read_fields(calls: Calls, support: Support, handle: object) -> dict[Signal, float]:
    """The fields that this board has. One that fails is counted under its id and costs only its own value.

    Raises:
        GpuError: the GPU answers nothing any more.
        LibraryError: the library does not.
    """
    wanted = [field for field in FIELDS if field.ident not in support.lacks]
    # Every driver has the call, so a denial is not remembered: it would cost all of them for minutes.
    values = calls.ask(
        None, nvml.nvmlDeviceGetFieldValues, handle, [(field.ident, field.scope) for field in wanted]
    )
    signals: dict[Signal, float] = {}
    for field, value in zip(wanted, values or (), strict=False):
        if value.nvmlReturn != nvml.NVML_SUCCESS:
            _refused(calls, support, field, value.nvmlReturn)
        elif (kind := _TYPES.get(value.valueType)) is not None:
            signals[field.signal] = float(getattr(value.value, kind)) * field.unit
    if signals.get(Signal.MEMORY_TEMPERATURE) == 0.0:
        # GDDR boards answer so that have no sensor there: dcgm-exporter's recorded pages of T4, L4 and L40S.
        del signals[Signal.MEMORY_TEMPERATURE]
    return signals


def _refused(calls: Calls, support: Support, field: Field, code: int) -> None:
    if code in _UNKNOWN_FIELD:
        support.lacks.add(field.ident)
        return
    calls.count(f"nvmlDeviceGetFieldValues[{field.ident}]", code)
    if code in GPU_OF_NO_USE:
        raise GpuError(code)
