"""How effort shows on a board: the signals that it has, their values, and its watts."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gpusteward.devices.simulated.patterns import Effort, Step
from gpusteward.devices.simulated.timeline import Segment
from gpusteward.model import Signal

if TYPE_CHECKING:
    from gpusteward.devices.simulated.hardware import Hardware

CONTEXT_WATTS = 0.04
"""How much above idle power an open but resting context keeps a board; within any sane floor margin."""

_BEST = (Signal.SM_ACTIVE, Signal.ENGINE_ACTIVE, Signal.GPU_UTILIZATION)
_CODECS = (Signal.DECODER_UTILIZATION, Signal.ENCODER_UTILIZATION)
_REST = Step(1.0, Effort(context=False))


def segment(step: Step, board: Hardware, slices: int = 0) -> Segment:
    """A step as the board shows it.

    Args:
        step: the effort and its seconds.
        board: what the GPU is made of.
        slices: compute slices of the MIG instance; 0 = the whole GPU.
    """
    rates = instance_rates(step.effort, board) if slices else gpu_rates(step.effort, board)
    best = next((rates[signal] for signal in _BEST if signal in rates), 0.0)
    return Segment(
        seconds=step.seconds,
        rates=rates,
        activity=max(best, *(rates.get(codec, 0.0) for codec in _CODECS)),
        watts=_watts(step.effort, board, slices),
    )


def gpu_rates(effort: Effort, board: Hardware) -> dict[Signal, float]:
    """Rates of a whole GPU.

    GPU utilization counts any kernel fully, so it reads above SM activity, and engine activity lies between.
    """
    rates = _profiled(effort, board) | {
        Signal.GPU_UTILIZATION: 1 - (1 - effort.sm) ** 3,
        Signal.MEMORY_COPY_UTILIZATION: min(1.0, effort.dram * 1.1),
        Signal.DECODER_UTILIZATION: effort.decoder,
        Signal.PCIE_TX: effort.pcie_tx,
        Signal.PCIE_RX: effort.pcie_rx,
    }
    if board.encoder:
        rates[Signal.ENCODER_UTILIZATION] = effort.encoder
    if board.nvlink:
        rates[Signal.NVLINK] = effort.nvlink
    return rates


def instance_rates(effort: Effort, board: Hardware) -> dict[Signal, float]:
    """Rates of a MIG instance: under MIG NVML tells no utilization, codecs or traffic of one."""
    return _profiled(effort, board)


def at_rest(board: Hardware, slices: int = 0) -> Segment:
    """What a device with nothing on it shows."""
    return segment(_REST, board, slices)


def _profiled(effort: Effort, board: Hardware) -> dict[Signal, float]:
    if board.activity == "utilization":
        return {}
    rates = {
        Signal.ENGINE_ACTIVE: 1 - (1 - effort.sm) ** 1.5,
        Signal.TENSOR_ACTIVE: effort.tensor,
        Signal.DRAM_ACTIVE: effort.dram,
    }
    if board.activity == "sm":
        rates |= {Signal.SM_ACTIVE: effort.sm, Signal.SM_OCCUPANCY: effort.sm * 0.6}
    return rates


def _watts(effort: Effort, board: Hardware, slices: int) -> float:
    """Watts above idle. Of a MIG instance: its slices' part of what the whole GPU would take."""
    work = 0.6 * effort.sm + 0.25 * effort.dram + 0.15 * effort.tensor + 0.15 * effort.decoder
    bus = min(0.05, (effort.pcie_tx + effort.pcie_rx + effort.nvlink) / 1e12)
    part = slices / board.mig_slices if slices else 1.0
    context = CONTEXT_WATTS * board.idle_watts if effort.context else 0.0
    return part * (context + min(0.97, work + bus) * (board.tdp_watts - board.idle_watts - context))
