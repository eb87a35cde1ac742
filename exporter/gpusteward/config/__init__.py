"""What a person writes: `gpusteward.yaml`, its fields, its errors, its reload.

Belongs here: the settings with unit, default and reason of each; loading a file into them; the generated
reference page; reading the environment. Must not: construct anything the settings describe.
"""

from gpusteward.config.settings import (
    AgentSettings,
    BookEntry,
    Config,
    DcgmSettings,
    MetricsSettings,
    NodeSettings,
    OnPremSettings,
    PricingSettings,
    SimulatedSettings,
    SourcesSettings,
    UnderuseSettings,
)

__all__ = [
    "AgentSettings",
    "BookEntry",
    "Config",
    "DcgmSettings",
    "MetricsSettings",
    "NodeSettings",
    "OnPremSettings",
    "PricingSettings",
    "SimulatedSettings",
    "SourcesSettings",
    "UnderuseSettings",
]
