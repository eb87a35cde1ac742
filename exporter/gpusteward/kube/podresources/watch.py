"""The kubelet asked at the agent's own pace, and what it said last kept for a while.

A kubelet that restarts answers for a moment that no pod has anything, while all of them run on (recorded:
for a second). So an answer without any GPU held is believed only when a second one, some seconds later, says
the same; until then the last answer stands.
"""

from __future__ import annotations

import logging
import threading
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Final, Protocol

from gpusteward.errors import KubeError
from gpusteward.kube.podresources.answers import GpuResources, devices
from gpusteward.model import AttributionError, Holdings, KubeletDevices

if TYPE_CHECKING:
    from collections.abc import Callable

    from gpusteward.clock import Clock, Moment
    from gpusteward.kube.podresources.api_pb2 import AllocatableResourcesResponse, ListPodResourcesResponse

log = logging.getLogger(__name__)

KEPT_SECONDS: Final = 60.0
"""How long the last answer stands in for the next. Pods come and go: an older one would be a guess."""

CONFIRM_SECONDS: Final = 5.0
"""After an answer without holders, the time to the question that confirms it."""

FIRST_ANSWER_SECONDS: Final = 3.5
"""How long the first sample waits for the first answer, so that it does not begin as unknown."""

_FIRST_BACKOFF: Final = 1.0
_LONGEST_BACKOFF: Final = 15.0
_JOIN_SECONDS: Final = 0.5


class AsksKubelet(Protocol):
    """Asks the kubelet; PodResourcesClient is one. Its errors' reasons are AttributionError's."""

    def held(self) -> ListPodResourcesResponse:
        """All pods with their devices."""
        ...

    def advertised(self) -> AllocatableResourcesResponse:
        """All devices on offer."""
        ...

    def close(self) -> None:
        """Close what is open. Idempotent."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Asking:
    """What to ask for, and how often.

    Attributes:
        node: this node's name; empty when nobody told it.
        resources: which resources are GPUs.
        every_seconds: between two questions.
        demanded: whether there must be a kubelet; else one that was never there is no failure of ours.
    """

    node: str = ""
    resources: GpuResources = field(default_factory=GpuResources)
    every_seconds: float = 10.0
    demanded: bool = True


class HoldingsWatch:
    """Asks in a thread of its own, so that a dead kubelet holds up no sample.

    Args:
        client: asks the kubelet; used by the thread alone.
        asking: what to ask for.
        clock: the time.
        jitter: a number from 0 to 1, another each time, so that clients of one socket do not ask in step.
    """

    def __init__(
        self, client: AsksKubelet, asking: Asking, clock: Clock, jitter: Callable[[], float]
    ) -> None:
        self._client = client
        self._asking = asking
        self._clock = clock
        self._jitter = jitter
        self._lock = threading.Lock()
        self._known: KubeletDevices | None = None
        self._doubted_since: float | None = None
        self._ever_there = asking.demanded
        self._errors: dict[AttributionError, int] = {}
        self._reason = ""
        self._failures = 0
        self._asked = threading.Event()
        self._waited = False
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="kubelet", daemon=True)

    def start(self) -> None:
        """Begin to ask. Once."""
        self._thread.start()

    def holdings(self, at: Moment) -> Holdings:
        """What is known at this moment, from memory; only the first call waits for the first answer.

        Args:
            at: now; an answer older than KEPT_SECONDS is not used any more.
        """
        if not self._waited:
            self._waited = True
            self._clock.wait(self._asked, FIRST_ANSWER_SECONDS)
        with self._lock:
            known = self._known
            if known is not None and at.monotonic - known.at.monotonic > KEPT_SECONDS:
                known = None
            return Holdings(
                node=self._asking.node,
                devices=known,
                absent=not self._ever_there,
                errors=dict(self._errors),
            )

    def ask(self) -> float:
        """Ask once; seconds until the next time. The thread's step, and a test's."""
        try:
            answer = self._answer()
        except KubeError as error:
            return self._failed(AttributionError(error.reason), error)
        else:
            return self._learn(answer)
        finally:
            self._asked.set()  # after what was learnt: the first sample waits for this

    def close(self) -> None:
        """Ask no more. Idempotent. A question under way ends by its own deadline."""
        self._stop.set()
        if self._thread.is_alive():
            self._thread.join(_JOIN_SECONDS)

    def _run(self) -> None:
        while not self._stop.is_set():
            try:
                seconds = self.ask()
            except Exception:
                log.exception("asking the kubelet failed unexpectedly; please report this log")
                with self._lock:
                    self._count(AttributionError.INTERNAL)
                seconds = _LONGEST_BACKOFF
            self._clock.wait(self._stop, seconds)
        self._client.close()

    def _answer(self) -> KubeletDevices:
        """Both answers. A kubelet that does not tell what is on offer still tells who holds it."""
        listed = self._client.held()
        try:
            offered = self._client.advertised()
        except KubeError as error:
            if error.reason != AttributionError.UNIMPLEMENTED:
                raise
            offered = None
        return devices(listed, offered, self._asking.resources, self._clock.now())

    def _learn(self, answer: KubeletDevices) -> float:
        now = answer.at.monotonic
        with self._lock:
            self._ever_there = True
            doubtful = self._doubtful(answer, now)
            if not doubtful:
                self._known = replace(answer, advertised=self._still_advertised(answer))
        if doubtful:
            self._say(AttributionError.EMPTY_REPLY, "the kubelet says that no pod holds a GPU; asked again")
            return CONFIRM_SECONDS
        if self._reason:
            log.info("the kubelet says again who holds the GPUs")
        self._reason, self._failures = "", 0
        return self._asking.every_seconds * (0.9 + 0.2 * self._jitter())

    def _doubtful(self, answer: KubeletDevices, now: float) -> bool:
        """Whether it says that nobody holds anything, for the first time."""
        nobody = not answer.held and not answer.claimed
        if not nobody:
            self._doubted_since = None
            return False
        if self._known is not None and not self._known.held and not self._failures:
            return False  # as it was, and the kubelet was there all the while
        if self._doubted_since is None:
            self._doubted_since = now
            self._count(AttributionError.EMPTY_REPLY)
        return now - self._doubted_since < CONFIRM_SECONDS

    def _still_advertised(self, answer: KubeletDevices) -> frozenset[str] | None:
        """What is on offer, with what was on offer and is still held: an unhealthy device is left out."""
        if answer.advertised is None or self._known is None or self._known.advertised is None:
            return answer.advertised
        offered = {_device(device_id) for device_id in answer.advertised}
        held = {_device(device.device_id) for device in answer.held} - offered
        return answer.advertised | {known for known in self._known.advertised if _device(known) in held}

    def _failed(self, reason: AttributionError, error: KubeError) -> float:
        with self._lock:
            self._count(reason)
            if reason is not AttributionError.SOCKET_ABSENT:
                self._ever_there = True
        self._doubted_since = None
        self._say(reason, str(error))
        self._failures += 1
        most = min(_LONGEST_BACKOFF, _FIRST_BACKOFF * 2.0 ** min(self._failures, 10))
        return _FIRST_BACKOFF + (most - _FIRST_BACKOFF) * self._jitter()

    def _say(self, reason: AttributionError, words: str) -> None:
        if self._reason != reason:
            log.warning("%s", words)
        self._reason = reason

    def _count(self, reason: AttributionError) -> None:
        self._errors[reason] = self._errors.get(reason, 0) + 1


def _device(device_id: str) -> str:
    """A device id without its seat."""
    return device_id.partition("::")[0]
