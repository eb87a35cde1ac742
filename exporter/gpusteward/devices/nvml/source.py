"""The nvml source: asks the worker, and keeps one going."""

from __future__ import annotations

import threading
from contextlib import suppress
from typing import TYPE_CHECKING, Final

import msgspec

from gpusteward.devices.nvml import reasons
from gpusteward.devices.nvml.child import Child, WorkerDiedError, launch
from gpusteward.devices.nvml.frames import Ask, Gone, Sample
from gpusteward.devices.nvml.holders import Processes
from gpusteward.devices.nvml.readings import Translator
from gpusteward.devices.nvml.suspects import BackOff, Suspects
from gpusteward.errors import SourceError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from gpusteward.clock import Clock, Moment
    from gpusteward.config.settings import NvmlSettings
    from gpusteward.devices.nvml.child import Launch
    from gpusteward.model import Readings

DEFAULT_DEADLINE_SECONDS: Final = 2.0
"""Where the settings state none; `Config.nvml` does."""

DEATH_SECONDS: Final = 0.5
"""How long a killed worker may take to die. One that takes longer is held by the driver."""

MOMENT_SECONDS: Final = 0.05
"""How long a cycle that is over may wait for the death of its worker."""

MOST_XIDS_KEPT: Final = 1000
"""XIDs of a GPU that are kept while there are no readings to put them into. The first ones tell the cause."""


class NvmlSource:
    """Reads this machine's GPUs through NVML, in a worker process.

    A worker that does not answer is killed, and another is started after 1, 2, 4 … 60 seconds; at once where
    it is known which GPU it hung at, and that one is then left out until its own time to be tried. One that
    cannot be killed (the driver holds it) is left alone, and while it lives there is no other: at most one
    orphan.

    Args:
        settings: `sources.nvml`.
        node_name: the node.
        clock: to know when a deadline is over.
        in_cluster: whether this is a pod; holders are then the kubelet's to tell, not processes.
        launch: starts a worker.
    """

    def __init__(
        self,
        settings: NvmlSettings,
        node_name: str,
        clock: Clock,
        *,
        in_cluster: bool = False,
        launch: Launch = launch,
    ) -> None:
        self._settings = settings
        self._seconds = settings.deadline_seconds or DEFAULT_DEADLINE_SECONDS
        self._clock = clock
        self._launch = launch
        by_process = {"processes": True, "none": False}.get(settings.holders, not in_cluster)
        self._translator = Translator(node_name, Processes(settings.proc), hold=by_process)
        self._lock = threading.Lock()
        self._child: Child | None = None
        self._orphan: Child | None = None
        self._stuck = False
        self._failure: SourceError | None = None
        self._back_off = BackOff()
        self._suspects = Suspects()
        self._xids: dict[str, list[int]] = {}

    @property
    def name(self) -> str:
        """`nvml`."""
        return "nvml"

    @property
    def stuck(self) -> bool:
        """Whether a worker was killed and lives on all the same, as the last read found."""
        return self._stuck

    def read(self, at: Moment) -> Readings:
        """One sample; takes at most `deadline_seconds`, and `MOMENT_SECONDS` if a GPU hangs.

        Raises:
            SourceError: with one of the reasons in `reasons`.
        """
        with self._lock:
            sample = _with_xids(self._sample(at), self._xids)
            readings = self._translator.readings(sample, at)
            self._xids = {}
            return readings

    def close(self) -> None:
        """End the worker, and with it the use of the driver; a later read starts another.

        Idempotent; from any thread, also while a read waits.
        """
        child = self._child
        if not self._lock.acquire(blocking=False):
            if child is not None:
                child.interrupt()  # the read that waits for it then returns
            self._lock.acquire()
        try:
            self._let_go()
            self._failure, self._back_off = None, BackOff()
        finally:
            self._lock.release()

    def _sample(self, at: Moment) -> Sample:
        deadline = self._clock.now().monotonic + self._seconds
        child = self._child or self._start(at)
        try:
            answer = self._exchange(child, at, deadline)
        except WorkerDiedError as error:
            raise self._abandon(at, reasons.WORKER_DIED, f"the NVML worker died: {error}") from error
        finally:
            for bus_id, codes in child.progress.take_xids().items():
                self._xids[bus_id] = [*self._xids.get(bus_id, ()), *codes][:MOST_XIDS_KEPT]
        if isinstance(answer, Sample):
            self._failure = None
            self._back_off.well()
            return self._suspects.completed(answer)
        if isinstance(answer, Gone):
            raise self._abandon(at, answer.reason, answer.message)
        return self._part(child, at)

    def _part(self, child: Child, at: Moment) -> Sample:
        """What came before the deadline, when the rest did not: a GPU that hangs costs its own values."""
        progress, hung = child.progress, child.progress.unfinished()
        if not child.answered and self._wakes(child, at):
            raise self._waiting(at.monotonic - child.started)
        message = f"NVML did not answer within {self._seconds:g} s"
        if hung is None:
            raise self._abandon(at, reasons.TIMEOUT, message)
        already = hung.index in self._suspects.out()
        self._suspects.blame(hung.index, at.monotonic)
        part = progress.sample()
        if child.asked_at == at.monotonic and self._suspects.suffices(part):
            self._failure = None
            self._replace(at)
            return self._suspects.completed(part)
        if already:
            raise self._abandon(at, reasons.TIMEOUT, message)
        self._replace(at)
        raise _error(reasons.TIMEOUT, message)

    def _waiting(self, seconds: float) -> SourceError:
        """A new worker has not answered: what ended the one before it may still be so, and stands till then.

        Else a fault that lasts would be told with gaps, and who watches for one that lasts never see it.
        """
        before = self._failure
        if before is None:
            return _error(reasons.STARTING, f"the driver is still being initialised, since {seconds:.0f} s")
        message = f"{before.message}; a new worker has not answered yet, since {seconds:.0f} s"
        return SourceError(message, before.reason, before.hint)

    def _wakes(self, child: Child, at: Moment) -> bool:
        """Whether a worker that has not answered yet may only be waiting for a driver that slept.

        Not at a GPU that did not answer an earlier worker either, when others do: they are not kept waiting.
        """
        if at.monotonic - child.started >= self._settings.start_seconds:
            return False
        progress, turn = child.progress, child.progress.unfinished()
        if turn is None:
            return True
        if progress.gpus and turn.index in self._suspects.out():
            return False
        return not turn.awake or self._clock.now().monotonic - progress.since < self._seconds

    def _exchange(self, child: Child, at: Moment, deadline: float) -> Sample | Gone | None:
        """The answer to a question asked now; None when it does not come in time.

        A first answer may come late, while the driver wakes: it is of the past, and is asked for again.
        """
        if child.pending:
            late = child.answer(self._clock, deadline)
            if not isinstance(late, Sample):
                return late
        due = self._suspects.due(at.monotonic)
        last = [] if due is None else [due]
        child.ask(Ask(at.monotonic, skip=sorted(self._suspects.out() - {due}), last=last))
        return child.answer(self._clock, deadline)

    def _start(self, at: Moment) -> Child:
        """A new worker, unless it is too early or the old one is still there."""
        patience = 0.0 if self._stuck else DEATH_SECONDS
        self._stuck = self._orphan is not None and not self._orphan.gone(patience)
        if self._orphan is not None and self._stuck:
            raise _error(reasons.STUCK, f"the NVML worker with pid {self._orphan.pid} cannot be killed")
        self._orphan = None
        left = self._back_off.left(at.monotonic)
        if self._failure is not None and left > 0:
            before = self._failure
            raise SourceError(f"{before.message}; next try in {left:.0f} s", before.reason, before.hint)
        try:
            process = self._launch(self._settings.library, self._settings.driver_root)
        except OSError as error:
            raise self._abandon(
                at, reasons.WORKER_DIED, f"the NVML worker cannot be started: {error.strerror}"
            ) from error
        self._child = Child(process, at.monotonic)
        return self._child

    def _abandon(self, at: Moment, reason: str, message: str) -> SourceError:
        """Kill the worker, set the time of the next try, and say why."""
        self._back_off.failed(at.monotonic)
        self._kill()
        self._failure = _error(reason, message)
        return self._failure

    def _replace(self, at: Moment) -> None:
        """Kill the worker and start the next, which leaves out what this one hung at: nothing to wait for.

        If that can be done at once, it is up by the next cycle.
        """
        self._kill()
        if self._orphan is None or self._orphan.gone(MOMENT_SECONDS):
            with suppress(SourceError):
                self._start(at)

    def _kill(self) -> None:
        if self._child is not None:
            self._child.kill()
            self._orphan = None if self._child.gone() else self._child
            self._child = None

    def _let_go(self) -> None:
        left = self._child or self._orphan  # there is never both
        if left is not None:
            left.end()
            self._child, self._orphan = None, None if left.gone() else left


def _with_xids(sample: Sample, xids: Mapping[str, list[int]]) -> Sample:
    """The sample with these XIDs, by bus id; also of a GPU that was not read."""
    gpus = [
        msgspec.structs.replace(gpu, xids=xids[gpu.bus_id]) if gpu.bus_id in xids else gpu
        for gpu in sample.gpus
    ]
    return sample._replace(gpus=gpus)


def _error(reason: str, message: str) -> SourceError:
    return SourceError(message, reason, reasons.HINTS[reason])
