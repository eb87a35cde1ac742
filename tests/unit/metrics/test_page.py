"""The page: prometheus_client's bytes, rendered once, in each format, from any thread."""

from __future__ import annotations

import gzip
import shutil
import subprocess
import threading
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from prometheus_client.exposition import generate_latest
from prometheus_client.metrics_core import GaugeMetricFamily
from prometheus_client.openmetrics.exposition import generate_latest as openmetrics_latest
from prometheus_client.process_collector import ProcessCollector

from gpusteward.metrics.collectors import families
from gpusteward.metrics.page import Page, render
from tests import snapshots
from tests.pages import parsed, parsed_openmetrics

if TYPE_CHECKING:
    from collections.abc import Iterable

    from prometheus_client.metrics_core import Metric

    from gpusteward.model import Snapshot
    from tests.conftest import Golden

OPENMETRICS = "application/openmetrics-text;version=1.0.0"
PAGES = {
    "whole": snapshots.snapshot(snapshots.whole_gpu()),
    "mig": snapshots.snapshot(snapshots.mig_gpu()),
    "lost": snapshots.snapshot(snapshots.lost_gpu()),
    "unpriced": snapshots.snapshot(snapshots.unpriced_gpu()),
    "unknown": snapshots.snapshot(snapshots.unknown_gpu()),
    "nvml": snapshots.nvml_snapshot(),
    "failed": snapshots.failed_snapshot(),
    "waiting": None,
    "mixed": snapshots.mixed_snapshot(),
}


class Registry:
    """The one method that prometheus_client's encoders ask of a registry."""

    def __init__(self, made: Iterable[Metric]) -> None:
        self._made = made

    def collect(self) -> Iterable[Metric]:
        return self._made


def awkward() -> list[Metric]:
    family = GaugeMetricFamily("gpusteward_odd", 'Back\\slash, "quote"\nand line.', labels=["b", "a"])
    family.add_metric(['say "hi"\n', "C:\\temp"], 1e21)
    family.add_metric(["naïve 日本", "\r\t"], -0.5)
    return [family, GaugeMetricFamily("gpusteward_plain", "Plain.", value=12_345_678.0)]


@pytest.mark.parametrize("name", ["whole", "mig", "lost", "unpriced", "unknown", "nvml", "failed", "waiting"])
def test_a_page_is_as_it_was_reviewed(name: str, golden: Golden) -> None:
    golden(render(PAGES[name], snapshots.EXPOSURE).text.decode(), f"tests/golden/metrics/{name}.prom")


@pytest.mark.parametrize("snapshot", PAGES.values(), ids=PAGES)
def test_promtool_finds_nothing_to_say_about_a_page(snapshot: Snapshot | None) -> None:
    promtool = shutil.which("promtool")
    if promtool is None:
        pytest.skip("promtool is not installed (Debian: apt-get install prometheus)")
    page = render(snapshot, snapshots.EXPOSURE, ProcessCollector(registry=None))
    result = subprocess.run(
        [promtool, "check", "metrics"], input=page.text, capture_output=True, timeout=60, check=False
    )
    assert (result.returncode, result.stdout, result.stderr) == (0, b"", b"")


@pytest.mark.parametrize(
    "made", [families(PAGES["mixed"], snapshots.EXPOSURE), awkward()], ids=["mixed", "awkward"]
)
def test_both_formats_are_byte_for_byte_what_prometheus_client_writes(made: list[Metric]) -> None:
    page = Page(made)
    assert page.text == generate_latest(Registry(made))
    theirs = openmetrics_latest(Registry(made))  # type: ignore[no-untyped-call]  # it has no annotations
    assert page.rendering(OPENMETRICS).body == theirs


def test_openmetrics_is_read_back_to_the_same_series() -> None:
    page = render(PAGES["mixed"], snapshots.EXPOSURE)
    text = page.rendering(OPENMETRICS).body
    assert parsed_openmetrics(text) == parsed(page.text)


def test_units_are_stated_where_the_name_ends_in_them() -> None:
    text = render(PAGES["whole"], snapshots.EXPOSURE).rendering(OPENMETRICS).body.decode()
    assert "# UNIT gpusteward_gpu_energy_joules joules\n" in text
    assert "# UNIT gpusteward_gpu_price_per_hour" not in text


def test_gzip_holds_the_same_page() -> None:
    page = render(PAGES["mixed"], snapshots.EXPOSURE)
    for accept in ("", OPENMETRICS):
        zipped = page.rendering(accept, "gzip")
        assert zipped.encoding == "gzip"
        assert gzip.decompress(zipped.body) == page.rendering(accept).body


def test_each_form_has_its_own_etag_and_an_equal_page_the_same() -> None:
    page, again = (render(PAGES["mixed"], snapshots.EXPOSURE) for _ in range(2))
    forms = [("", ""), ("", "gzip"), (OPENMETRICS, ""), (OPENMETRICS, "gzip")]
    tags = [page.rendering(*form).etag for form in forms]
    assert len(set(tags)) == len(forms)
    assert tags == [again.rendering(*form).etag for form in forms]
    other = render(PAGES["mixed"], replace(snapshots.EXPOSURE, version="other"))
    assert other.rendering().etag != page.rendering().etag


def test_every_thread_gets_the_one_body_that_was_made() -> None:
    page = render(PAGES["mixed"], snapshots.EXPOSURE)
    barrier = threading.Barrier(8)
    bodies: list[bytes] = []

    def scrape() -> None:
        barrier.wait()
        bodies.append(page.rendering(OPENMETRICS, "gzip").body)

    threads = [threading.Thread(target=scrape) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(bodies) == 8
    assert all(body is bodies[0] for body in bodies)


def test_our_own_process_is_on_the_page_when_given() -> None:
    series = parsed(render(None, snapshots.EXPOSURE, ProcessCollector(registry=None)).text)
    assert series["process_resident_memory_bytes"]
    assert "process_resident_memory_bytes" not in parsed(render(None, snapshots.EXPOSURE).text)
