"""The bearer token that `agent.bearer_token_file` names."""

from __future__ import annotations

import hmac
from pathlib import Path
from typing import TypeAlias

from gpusteward.config.small_file import read_small_file
from gpusteward.errors import ConfigError, Problem

MAX_BYTES = 4096

_Version: TypeAlias = "tuple[int, ...]"


def read_token(path: Path | str) -> str:
    """The token in a file, without the white space around it.

    Raises:
        ConfigError: unreadable, longer than 4 KiB, empty, or with anything in it but visible ASCII, which no
            Authorization header could carry.
    """
    token = read_small_file(Path(path), MAX_BYTES).strip()
    if not token:
        raise _unusable(path, "is empty", "write the token into it, on one line")
    if not all(0x21 <= byte <= 0x7E for byte in token):  # noqa: PLR2004 - `!` to `~`, the visible characters
        message = "holds a blank, a control character or a letter outside ASCII"
        raise _unusable(path, message, "write one token of letters, digits and punctuation")
    return token.decode("ascii")


class TokenFile:
    """A token in a file, read again when the file changes, as when a Secret is rotated.

    While the file cannot be used nothing matches: a token that was withdrawn must not stay good.

    Args:
        path: the file.

    Attributes:
        error: why it cannot be used; None while it can.

    Raises:
        ConfigError: it cannot be used now, at the start.
    """

    def __init__(self, path: Path | str) -> None:
        self._path = Path(path)
        self.error: ConfigError | None = None
        self._known = (self._version(), read_token(self._path))

    def matches(self, candidate: str) -> bool:
        """Whether this is the token that the file holds now, in a time that does not tell how near it is.

        Any thread may call it.
        """
        token = self._token()
        return bool(token) and hmac.compare_digest(
            candidate.encode(errors="backslashreplace"), token.encode()
        )

    def _token(self) -> str:
        """The token; empty while the file cannot be used."""
        version = self._version()  # before the content: a change in between is seen at the next call
        known_version, token = self._known
        if version is None or version != known_version:
            try:
                token = read_token(self._path)
                self.error = None
            except ConfigError as error:
                token = ""
                version = None  # looked at again at the next call: a passing fault must not lock out for good
                self.error = error
            self._known = (version, token)  # one assignment, so that no thread sees half of it
        return token

    def _version(self) -> _Version | None:
        try:
            status = self._path.stat()
        except (OSError, ValueError):  # gone, or no path at all: reading it says which
            return None
        return (status.st_ino, status.st_mtime_ns, status.st_ctime_ns, status.st_size)


def _unusable(path: Path | str, message: str, remedy: str) -> ConfigError:
    return ConfigError(f"the token file {path} cannot be used", (Problem(str(path), message, remedy),))
