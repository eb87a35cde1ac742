"""GPU performance monitoring (Hopper and later): true means between two samples, of GPUs and MIG instances.

A sample is kept from one cycle to the next, so that nothing waits and the mean covers the whole interval.
"""

from __future__ import annotations

from contextlib import suppress
from math import isfinite
from typing import TYPE_CHECKING, Any, Final, NamedTuple, TypeAlias

import pynvml as nvml

from gpusteward.devices.nvml.calls import NOT_THERE, GpuError
from gpusteward.model.devices import Signal

if TYPE_CHECKING:
    from collections.abc import Callable

    from gpusteward.devices.nvml.calls import Calls

LEAST_SECONDS: Final = 0.5
"""Samples nearer than this are not compared. The hardware refreshes every 100 ms; cycles are 1 s and more."""

MOST_SECONDS: Final = 600.0
"""Nor are samples further apart: such a mean tells of the gap, not of now."""

PERCENT: Final = 0.01
MIB: Final = float(1 << 20)

RATIOS: Final = {
    nvml.NVML_GPM_METRIC_GRAPHICS_UTIL: Signal.ENGINE_ACTIVE,
    nvml.NVML_GPM_METRIC_SM_UTIL: Signal.SM_ACTIVE,
    nvml.NVML_GPM_METRIC_SM_OCCUPANCY: Signal.SM_OCCUPANCY,
    nvml.NVML_GPM_METRIC_ANY_TENSOR_UTIL: Signal.TENSOR_ACTIVE,
    nvml.NVML_GPM_METRIC_DRAM_BW_UTIL: Signal.DRAM_ACTIVE,
    nvml.NVML_GPM_METRIC_FP64_UTIL: Signal.FP64_ACTIVE,
    nvml.NVML_GPM_METRIC_FP32_UTIL: Signal.FP32_ACTIVE,
    nvml.NVML_GPM_METRIC_FP16_UTIL: Signal.FP16_ACTIVE,
}
TRANSFERS: Final = {
    nvml.NVML_GPM_METRIC_PCIE_TX_PER_SEC: Signal.PCIE_TX,
    nvml.NVML_GPM_METRIC_PCIE_RX_PER_SEC: Signal.PCIE_RX,
    nvml.NVML_GPM_METRIC_NVLINK_TOTAL_RX_PER_SEC: Signal.NVLINK,
    nvml.NVML_GPM_METRIC_NVLINK_TOTAL_TX_PER_SEC: Signal.NVLINK,
}
"""In MiB a second; NVLINK is both directions together."""

ENGINES: Final = {
    **dict.fromkeys(range(nvml.NVML_GPM_METRIC_NVDEC_0_UTIL, nvml.NVML_GPM_METRIC_NVDEC_7_UTIL + 1),
                    Signal.DECODER_UTILIZATION),
    **dict.fromkeys(range(nvml.NVML_GPM_METRIC_NVJPG_0_UTIL, nvml.NVML_GPM_METRIC_NVJPG_7_UTIL + 1),
                    Signal.JPEG_UTILIZATION),
    nvml.NVML_GPM_METRIC_NVOFA_0_UTIL: Signal.OFA_UTILIZATION,
}  # fmt: skip
"""The greatest of several engines counts. Asked of instances, whose engines no other call tells."""

Scope: TypeAlias = tuple[str, int, str, int]
"""Bus id, GPU instance (-1 = the whole GPU), its UUID, and how often the GPU was divided anew: samples of
instances that only look alike are never compared."""


class _Held(NamedTuple):
    """The sample of the cycle before, when it was taken, room for the next, and the means up to it."""

    sample: Any
    spare: Any
    at: float
    means: dict[Signal, float]


class Gpm:
    """The samples kept for every GPU and instance that can be sampled.

    Who can be is told by a query of its own, so that no refusal here is remembered.
    """

    def __init__(self, calls: Calls) -> None:
        self._calls = calls
        self._held: dict[Scope, _Held] = {}
        self._seen: set[Scope] = set()
        self._request = nvml.c_nvmlGpmMetricsGet_t()

    def measure(
        self, scope: Scope, at: float, take: Callable[[Any], object | None], metrics: tuple[int, ...]
    ) -> dict[Signal, float]:
        """Means since the cycle before; empty at the first cycle and where there is nothing to compare.

        At a cycle that follows within `LEAST_SECONDS`, the means of the one before once more.

        Args:
            scope: what is sampled.
            at: now, in monotonic seconds.
            take: fills the sample that it is given; None = it could not.
            metrics: NVML_GPM_METRIC_* to tell.
        """
        self._seen.add(scope)
        held = self._held.get(scope)
        if held is None:
            self._begin(scope, at, take)
            return {}
        if at - held.at < LEAST_SECONDS:
            return held.means
        if take(held.spare) is None:
            self._drop(scope)
            return {}
        taken = self._held[scope] = _Held(held.spare, held.sample, at, {})
        if at - held.at > MOST_SECONDS:
            return {}
        means = self._between(held.sample, held.spare, metrics)
        self._held[scope] = taken._replace(means=means)
        return means

    def forget_unseen(self) -> None:
        """Free the samples of what was not measured since the last time that this was called."""
        for scope in self._held.keys() - self._seen:
            self._drop(scope)
        self._seen = set()

    def _begin(self, scope: Scope, at: float, take: Callable[[Any], object | None]) -> None:
        rooms = [self._calls.ask(None, nvml.nvmlGpmSampleAlloc) for _ in range(2)]
        if None in rooms:
            self._free(*rooms)
            return
        self._held[scope] = _Held(rooms[0], rooms[1], at, {})
        taken = None
        try:
            taken = take(rooms[0])
        finally:
            if taken is None:
                self._drop(scope)

    def _drop(self, scope: Scope) -> None:
        held = self._held.pop(scope)
        self._free(held.sample, held.spare)

    def _free(self, *samples: object | None) -> None:
        for sample in samples:
            if sample is not None:
                with suppress(GpuError):
                    self._calls.done(None, nvml.nvmlGpmSampleFree, sample)

    def _between(self, before: object, now: object, metrics: tuple[int, ...]) -> dict[Signal, float]:
        request = self._request
        request.version = nvml.NVML_GPM_METRICS_GET_VERSION
        request.numMetrics = len(metrics)
        request.sample1, request.sample2 = before, now
        for place, metric in enumerate(metrics):
            request.metrics[place].metricId = metric
        if self._calls.ask(None, nvml.nvmlGpmMetricsGet, request) is None:
            return {}
        signals: dict[Signal, float] = {}
        for place, metric in enumerate(metrics):
            answer = request.metrics[place]
            if answer.nvmlReturn == nvml.NVML_SUCCESS and isfinite(answer.value):
                _put(signals, metric, float(answer.value))
            elif answer.nvmlReturn not in NOT_THERE | {nvml.NVML_SUCCESS}:
                self._calls.count(f"nvmlGpmMetricsGet[{metric}]", answer.nvmlReturn)
        return signals


def _put(signals: dict[Signal, float], metric: int, value: float) -> None:
    if metric in TRANSFERS:
        signal = TRANSFERS[metric]
        signals[signal] = signals.get(signal, 0.0) + max(0.0, value) * MIB
        return
    signal = RATIOS.get(metric) or ENGINES[metric]
    ratio = min(1.0, max(0.0, value * PERCENT))  # SM activity a little above 1 was seen on real boards
    signals[signal] = max(signals.get(signal, 0.0), ratio)
