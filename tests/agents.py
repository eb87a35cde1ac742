"""Real agents as processes of their own, on loopback ports that the system chooses."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import IO, TYPE_CHECKING

if TYPE_CHECKING:
    import signal
    from collections.abc import Iterator, Mapping
    from pathlib import Path

START_SECONDS = 30.0
OWN_ADDRESS = r"(?:serving|overview) +(http://[^/\s]+)"
"""How `agent` and `up` say where they listen; other addresses in their logs are of others."""


@dataclass
class Agent:
    """A running agent.

    Attributes:
        process: the process.
        url: `http://127.0.0.1:PORT`.
        log: the lines it has written so far, standard output and error.
        token: bearer token that requests show unless they say otherwise; empty for none.
    """

    process: subprocess.Popen[str]
    url: str = ""
    log: list[str] = field(default_factory=list)
    token: str = ""

    def get(self, path: str, headers: Mapping[str, str] | None = None) -> tuple[int, Mapping[str, str], str]:
        """Status, headers and body of a path; an error status is an answer, not an exception."""
        shown = {"Authorization": f"Bearer {self.token}"} if self.token else {}
        request = urllib.request.Request(self.url + path, headers={**shown, **(headers or {})})  # noqa: S310 - loopback http
        try:
            with urllib.request.urlopen(request, timeout=10) as response:  # noqa: S310 - loopback http
                return response.status, dict(response.headers), response.read().decode()
        except urllib.error.HTTPError as error:
            with error:
                return error.code, dict(error.headers), error.read().decode()

    def metrics(self) -> str:
        """The page in plain text."""
        status, _, body = self.get("/metrics")
        assert status == 200, body
        return body

    def wait_for(self, pattern: str, seconds: float = START_SECONDS) -> str:
        """Poll the page until a line matches; the page."""
        deadline = time.monotonic() + seconds
        while True:
            page = self.metrics()
            if re.search(pattern, page, re.MULTILINE):
                return page
            assert time.monotonic() < deadline, f"{pattern!r} did not come:\n{page}\n{''.join(self.log)}"
            time.sleep(0.1)

    def wait_for_log(self, text: str, seconds: float = START_SECONDS) -> None:
        """Wait until the process has written the text."""
        self.wait_for_line(re.escape(text), seconds)

    def wait_for_line(self, pattern: str, seconds: float = START_SECONDS) -> None:
        """Wait until the process has written a line that matches."""
        deadline = time.monotonic() + seconds
        while not any(re.search(pattern, line) for line in self.log):
            assert self.process.poll() is None, f"ended with {self.process.returncode}:\n{''.join(self.log)}"
            assert time.monotonic() < deadline, f"{pattern!r} did not come:\n{''.join(self.log)}"
            time.sleep(0.02)

    def signal(self, number: signal.Signals) -> None:
        self.process.send_signal(number)


@contextmanager
def running(*arguments: str, env: Mapping[str, str] | None = None, token: str = "") -> Iterator[Agent]:
    """Run `gpusteward ARGUMENTS` until the block ends; it must then stop by itself within 10 s."""
    with started("-m", "gpusteward", *arguments, env=env, token=token) as agent:
        yield agent


@contextmanager
def started(*arguments: str, env: Mapping[str, str] | None = None, token: str = "") -> Iterator[Agent]:
    """Run `python ARGUMENTS`, which is an agent, the same way."""
    process = subprocess.Popen(
        [sys.executable, *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env={**os.environ, "PYTHONUNBUFFERED": "1", **(env or {})},
    )
    agent = Agent(process, token=token)
    assert process.stdout is not None
    reader = threading.Thread(target=_read, args=(process.stdout, agent.log), daemon=True)
    reader.start()
    try:
        agent.wait_for_line(OWN_ADDRESS)
        (agent.url,) = set(re.findall(OWN_ADDRESS, "".join(agent.log)))
        _until_ready(agent)
        yield agent
    finally:
        if process.poll() is None:
            process.terminate()
        try:
            process.wait(timeout=10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
            raise
        finally:
            reader.join(timeout=5)
            process.stdout.close()


@contextmanager
def agent_with(config: str, directory: Path, env: Mapping[str, str] | None = None) -> Iterator[Agent]:
    """Run `gpusteward agent` with this config."""
    path = directory / "gpusteward.yaml"
    path.write_text(config)
    with running("agent", "--config", str(path), env=env) as agent:
        yield agent


def _read(stream: IO[str], log: list[str]) -> None:
    while line := stream.readline():
        log.append(line)


def _until_ready(agent: Agent) -> None:
    """Wait for the first page with a cycle on it; a failed cycle is one too."""
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline:
        try:
            if "gpusteward_collect_cycles_total{" in agent.metrics():
                return
        except (urllib.error.URLError, ConnectionError):
            assert agent.process.poll() is None, "".join(agent.log)
        time.sleep(0.05)
    raise AssertionError(f"no cycle within {START_SECONDS} s:\n{''.join(agent.log)}")
