"""The settings: every field with its unit, default, limits and reason; rules between them are in `rules`."""

from __future__ import annotations

import datetime as dt
from typing import Annotated, Literal

from pydantic import Field

from gpusteward.config.kubelet import KubeletSettings
from gpusteward.config.section import (
    Allowed,
    Bytes,
    Delay,
    Money,
    Ratio,
    Samples,
    Seconds,
    Section,
    Unit,
    Window,
)
from gpusteward.model import CapacityType

DCGM_TIMEOUT_PART = 0.8
"""Part of the sampling interval that reading a page may take by default."""

NVML_DEADLINE_PART = 0.4
"""Part of it that a sample of NVML may take by default. Usually it takes thousandths."""


class NodeSettings(Section):
    """What this node is, where its labels do not say or are wrong. Overrides what the source knows."""

    name: str = Field(
        default="",
        description="Node name. Empty: the NODE_NAME variable, else the source's, else the host name. "
        "A page of several hosts keeps their names.",
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
        description="How the node was bought. `unknown`: from the source; what is still unknown then is "
        "priced on demand, and marked so.",
    )
    gpus: Annotated[int, Field(ge=1, le=1024), Unit("GPUs")] | None = Field(
        default=None,
        description="Nominal number of GPUs. Unset: the instance type's, else the most seen. "
        "A node's price is divided by this, never by the number seen, so a lost GPU stays visible as money.",
    )
    lost_acknowledged: tuple[str, ...] = Field(
        default=(),
        description="UUIDs of lost GPUs that you know of (`missing-1` for one never seen). "
        "Ends the alert, not the cost.",
    )


class AgentSettings(Section):
    """The agent: its clock and its HTTP."""

    listen: str = Field(
        default="0.0.0.0:9455",
        description="Address and port of the HTTP server, as `host:port`; IPv6 in brackets, `[::]:9455`. "
        "`up` binds 127.0.0.1.",
    )
    interval_seconds: Annotated[float, Field(ge=1, le=300), Unit("seconds")] = Field(
        default=5.0,
        description="Seconds between samples. Sampling runs on its own clock: scrapes never touch hardware. "
        "5 s keeps integrated counters close to the truth at little cost: the budget is 2 % of a core.",
    )
    source: Literal["auto", "nvml", "dcgm", "simulated"] = Field(
        default="auto",
        description="Where readings come from. `auto`: NVML, then dcgm, then says what it tried.",
    )
    bearer_token_file: str = Field(
        default="",
        description="File with the token that every path but /livez and /readyz then requires. "
        "Empty: no token is asked for. The file is read again when it changes.",
    )
    state_dir: str = Field(
        default="",
        description="Folder of the usage journal (7 days, at most 64 MiB) and of checkpoints. Empty: none.",
    )


class NvmlSettings(Section):
    """The NVIDIA driver's own library, asked from a process of its own."""

    library: str = Field(
        default="",
        description="Path of libnvidia-ml.so.1. Empty: it is looked for where the system's linker looks, "
        "then below `driver_root`, then in the usual directories.",
    )
    driver_root: str = Field(
        default="/run/nvidia/driver",
        description="Directory below which a driver container shows its files. The default is the GPU "
        "operator's; Google's installer uses /home/kubernetes/bin/nvidia. Empty: none.",
    )
    deadline_seconds: Seconds | None = Field(
        default=None,
        description="Deadline of a sample in seconds: a worker that has not answered by then is killed, and "
        "another is started. Empty: 0.4 of `agent.interval_seconds`.",
    )
    start_seconds: Seconds = Field(
        default=30.0,
        description="How many seconds a new worker may take to its first answer. Without "
        "nvidia-persistenced the driver initialises every GPU then, which takes seconds.",
    )
    holders: Literal["auto", "processes", "none"] = Field(
        default="auto",
        description="Who holds a GPU. `processes`: the users of the processes on it, by command. `none`: not "
        "known from here. `auto`: `none` in a pod, else `processes`.",
    )
    proc: str = Field(
        default="/proc",
        description="Where the host's /proc is, for the user and command of a process. In another pid "
        "namespace than the host's, /proc itself is not used, since the numbers mean other processes there.",
    )


class DcgmSettings(Section):
    """A dcgm-exporter page, of any version and any CSV."""

    url: str = Field(
        default="",
        description="Address of the page, `http://host:9400/metrics`. "
        "Empty, with `file` empty: http://127.0.0.1:9400/metrics is tried.",
    )
    file: str = Field(
        default="", description="A page in a file, read again at every sample. Wins over `url`."
    )
    timeout_seconds: Seconds | None = Field(
        default=None,
        description="Deadline of a whole read, slow trickle included, in seconds. Empty: 0.8 of "
        "`agent.interval_seconds`, so that cycles never queue.",
    )
    max_bytes: Annotated[Bytes, Field(ge=1024)] = Field(
        default=16 * 1024 * 1024,
        description="Largest page accepted, in bytes after decompression. "
        "Recorded pages of 8 GPUs are under 10 kB; this only guards memory.",
    )
    holder_labels: Literal["auto", "always", "never"] = Field(
        default="auto",
        description="Whether a row without pod labels means that nobody holds the GPU. "
        "`auto`: only when some row of the page carries a holder; otherwise allocation is unknown. "
        "`always`: yes. `never`: holders are ignored.",
    )


class SimulatedSettings(Section):
    """The simulated fleet."""

    profile: str = Field(
        default="", description="YAML file that describes the fleet. Empty: the bundled one."
    )
    seed: int = Field(default=1, description="Same seed and profile, same fleet, same minute by minute.")
    warmup_minutes: Annotated[float, Field(ge=0, le=24 * 60), Unit("minutes")] = Field(
        default=45.0,
        description="Simulated minutes that have passed at the start, so that every window is full "
        "at the first page.",
    )


class SourcesSettings(Section):
    """Each source's own settings."""

    nvml: NvmlSettings = Field(
        default=NvmlSettings(), description="Used when `agent.source` is `nvml`, or found by `auto`."
    )
    dcgm: DcgmSettings = Field(
        default=DcgmSettings(), description="Used when `agent.source` is `dcgm`, or found by `auto`."
    )
    simulated: SimulatedSettings = Field(
        default=SimulatedSettings(), description="Used when `agent.source` is `simulated`."
    )


class BookEntry(Section):
    """One price of your own. It matches when every field that is set does; the first that matches wins.

    State exactly one of `node_per_hour` and `gpu_per_hour`.
    """

    node: str = Field(default="", description="Node name, shell pattern. Empty: any.")
    provider: str = Field(default="", description="Provider, as `node.provider`. Empty: any.")
    instance_type: str = Field(default="", description="Instance type, shell pattern. Empty: any.")
    region: str = Field(default="", description="Region, as the provider spells it. Empty: any.")
    capacity_type: CapacityType | None = Field(
        default=None, description="How the node was bought. Unset: any."
    )
    model: str = Field(
        default="", description="GPU model in any spelling. Empty: any. Goes with `gpu_per_hour` only."
    )
    node_per_hour: Money | None = Field(
        default=None, description="Price of the whole node an hour, in `pricing.currency`."
    )
    gpu_per_hour: Money | None = Field(
        default=None, description="Price of one whole GPU an hour, in `pricing.currency`."
    )
    as_of: dt.date | None = Field(default=None, description="Date of the price. Unset: not known.")
    note: str = Field(default="", description="Where the price is from; shown by `prices explain`.")


class OnPremSettings(Section):
    """The formula for nodes you own, per GPU-hour. A year has 8760 hours.

    (capex × (1 − residual) / (years × 8760) + kw × pue × price_per_kwh + other_per_year / 8760) / GPUs
    """

    nodes: str = Field(default="*", description="Names of the nodes it applies to, shell pattern.")
    capex: Money = Field(
        description="What one node cost, its part of network and racks included, in `pricing.currency`."
    )
    years: Annotated[float, Field(gt=0, le=20), Unit("years")] = Field(
        default=4.0, description="Years of straight-line depreciation."
    )
    residual: Ratio = Field(
        default=0.0, description="Part of `capex` that is still worth something at the end, as a ratio."
    )
    kw: Annotated[float, Field(ge=0), Unit("kilowatts")] = Field(
        default=0.0,
        description="Power of one node in kilowatts; used where `measured_power` is off or not known.",
    )
    measured_power: bool = Field(
        default=False,
        description="Take the GPUs' measured watts in place of their part of `kw`. "
        "The price then moves with the load.",
    )
    pue: Annotated[float, Field(ge=1, le=3), Unit("ratio")] = Field(
        default=1.4,
        description="Power usage effectiveness of the room: the ratio of all its power to its computers'.",
    )
    price_per_kwh: Money = Field(
        default="0.10", description="Price of a kilowatt-hour, in `pricing.currency`."
    )
    other_per_year: Money = Field(
        default="0",
        description="Colocation, staff, licences and support of one node a year, in `pricing.currency`.",
    )
    as_of: dt.date | None = Field(default=None, description="Date of these figures. Unset: not known.")


class PricingSettings(Section):
    """Prices and how they fall on GPUs."""

    currency: Annotated[
        str, Field(pattern="^[A-Z]{3}$"), Allowed("a currency code of three capital letters, such as USD")
    ] = Field(default="USD", description="ISO 4217 currency of everything shown. Currencies are never mixed.")
    usd_exchange_rate: Money | None = Field(
        default=None,
        description="How much of `pricing.currency` one USD buys. Unset: the bundled catalogue, "
        "which is in USD, is not used for another currency.",
    )
    basis: Literal["whole_node", "fitted"] = Field(
        default="whole_node",
        description="`whole_node`: the node's price falls on its GPUs. "
        "`fitted`: the GPU term of the family's linear price, where it can be told; the rest is "
        "`node_other_cost_per_hour`. Families where it cannot be told fall back, and say so.",
    )
    book: tuple[BookEntry, ...] = Field(
        default=(),
        description="Your own prices; they win over the catalogue.",
        examples=[
            {
                "instance_type": "p5.*",
                "capacity_type": "reserved",
                "node_per_hour": "31.40",
                "as_of": "2026-01-31",
                "note": "three-year savings plan",
            },
            {"model": "H100 SXM", "gpu_per_hour": "2.49"},
        ],
    )
    on_prem: tuple[OnPremSettings, ...] = Field(
        default=(),
        description="Formulas for nodes you own; the first whose `nodes` matches is taken.",
        examples=[{"nodes": "dgx-*", "capex": "300000", "kw": 10.2, "price_per_kwh": "0.12"}],
    )
    catalogue_file: str = Field(
        default="",
        description="A CSV in the bundled catalogue's columns that replaces it. "
        "`gpusteward prices check FILE` checks it.",
    )


class UnderuseSettings(Section):
    """When a GPU counts as idle or underused. The same numbers drive gauges and alerts."""

    idle_activity: Ratio = Field(default=0.02, description="Activity below this counts as none, as a ratio.")
    idle_window_seconds: Window = Field(
        default=900.0, description="Seconds without activity before a held GPU is idle."
    )
    underused_window_seconds: Window = Field(
        default=1800.0, description="Seconds over which mean activity is judged."
    )
    underused_sm_active: Ratio = Field(
        default=0.15, description="Mean SM activity below this is underused, as a ratio."
    )
    underused_engine_active: Ratio = Field(
        default=0.30, description="The same ratio where only graphics-engine activity is known."
    )
    underused_gpu_utilization: Ratio = Field(
        default=0.30,
        description="The same ratio where only GPU utilization is known, which any kernel fills.",
    )
    window_coverage: Annotated[float, Field(gt=0, le=1), Unit("ratio")] = Field(
        default=0.9,
        description="Part of a window that must have been sampled before it is judged, as a ratio.",
    )
    grace_seconds: Delay = Field(
        default=1200.0,
        description="A pod younger than this many seconds is never idle: it is still pulling data.",
    )
    traffic_bytes_per_second: Annotated[float, Field(ge=0), Unit("bytes per second")] = Field(
        default=50e6,
        description="PCIe plus NVLink traffic above this, in bytes per second, is data loading: never idle.",
    )
    power_floor_margin: Ratio = Field(
        default=0.15,
        description="Power above the device's own idle floor by more than this ratio of it is not idle.",
    )
    power_floor_samples: Samples = Field(
        default=12,
        description="Quiet samples of an unheld, empty device before its idle floor counts as learnt.",
    )
    memory_held_bytes: Annotated[Bytes, Field(ge=1)] = Field(
        default=64 * 1024 * 1024,
        description="More bytes of memory in use than this mean that something holds the device; "
        "a bare CUDA context is larger.",
    )
    enter_samples: Samples = Field(
        default=2, description="Consecutive samples that a worse state must hold before it is entered."
    )
    underused_exit_margin: Ratio = Field(
        default=0.1,
        description="Mean activity must exceed the threshold by this ratio of it to leave `underused`.",
    )


class MetricsSettings(Section):
    """The metrics page."""

    series_budget: Annotated[int, Field(ge=100), Unit("series")] = Field(
        default=3000,
        description="How many series an agent may export. Process holders that would go above it are summed "
        "under one; then per-link counters go, then clocks; never cost or health.",
    )
    ended_holder_seconds: Delay = Field(
        default=600.0,
        description="Seconds that the counters of a holder that ended stay, so that rate() sees "
        "their last value.",
    )
    holder_label_prefix: Annotated[
        str,
        Field(pattern="^([a-z][a-z0-9_]*)?$"),
        Allowed("small letters, digits and underscores, a letter first, such as gpusteward_"),
    ] = Field(
        default="",
        description="Put before our labels `namespace`, `pod` and `container`, for managed collectors "
        "that overwrite those.",
    )


class Config(Section):
    """The whole file."""

    cluster: str = Field(
        default="", description="Cluster name: a `cluster` label on every series. Empty: no such label."
    )
    node: NodeSettings = Field(default=NodeSettings(), description="This node.")
    agent: AgentSettings = Field(default=AgentSettings(), description="The agent.")
    sources: SourcesSettings = Field(default=SourcesSettings(), description="Device sources.")
    kubelet: KubeletSettings = Field(default=KubeletSettings(), description="Which pod holds which GPU.")
    pricing: PricingSettings = Field(default=PricingSettings(), description="Prices.")
    underuse: UnderuseSettings = Field(default=UnderuseSettings(), description="Idle and underuse.")
    metrics: MetricsSettings = Field(default=MetricsSettings(), description="The metrics page.")

    @property
    def dcgm(self) -> DcgmSettings:
        """`sources.dcgm` with its deadline filled in."""
        settings = self.sources.dcgm
        deadline = settings.timeout_seconds or DCGM_TIMEOUT_PART * self.agent.interval_seconds
        return settings.model_copy(update={"timeout_seconds": deadline})

    @property
    def nvml(self) -> NvmlSettings:
        """`sources.nvml` with its deadline filled in."""
        settings = self.sources.nvml
        deadline = settings.deadline_seconds or NVML_DEADLINE_PART * self.agent.interval_seconds
        return settings.model_copy(update={"deadline_seconds": deadline})
