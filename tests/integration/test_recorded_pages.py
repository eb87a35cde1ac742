"""The agent on dcgm-exporter pages: recorded on real hardware, and synthesised where none was recorded.

Each page goes through the real agent over HTTP; the scrape is compared with a golden file and checked by
promtool. Every golden line is one that a user's Prometheus would store.
"""

from __future__ import annotations

import re
import shutil
import subprocess
from typing import TYPE_CHECKING

import pytest

from tests.agents import agent_with
from tests.conftest import ROOT

if TYPE_CHECKING:
    from pathlib import Path

    from tests.conftest import Golden

CAPTURES = ROOT / "tests" / "captures"

NODES = {
    # What the operator would have written for this node: the pages do not name instance types.
    "dcgm-l4": "provider: aws, instance_type: g6.xlarge, region: us-east-1, capacity_type: on-demand",
    "dcgm-8xh100-one-pod": "provider: aws, instance_type: p5.48xlarge, capacity_type: on-demand",
    "dcgm-l40s": "",
    "dcgm-t4": "",
}

WALL_CLOCK = re.compile(
    r"^(# (HELP|TYPE) )?(process_\w+|gpusteward_\w+_timestamp_seconds|gpusteward_collect_duration_seconds)\b"
)
"""What differs from run to run: our own process, and when and how long it read."""


def stable(page: str) -> str:
    """The page without what differs from run to run, and without our version."""
    kept = "".join(line for line in page.splitlines(keepends=True) if not WALL_CLOCK.match(line))
    return re.sub(r'(gpusteward_build_info\{.*version=")[^"]+', r"\1VERSION", kept)


def config_for(page: Path) -> str:
    node = NODES.get(page.stem, "")
    return f"""
node: {{{node}}}
agent: {{listen: "127.0.0.1:0", source: dcgm, interval_seconds: 300}}
sources: {{dcgm: {{file: "{page}"}}}}
"""


PAGES = sorted(CAPTURES.glob("*.prom"))


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_a_page_gives_its_golden_scrape(page: Path, tmp_path: Path, golden: Golden) -> None:
    with agent_with(config_for(page), tmp_path) as agent:
        scrape = agent.metrics()
    golden(stable(scrape), f"tests/golden/scrapes/{page.stem}.prom")


@pytest.mark.skipif(shutil.which("promtool") is None, reason="promtool is not installed (apt: prometheus)")
@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_the_golden_scrape_passes_promtool(page: Path) -> None:
    scrape = (ROOT / "tests" / "golden" / "scrapes" / f"{page.stem}.prom").read_text()
    checked = subprocess.run(
        ["promtool", "check", "metrics"], input=scrape, capture_output=True, text=True, check=False
    )
    assert (checked.returncode, checked.stderr) == (0, "")


def test_there_are_pages_of_every_kind() -> None:
    recorded = {page.stem for page in PAGES if not page.stem.startswith("synthesised-")}
    assert recorded == set(NODES)
    synthesised = " ".join(page.stem for page in PAGES if page.stem.startswith("synthesised-"))
    assert all(kind in synthesised for kind in ("4.8.3", "4.9", "mig", "exported"))
    for page in PAGES:
        if page.stem.startswith("synthesised-"):
            assert "ynthesised by" in page.read_text(errors="replace").splitlines()[0]
