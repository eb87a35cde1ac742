"""A source that lets its driver go while it is asked to, and takes it up again afterwards."""

from __future__ import annotations

import datetime as dt
import logging
from typing import TYPE_CHECKING, Final, Protocol

from gpusteward.devices import CanStick
from gpusteward.errors import SourceError

if TYPE_CHECKING:
    from gpusteward.clock import Moment
    from gpusteward.devices import DeviceSource
    from gpusteward.errors import KubeError
    from gpusteward.model import Readings

log = logging.getLogger(__name__)

RELEASED: Final = "released"
"""The reason of a cycle in which the driver was let go on purpose."""


class Hold(Protocol):
    """Knows whether the driver must be let go; kube's DriverHold is one."""

    @property
    def known(self) -> bool | None:
        """Whether that could be told last; None before it was first asked for."""
        ...

    @property
    def failing(self) -> tuple[KubeError, float] | None:
        """Why it cannot be told, and since when, in Unix time; None when it can."""
        ...

    def paused(self) -> str:
        """Why, in a word; empty when it may be used. Answers from memory."""
        ...

    def close(self) -> None:
        """Ask no more. Idempotent."""
        ...


class PausableSource:
    """Reads a source that is closed while the driver is to be let go.

    Args:
        source: the source; a `read` after `close` must take up again.
        hold: tells when.
    """

    def __init__(self, source: DeviceSource, hold: Hold) -> None:
        self._source = source
        self._hold = hold
        self._released = False

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
        """Whether it can be told if the driver must be let go; None before it was first asked for."""
        return self._hold.known

    def read(self, at: Moment) -> Readings:
        """One sample of the source.

        Raises:
            SourceError: `released` while the driver is let go; else the source's own.
        """
        why = self._hold.paused()
        if not why:
            self._released = False
            return self._source.read(at)
        if not self._released:
            self._source.close()
            self._released = True
            log.info("let the driver go: %s", why)
        raise _released(why, self._hold.failing)

    def close(self) -> None:
        """Close the source and the hold."""
        self._source.close()
        self._hold.close()


def _released(why: str, failing: tuple[KubeError, float] | None) -> SourceError:
    message = f"the driver is let go while the node has {why}"
    if failing is None:
        hint = "nothing: it is taken up again by itself once NVIDIA's operator has set that label back"
        return SourceError(message, RELEASED, hint)
    error, wall = failing
    since = dt.datetime.fromtimestamp(wall, dt.UTC).isoformat(timespec="seconds")
    message += f", as was known last: since {since} its labels cannot be read: {error.message}"
    return SourceError(
        message, RELEASED, f"{error.hint}; if that label was set back meanwhile, recreate the agent's pod"
    )
