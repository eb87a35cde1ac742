"""The dcgm source: any dcgm-exporter page, by URL or from a file."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from gpusteward.devices.dcgm_http import PageFetcher, too_large
from gpusteward.devices.dcgm_readings import Reader
from gpusteward.errors import SourceError

if TYPE_CHECKING:
    from gpusteward.clock import Moment
    from gpusteward.config.settings import DcgmSettings
    from gpusteward.model import Readings

DEFAULT_URL = "http://127.0.0.1:9400/metrics"
"""dcgm-exporter's own default port, on this machine."""


DEFAULT_TIMEOUT_SECONDS = 4.0
"""Deadline of a read where the settings leave it open."""


class DcgmSource:
    """Reads one page per sample.

    Args:
        settings: `sources.dcgm`; `file` wins over `url`, and with neither the default address is read.
        node_name: the node of rows that name no host.
        certain: whether that name is stated, and so wins over the host that a page of one host names.

    Raises:
        ConfigError: the URL cannot be used.
    """

    def __init__(self, settings: DcgmSettings, node_name: str, *, certain: bool = False) -> None:
        self._reader = Reader(node_name, settings.holder_labels, certain)
        self._max_bytes = settings.max_bytes
        self._file = Path(settings.file) if settings.file else None
        self._fetcher = PageFetcher(
            settings.url or DEFAULT_URL,
            settings.timeout_seconds or DEFAULT_TIMEOUT_SECONDS,
            settings.max_bytes,
        )

    @property
    def name(self) -> str:
        """`dcgm`."""
        return "dcgm"

    def read(self, at: Moment) -> Readings:
        """One sample: the page as it is now.

        Raises:
            SourceError: reasons `connection`, `timeout`, `http_status`, `too_large`, `encoding`, `truncated`,
                `file`, `empty`, `not_dcgm`, `no_gpus`.
        """
        page = self._fetcher.fetch() if self._file is None else _from_file(self._file, self._max_bytes)
        return self._reader.read(page, at)

    def close(self) -> None:
        """Close the kept connection. Idempotent."""
        self._fetcher.close()


def _from_file(path: Path, max_bytes: int) -> str:
    if not path.is_file():  # a pipe or a device would block for ever
        raise SourceError(f"{path} is no file", "file", "set sources.dcgm.file to a saved page")
    try:
        with path.open("rb") as file:
            page = file.read(max_bytes + 1)
    except OSError as error:
        raise SourceError(
            f"{path} cannot be read: {error.strerror}", "file", "check its permissions"
        ) from error
    if len(page) > max_bytes:
        raise too_large(str(path), max_bytes)
    return page.decode("utf-8", errors="replace")
