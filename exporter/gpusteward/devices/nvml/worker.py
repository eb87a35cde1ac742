"""The worker: a process that asks NVML for the agent, and can be killed when an answer does not come.

    python -m gpusteward.devices.nvml.worker LIBRARY DRIVER_ROOT

Questions come on standard input, answers go to standard output (`frames`), words to standard error. It ends
when its input does: no worker outlives its agent, even one whose call into the driver never returns.
"""

from __future__ import annotations

import os
import queue
import signal
import sys
import threading
from contextlib import suppress
from functools import partial
from typing import Final

from gpusteward.devices.nvml import frames
from gpusteward.devices.nvml.calls import Calls, LibraryError
from gpusteward.devices.nvml.library import load
from gpusteward.devices.nvml.sweep import Sweep

GRACE_SECONDS: Final = 0.5
"""How long the main thread has to end by itself once the agent is gone."""


class Questions:
    """The agent's questions, read in a thread of their own: it sees the agent's end while a call hangs.

    NVML is called without Python's lock, so a call that hangs holds up this thread only.
    """

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self._asked: queue.SimpleQueue[frames.Ask | None] = queue.SimpleQueue()
        self._over = threading.Event()
        threading.Thread(target=self._read, name="questions", daemon=True).start()

    def next(self) -> frames.Ask | None:
        """The next question; None = there will be no more."""
        return self._asked.get()

    def over(self) -> None:
        """The main thread is at its end."""
        self._over.set()

    def _read(self) -> None:
        with suppress(OSError, frames.FrameError, EOFError):
            while True:
                head = self._exactly(frames.LENGTH.size)
                self._asked.put(frames.ask_of(self._exactly(frames.length(head))))
        self._asked.put(None)
        if not self._over.wait(GRACE_SECONDS):
            os._exit(1)

    def _exactly(self, size: int) -> bytes:
        read = b""
        while len(read) < size:
            more = os.read(self._descriptor, size - len(read))
            if not more:
                raise EOFError
            read += more
        return read


def serve(library: str, driver_root: str, questions: Questions, answers: int) -> None:
    """Answer questions until there are no more, or the library is of no more use; that is the last answer.

    Args:
        library: as in `library.load`.
        driver_root: as there.
        questions: what the agent asks.
        answers: descriptor to write to.
    """
    calls = Calls()
    try:
        load(library, driver_root, calls)
        sweep = Sweep(calls)
        while (ask := questions.next()) is not None:
            sweep.sample(ask, partial(_write, answers))
    except LibraryError as error:
        _write(answers, frames.Gone(error.reason, error.message))


def _write(descriptor: int, answer: frames.Answer) -> None:
    left = memoryview(frames.packed(answer))
    while left:
        left = left[os.write(descriptor, left) :]


def main(arguments: list[str]) -> None:
    """Run the worker; the library's own words cannot get between the frames."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the agent's to answer
    answers = os.dup(1)
    os.dup2(2, 1)
    questions = Questions(0)
    library, driver_root = arguments
    try:
        with suppress(BrokenPipeError):
            serve(library, driver_root, questions, answers)
    finally:
        questions.over()


if __name__ == "__main__":
    main(sys.argv[1:])
