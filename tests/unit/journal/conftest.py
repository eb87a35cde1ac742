"""A disk that fills up and fails as real ones do, and windows to write on it."""

from __future__ import annotations

import errno
import os
from typing import TYPE_CHECKING

import pytest

from gpusteward.journal import Disk

if TYPE_CHECKING:
    from pathlib import Path


class SmallDisk(Disk):
    """A real folder on which only so many bytes can be written: what fits is written, then ENOSPC.

    Attributes:
        room: bytes that can still be written; None = no limit.
        error: what every access answers, EROFS or EIO say; 0 = nothing is wrong.
    """

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.room: int | None = None
        self.error = 0

    def _check(self) -> None:
        if self.error:
            raise OSError(self.error, os.strerror(self.error))

    def read(self, name: str, offset: int = 0, length: int | None = None) -> bytes:
        if self.error != errno.EROFS:
            self._check()
        return super().read(name, offset, length)

    def write_at(self, name: str, offset: int, data: bytes) -> None:
        self._check()
        super().write_at(name, offset, data if self.room is None else data[: self.room])
        self._use(len(data))

    def replace(self, name: str, data: bytes) -> None:
        self._check()
        self._use(len(data))
        super().replace(name, data)

    def _use(self, wanted: int) -> None:
        if self.room is None:
            return
        full, self.room = wanted > self.room, max(0, self.room - wanted)
        if full:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


@pytest.fixture
def disk(tmp_path: Path) -> SmallDisk:
    return SmallDisk(tmp_path / "state")
