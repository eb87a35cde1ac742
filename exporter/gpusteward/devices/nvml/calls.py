"""How the worker calls NVML: what a refusal means, what is remembered of it, what is counted.

A refusal costs only the value that was asked for, unless the code says that the GPU, or the library, is of no
more use. pynvml has no type annotations; every value is given its type where it is taken.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, TypeVar

import pynvml as nvml

from gpusteward.devices.nvml import reasons

if TYPE_CHECKING:
    from collections.abc import Callable

T = TypeVar("T")

LIBRARY_OF_NO_USE: Final = {
    nvml.NVML_ERROR_UNINITIALIZED: reasons.UNKNOWN_ERROR,
    nvml.NVML_ERROR_DRIVER_NOT_LOADED: reasons.DRIVER_NOT_LOADED,
    nvml.NVML_ERROR_LIBRARY_NOT_FOUND: reasons.LIBRARY_MISSING,
    nvml.NVML_ERROR_LIB_RM_VERSION_MISMATCH: reasons.DRIVER_MISMATCH,
}
"""Codes after which only another process can do better, with the reason to give."""

GPU_OF_NO_USE: Final = frozenset({nvml.NVML_ERROR_GPU_IS_LOST, nvml.NVML_ERROR_RESET_REQUIRED})
"""Codes of a GPU that answers nothing any more."""

NOT_THERE: Final = frozenset({nvml.NVML_ERROR_NOT_SUPPORTED, nvml.NVML_ERROR_FUNCTION_NOT_FOUND})
"""Codes that say that this board, or this driver, has no such value: no error, and not soon asked again."""

_CODE_NAMES: Final = {
    value: name.removeprefix("NVML_ERROR_")
    for name, value in vars(nvml).items()
    if name.startswith("NVML_ERROR_") and isinstance(value, int)
}


def code_name(code: int) -> str:
    """NVML's own word for a return code: `NOT_FOUND` for 6."""
    return str(_CODE_NAMES.get(code, code))


class LibraryError(Exception):
    """The worker must end.

    Args:
        reason: one of `reasons.HINTS`.
        message: what happened, one sentence.
    """

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason = reason
        self.message = message


class GpuError(Exception):
    """This GPU cannot be read.

    Args:
        code: the NVML return code.
    """

    def __init__(self, code: int) -> None:
        super().__init__(code_name(code))
        self.code = code


class Support:
    """What one device has said it does not have: functions by name, fields by id. Never of two devices."""

    def __init__(self) -> None:
        self.lacks: set[str | int] = set()


class Calls:
    """Calls into NVML, with the errors of the present sample."""

    def __init__(self) -> None:
        self._errors: dict[tuple[str, int], int] = {}
        self._codes: set[int] = set()

    def errors(self) -> list[tuple[str, str, int]]:
        """(function, code's name, how often) since the last time that this was asked."""
        counted = [(name, code_name(code), count) for (name, code), count in self._errors.items()]
        self._errors = {}
        return counted

    def codes(self) -> set[int]:
        """Codes of the calls that failed since the last time that this was asked."""
        codes, self._codes = self._codes, set()
        return codes

    def must(self, call: Callable[..., T], *arguments: object) -> T:
        """A value without which there is no sample at all.

        Raises:
            LibraryError: it was refused.
        """
        try:
            return call(*arguments)
        except nvml.NVMLError as error:
            reason = LIBRARY_OF_NO_USE.get(error.value, reasons.UNKNOWN_ERROR)
            if error.value == nvml.NVML_ERROR_NO_PERMISSION:
                reason = reasons.NO_PERMISSION
            raise LibraryError(reason, f"{call.__name__} answered {code_name(error.value)}") from error

    def gpu(self, call: Callable[..., T], *arguments: object) -> T:
        """A value without which there is no reading of this GPU.

        Raises:
            GpuError: it was refused.
            LibraryError: so would be anything else.
        """
        try:
            return call(*arguments)
        except nvml.NVMLError as error:
            self.refused(call.__name__, error)
            raise GpuError(error.value) from error

    def ask(self, support: Support | None, call: Callable[..., T], *arguments: object) -> T | None:
        """A value that may be missing; None = it is.

        Args:
            support: remembers a value that is not there; None = nothing is, and it is asked for every time.
            call: asks for it.
            arguments: of the call.

        Raises:
            GpuError: the GPU answers nothing any more.
            LibraryError: the library does not.
        """
        name = call.__name__
        if support is not None and name in support.lacks:
            return None
        try:
            return call(*arguments)
        except nvml.NVMLError as error:
            if error.value in NOT_THERE:
                if support is not None:
                    support.lacks.add(name)
                return None
            self.refused(name, error)
            if error.value in GPU_OF_NO_USE:
                raise GpuError(error.value) from error
            return None

    def done(self, support: Support | None, call: Callable[..., None], *arguments: object) -> bool:
        """Whether a call that gives no value went well.

        Raises:
            GpuError: the GPU answers nothing any more.
            LibraryError: the library does not.
        """

        def told(*arguments: object) -> bool:
            call(*arguments)
            return True

        told.__name__ = call.__name__
        return self.ask(support, told, *arguments) or False

    def refused(self, name: str, error: nvml.NVMLError) -> None:
        """Count a failed call.

        Raises:
            LibraryError: every other call would fail as well.
        """
        reason = LIBRARY_OF_NO_USE.get(error.value)
        if reason is not None:
            raise LibraryError(reason, f"{name} answered {code_name(error.value)}") from error
        self.count(name, error.value)

    def count(self, name: str, code: int) -> None:
        """Count a call that failed with this code."""
        self._codes.add(code)
        key = (name, code)
        self._errors[key] = self._errors.get(key, 0) + 1
