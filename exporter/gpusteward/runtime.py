"""A running agent: the sampler's thread beside the HTTP server's, and what a changed config changes.

Constructs no adapter: the source comes from a composition root.
"""

from __future__ import annotations

import logging
import signal
import threading
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from prometheus_client import ProcessCollector

from gpusteward.config import NodeSettings, restart_needed
from gpusteward.errors import GpustewardError
from gpusteward.exposition import Exposition, Server, TokenFile
from gpusteward.metrics.exposure import Exposure
from gpusteward.metrics.page import render
from gpusteward.pricing import PriceBook, bundled_catalogue, load_catalogue
from gpusteward.sampler import Sampler, warm_up
from gpusteward.snapshot import Pipeline

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import FrameType

    from gpusteward.clock import Clock, Moment
    from gpusteward.config import Config, ConfigWatch, PricingSettings
    from gpusteward.devices import DeviceSource
    from gpusteward.model import Snapshot

log = logging.getLogger(__name__)

JOIN_SECONDS = 1.0
"""How long a stop waits for the sampler: a read that hangs must not hold up the process's end."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Parts:
    """What a composition root has put together.

    Attributes:
        watch: the settings, and where changed ones come from.
        source: where readings come from; closed at the end.
        clock: the time.
        mode: `real` or `simulated`.
        listen: address and port of the HTTP server.
        warmed_up_at: the moment up to which a simulated fleet is replayed before serving; None = not at all.
    """

    watch: ConfigWatch
    source: DeviceSource
    clock: Clock
    mode: str
    listen: str
    warmed_up_at: Moment | None = None


def price_book(settings: PricingSettings) -> PriceBook:
    """The prices that these settings ask for.

    Raises:
        GpustewardError: the operator's catalogue file cannot be read.
        CatalogueError: it can, and fails its checks.
    """
    if not settings.catalogue_file:
        return PriceBook(bundled_catalogue(), settings)
    path = Path(settings.catalogue_file)
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise GpustewardError(
            f"pricing.catalogue_file {path} cannot be read: {error}",
            "mount the file there, or leave the setting empty to use the bundled catalogue",
        ) from error
    return PriceBook(load_catalogue(text, str(path)), settings)


def _require_currency(settings: PricingSettings, counted_in: str) -> None:
    if settings.currency != counted_in:
        raise GpustewardError(
            f"pricing.currency is {settings.currency} and the counters are in {counted_in}; "
            "no sum mixes two currencies",
            "restart the agent, which begins new counters",
        )


class RunningAgent:
    """An agent from start to stop.

    Args:
        parts: what it runs on.

    Raises:
        GpustewardError: the address, the token file or the catalogue cannot be used.
    """

    def __init__(self, parts: Parts) -> None:
        self._parts = parts
        self._config = self._applied(parts.watch.config)
        self._refused: GpustewardError | None = None
        self._own_process = ProcessCollector(registry=None)
        book = price_book(self._config.pricing)
        self._exposure = self._exposed(self._config, book)
        self._pipeline = Pipeline(self._config, book, parts.mode)
        token_file = self._config.agent.bearer_token_file
        token = TokenFile(token_file) if token_file else None
        self._exposition = Exposition(parts.clock, render(None, self._exposure, self._own_process), token)
        self._server = Server(self._exposition, parts.listen)
        self._sampler = Sampler(parts.source, self._pipeline, self._publish, self._before_cycle, parts.clock)

    @property
    def address(self) -> str:
        """Where it listens."""
        return self._server.address

    def run(self, ready: Callable[[], None] = lambda: None) -> None:
        """Serve until SIGTERM or SIGINT; SIGHUP reads the config again. Call it from the main thread."""
        signal.signal(signal.SIGTERM, self._on_stop)
        signal.signal(signal.SIGINT, self._on_stop)
        signal.signal(signal.SIGHUP, self._on_reload)
        self.serve(ready)

    def serve(self, ready: Callable[[], None] = lambda: None) -> None:
        """Serve until `stop`, in whichever thread; signals are the caller's."""
        if self._parts.warmed_up_at is not None:
            minutes = self._config.sources.simulated.warmup_minutes
            warm_up(
                self._parts.source, self._pipeline, self._parts.warmed_up_at, minutes, self._sampler.stopped
            )
        thread = threading.Thread(target=self._sampler.run, name="sampler", daemon=True)
        thread.start()
        try:
            self._server.run(ready)
        finally:
            self._sampler.stop()
            thread.join(timeout=JOIN_SECONDS)
            self._parts.source.close()

    def stop(self) -> None:
        """Ask `serve` to return. From any thread or signal handler."""
        self._sampler.stop()
        self._server.stop()

    def _on_stop(self, _signal: int, _frame: FrameType | None) -> None:
        self.stop()

    def _on_reload(self, _signal: int, _frame: FrameType | None) -> None:
        self._parts.watch.request()
        self._sampler.wake()

    def _applied(self, config: Config) -> Config:
        """The config as this mode uses it: `node` is about this machine, which no simulated node is."""
        if self._parts.mode == "simulated":
            return config.model_copy(update={"node": NodeSettings()})
        return config

    def _before_cycle(self) -> float:
        """Take up a changed config; the interval in force."""
        watch = self._parts.watch
        changed = watch.poll()
        if changed is not None:
            self._take_up(changed)
        if watch.error is not self._refused:
            self._refused = watch.error
            if watch.error is not None:
                log.error("the changed config is refused and the old one runs on: %s", watch.error)
            self._exposure = self._exposed(self._config, self._pipeline.book)
        return self._config.agent.interval_seconds

    def _take_up(self, config: Config) -> None:
        config = self._applied(config)
        try:
            _require_currency(config.pricing, self._config.pricing.currency)
            book = price_book(config.pricing)
        except GpustewardError as error:
            self._parts.watch.refuse(error)
            return
        for path in restart_needed(self._config, config):
            log.warning("%s changed; it takes effect at the next start", path)
        self._config = config
        self._exposure = self._exposed(config, book)
        self._pipeline.reconfigure(config, book)
        log.info("config taken up")

    def _exposed(self, config: Config, book: PriceBook) -> Exposure:
        return Exposure(
            mode=self._parts.mode,
            currency=config.pricing.currency,
            catalogue_date=book.catalogue.as_of,
            cluster=config.cluster,
            holder_label_prefix=config.metrics.holder_label_prefix,
            series_budget=config.metrics.series_budget,
            reload_success=self._parts.watch.last_success,
            reloaded_at=self._parts.watch.last_success_at,
        )

    def _publish(self, snapshot: Snapshot) -> None:
        self._exposition.publish(snapshot, render(snapshot, self._exposure, self._own_process))
