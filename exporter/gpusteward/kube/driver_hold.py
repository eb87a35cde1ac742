"""Whether the driver must be let go: NVIDIA's operator says so by labels of the Node.

Before it unloads the driver (k8s-driver-manager) or changes the MIG layout (mig-parted), the operator sets
each of its `nvidia.com/gpu.deploy.<component>` labels that is in use to `paused-for-driver-upgrade` or
`paused-for-mig-change`, waits for those pods to end, and sets them back to `true` when it is done. A client
that keeps NVML open makes that fail with "module is in use".
"""

from __future__ import annotations

import logging
import threading
from typing import TYPE_CHECKING, Final, Protocol

from gpusteward.errors import KubeError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from gpusteward.clock import Clock
    from gpusteward.kube.objects import Node

log = logging.getLogger(__name__)

DEPLOY_PREFIX: Final = "nvidia.com/gpu.deploy."
PAUSED: Final = "paused-for-"
"""Begins the word for a pause; an older word may stand before it, as in `pre-installed_paused-for-...`."""

POLL_SECONDS: Final = 10.0
"""The operator waits for pods that take up to 30 s to end, so this is soon enough."""

FIRST_ANSWER_SECONDS: Final = 3.0
"""How long the first question waits: an agent that starts amid an upgrade must not take the driver up."""

_FIRST_BACKOFF: Final = 0.5
_LONGEST_BACKOFF: Final = 30.0
_JOIN_SECONDS: Final = 0.5
_JITTER: Final = 0.2


class ReadsNode(Protocol):
    """Reads this agent's Node; NodeClient is one."""

    def get(self) -> Node:
        """The Node.

        Raises:
            KubeError: it could not be read.
        """
        ...

    def close(self) -> None:
        """Close what is open. Idempotent."""
        ...


def paused_by(labels: Mapping[str, str]) -> str:
    """The first label that asks clients to let the driver go, as `key=value`; empty when none does."""
    asking = (
        f"{key}={value}"
        for key, value in sorted(labels.items())
        if key.startswith(DEPLOY_PREFIX) and PAUSED in value
    )
    return next(asking, "")


class DriverHold:
    """Asks for the Node in a thread of its own, so that a dead API server holds up no sample.

    What was known last stands while the Node cannot be read: a driver that was let go is not taken up again
    on a guess. Until something is known nothing is held up.

    Args:
        client: reads the Node; used by the thread alone.
        clock: the time.
        jitter: a number from 0 to 1, another each time, so that agents do not ask in step.

    Attributes:
        known: whether the last question was answered; None before the first.
        failing: why the last question failed, and the Unix time since which they all did; None when it did
            not.
    """

    def __init__(self, client: ReadsNode, clock: Clock, jitter: Callable[[], float]) -> None:
        self.known: bool | None = None
        self.failing: tuple[KubeError, float] | None = None
        self._client = client
        self._clock = clock
        self._jitter = jitter
        self._label = ""
        self._failures = 0
        self._asked = threading.Event()
        self._waited = False
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="driver-hold", daemon=True)

    def start(self) -> None:
        """Begin to ask. Once."""
        self._thread.start()

    def paused(self) -> str:
        """The label that asks to let the driver go, as was known last; empty when none does.

        The first call waits for the first answer, for at most FIRST_ANSWER_SECONDS; no other waits.
        """
        if not self._waited:
            self._waited = True
            self._clock.wait(self._asked, FIRST_ANSWER_SECONDS)
        return self._label

    def ask(self) -> float:
        """Ask once; seconds until the next time. The thread's step, and a test's."""
        try:
            label = paused_by(self._client.get().labels)
        except KubeError as error:
            self._failed(error)
            return self._backoff(error)
        else:
            self._learn(label)
        finally:
            self._asked.set()  # after what was learnt: the first sample waits for this
        return POLL_SECONDS * (1 + _JITTER * (self._jitter() - 0.5))

    def close(self) -> None:
        """Ask no more. Idempotent. A question under way ends by its own deadline."""
        self._stop.set()
        self.join(_JOIN_SECONDS)

    def join(self, seconds: float) -> None:
        """Wait at most so long for the thread's end."""
        if self._thread.is_alive():
            self._thread.join(seconds)

    def _run(self) -> None:
        while not self._stop.is_set():
            try:
                seconds = self.ask()
            except Exception:
                log.exception("asking for the node failed unexpectedly; please report this log")
                seconds = _LONGEST_BACKOFF
            self._clock.wait(self._stop, seconds)
        self._client.close()

    def _learn(self, label: str) -> None:
        if self.failing is not None:
            log.info("the node's labels can be read again")
        if label != self._label:
            log.info("the driver is to be let go: %s", label) if label else log.info("the driver may be used")
        self._label, self.known, self.failing, self._failures = label, True, None, 0

    def _failed(self, error: KubeError) -> None:
        before, since = self.failing or (None, self._clock.now().wall)
        if before is None or before.reason != error.reason:
            kept = f"; {self._label} stands as it was" if self._label else ""
            log.warning("whether the driver is to be let go cannot be told%s: %s", kept, error)
        self.known, self.failing = False, (error, since)
        self._failures += 1

    def _backoff(self, error: KubeError) -> float:
        """Doubling, with full jitter above the first step; never before the server wants to be asked."""
        most = min(_LONGEST_BACKOFF, _FIRST_BACKOFF * 2.0 ** min(self._failures, 10))
        wait = _FIRST_BACKOFF + (most - _FIRST_BACKOFF) * self._jitter()
        return max(wait, error.retry_after or 0.0)
