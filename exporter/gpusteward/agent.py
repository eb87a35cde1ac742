"""Composition root of `gpusteward agent`: this node's GPUs, served on :9455."""

from __future__ import annotations

import logging
import random
import socket
from typing import TYPE_CHECKING

from gpusteward.clock import SystemClock
from gpusteward.config import (
    ConfigWatch,
    config_path,
    environment_api_server,
    environment_node_name,
    environment_service_account,
    in_cluster,
)
from gpusteward.devices.auto import AutoSource
from gpusteward.devices.dcgm import DcgmSource
from gpusteward.devices.nvml.source import NvmlSource
from gpusteward.devices.released import PausableSource
from gpusteward.devices.simulated import SimulatedSource
from gpusteward.kube.driver_hold import DriverHold
from gpusteward.kube.node_client import ApiServer, NodeClient
from gpusteward.runtime import Parts, RunningAgent
from gpusteward.sampler import warm_up

if TYPE_CHECKING:
    from gpusteward.clock import Clock, Moment
    from gpusteward.config import Config
    from gpusteward.devices import DeviceSource
    from gpusteward.snapshot import Pipeline

log = logging.getLogger(__name__)


def run(given_path: str | None) -> None:
    """Run the agent until it is told to stop.

    Raises:
        GpustewardError: the config or the address cannot be used.
    """
    clock = SystemClock()
    watch = ConfigWatch(config_path(given_path), clock)
    config = watch.config
    now = clock.now()
    source = open_source(config, now, clock)
    simulated = config.agent.source == "simulated"

    def warm(pipeline: Pipeline) -> None:
        warm_up(source, pipeline, now, config.sources.simulated.warmup_minutes)

    agent = RunningAgent(
        Parts(
            watch=watch,
            source=source,
            clock=clock,
            mode="simulated" if simulated else "real",
            listen=config.agent.listen,
            warm_up=warm if simulated else None,
        )
    )
    if simulated:
        log.warning("SIMULATED fleet: every figure is made up (agent.source is simulated)")
    agent.run(lambda: log.info("serving http://%s/metrics", agent.address))


def open_source(config: Config, now: Moment, clock: Clock) -> DeviceSource:
    """The source that the config asks for.

    Raises:
        GpustewardError: its settings cannot be used.
    """
    if config.agent.source == "simulated":
        return SimulatedSource(config.sources.simulated, now)
    node = config.node.name or environment_node_name() or socket.gethostname()
    dcgm = DcgmSource(config.dcgm, node)
    if config.agent.source == "dcgm":
        return dcgm
    nvml = _pausable(NvmlSource(config.nvml, node, clock, in_cluster=in_cluster()), node, clock)
    return nvml if config.agent.source == "nvml" else AutoSource([nvml, dcgm])


def _pausable(nvml: NvmlSource, node: str, clock: Clock) -> DeviceSource:
    """In a pod, NVML that is let go while NVIDIA's operator upgrades the driver or changes the MIG layout."""
    url = environment_api_server()
    if not url:
        return nvml
    # The API server knows the Node by its own name, whatever the config calls it.
    account = environment_service_account()
    server = ApiServer(url, account / "token", account / "ca.crt")
    client = NodeClient(server, environment_node_name() or node, clock)
    hold = DriverHold(client, clock, random.random)
    hold.start()
    return PausableSource(nvml, hold)
