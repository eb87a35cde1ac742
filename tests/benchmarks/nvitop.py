"""The peer: nvitop-exporter on the same fake NVML, in the same state, asked the same way."""

from __future__ import annotations

import os
import re
import socket
import subprocess
import sys
import tempfile
import time
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from tests.benchmarks.nvml import EVERY_SECONDS, GPUS, INSTANCES, measure, most_called
from tests.benchmarks.process import INTERVAL_SECONDS, start_seconds
from tests.benchmarks.scraping import ASKS, scrape
from tests.benchmarks.table import Line, quantile

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.benchmarks.nvml import Exporter
    from tests.benchmarks.process import Pace
    from tests.nvml.fake import FakeNvml

VERSION: Final = "1.7.2"
FASTER: Final = 4.0
"""How many times faster a scrape of ours is to be: design §11."""

_DEVICE: Final = re.compile(rb"^gpu_memory_used_MiB\{", re.MULTILINE)
_START_SECONDS: Final = 60.0


class UnavailableError(Exception):
    """It cannot be installed here, or does not run on this machine."""


@dataclass(frozen=True, slots=True)
class Peer:
    """A running nvitop-exporter: its process, and `host:port`."""

    pid: int
    address: str


def figures(pace: Pace, fake: FakeNvml, ours: Exporter) -> list[Line]:
    """Its figures, and how ours compare.

    Raises:
        UnavailableError: there are none.
    """
    program = installed()
    taken = [start_seconds(lambda: running(program, fake)) for _ in range(pace.starts)]
    with running(program, fake) as peer:
        theirs = measure(pace, fake, peer.pid, peer.address)
    lines = [Line("start to first sample", quantile(taken, 0.5), "s", note=f"median of {len(taken)} starts")]
    return [*lines, *_its_own(theirs), *_compared(ours, theirs)]


def _its_own(theirs: Exporter) -> Iterator[Line]:
    page = theirs.usage.pages[-1]
    series = [line for line in page.splitlines() if not line.startswith("#")]
    empty = sum(line.endswith(" NaN") for line in series)
    yield Line("series", len(series), "series", note=f"{empty} of them NaN")
    yield Line("page, text: size", len(page.encode()) / 1024, "KiB")
    yield Line("NVML calls", theirs.calls_per_minute, "a minute", note=most_called(theirs.calls))
    yield Line("processor", sum(theirs.usage.cpu), "% of a core", note=f"over {theirs.usage.seconds:.0f} s")
    yield Line("memory", theirs.usage.alone, "MiB", note="PSS if no other Python ran here")
    yield Line("memory, PSS", sum(theirs.usage.pss), "MiB")


def _compared(ours: Exporter, theirs: Exporter) -> Iterator[Line]:
    """Page times of both, each page on a new connection, and their ratios."""
    once = "first page of a sample, as Prometheus asks: p50"
    often = f"page, text, {1 / EVERY_SECONDS:.0f} a second"
    yield from _faster(once, 0.5, ours.usage.fresh, theirs.usage.fresh)
    yield from _faster(f"{often}: p50", 0.5, ours.text, theirs.text)
    yield from _faster(f"{often}: p99", 0.99, ours.text, theirs.text)


def _faster(name: str, q: float, ours: list[float], theirs: list[float]) -> Iterator[Line]:
    fast, slow = quantile(ours, q), quantile(theirs, q)
    yield Line(f"{name}, nvitop-exporter's", 1000 * slow, "ms", note=f"{len(theirs)} pages")
    yield Line(f"{name}, ours", 1000 * fast, "ms", note=f"{len(ours)} pages")
    yield Line("… ours is faster by", slow / fast, "×", FASTER, at_least=True)


def installed() -> Path:
    """Its program, in an environment of its own in the user's cache; made the first time.

    Raises:
        UnavailableError: pip could not.
    """
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    environment = cache / "gpusteward" / "peers" / f"nvitop-exporter-{VERSION}"
    program = environment / "bin" / "nvitop-exporter"
    if program.exists():
        return program
    install = ("pip", "install", "--quiet", "--disable-pip-version-check", f"nvitop-exporter=={VERSION}")
    for command in (
        (sys.executable, "-m", "venv", str(environment)),
        (str(environment / "bin" / "python"), "-m", *install),
    ):
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            words = (done.stderr or done.stdout).strip().splitlines() or ["no reason given"]
            raise UnavailableError(f"it cannot be installed: {words[-1]}")
    return program


@contextmanager
def running(program: Path, fake: FakeNvml) -> Iterator[Peer]:
    """The exporter at our interval, once every device is on its page.

    Raises:
        UnavailableError: it ended, or did not come so far.
    """
    port = _free_port()
    command = (program, "--port", str(port), "--interval", str(INTERVAL_SECONDS))
    with (
        tempfile.TemporaryFile("w+") as words,
        subprocess.Popen(command, env=os.environ | fake.env(), stdout=words, stderr=words) as process,
    ):
        peer = Peer(process.pid, f"127.0.0.1:{port}")
        deadline = time.monotonic() + _START_SECONDS
        try:
            while not _complete(peer.address):
                if process.poll() is not None or time.monotonic() > deadline:
                    words.seek(0)
                    raise UnavailableError(f"it does not run on this machine: {words.read()[-300:]}")
                time.sleep(0.05)
            yield peer
        finally:
            process.kill()


def _complete(address: str) -> bool:
    """Whether its page shows all GPUs and instances."""
    try:
        body = scrape(address, ASKS[0], 1, 0.0, 0.0).body
    except ConnectionError:
        return False
    return len(_DEVICE.findall(body)) == GPUS * (1 + INSTANCES)


def _free_port() -> int:
    """A port that nobody has now; the exporter cannot say which one the system chose for it."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
