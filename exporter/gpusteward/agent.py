"""Composition root of `gpusteward agent`: this node's GPUs, served on :9455."""

from __future__ import annotations

import logging

from gpusteward.clock import SystemClock
from gpusteward.config import ConfigWatch, config_path
from gpusteward.runtime import Parts, RunningAgent
from gpusteward.sources import node_name, real_source, simulated_source

log = logging.getLogger(__name__)


def run(given_path: str | None) -> None:
    """Run the agent until it is told to stop.

    Args:
        given_path: the config file; None = the environment's, else the defaults.

    Raises:
        GpustewardError: the config, its source or the address cannot be used.
    """
    clock = SystemClock()
    watch = ConfigWatch(config_path(given_path), clock)
    config, now = watch.config, clock.now()
    simulated = config.agent.source == "simulated"
    agent = RunningAgent(
        Parts(
            watch=watch,
            source=simulated_source(config, now) if simulated else real_source(config, clock),
            clock=clock,
            mode="simulated" if simulated else "real",
            listen=config.agent.listen,
            warmed_up_at=now if simulated else None,
            node=node_name(config),
        )
    )
    if simulated:
        log.warning("SIMULATED fleet: every figure is made up (agent.source is simulated)")
    agent.run(lambda: log.info("serving http://%s/metrics", agent.address))
