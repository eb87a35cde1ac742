"""The error tree. Foreign exceptions are translated into it once, at the adapter, `from` the original.

GpustewardError
├── ConfigError     what a person wrote: every problem at once, each with its path and remedy
├── CatalogueError  price, model or MIG data that fails its checks
├── KubeError       the API server did not give what it was asked for
└── SourceError     a device source gave nothing this cycle (a part that failed is data, not an error)
"""

from __future__ import annotations

from dataclasses import dataclass


class GpustewardError(Exception):
    """An expected failure.

    Args:
        message: what happened, one sentence.
        hint: what the reader can do next, one sentence; empty when there is nothing to do.
    """

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint

    def __str__(self) -> str:
        return f"{self.message}\n  next: {self.hint}" if self.hint else self.message


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing wrong in something a person wrote.

    Attributes:
        path: where, as the file spells it: `sources.dcgm.url`, or `prices.csv:12`.
        message: what is wrong.
        remedy: what to write instead.
    """

    path: str
    message: str
    remedy: str = ""

    def __str__(self) -> str:
        remedy = f" ({self.remedy})" if self.remedy else ""
        return f"{self.path}: {self.message}{remedy}"


class ProblemsError(GpustewardError):
    """All problems of one file at once, in the order of the file."""

    def __init__(self, message: str, problems: tuple[Problem, ...], hint: str = "") -> None:
        super().__init__(message, hint)
        self.problems = problems

    def __str__(self) -> str:
        return "\n".join([self.message, *(f"  - {problem}" for problem in self.problems)])


class ConfigError(ProblemsError):
    """A config file that cannot be used."""


class CatalogueError(ProblemsError):
    """Catalogue rows that fail their load-time checks."""


class SourceError(GpustewardError):
    """A device source gave no readings this cycle.

    Args:
        message: what happened.
        reason: a short word for the `reason` label of the health series (closed per source).
        hint: the next step.
    """

    def __init__(self, message: str, reason: str, hint: str = "") -> None:
        super().__init__(message, hint)
        self.reason = reason


class KubeError(GpustewardError):
    """The API server did not give what it was asked for.

    Args:
        message: what happened.
        reason: a short word of a closed list.
        hint: the next step.
        retry_after: seconds that the server asks us to wait; None when it did not say.
    """

    def __init__(self, message: str, reason: str, hint: str = "", retry_after: float | None = None) -> None:
        super().__init__(message, hint)
        self.reason = reason
        self.retry_after = retry_after
