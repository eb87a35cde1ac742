"""The settings: every field with its unit, default and reason. An empty file is valid."""

from __future__ import annotations

import datetime as dt
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from gpusteward.model import CapacityType

Seconds = Annotated[float, Field(gt=0)]
Ratio = Annotated[float, Field(ge=0, le=1)]
Money = Annotated[str, Field(pattern=r"^\d+(\.\d+)?$")]
"""An amount written as text, so that 0.10 stays exactly 0.10."""


class Section(BaseModel):
    """A section: unknown keys are refused, values are frozen, numbers may be written for money."""

    model_config = ConfigDict(extra="forbid", frozen=True, coerce_numbers_to_str=True, validate_default=True)


class NodeSettings(Section):
    """What this node is, where its labels do not say or are wrong. Overrides what the source knows."""

    name: str = Field(
        default="",
        description="Node name. Empty: the NODE_NAME variable, else the source's, else the host name.",
    )
    provider: str = Field(
        default="",
        description="`aws`, `gcp`, `azure`, `lambda`, `coreweave` or your own word. Empty: from the source.",
    )
    instance_type: str = Field(
        default="", description="As the provider spells it, `p5.48xlarge`. Empty: from the source."
    )
    region: str = Field(
        default="", description="As the provider spells it, `us-east-1`. Empty: from the source."
    )
    capacity_type: CapacityType = Field(
        default=CapacityType.UNKNOWN,
        description="`on-demand`, `spot` or `reserved`. `unknown`: from the source; still unknown is priced on demand and marked.",
    )
    gpus: Annotated[int, Field(ge=1)] | None = Field(
        default=None,
        description="Nominal number of GPUs. Empty: the instance type's, else the most seen. "
        "A node's price is divided by this, never by the number seen, so a lost GPU stays visible as money.",
    )
    lost_acknowledged: tuple[str, ...] = Field(
        default=(),
        description="UUIDs of lost GPUs (`missing-1` for one never seen) that you know of. Ends the alert, not the cost.",
    )


class AgentSettings(Section):
    """The agent: its clock and its HTTP."""

    listen: str = Field(
        default="0.0.0.0:9455", description="Address and port of the HTTP server. `up` binds 127.0.0.1."
    )
    interval_seconds: Annotated[float, Field(ge=1, le=300)] = Field(
        default=5.0,
        description="Seconds between samples. Sampling runs on its own clock: scrapes never touch hardware. "
        "5 s keeps integrated counters exact at a cost of under 2 % of a core.",
    )
    source: Literal["auto", "nvml", "dcgm", "simulated"] = Field(
        default="auto",
        description="Where readings come from. `auto`: NVML, then dcgm, then says what it tried.",
    )
    bearer_token_file: str = Field(
        default="",
        description="File with the token that every path but /livez and /readyz then requires. Empty: no token. "
        "Read again when it changes.",
    )


class DcgmSettings(Section):
    """A dcgm-exporter page, of any version and any CSV."""

    url: str = Field(
        default="",
        description="`http://host:9400/metrics`. Empty with `file` empty: `auto` tries http://127.0.0.1:9400/metrics.",
    )
    file: str = Field(
        default="", description="A page in a file, read again at every sample. Wins over `url`."
    )
    timeout_seconds: Seconds = Field(
        default=4.0,
        description="Deadline of a whole read, slow trickle included. Below the interval, so cycles never queue.",
    )
    max_bytes: Annotated[int, Field(ge=1024)] = Field(
        default=16 * 1024 * 1024,
        description="Largest page accepted, in bytes, after decompression. Real pages of 8 GPUs are under 1 MiB.",
    )
    holder_labels: Literal["auto", "always", "never"] = Field(
        default="auto",
        description="Whether a row without pod labels means that nobody holds the GPU. `auto`: only when some row of the page "
        "carries a holder; otherwise allocation is unknown. `always`: yes. `never`: holders are ignored.",
    )


class SimulatedSettings(Section):
    """The simulated fleet."""

    profile: str = Field(
        default="", description="YAML file that describes the fleet. Empty: the bundled one."
    )
    seed: int = Field(default=1, description="Same seed and profile, same fleet, same minute by minute.")
    warmup_minutes: Annotated[float, Field(ge=0, le=24 * 60)] = Field(
        default=45.0,
        description="Simulated minutes that have passed at the start, so that windows are full at the first page.",
    )


class SourcesSettings(Section):
    """Each source's own settings."""

    dcgm: DcgmSettings = Field(
        default=DcgmSettings(), description="Used when `agent.source` is `dcgm`, or found by `auto`."
    )
    simulated: SimulatedSettings = Field(
        default=SimulatedSettings(), description="Used when `agent.source` is `simulated`."
    )


class BookEntry(Section):
    """One price of your own. Matches when every field that is set equals the node's (shell patterns allowed).

    State `node_per_hour`, or `gpu_per_hour`; the first entry that matches wins.
    """

    node: str = Field(default="", description="Node name, shell pattern. Empty: any.")
    provider: str = Field(default="", description="Empty: any.")
    instance_type: str = Field(default="", description="Shell pattern. Empty: any.")
    region: str = Field(default="", description="Empty: any.")
    capacity_type: CapacityType | None = Field(default=None, description="Empty: any.")
    model: str = Field(default="", description="GPU model in any spelling. Empty: any. Needs `gpu_per_hour`.")
    node_per_hour: Money | None = Field(
        default=None, description="Price of the whole node an hour, in `pricing.currency`."
    )
    gpu_per_hour: Money | None = Field(
        default=None, description="Price of one whole GPU an hour, in `pricing.currency`."
    )
    as_of: dt.date | None = Field(default=None, description="Date of the price.")
    note: str = Field(default="", description="Where it is from; shown by `prices explain`.")


class OnPremSettings(Section):
    """The formula for nodes you own: see docs/prices.md.

    per GPU-hour = (capex x (1 - residual) / (years x 8760) + kW x PUE x price_per_kwh + other_per_year / 8760) / GPUs.
    """

    nodes: str = Field(default="*", description="Node names it applies to, shell pattern.")
    capex: Money = Field(description="What the node cost, its part of network and racks included.")
    years: Annotated[float, Field(gt=0, le=20)] = Field(
        default=4.0, description="Years of straight-line depreciation."
    )
    residual: Ratio = Field(default=0.0, description="Part of capex still worth something at the end.")
    kw: Annotated[float, Field(ge=0)] = Field(
        default=0.0, description="Node power in kilowatts; used where `measured_power` is off or unknown."
    )
    measured_power: bool = Field(
        default=False,
        description="Use the GPUs' measured watts in place of `kw` times their part. Then the price moves with the load.",
    )
    pue: Annotated[float, Field(ge=1, le=3)] = Field(
        default=1.4, description="Power usage effectiveness of the room."
    )
    price_per_kwh: Money = Field(
        default="0.10", description="Price of a kilowatt-hour, in `pricing.currency`."
    )
    other_per_year: Money = Field(
        default="0", description="Colocation, staff, licences and support of this node a year."
    )
    as_of: dt.date | None = Field(default=None, description="Date of these figures.")


class PricingSettings(Section):
    """Prices and how they fall on GPUs."""

    currency: Annotated[str, Field(pattern="^[A-Z]{3}$")] = Field(
        default="USD", description="ISO 4217 currency of everything shown. Currencies are never mixed."
    )
    usd_exchange_rate: Money | None = Field(
        default=None,
        description="How much of `currency` one USD is. Without it the bundled USD catalogue is not used for another currency.",
    )
    basis: Literal["whole_node", "fitted"] = Field(
        default="whole_node",
        description="`whole_node`: the node's price falls on its GPUs. `fitted`: the GPU term of the family's linear price, "
        "where it can be told; the rest is `node_other_cost_per_hour`. Families where it cannot fall back, and say so.",
    )
    book: tuple[BookEntry, ...] = Field(default=(), description="Your own prices; win over the catalogue.")
    on_prem: tuple[OnPremSettings, ...] = Field(
        default=(), description="Formulas for nodes you own; the first whose `nodes` matches."
    )
    catalogue_file: str = Field(
        default="",
        description="A CSV in the bundled catalogue's columns that replaces it. `gpusteward prices check FILE` checks it.",
    )


class UnderuseSettings(Section):
    """When a GPU counts as idle or underused. The same numbers drive gauges and alerts."""

    idle_activity: Ratio = Field(default=0.02, description="Activity below this is none. Ratio.")
    idle_window_seconds: Seconds = Field(
        default=900.0, description="Seconds without activity before a held GPU is idle."
    )
    underused_window_seconds: Seconds = Field(
        default=1800.0, description="Seconds over which mean activity is judged."
    )
    underused_sm_active: Ratio = Field(
        default=0.15, description="Mean SM activity below this is underused. Ratio."
    )
    underused_engine_active: Ratio = Field(
        default=0.30, description="The same where only graphics-engine activity is known."
    )
    underused_gpu_utilization: Ratio = Field(
        default=0.30,
        description="The same where only GPU utilization is known (any kernel counts fully, so it reads high).",
    )
    window_coverage: Ratio = Field(
        default=0.9, description="Part of a window that must have been sampled before it is judged."
    )
    grace_seconds: Annotated[float, Field(ge=0)] = Field(
        default=1200.0, description="A pod younger than this is never idle: it is still pulling data."
    )
    traffic_bytes_per_second: Annotated[float, Field(ge=0)] = Field(
        default=50e6, description="PCIe plus NVLink above this is loading data, never idle."
    )
    power_floor_margin: Ratio = Field(
        default=0.15,
        description="Power above the device's own idle floor by more than this part is not idle.",
    )
    power_floor_samples: Annotated[int, Field(ge=1)] = Field(
        default=12,
        description="Quiet samples of an unheld, empty device before its idle floor counts as learnt.",
    )
    memory_held_bytes: Annotated[int, Field(ge=1)] = Field(
        default=64 * 1024 * 1024,
        description="Memory use above this means that something holds the device; a bare CUDA context is larger.",
    )
    enter_samples: Annotated[int, Field(ge=1)] = Field(
        default=2, description="Consecutive samples a worse state must hold before it is entered."
    )
    underused_exit_margin: Ratio = Field(
        default=0.1, description="Mean activity must exceed the threshold by this part to leave `underused`."
    )


class MetricsSettings(Section):
    """The page."""

    series_budget: Annotated[int, Field(ge=100)] = Field(
        default=3000,
        description="Series an agent may export. Above it per-link counters go first, then clocks; never cost or health.",
    )
    ended_holder_seconds: Annotated[float, Field(ge=0)] = Field(
        default=600.0,
        description="How long the counters of a holder that ended stay, so that rate() sees their last value.",
    )
    holder_label_prefix: Annotated[str, Field(pattern="^([a-z][a-z0-9_]*)?$")] = Field(
        default="",
        description="Put before `namespace`, `pod`, `container` in our labels, for managed collectors that overwrite those.",
    )


class Config(Section):
    """The whole file."""

    cluster: str = Field(default="", description="Cluster name; a `cluster` label on every series when set.")
    node: NodeSettings = Field(default=NodeSettings(), description="This node.")
    agent: AgentSettings = Field(default=AgentSettings(), description="The agent.")
    sources: SourcesSettings = Field(default=SourcesSettings(), description="Device sources.")
    pricing: PricingSettings = Field(default=PricingSettings(), description="Prices.")
    underuse: UnderuseSettings = Field(default=UnderuseSettings(), description="Idle and underuse.")
    metrics: MetricsSettings = Field(default=MetricsSettings(), description="The metrics page.")
