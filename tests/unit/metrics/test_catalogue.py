"""The catalogue: each metric once, named as Prometheus would, and nothing measured left out."""

from __future__ import annotations

from collections import Counter

import pytest

from gpusteward.meter import INTEGRATED
from gpusteward.metrics import catalogue
from gpusteward.metrics.catalogue import CATALOGUE, DEVICE, HOLDER, Kind, Metric, Scope, Tier
from gpusteward.metrics.devices import BOARD_SIGNALS, LEAF_SIGNALS, SIGNAL_SECONDS
from gpusteward.model import Signal


def test_no_two_metrics_share_a_name() -> None:
    assert max(Counter(metric.name for metric in CATALOGUE).values()) == 1


def test_the_catalogue_holds_every_metric_that_the_module_defines() -> None:
    defined = [value for value in vars(catalogue).values() if isinstance(value, Metric)]
    assert list(CATALOGUE) == defined
    assert len(CATALOGUE) > 60


@pytest.mark.parametrize("metric", CATALOGUE, ids=lambda metric: metric.name)
def test_names_end_as_their_type_says(metric: Metric) -> None:
    assert metric.name.endswith("_total") == (metric.kind is Kind.COUNTER)
    assert metric.name.endswith("_info") == (metric.kind is Kind.INFO)


@pytest.mark.parametrize("metric", CATALOGUE, ids=lambda metric: metric.name)
def test_help_says_meaning_unit_and_absence(metric: Metric) -> None:
    assert metric.help.startswith(metric.meaning)
    assert "Unit: " in metric.help or metric.kind is Kind.INFO
    assert metric.help.endswith(f"Absent {metric.absent}." if metric.absent else "Always there.")


def test_every_signal_is_exported_once_but_an_xid_is_counted_and_an_action_is_a_state() -> None:
    apart = {Signal.LAST_XID, Signal.RECOVERY_ACTION}
    assert set(BOARD_SIGNALS) | set(LEAF_SIGNALS) == set(Signal) - apart
    assert not set(BOARD_SIGNALS) & set(LEAF_SIGNALS)


def test_every_signal_that_the_meter_integrates_has_its_seconds() -> None:
    assert set(SIGNAL_SECONDS) == set(INTEGRATED)


def test_a_scope_gives_the_first_labels() -> None:
    assert catalogue.GPU_COST.labels == (*DEVICE, *HOLDER, "cause")
    assert catalogue.GPU_POWER.labels == DEVICE
    assert catalogue.NODE_PRICE.labels == ("node",)
    assert catalogue.COLLECT_SUCCESS.labels == ()


def test_whole_metrics_are_dropped_of_links_and_clocks_only() -> None:
    tiers = {metric.name: metric.tier for metric in CATALOGUE if metric.tier is not None}
    assert tiers == {
        "gpu_pcie_transmit_bytes_total": Tier.LINKS,
        "gpu_pcie_receive_bytes_total": Tier.LINKS,
        "gpu_nvlink_transmit_bytes_total": Tier.LINKS,
        "gpu_nvlink_receive_bytes_total": Tier.LINKS,
        "gpu_pcie_transmit_bytes_per_second": Tier.LINKS,
        "gpu_pcie_receive_bytes_per_second": Tier.LINKS,
        "gpu_nvlink_bytes_per_second": Tier.LINKS,
        "gpu_sm_clock_hertz": Tier.CLOCKS,
        "gpu_memory_clock_hertz": Tier.CLOCKS,
    }


def test_no_metric_of_money_or_holders_has_a_tier() -> None:
    assert all(
        metric.tier is None for metric in CATALOGUE if metric.scope is Scope.HOLDER or "cost" in metric.name
    )
