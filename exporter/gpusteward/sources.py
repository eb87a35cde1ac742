"""Device sources as the config asks for them: the one place that constructs them."""

from __future__ import annotations

import socket
from typing import TYPE_CHECKING

from gpusteward.config import environment_node_name
from gpusteward.devices.auto import AutoSource
from gpusteward.devices.dcgm import DcgmSource
from gpusteward.devices.simulated import SimulatedSource
from gpusteward.errors import GpustewardError

if TYPE_CHECKING:
    from gpusteward.clock import Moment
    from gpusteward.config import Config
    from gpusteward.devices import DeviceSource

NO_NVML = "nvml: not in this version"


def simulated_source(config: Config, epoch: Moment) -> DeviceSource:
    """A simulated fleet whose warm-up is over at `epoch`.

    Raises:
        ConfigError: its profile cannot be used.
    """
    return SimulatedSource(config.sources.simulated, epoch)


def real_source(config: Config) -> DeviceSource:
    """This machine's GPUs, from the source that the config names, or by trying them in turn.

    Raises:
        GpustewardError: there is no such source in this version.
        ConfigError: its address cannot be used.
    """
    stated = config.node.name or environment_node_name()
    dcgm = DcgmSource(config.dcgm, stated or socket.gethostname(), certain=bool(stated))
    if config.agent.source == "dcgm":
        return dcgm
    if config.agent.source == "nvml":
        raise GpustewardError(
            "agent.source nvml is not in this version",
            "set agent.source to dcgm and sources.dcgm.url to a dcgm-exporter page",
        )
    return AutoSource([dcgm], notes=(NO_NVML,))
