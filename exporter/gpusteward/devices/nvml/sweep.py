"""One sample: every GPU found anew, each read for itself, so that a bad one costs only its own values."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import pynvml as nvml

from gpusteward.devices.nvml.board import Board
from gpusteward.devices.nvml.calls import Calls, GpuError
from gpusteward.devices.nvml.events import Events
from gpusteward.devices.nvml.frames import Began, Done, Gpu, Happened, Read, Turn
from gpusteward.devices.nvml.gpm import Gpm

if TYPE_CHECKING:
    from collections.abc import Callable

    from gpusteward.devices.nvml.frames import Ask, Instance, Part


class _Found(NamedTuple):
    """What is at an index: a board with its handle, or the code that keeps it from being known."""

    at: int
    board: Board | None
    handle: Any
    code: int


class Sweep:
    """Takes samples.

    Args:
        calls: how NVML is called; the library is initialised.
    """

    def __init__(self, calls: Calls) -> None:
        self._calls = calls
        self._gpm = Gpm(calls)
        self._events = Events(calls)
        self._boards: dict[str, Board] = {}
        self._driver = str(calls.must(nvml.nvmlSystemGetDriverVersion))

    def sample(self, ask: Ask, tell: Callable[[Part], None]) -> None:
        """Read the GPUs as asked, and tell each part of the sample before the next call that may not return.

        Raises:
            LibraryError: the library is of no more use.
        """
        try:
            self._events.drain()
        finally:
            xids = self._events.take_xids()
            if xids:
                tell(Happened(xids))
        count = int(self._calls.must(nvml.nvmlDeviceGetCount))
        tell(Began(self._driver, count))
        first = [index for index in range(count) if index not in ask.skip and index not in ask.last]
        self._round(first, ask.at, tell, complete=len(first) == count)
        self._round([index for index in ask.last if index < count], ask.at, tell, complete=False)
        self._gpm.forget_unseen()
        tell(Done(self._calls.errors()))

    def _round(self, indices: list[int], at: float, tell: Callable[[Part], None], *, complete: bool) -> None:
        """Read these GPUs; those that cannot be found come last, once it is known who is missing."""
        found = []
        for index in indices:
            tell(Turn(index, awake=False))
            place = self._find(index)
            found.append(place)
            if place.code == nvml.NVML_SUCCESS:
                tell(Turn(index, awake=True))
                tell(Read(self._read(at, *place)))
        for place in self._recognised(found, complete=complete):
            if place.code != nvml.NVML_SUCCESS:
                tell(Read(self._read(at, *place)))

    def _find(self, index: int) -> _Found:
        board = None
        try:
            handle = self._calls.gpu(nvml.nvmlDeviceGetHandleByIndex, index)
            bus_id = str(self._calls.gpu(nvml.nvmlDeviceGetPciInfo, handle).busId)
            board = self._boards.get(bus_id)
            uuid = str(self._calls.gpu(nvml.nvmlDeviceGetUUID, handle))
            if board is None or board.uuid != uuid:
                model = str(self._calls.gpu(nvml.nvmlDeviceGetName, handle))
                board = self._boards[bus_id] = Board(bus_id, uuid, model)
        except GpuError as error:
            return _Found(index, board, None, error.code)
        board.index = index
        return _Found(index, board, handle, nvml.NVML_SUCCESS)

    def _recognised(self, found: list[_Found], *, complete: bool) -> list[_Found]:
        """Give those that cannot say who they are the identity of a board that was seen and is missing.

        Boards that are not among these are forgotten when all are well, if these are all that there are.
        The one of the same index first: the order changes only with a restart of the driver.
        """
        present = {place.board.bus_id for place in found if place.board}
        missing = {board.index: board for bus_id, board in self._boards.items() if bus_id not in present}
        if complete and all(place.code == nvml.NVML_SUCCESS for place in found):
            for board in missing.values():
                del self._boards[board.bus_id]
            return found
        return [place._replace(board=place.board or missing.get(place.at)) for place in found]

    def _read(self, at: float, index: int, board: Board | None, handle: object, code: int) -> Gpu:
        if board is None:
            return Gpu(
                index, "", "", "", code, mig=False, signals={}, instances=[], processes=None, xids=None
            )
        if code == nvml.NVML_SUCCESS:
            try:
                return self._values(at, index, board, handle)
            except GpuError as error:
                code = error.code
        board.forget()
        return self._frame(index, board, code, board.identities())

    def _values(self, at: float, index: int, board: Board, handle: object) -> Gpu:
        calls = self._calls
        if board.minor is None:  # who it is, like its UUID: before what is read of it begins to count
            board.minor = calls.ask(board.support, nvml.nvmlDeviceGetMinorNumber, handle)
        calls.codes()
        board.expire(at)
        self._take_mode(board, handle)
        self._events.register(board.bus_id, handle, board.support)
        if self._events.divided(board.bus_id):
            board.divide()
        signals = board.read(calls, self._gpm, handle, at)
        frame = self._frame(
            index, board, nvml.NVML_SUCCESS, board.read_instances(calls, self._gpm, handle, at)
        )
        frame.signals = signals
        frame.processes = board.read_processes(calls, handle)
        codes = calls.codes()
        if codes and _says_nothing(frame):
            raise GpuError(_only(codes))
        return frame

    def _take_mode(self, board: Board, handle: object) -> None:
        """The MIG mode. Where it is refused it is as it was: a divided GPU is not whole for that.

        Raises:
            GpuError: it was never known, or the GPU answers nothing any more.
        """
        modes = self._calls.ask(board.support, nvml.nvmlDeviceGetMigMode, handle)  # [current, pending]
        if modes is not None:
            board.set_mig(on=modes[0] == nvml.NVML_DEVICE_MIG_ENABLE)
        elif board.mig is None:
            codes = self._calls.codes()
            if codes:
                raise GpuError(_only(codes))
            board.set_mig(on=False)  # it has none

    def _frame(self, index: int, board: Board, code: int, instances: list[Instance]) -> Gpu:
        return Gpu(
            index=index,
            uuid=board.uuid,
            model=board.model,
            bus_id=board.bus_id,
            code=code,
            mig=bool(board.mig),
            signals={},
            instances=instances,
            processes=None,
            xids=[] if self._events.reports(board.bus_id) else None,
            minor=board.minor,
        )


def _says_nothing(gpu: Gpu) -> bool:
    """Whether all that is known of a GPU is who it is."""
    return not (
        gpu.signals
        or gpu.processes is not None
        or any(instance.signals or instance.processes is not None for instance in gpu.instances)
    )


def _only(codes: set[int]) -> int:
    """The code that all refusals have in common; unknown error when there is none."""
    return next(iter(codes)) if len(codes) == 1 else int(nvml.NVML_ERROR_UNKNOWN)
