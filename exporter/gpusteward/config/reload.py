"""Taking up a changed config file while the agent runs."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gpusteward.config.fields import values
from gpusteward.config.load import parse, read
from gpusteward.config.settings import Config
from gpusteward.errors import ConfigError

if TYPE_CHECKING:
    from pathlib import Path

    from gpusteward.clock import Clock
    from gpusteward.errors import GpustewardError

RESTART = (
    "agent.listen",
    "agent.source",
    "agent.bearer_token_file",
    "agent.state_dir",
    "sources",
    "kubelet",
    "node.name",
)
"""Settings, and sections, that are read once at the start: sockets and sources are built from them."""


def restart_needed(old: Config, new: Config) -> tuple[str, ...]:
    """The changed settings that only a restart takes up; all others apply at once."""
    before, after = values(old), values(new)
    return tuple(path for path in before if needs_restart(path) and before[path] != after[path])


def needs_restart(path: str) -> bool:
    """Whether a change of this setting waits for a restart."""
    return any(path == fixed or path.startswith(f"{fixed}.") for fixed in RESTART)


class ConfigWatch:
    """The config file in force, watched for changes.

    The file's text is compared, not its times or inode: a Kubernetes ConfigMap is swapped by a symlink,
    editors replace files, and the clocks of file systems are coarse. A changed text is taken up at the second
    poll that sees it, because a file that is half written, or just emptied, can be a valid one with other
    settings.

    Args:
        path: the file; None = no file, the defaults are used and nothing is watched.
        clock: tells when a load succeeded.

    Attributes:
        config: the config in force.
        last_success: whether the last load was accepted; False keeps the config of the last that was.
        last_success_at: Unix time at which the config in force was read; None without a file.
        error: why the last load was refused; None when it was accepted.

    Raises:
        ConfigError: the file cannot be used at the start, when there is no earlier one to keep.
    """

    def __init__(self, path: Path | None, clock: Clock) -> None:
        self._path = path
        self._clock = clock
        self._request = self._served = object()
        text = None if path is None else read(path)
        self._seen = text
        self._judged = text
        self.config = Config() if text is None else parse(text, str(path))
        self.last_success = True
        self.last_success_at = None if text is None else clock.now().wall
        self._before = (self.config, self.last_success_at)
        self.error: GpustewardError | None = None

    def request(self) -> None:
        """Ask the next poll to load the file, changed or not, at once.

        Safe in a signal handler and from any thread: one assignment and no lock, which the interrupted code
        might hold.
        """
        self._request = object()

    def poll(self) -> Config | None:
        """Look at the file; one thread only.

        Returns:
            The new config when one was taken up (equal to the old one where only a request asked for it),
            None when the old one stays.
        """
        if self._path is None:
            return None
        request = self._request
        requested = request is not self._served
        self._served = request
        try:
            text = read(self._path)
        except ConfigError as error:
            self._judged = None  # so that it is taken up when it is back, even if it is the same
            self._refuse(error, anew=requested)
            return None
        if not self._is_new(text) and not requested:
            return None
        self._judged = text
        try:
            return self._accept(parse(text, str(self._path)))
        except ConfigError as error:
            self._refuse(error, anew=True)
            return None

    def refuse(self, error: GpustewardError) -> None:
        """Note that the config which `poll` returned last could not be taken up; the one before runs on."""
        self.config, self.last_success_at = self._before
        self.error = error
        self.last_success = False

    def _is_new(self, text: str) -> bool:
        """Whether the text is another one than was judged last, and stands still."""
        settled = text == self._seen
        self._seen = text
        return settled and text != self._judged

    def _refuse(self, error: ConfigError, *, anew: bool) -> None:
        """Note the error; the same one again, poll after poll, stays the same object, to be logged once."""
        if anew or str(error) != str(self.error):
            self.error = error
        self.last_success = False

    def _accept(self, config: Config) -> Config:
        self._before = (self.config, self.last_success_at)
        self.config = config
        self.error = None
        self.last_success = True
        self.last_success_at = self._clock.now().wall
        return config
