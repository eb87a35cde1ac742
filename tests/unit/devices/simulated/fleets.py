"""Fleets for these tests, and the agent's idea of activity, written down a second time."""

from __future__ import annotations

import textwrap
from typing import TYPE_CHECKING

from hypothesis import settings

from gpusteward.clock import Moment
from gpusteward.devices.simulated.board import Interval
from gpusteward.devices.simulated.fleet import Fleet
from gpusteward.devices.simulated.loading import parse_profile
from gpusteward.model import Signal

if TYPE_CHECKING:
    from collections.abc import Iterator

    from gpusteward.model import Allocation, GpuReading, NodeReadings, Signals

UNTIMED = settings(deadline=None)  # how fast the machine is today is no property of the fleet
EPOCH = Moment(1_800_000_000.0, 5_000.0)
ORIGIN = 1_799_990_000.0
NODE = """
nodes:
  - name: n1
    model: {model}
    gpus: {gpus}
    groups:
"""


def fleet(groups: str, *, model: str = "NVIDIA H100 80GB HBM3", gpus: int = 1, seed: int = 1) -> Fleet:
    """One node `n1` whose groups are written as YAML."""
    text = NODE.format(model=model, gpus=gpus) + textwrap.indent(textwrap.dedent(groups), " " * 6)
    return Fleet(parse_profile(text, "test"), seed)


def one_job(**fields: object) -> Fleet:
    """One H100 with one job of the given fields, in a cycle of 60 min."""
    job = {"namespace": "ns", "pod": "p"} | fields
    written = ", ".join(f"{key}: {str(value).lower()}" for key, value in job.items())
    return fleet(f"- {{gpus: [0], cycle_minutes: 60, jobs: [{{{written}}}]}}")


def nodes(simulated: Fleet, at: float, seconds: float = 5.0) -> tuple[NodeReadings, ...]:
    """What a sample at a simulated second reads."""
    return simulated.nodes(Interval(at - seconds, at, ORIGIN))


def gpu(simulated: Fleet, at: float, seconds: float = 5.0) -> GpuReading:
    """The first GPU of the first node at a simulated second."""
    return nodes(simulated, at, seconds)[0].gpus[0]


def held(simulated: Fleet, at: float) -> tuple[Allocation, ...]:
    """Who holds that GPU at a simulated second; it must be known."""
    allocations = gpu(simulated, at).allocations
    assert allocations is not None
    return allocations


def activity(signals: Signals) -> float:
    """Design §6: the first known of SM, graphics engine, utilization; or a codec engine if greater."""
    order = (Signal.SM_ACTIVE, Signal.ENGINE_ACTIVE, Signal.GPU_UTILIZATION)
    best = next(signals[signal] for signal in order if signal in signals)
    codecs = (Signal.ENCODER_UTILIZATION, Signal.DECODER_UTILIZATION)
    return max(best, *(signals.get(codec, 0.0) for codec in codecs))


def traffic(signals: Signals) -> float:
    """Bytes per second on all buses."""
    return sum(signals.get(bus, 0.0) for bus in (Signal.PCIE_TX, Signal.PCIE_RX, Signal.NVLINK))


def leaves(sample: tuple[NodeReadings, ...]) -> Iterator[tuple[tuple[str, str, str], Signals]]:
    """Every leaf's key and signals."""
    for node in sample:
        for reading in node.gpus:
            if not reading.mig:
                yield (node.node, reading.uuid, ""), reading.signals
            for instance in reading.instances:
                yield (node.node, reading.uuid, instance.gi), instance.signals
