"""What a person writes: `gpusteward.yaml`, its fields, its errors, its reload.

Belongs here: the settings with unit, default and reason of each; loading a file into them; the generated
reference page; reading the environment. Must not: construct anything the settings describe.
May read the files that it is asked to, and the environment; nothing else of I/O.
"""

from gpusteward.config.environment import (
    config_path,
    environment_api_server,
    environment_node_name,
    environment_service_account,
    in_cluster,
)
from gpusteward.config.kubelet import KubeletSettings
from gpusteward.config.listen import ListenAddress, parse_listen
from gpusteward.config.load import load, parse, warnings
from gpusteward.config.reload import ConfigWatch, restart_needed
from gpusteward.config.settings import (
    AgentSettings,
    BookEntry,
    Config,
    DcgmSettings,
    MetricsSettings,
    NodeSettings,
    NvmlSettings,
    OnPremSettings,
    PricingSettings,
    SimulatedSettings,
    SourcesSettings,
    UnderuseSettings,
)
from gpusteward.config.token import TokenFile, read_token

__all__ = [
    "AgentSettings",
    "BookEntry",
    "Config",
    "ConfigWatch",
    "DcgmSettings",
    "KubeletSettings",
    "ListenAddress",
    "MetricsSettings",
    "NodeSettings",
    "NvmlSettings",
    "OnPremSettings",
    "PricingSettings",
    "SimulatedSettings",
    "SourcesSettings",
    "TokenFile",
    "UnderuseSettings",
    "config_path",
    "environment_api_server",
    "environment_node_name",
    "environment_service_account",
    "in_cluster",
    "load",
    "parse",
    "parse_listen",
    "read_token",
    "restart_needed",
    "warnings",
]
