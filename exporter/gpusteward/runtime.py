"""A running agent: the sampler's thread beside the HTTP server's, and what a changed config changes.

Constructs no adapter: the source comes from a composition root.
"""

from __future__ import annotations

import logging
import signal
import threading
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec
from prometheus_client import ProcessCollector

from gpusteward.config import NodeSettings, restart_needed
from gpusteward.errors import GpustewardError
from gpusteward.exposition import Exposition, Server, TokenFile
from gpusteward.journal import Disk, Identity, Recorder, boot_id
from gpusteward.metrics.exposure import Exposure
from gpusteward.metrics.page import render
from gpusteward.pricing import PriceBook, bundled_catalogue, load_catalogue
from gpusteward.sampler import Sampler, warm_up
from gpusteward.snapshot import Pipeline, PipelineState

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
        node: this agent's node, to which its checkpoints belong.
    """

    watch: ConfigWatch
    source: DeviceSource
    clock: Clock
    mode: str
    listen: str
    warmed_up_at: Moment | None = None
    node: str = ""


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


LAST_SAMPLE_SECONDS = 1.0
"""At a stop a last sample is taken if the one before it took less than this."""


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
        self._last: Snapshot | None = None
        token_file = self._config.agent.bearer_token_file
        token = TokenFile(token_file) if token_file else None
        self._recorder = self._keep_journal()
        waiting = render(None, self._exposure, self._own_process)
        journal = None if self._recorder is None else self._recorder.log
        self._exposition = Exposition(parts.clock, waiting, token, journal)
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
        resumed = self._resume()
        if self._parts.warmed_up_at is not None and not resumed:
            minutes = self._config.sources.simulated.warmup_minutes
            warm_up(
                self._parts.source, self._pipeline, self._parts.warmed_up_at, minutes, self._sampler.stopped
            )
            self._pipeline.open_rows.discard(self._parts.warmed_up_at.monotonic)  # made up twice, else
        thread = threading.Thread(target=self._sampler.run, name="sampler", daemon=True)
        thread.start()
        try:
            self._server.run(ready)
        finally:
            self._sampler.stop()
            thread.join(timeout=JOIN_SECONDS)
            self._finish(sampling=thread.is_alive())
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
        self._last = snapshot
        journal = None if self._recorder is None else self._recorder.health()
        exposure = replace(self._exposure, journal=journal)
        self._exposition.publish(snapshot, render(snapshot, exposure, self._own_process))
        if self._recorder is None:
            self._pipeline.open_rows.discard(snapshot.at.monotonic)
            return
        try:
            self._recorder.record(self._pipeline, snapshot.at)
        except Exception:  # a bug of the journal's is no failure of the sample
            log.exception("journal: recording failed unexpectedly")

    def _keep_journal(self) -> Recorder | None:
        """The modes are never mixed: each has a folder of its own."""
        folder = self._config.agent.state_dir
        if not folder:
            return None
        identity = Identity(
            boot=boot_id(),
            node=self._parts.node,
            mode=self._parts.mode,
            currency=self._config.pricing.currency,
        )
        return Recorder(Disk(Path(folder) / self._parts.mode), identity)

    def _resume(self) -> bool:
        """Go on where the last agent ended; whether there was anything to go on from."""
        resumed = None if self._recorder is None else self._recorder.resume(self._parts.clock.now())
        if resumed is None:
            return False
        try:
            state = msgspec.json.decode(resumed.state, type=PipelineState)
        except msgspec.DecodeError as error:
            log.warning("journal: the checkpoint is not understood (%s); counters begin anew", error)
            return False
        self._pipeline.load(state, resumed.stopped, counters=resumed.counters)
        log.info("going on from a checkpoint; counters %s", "go on" if resumed.counters else "begin anew")
        return True

    def _finish(self, *, sampling: bool) -> None:
        """A last sample, where one comes quickly, and a last checkpoint: a stop on request loses nothing."""
        last = self._last
        if self._recorder is None or last is None or sampling:
            return  # a read that hangs is left alone; the checkpoint before it stands
        if last.health.success and last.health.duration_seconds < LAST_SAMPLE_SECONDS:
            with suppress(Exception):  # whatever it is, the sample before it stands
                self._sampler.cycle(self._parts.clock.now())
        self._recorder.finish(self._pipeline, self._last.at if self._last else last.at)
