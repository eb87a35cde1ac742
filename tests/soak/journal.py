"""kill -9 of a real agent at 200 random moments: its journal against the truth."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from tests.journal_kills import run

if TYPE_CHECKING:
    from collections.abc import Callable


def main(kills: int, say: Callable[[str], None]) -> None:
    """Each kill may get 60 s of each device wrong at most; asserted kill by kill."""
    with tempfile.TemporaryDirectory() as folder:
        machine = run(Path(folder), kills, say)
        say(f"{kills} kills, {len(machine.samples())} samples")
