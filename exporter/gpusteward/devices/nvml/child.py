"""The worker as the agent sees it: a child process, a pipe to it, a pipe from it, and nothing that blocks."""

from __future__ import annotations

import os
import select
import subprocess  # noqa: TID251 - the one program that we start: NVML must be where it can be killed
import sys
from contextlib import suppress
from typing import TYPE_CHECKING, Final, Protocol

from gpusteward.devices.nvml import frames
from gpusteward.devices.nvml.progress import Progress

if TYPE_CHECKING:
    from gpusteward.clock import Clock

WORKER: Final = "gpusteward.devices.nvml.worker"
CLOSE_SECONDS: Final = 1.0
"""How long an orderly end may take; the descriptors of the driver are closed by then, or it is killed."""

_READ_BYTES: Final = 1 << 16


class WorkerDiedError(Exception):
    """The worker ended, or spoke out of turn, without a last word."""


class Launch(Protocol):
    """Starts a worker: `launch`, but in tests."""

    def __call__(self, library: str, driver_root: str) -> subprocess.Popen[bytes]:
        """A process whose standard input and output are pipes, unbuffered."""
        ...


def launch(library: str, driver_root: str) -> subprocess.Popen[bytes]:
    """Start a worker in a fresh interpreter (exec, never a fork of the agent's threads and memory).

    Args:
        library: as in `library.load`.
        driver_root: as there.
    """
    command = (sys.executable, "-P", "-m", WORKER, library, driver_root)
    return subprocess.Popen(  # noqa: S603 - our own interpreter and module; no shell
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, bufsize=0
    )


class Child:
    """A worker and what is known of it.

    Args:
        process: with pipes, as `launch` gives it.
        started: monotonic seconds.

    Attributes:
        started: as given; once it was asked, when it was asked first: the driver wakes for a question.
        pending: whether a question waits for its answer.
        answered: whether it has ever answered.
        progress: what has come of the present sample.
        asked_at: monotonic seconds of the last question; None before the first.
    """

    def __init__(self, process: subprocess.Popen[bytes], started: float) -> None:
        if process.stdin is None or process.stdout is None:
            raise ValueError("a worker needs pipes")
        self._process = process
        self._stdin, self._stdout = process.stdin, process.stdout
        self._received = bytearray()
        self.started = started
        self.pending = False
        self.answered = False
        self.progress = Progress()
        self.asked_at: float | None = None

    @property
    def pid(self) -> int:
        """Its process id."""
        return self._process.pid

    def ask(self, question: frames.Ask) -> None:
        """Send a question. A worker that is gone is noticed when its answer is read."""
        self.pending = True
        self.started = self.started if self.asked_at is not None else question.at
        self.asked_at = question.at
        self.progress.restart()
        with suppress(OSError):
            self._stdin.write(frames.packed(question))

    def answer(self, clock: Clock, deadline: float) -> frames.Sample | frames.Gone | None:
        """The whole answer; None when its end has not come by `deadline`, in monotonic seconds.

        Raises:
            WorkerDiedError: the worker ended or sent something else.
        """
        while (frame := self._frame(clock, deadline)) is not None:
            whole = (
                frame if isinstance(frame, frames.Gone) else self.progress.take(frame, clock.now().monotonic)
            )
            if whole is not None:
                self.pending = False
                self.answered = True
                return whole
        return None

    def _frame(self, clock: Clock, deadline: float) -> frames.Answer | None:
        poll = select.poll()
        poll.register(self._stdout, select.POLLIN)
        while (body := self._body()) is None:
            left = deadline - clock.now().monotonic
            if left <= 0 or not poll.poll(left * 1000):
                return None
            read = os.read(self._stdout.fileno(), _READ_BYTES)
            if not read:
                raise WorkerDiedError("it ended without a word")
            self._received += read
        try:
            return frames.answer_of(body)
        except frames.FrameError as error:
            raise WorkerDiedError(f"it sent no answer: {error}") from error

    def interrupt(self) -> None:
        """Kill it under a read in another thread, which then learns of its end."""
        self._process.kill()

    def kill(self) -> None:
        """Kill it and let go of the pipes; never waits. `gone` tells when it is really gone."""
        self._process.kill()
        for pipe in (self._stdin, self._stdout):
            with suppress(OSError):
                pipe.close()

    def end(self) -> None:
        """Let it end by itself; one that does not within `CLOSE_SECONDS` is killed."""
        with suppress(OSError):
            self._stdin.close()
        with suppress(subprocess.TimeoutExpired):
            self._process.wait(timeout=CLOSE_SECONDS)
        self.kill()

    def gone(self, patience: float = 0.0) -> bool:
        """Whether the process has ended, within so many seconds. Once it has, nothing of it is left."""
        with suppress(subprocess.TimeoutExpired):
            self._process.wait(timeout=patience)
        return self._process.returncode is not None

    def _body(self) -> bytes | None:
        """The first whole frame of what was received, taken out."""
        head = frames.LENGTH.size
        if len(self._received) < head:
            return None
        try:
            size = frames.length(bytes(self._received[:head]))
        except frames.FrameError as error:
            raise WorkerDiedError(str(error)) from error
        if len(self._received) < head + size:
            return None
        body = bytes(self._received[head : head + size])
        del self._received[: head + size]
        return body
