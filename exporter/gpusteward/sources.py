"""Device sources as the config asks for them: the one place that constructs them."""

from __future__ import annotations

import random
import socket
from pathlib import Path
from typing import TYPE_CHECKING

from gpusteward.config import (
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
from gpusteward.devices.with_kubelet import SourceWithKubelet
from gpusteward.kube.driver_hold import DriverHold
from gpusteward.kube.node_client import ApiServer, NodeClient

if TYPE_CHECKING:
    from gpusteward.clock import Clock, Moment
    from gpusteward.config import Config
    from gpusteward.devices import DeviceSource


def simulated_source(config: Config, epoch: Moment) -> DeviceSource:
    """A simulated fleet whose warm-up is over at `epoch`.

    Raises:
        ConfigError: its profile cannot be used.
    """
    return SimulatedSource(config.sources.simulated, epoch)


def node_name(config: Config) -> str:
    """This machine's node: as the config says, else the environment, else its host name."""
    return config.node.name or environment_node_name() or socket.gethostname()


def real_source(config: Config, clock: Clock) -> DeviceSource:
    """This machine's GPUs, from the source that the config names, or by trying them in turn.

    In a pod, or where the config asks for it, the kubelet says who holds them.

    Raises:
        ConfigError: its address cannot be used.
    """
    source = _devices(config, clock)
    enabled = config.kubelet.enabled
    if enabled == "always" or (enabled == "auto" and in_cluster()):
        return _beside_kubelet(source, config, clock)
    return source


def _beside_kubelet(source: DeviceSource, config: Config, clock: Clock) -> DeviceSource:
    # gRPC takes a quarter of the agent's memory: imported only where there is a kubelet.
    from gpusteward.kube.podresources.answers import GpuResources  # noqa: PLC0415 - see above
    from gpusteward.kube.podresources.client import PodResourcesClient  # noqa: PLC0415 - see above
    from gpusteward.kube.podresources.watch import Asking, HoldingsWatch  # noqa: PLC0415 - see above

    settings = config.kubelet
    asking = Asking(
        node=config.node.name or environment_node_name(),
        resources=GpuResources(settings.resources),
        every_seconds=settings.interval_seconds,
        demanded=settings.enabled == "always",
    )
    watch = HoldingsWatch(PodResourcesClient(Path(settings.socket)), asking, clock, random.random)
    watch.start()
    return SourceWithKubelet(source, watch)


def _devices(config: Config, clock: Clock) -> DeviceSource:
    stated = config.node.name or environment_node_name()
    node = stated or socket.gethostname()
    dcgm = DcgmSource(config.dcgm, node, certain=bool(stated))
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
