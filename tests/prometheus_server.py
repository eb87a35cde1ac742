"""A real Prometheus on loopback, with the scrape config that a test gives it."""

from __future__ import annotations

import json
import socket
import subprocess
import time
import urllib.error
import urllib.parse
import urllib.request
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

START_SECONDS = 30.0


@dataclass(frozen=True)
class Prometheus:
    """A running Prometheus; `url` is its address."""

    url: str

    def query(self, expression: str) -> list[dict[str, Any]]:
        """The result of an instant query; a range selector gives raw samples."""
        parameters = urllib.parse.urlencode({"query": expression})
        with urllib.request.urlopen(f"{self.url}/api/v1/query?{parameters}", timeout=10) as response:  # noqa: S310 - loopback http
            answer = json.load(response)
        assert answer["status"] == "success", answer
        result: list[dict[str, Any]] = answer["data"]["result"]
        return result

    def wait_for(self, expression: str, seconds: float) -> list[dict[str, Any]]:
        """Poll until the query gives something; its result."""
        deadline = time.monotonic() + seconds
        while not (result := self.query(expression)):
            assert time.monotonic() < deadline, f"{expression} gave nothing within {seconds} s"
            time.sleep(0.2)
        return result


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        port: int = listening.getsockname()[1]
        return port


@contextmanager
def prometheus(scrape_configs: str, directory: Path) -> Iterator[Prometheus]:
    """Run Prometheus with these `scrape_configs` until the block ends."""
    (directory / "prometheus.yml").write_text(f"scrape_configs:\n{scrape_configs}")
    port = free_port()
    log = (directory / "prometheus.log").open("w")
    process = subprocess.Popen(
        [
            "prometheus",
            f"--config.file={directory / 'prometheus.yml'}",
            f"--storage.tsdb.path={directory / 'data'}",
            f"--web.listen-address=127.0.0.1:{port}",
        ],
        stdout=log,
        stderr=subprocess.STDOUT,
    )
    try:
        running = Prometheus(f"http://127.0.0.1:{port}")
        _until_ready(running, process, directory)
        yield running
    finally:
        process.terminate()
        process.wait(timeout=20)
        log.close()


def _until_ready(running: Prometheus, process: subprocess.Popen[bytes], directory: Path) -> None:
    deadline = time.monotonic() + START_SECONDS
    while True:
        assert process.poll() is None, (directory / "prometheus.log").read_text()
        assert time.monotonic() < deadline, (directory / "prometheus.log").read_text()
        try:
            urllib.request.urlopen(f"{running.url}/-/ready", timeout=1).close()  # noqa: S310 - loopback http
        except (urllib.error.URLError, ConnectionError, TimeoutError):
            time.sleep(0.1)
        else:
            return
