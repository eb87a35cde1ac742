"""What tests wait out: a worker that starts, on a slow machine, takes longer than a short deadline."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from gpusteward.errors import SourceError


def only_waits(error: SourceError) -> bool:
    """Whether there is no sample for nothing but that a new worker has not answered yet."""
    return error.reason == "starting" or "a new worker has not answered yet" in error.message
