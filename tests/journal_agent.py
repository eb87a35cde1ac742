"""A real agent whose clock runs fast, to be killed: `python -m tests.journal_agent CONFIG SPEED TRUTH`.

All of it is the agent's own code but for the clock, whose seconds are SPEED times shorter, and which all
processes of the machine agree on; so five minutes of windows pass in seconds. Each sample's moment is also
written to TRUTH, by the source and not by what is tested.
"""

from __future__ import annotations

import logging
import os
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

from gpusteward.clock import Moment
from gpusteward.config import ConfigWatch
from gpusteward.runtime import Parts, RunningAgent
from gpusteward.sources import real_source

if TYPE_CHECKING:
    import threading

    from gpusteward.devices import DeviceSource
    from gpusteward.model import Readings

WALL_AT_BOOT = 1_800_000_000.0


class FastClock:
    """The machine's monotonic clock, faster; its wall clock began at the boot."""

    def __init__(self, speed: float) -> None:
        self.speed = speed

    def now(self) -> Moment:
        monotonic = time.monotonic() * self.speed
        return Moment(WALL_AT_BOOT + monotonic, monotonic)

    def wait(self, event: threading.Event, seconds: float) -> bool:
        return event.wait(max(0.0, seconds / self.speed))


class Witness:
    """A source that writes down when each sample was taken; the write survives the process."""

    def __init__(self, source: DeviceSource, path: Path) -> None:
        self.name = source.name
        self._source = source
        self._file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND)

    def read(self, at: Moment) -> Readings:
        readings = self._source.read(at)
        os.write(self._file, f"{at.monotonic!r}\n".encode())
        return readings

    def close(self) -> None:
        self._source.close()
        os.close(self._file)


def main(config: str, speed: str, truth: str) -> None:
    logging.basicConfig(level=logging.INFO)
    clock = FastClock(float(speed))
    watch = ConfigWatch(Path(config), clock)
    source = Witness(real_source(watch.config, clock), Path(truth))
    parts = Parts(watch=watch, source=source, clock=clock, mode="real", listen="127.0.0.1:0", node="n1")
    agent = RunningAgent(parts)
    agent.run(lambda: print(f"serving http://{agent.address}/metrics", flush=True))  # noqa: T201 - how it is found


if __name__ == "__main__":
    main(*sys.argv[1:])
