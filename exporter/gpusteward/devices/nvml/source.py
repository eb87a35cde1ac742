"""The nvml source: asks the worker, and keeps one going."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Final

from gpusteward.devices.nvml import reasons
from gpusteward.devices.nvml.child import Child, WorkerDiedError, launch
from gpusteward.devices.nvml.frames import Gone, Sample
from gpusteward.devices.nvml.holders import Processes
from gpusteward.devices.nvml.readings import Translator
from gpusteward.errors import SourceError

if TYPE_CHECKING:
    from gpusteward.clock import Clock, Moment
    from gpusteward.config.settings import NvmlSettings
    from gpusteward.devices.nvml.child import Launch
    from gpusteward.model import Readings

DEFAULT_DEADLINE_SECONDS: Final = 2.0
"""Where the settings state none; `Config.nvml` does."""

DEATH_SECONDS: Final = 0.5
"""How long a killed worker may take to die. One that takes longer is held by the driver."""

LEAST_BACK_OFF_SECONDS: Final = 1.0
MOST_BACK_OFF_SECONDS: Final = 60.0


class NvmlSource:
    """Reads this machine's GPUs through NVML, in a worker process.

    A worker that does not answer is killed, and another is started after 1, 2, 4 … 60 seconds. One that
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
        self._retry_at = 0.0
        self._back_off = 0.0

    @property
    def name(self) -> str:
        """`nvml`."""
        return "nvml"

    @property
    def stuck(self) -> bool:
        """Whether a worker was killed and lives on all the same, as the last read found."""
        return self._stuck

    def read(self, at: Moment) -> Readings:
        """One sample; takes at most `deadline_seconds`.

        Raises:
            SourceError: with one of the reasons in `reasons`.
        """
        with self._lock:
            return self._translator.readings(self._sample(at), at)

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
            self._failure, self._back_off = None, 0.0
        finally:
            self._lock.release()

    def _sample(self, at: Moment) -> Sample:
        deadline = self._clock.now().monotonic + self._seconds
        child = self._child or self._start(at)
        try:
            answer = self._exchange(child, at, deadline)
        except WorkerDiedError as error:
            raise self._abandon(at, reasons.WORKER_DIED, f"the NVML worker died: {error}") from error
        if isinstance(answer, Sample):
            self._failure, self._back_off = None, 0.0
            return answer
        if isinstance(answer, Gone):
            raise self._abandon(at, answer.reason, answer.message)
        waited = at.monotonic - child.started
        if not child.answered and waited < self._settings.start_seconds:
            raise _error(reasons.STARTING, f"the driver is still being initialised, since {waited:.0f} s")
        raise self._abandon(at, reasons.TIMEOUT, f"NVML did not answer within {self._seconds:g} s")

    def _exchange(self, child: Child, at: Moment, deadline: float) -> Sample | Gone | None:
        """The answer to a question asked now; None when it does not come in time.

        A first answer may come late, while the driver wakes: it is of the past, and is asked for again.
        """
        if child.pending:
            late = child.answer(self._clock, deadline)
            if not isinstance(late, Sample):
                return late
        child.ask(at.monotonic)
        return child.answer(self._clock, deadline)

    def _start(self, at: Moment) -> Child:
        """A new worker, unless it is too early or the old one is still there."""
        patience = 0.0 if self._stuck else DEATH_SECONDS
        self._stuck = self._orphan is not None and not self._orphan.gone(patience)
        if self._orphan is not None and self._stuck:
            raise _error(reasons.STUCK, f"the NVML worker with pid {self._orphan.pid} cannot be killed")
        self._orphan = None
        left = self._retry_at - at.monotonic
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
        self._back_off = min(max(2 * self._back_off, LEAST_BACK_OFF_SECONDS), MOST_BACK_OFF_SECONDS)
        self._retry_at = at.monotonic + self._back_off
        if self._child is not None:
            self._child.kill()
            self._orphan = None if self._child.gone() else self._child
            self._child = None
        self._failure = _error(reason, message)
        return self._failure

    def _let_go(self) -> None:
        left = self._child or self._orphan  # there is never both
        if left is not None:
            left.end()
            self._child, self._orphan = None, None if left.gone() else left


def _error(reason: str, message: str) -> SourceError:
    return SourceError(message, reason, reasons.HINTS[reason])
