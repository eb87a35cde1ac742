"""`auto`: the first source that answers, and what was tried while none does."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from gpusteward.devices import CanBeHeld, CanStick
from gpusteward.errors import SourceError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from gpusteward.clock import Moment
    from gpusteward.devices import DeviceSource
    from gpusteward.model import Readings

log = logging.getLogger(__name__)

ON_ITS_WAY = frozenset({"starting", "released"})
"""Reasons of a source that is there and not ready: it is waited for, not passed over for the next."""


class AutoSource:
    """Tries candidates in order at each read until one answers, and stays with that one.

    A driver that loads late or a dcgm-exporter that starts after the agent is found by itself; a source that
    answered once is not left for another, since two sources would tell one GPU by two stories.

    Args:
        candidates: sources in the order of trust.
        notes: what was not even tried and why, for the message.
    """

    def __init__(self, candidates: Sequence[DeviceSource], notes: Sequence[str] = ()) -> None:
        self._candidates = candidates
        self._notes = notes
        self._chosen: DeviceSource | None = None

    @property
    def name(self) -> str:
        """The chosen source's name; `none` while there is none."""
        return self._chosen.name if self._chosen else "none"

    @property
    def stuck(self) -> bool | None:
        """Whether a candidate waits out a call that never returned; None where none can."""
        known = [source.stuck for source in self._candidates if isinstance(source, CanStick)]
        told = [stuck for stuck in known if stuck is not None]
        return any(told) if told else None

    @property
    def hold_known(self) -> bool | None:
        """What the chosen source tells, or while there is none the first that tells; None where none does."""
        asked = [self._chosen] if self._chosen else self._candidates
        told = (source.hold_known for source in asked if isinstance(source, CanBeHeld))
        return next((known for known in told if known is not None), None)

    def read(self, at: Moment) -> Readings:
        """One sample of the chosen source, or of the first that answers.

        Raises:
            SourceError: none answered; the message says what each said. Or one is on its way, and says so.
        """
        if self._chosen is not None:
            return self._chosen.read(at)
        tried = list(self._notes)
        for candidate in self._candidates:
            try:
                readings = candidate.read(at)
            except SourceError as error:
                if error.reason in ON_ITS_WAY:
                    raise
                tried.append(f"{candidate.name}: {error.message}")
                continue
            log.info("reading GPUs from %s", candidate.name)
            self._chosen = candidate
            self._close_others()
            return readings
        raise SourceError(
            "no GPU source found; tried " + "; ".join(tried),
            "no_source",
            "install the NVIDIA driver, or set sources.dcgm.url to a dcgm-exporter page, or agent.source to "
            "simulated to try without a GPU",
        )

    def _close_others(self) -> None:
        """Let go of what the others hold: a worker that has the driver open without use, say."""
        for candidate in self._candidates:
            if candidate is not self._chosen:
                candidate.close()

    def close(self) -> None:
        """Close all candidates."""
        for candidate in self._candidates:
            candidate.close()
