"""What workloads do to a GPU: each pattern is one period of steps of constant effort.

Steps are piecewise constant, so that every mean and integral of them is exact. Noise comes from a hash of
where a step stands, never from a generator with a state, so it is the same however often one looks.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from hashlib import blake2b
from typing import TYPE_CHECKING, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    Noise: TypeAlias = Callable[[int], float]


class Pattern(StrEnum):
    """What a job does while it works."""

    TRAINING = "training"
    INFERENCE = "inference"
    DECODE = "decode"
    LOADING = "loading"
    UNDERUSED = "underused"
    NOTEBOOK = "notebook"
    EMPTY = "empty"
    PULLING = "pulling"
    LEFTOVER = "leftover"


@dataclass(frozen=True, slots=True, kw_only=True)
class Effort:
    """How hard a GPU works, all constant for a while.

    Attributes:
        sm, tensor, dram: parts of time that the SMs, tensor cores and memory are active, 0 to 1.
        decoder, encoder: parts of time that the video engines are active, 0 to 1.
        pcie_tx, pcie_rx, nvlink: bytes per second; tx leaves the GPU.
        context: whether a process has opened the GPU, which keeps it a little warmer than idle.
    """

    sm: float = 0.0
    tensor: float = 0.0
    dram: float = 0.0
    decoder: float = 0.0
    encoder: float = 0.0
    pcie_tx: float = 0.0
    pcie_rx: float = 0.0
    nvlink: float = 0.0
    context: bool = True


@dataclass(frozen=True, slots=True)
class Step:
    """Constant effort for some seconds."""

    seconds: float
    effort: Effort


HELD_MEMORY: Mapping[Pattern, float] = {
    Pattern.TRAINING: 0.88,
    Pattern.INFERENCE: 0.9,
    Pattern.DECODE: 0.12,
    Pattern.LOADING: 0.3,
    Pattern.UNDERUSED: 0.22,
    Pattern.NOTEBOOK: 0.08,
    Pattern.EMPTY: 0.0,
    Pattern.PULLING: 0.0,
    Pattern.LEFTOVER: 0.35,
}
"""Part of the usable memory that a pattern holds when its job does not say."""


def unit(*key: object) -> float:
    """A number in [0, 1) that depends on the key alone, on every machine and Python."""
    return int.from_bytes(digest(*key)[:6], "big") / 2**48


def digest(*key: object) -> bytes:
    """16 bytes that depend on the key alone, on every machine and Python."""
    return blake2b(repr(key).encode(), digest_size=16).digest()


def steps(pattern: Pattern, noise: Noise) -> tuple[Step, ...]:
    """One period of a pattern; `noise(n)` is the n-th step's own number in [0, 1)."""
    return _PERIODS[pattern](noise)


def _training(noise: Noise) -> tuple[Step, ...]:
    """Half an hour: a minute of loading data, and one of writing a checkpoint in the middle."""
    loading = Step(60.0, Effort(dram=0.04, pcie_rx=9.0e9))
    checkpoint = Step(60.0, Effort(sm=0.04, dram=0.05, pcie_tx=6.0e9))
    work = [
        Step(
            60.0,
            Effort(
                sm=0.82 + 0.12 * noise(n),
                tensor=0.38 + 0.14 * noise(n),
                dram=0.46 + 0.12 * noise(n),
                pcie_rx=2.0e8,
                pcie_tx=1.0e8,
                nvlink=1.1e11 + 4.0e10 * noise(n),
            ),
        )
        for n in range(28)
    ]
    return (loading, *work[:14], checkpoint, *work[14:])


def _inference(noise: Noise) -> tuple[Step, ...]:
    """Twenty minutes of half-minute bursts with half a minute of silence after each."""
    quiet = Step(30.0, Effort())
    bursts = [
        Step(
            30.0,
            Effort(
                sm=0.5 + 0.3 * noise(n),
                tensor=0.15 + 0.15 * noise(n),
                dram=0.4 + 0.3 * noise(n),
                pcie_rx=4.0e6,
                pcie_tx=3.0e6,
            ),
        )
        for n in range(20)
    ]
    return tuple(step for burst in bursts for step in (burst, quiet))


def _decode(noise: Noise) -> tuple[Step, ...]:
    """Video decoding: the decoder alone works, far above what little the SMs do, and the bus is quiet."""
    return _minutes(
        lambda n: Effort(
            sm=0.008 + 0.006 * noise(n),
            dram=0.06,
            decoder=0.55 + 0.3 * noise(n),
            pcie_rx=4.0e6,
            pcie_tx=1.0e6,
        )
    )


def _loading(noise: Noise) -> tuple[Step, ...]:
    """A long phase of moving data to the GPU: no SM works, and the bus says that it is not idle."""
    return _minutes(lambda n: Effort(dram=0.02, pcie_rx=1.0e9 + 6.0e8 * noise(n)))


def _underused(noise: Noise) -> tuple[Step, ...]:
    """5 to 10 % of the SMs, steadily: too busy to be idle, too little for a whole GPU."""
    return _minutes(
        lambda n: Effort(sm=0.05 + 0.05 * noise(n), dram=0.03 + 0.02 * noise(n), pcie_rx=2.0e6, pcie_tx=1.0e6)
    )


def _process_at_rest(_noise: Noise) -> tuple[Step, ...]:
    return (Step(60.0, Effort()),)


def _nothing(_noise: Noise) -> tuple[Step, ...]:
    return (Step(60.0, Effort(context=False)),)


def _minutes(effort: Callable[[int], Effort]) -> tuple[Step, ...]:
    return tuple(Step(60.0, effort(n)) for n in range(20))


_PERIODS: Mapping[Pattern, Callable[[Noise], tuple[Step, ...]]] = {
    Pattern.TRAINING: _training,
    Pattern.INFERENCE: _inference,
    Pattern.DECODE: _decode,
    Pattern.LOADING: _loading,
    Pattern.UNDERUSED: _underused,
    Pattern.NOTEBOOK: _process_at_rest,
    Pattern.EMPTY: _nothing,
    Pattern.PULLING: _nothing,
    Pattern.LEFTOVER: _process_at_rest,
}
