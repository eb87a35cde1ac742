"""Composition root of `gpusteward up`: everything on one machine, in one of two modes, never mixed.

real: this machine's GPUs. simulated: a made-up fleet through the same pipeline, said so everywhere.
"""

from __future__ import annotations

import socket
from dataclasses import dataclass
from typing import TYPE_CHECKING

from gpusteward.clock import SystemClock
from gpusteward.config import ConfigWatch, config_path, environment_node_name, in_cluster
from gpusteward.devices.auto import ON_ITS_WAY, AutoSource
from gpusteward.devices.dcgm import DcgmSource
from gpusteward.devices.nvml.source import NvmlSource
from gpusteward.devices.simulated import SimulatedSource
from gpusteward.errors import GpustewardError, SourceError
from gpusteward.runtime import Parts, RunningAgent
from gpusteward.sampler import warm_up

if TYPE_CHECKING:
    from collections.abc import Callable

    from gpusteward.clock import Clock
    from gpusteward.config import Config
    from gpusteward.devices import DeviceSource
    from gpusteward.snapshot import Pipeline


@dataclass(frozen=True, slots=True)
class _Choice:
    """The mode that was chosen, once, and why."""

    mode: str
    source: DeviceSource
    why: str


def run(given_path: str | None, mode: str, listen: str, say: Callable[[str], None]) -> None:
    """Run until told to stop.

    Args:
        given_path: the config file; None = the environment's, else the defaults.
        mode: `auto`, `real` or `simulated`.
        listen: address and port; loopback unless a person widens it.
        say: prints a line.

    Raises:
        GpustewardError: the config or address cannot be used, or `real` found no GPU source.
    """
    clock = SystemClock()
    watch = ConfigWatch(config_path(given_path), clock)
    config = watch.config
    now = clock.now()
    choice = _choose(config, mode, clock)
    simulated = choice.mode == "simulated"

    def warm(pipeline: Pipeline) -> None:
        warm_up(choice.source, pipeline, now, config.sources.simulated.warmup_minutes)

    agent = RunningAgent(
        Parts(
            watch=watch,
            source=choice.source,
            clock=clock,
            mode=choice.mode,
            listen=listen,
            warm_up=warm if simulated else None,
        )
    )
    for line in _banner(choice, agent.address):
        say(line)
    agent.run()


def _choose(config: Config, mode: str, clock: Clock) -> _Choice:
    now = clock.now()
    if mode == "simulated":
        return _Choice(mode, SimulatedSource(config.sources.simulated, now), "asked for")
    node = config.node.name or environment_node_name() or socket.gethostname()
    nvml = NvmlSource(config.nvml, node, clock, in_cluster=in_cluster())
    real = AutoSource([nvml, DcgmSource(config.dcgm, node)])
    try:
        _first_read(real, clock)
    except SourceError as error:
        real.close()
        if mode == "real":
            raise GpustewardError(error.message, error.hint) from error
        return _Choice("simulated", SimulatedSource(config.sources.simulated, now), error.message)
    return _Choice("real", real, f"reading {real.name}")


def _first_read(source: AutoSource, clock: Clock) -> None:
    """Read once; a driver that is waking up is waited for, as long as its source calls it that.

    Raises:
        SourceError: there is nothing to read.
    """
    while True:
        try:
            source.read(clock.now())
        except SourceError as error:
            if error.reason not in ON_ITS_WAY:
                raise
        else:
            return


def _banner(choice: _Choice, address: str) -> list[str]:
    url = f"http://{address}"
    if choice.mode == "simulated":
        first = f"SIMULATED fleet ({choice.why}): every GPU, pod and figure below is made up."
    else:
        first = f"This machine's GPUs ({choice.why})."
    return [
        first,
        f"  overview          {url}/",
        f"  metrics           curl {url}/metrics",
        f"  cost by cause     curl -s {url}/metrics | grep gpusteward_gpu_cost_per_hour",
        "  stop              Ctrl-C",
    ]
