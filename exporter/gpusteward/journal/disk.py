"""The few things that the journal asks of a disk. Each may raise OSError, and is done when it returns."""

from __future__ import annotations

import os
from pathlib import Path


class Disk:
    """A folder on a real disk.

    Args:
        folder: made at the first write if it is not there.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = Path(folder)

    def names(self) -> list[str]:
        """The files in the folder, in order; none when there is no folder."""
        try:
            return sorted(path.name for path in self.folder.iterdir())
        except FileNotFoundError:
            return []

    def read(self, name: str, offset: int = 0, length: int | None = None) -> bytes:
        """A file, or `length` bytes of it."""
        with (self.folder / name).open("rb") as file:
            file.seek(offset)
            return file.read(-1 if length is None else length)

    def write_at(self, name: str, offset: int, data: bytes) -> None:
        """Make a file end with this data at this offset, and wait until that is on the disk."""
        self.folder.mkdir(parents=True, exist_ok=True)
        path = self.folder / name
        new = not path.exists()
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o640)
        try:
            os.ftruncate(descriptor, offset)
            _write_all(descriptor, data, offset)
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
        if new:
            self._sync_folder()

    def replace(self, name: str, data: bytes) -> None:
        """Put this data in the place of a file, whole or not at all, and wait until that is on the disk."""
        self.folder.mkdir(parents=True, exist_ok=True)
        draft = self.folder / f"{name}.new"
        with draft.open("wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        draft.replace(self.folder / name)
        self._sync_folder()

    def remove(self, name: str) -> None:
        """Remove a file, if it is there."""
        (self.folder / name).unlink(missing_ok=True)

    def _sync_folder(self) -> None:
        descriptor = os.open(self.folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def _write_all(descriptor: int, data: bytes, offset: int) -> None:
    written = 0
    while written < len(data):
        written += os.pwrite(descriptor, data[written:], offset + written)
