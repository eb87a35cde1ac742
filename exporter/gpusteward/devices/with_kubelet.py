"""A source with the kubelet beside it: each sample carries what the kubelet says of its holders."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Protocol

from gpusteward.devices import CanBeHeld, CanStick

if TYPE_CHECKING:
    from gpusteward.clock import Moment
    from gpusteward.devices import DeviceSource
    from gpusteward.model import Holdings, Readings


class KnowsHoldings(Protocol):
    """Knows what the kubelet said last; kube's HoldingsWatch is one."""

    def holdings(self, at: Moment) -> Holdings:
        """What is known at this moment, from memory."""
        ...

    def close(self) -> None:
        """Ask no more. Idempotent."""
        ...


class SourceWithKubelet:
    """Reads a source, and adds what the kubelet said last.

    Args:
        source: where readings come from.
        kubelet: knows the holders.
    """

    def __init__(self, source: DeviceSource, kubelet: KnowsHoldings) -> None:
        self._source = source
        self._kubelet = kubelet

    @property
    def name(self) -> str:
        """The source's name."""
        return self._source.name

    @property
    def stuck(self) -> bool | None:
        """Whether the source is; None where it cannot be."""
        return self._source.stuck if isinstance(self._source, CanStick) else None

    @property
    def hold_known(self) -> bool | None:
        """Whether it can be told if the driver must be let go; None where nobody asks."""
        return self._source.hold_known if isinstance(self._source, CanBeHeld) else None

    def read(self, at: Moment) -> Readings:
        """One sample of the source with the holdings of this moment.

        Raises:
            SourceError: the source's own. What the kubelet does not say is part of the data, no error.
        """
        readings = self._source.read(at)
        return replace(readings, holdings=self._kubelet.holdings(at))

    def close(self) -> None:
        """Close the source and the kubelet's watch."""
        self._source.close()
        self._kubelet.close()
