"""Small files that a person or a Secret mount puts there, read whole and within bounds."""

from __future__ import annotations

import stat
from typing import TYPE_CHECKING

from gpusteward.errors import ConfigError, Problem

if TYPE_CHECKING:
    from pathlib import Path


def read_small_file(path: Path, max_bytes: int) -> bytes:
    """The whole content.

    Raises:
        ConfigError: missing, a directory, no regular file, longer than max_bytes, or not readable.
    """
    try:
        mode = path.stat().st_mode
        if stat.S_ISDIR(mode):
            raise _unusable(path, "is a directory", "name the file in it")
        if not stat.S_ISREG(mode):  # a pipe or a device could block or never end
            raise _unusable(path, "is not a regular file", "name a file on a disk or a mount")
        with path.open("rb") as file:
            content = file.read(max_bytes + 1)
    except FileNotFoundError as error:
        raise _unusable(
            path, "does not exist", "check the path, or the mount that should bring it"
        ) from error
    except OSError as error:
        message = f"cannot be read: {error.strerror}"
        raise _unusable(path, message, "check its permissions and the user this runs as") from error
    except ValueError as error:
        raise _unusable(path, "is not a path", "remove the control character in it") from error
    if len(content) > max_bytes:
        raise _unusable(path, f"is larger than {max_bytes} bytes", "check that it is the file you mean")
    return content


def _unusable(path: Path, message: str, remedy: str) -> ConfigError:
    return ConfigError(f"{path} cannot be used", (Problem(str(path), message, remedy),))
