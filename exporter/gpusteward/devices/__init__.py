"""Device sources: the rim where readings come in.

Belongs here: one module a source (dcgm, simulated; nvml next), each translating its world into
`model.Readings` and its failures into `SourceError`. Must not: price, judge, or know who asks.
May do I/O; a read may block up to its own deadline and no longer.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol, runtime_checkable

if TYPE_CHECKING:
    from gpusteward.clock import Moment
    from gpusteward.model import Readings


class DeviceSource(Protocol):
    """Where readings come from."""

    @property
    def name(self) -> str:
        """`nvml`, `dcgm` or `simulated`."""
        ...

    def read(self, at: Moment) -> Readings:
        """One sample, taken now and labelled with `at`.

        Raises:
            SourceError: nothing could be read; the next cycle tries again.
        """
        ...

    def close(self) -> None:
        """Let go of what is held (connections, child processes). Idempotent."""
        ...


@runtime_checkable
class CanStick(Protocol):
    """A source whose calls may never return, so that a worker of it has to be given up."""

    @property
    def stuck(self) -> bool | None:
        """Whether a call that never returned is being waited out; None where that cannot be."""
        ...


@runtime_checkable
class CanBeHeld(Protocol):
    """A source that is let go while somebody else needs what it holds."""

    @property
    def hold_known(self) -> bool | None:
        """Whether it can be told if it must be let go; None before that is known, and where nobody asks."""
        ...
