"""What every test may use: golden files with a switch that rewrites them, property tests without a clock."""

from __future__ import annotations

import difflib
from pathlib import Path
from typing import Protocol

import pytest
from hypothesis import HealthCheck, settings

ROOT = Path(__file__).resolve().parent.parent

# How fast the machine is today is no property of the code: no deadline, no complaint about slow examples.
settings.register_profile("unhurried", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("unhurried")


class Golden(Protocol):
    """Compares a text with a committed file."""

    def __call__(self, text: str, relative_path: str) -> None:
        """Fail, with a unified diff, unless the file holds exactly this text; paths from the repo root."""
        ...


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--update-golden",
        action="store_true",
        help="write golden files instead of comparing; the diff in git is the review",
    )


@pytest.fixture
def golden(request: pytest.FixtureRequest) -> Golden:
    update = bool(request.config.getoption("--update-golden"))

    def compare(text: str, relative_path: str) -> None:
        path = ROOT / relative_path
        actual = text.encode()
        if update:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(actual)
            return
        if not path.is_file():
            pytest.fail(f"{relative_path} does not exist; write it with --update-golden", pytrace=False)
        expected = path.read_bytes()
        if actual != expected:
            pytest.fail(_difference(expected, actual, relative_path), pytrace=False)

    return compare


def _difference(expected: bytes, actual: bytes, relative_path: str) -> str:
    lines = difflib.unified_diff(
        expected.decode(errors="backslashreplace").splitlines(keepends=True),
        actual.decode(errors="backslashreplace").splitlines(keepends=True),
        f"{relative_path} (committed)",
        f"{relative_path} (now)",
    )
    shown = "".join(line if line.endswith("\n") else f"{line}\n(no newline at the end)\n" for line in lines)
    return f"{relative_path} differs; if meant, run pytest --update-golden and review the diff\n{shown}"
