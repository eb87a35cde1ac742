"""A real agent on a fake NVML machine, scraped without pause while the test breaks the machine."""

from __future__ import annotations

import threading
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from tests.agents import agent_with
from tests.pages import labels_of, parsed, value

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from tests.agents import Agent
    from tests.nvml.fake import FakeNvml
    from tests.pages import Series

SCRAPE_DEADLINE_SECONDS = 10.0
"""Prometheus' own default."""


@dataclass
class Scrapes:
    """What a scraper that never pauses has seen.

    Attributes:
        good: how many pages it got.
        bad: what it got instead of a page.
    """

    good: int = 0
    bad: list[str] = field(default_factory=list)


class OnNvml:
    """The agent with its machine."""

    def __init__(self, agent: Agent, fake: FakeNvml) -> None:
        self.agent = agent
        self.fake = fake

    def page(self) -> Series:
        return parsed(self.agent.metrics().encode())

    def wait_for(self, pattern: str) -> Series:
        """The page once a line of it matches."""
        return parsed(self.agent.wait_for(pattern, 60.0).encode())

    def wait_for_reason(self, reason: str) -> Series:
        """The page once a cycle has ended for this reason, which then says so."""
        page = self.wait_for(rf'^gpusteward_collect_cycles_total{{reason="{reason}"}} ')
        assert value(page, "collect_success") == 0
        return page

    def wait_until_well(self, gpus: int) -> Series:
        """The page once so many GPUs are healthy and the last cycle was good."""
        for _ in range(600):
            page = self.page()
            up, known = labels_of(page, "gpu_up", reason=""), labels_of(page, "gpu_up")
            if value(page, "collect_success") == 1 and len(up) == gpus == len(known):
                return page
            threading.Event().wait(0.1)
        raise AssertionError(f"not well again:\n{self.agent.metrics()}")


@contextmanager
def agent_on(
    fake: FakeNvml, directory: Path, settings: Sequence[str] = (), *, source: str = "nvml"
) -> Iterator[OnNvml]:
    """An agent that samples every second; at the end every scrape must have been answered by a page.

    Args:
        fake: its machine.
        directory: for its config.
        settings: lines below `sources.nvml`.
        source: `agent.source`.
    """
    lines = "".join(f"    {line}\n" for line in ("deadline_seconds: 0.8", "start_seconds: 5", *settings))
    config = (
        f'agent: {{listen: "127.0.0.1:0", source: {source}, interval_seconds: 1}}\n'
        "node: {name: node-1, provider: aws, instance_type: g5.12xlarge, region: us-east-1}\n"
        f"sources:\n  nvml:\n{lines}"
    )
    with agent_with(config, directory, fake.env()) as agent:
        scrapes, over = Scrapes(), threading.Event()
        scraper = threading.Thread(target=_scrape, args=(agent, scrapes, over))
        scraper.start()
        try:
            yield OnNvml(agent, fake)
        finally:
            over.set()
            scraper.join(2 * SCRAPE_DEADLINE_SECONDS)
    assert scrapes.bad == []
    assert scrapes.good > 0


def _scrape(agent: Agent, scrapes: Scrapes, over: threading.Event) -> None:
    """At least once."""
    while True:
        try:
            status, _, body = agent.get("/metrics")  # gives up after SCRAPE_DEADLINE_SECONDS
        except OSError as error:
            scrapes.bad.append(repr(error))
        else:
            if status == 200 and "gpusteward_collect_success" in body:
                scrapes.good += 1
            else:
                scrapes.bad.append(f"{status} {body[:200]}")
        if over.wait(0.05):
            return
