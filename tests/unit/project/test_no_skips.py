"""The plugin is tried on a suite of its own, in a pytest of its own."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[3]
SUITE = {
    "skips": "import pytest\ndef test_it():\n    pytest.skip('no promtool')\n",
    "skips in a fixture": (
        "import pytest\n@pytest.fixture\ndef tool():\n    pytest.skip('no promtool')\n"
        "def test_it(tool): ...\n"
    ),
    "skips by a mark": "import pytest\n@pytest.mark.skip(reason='no promtool')\ndef test_it(): ...\n",
    "skips as a module": "import pytest\npytest.skip('no promtool', allow_module_level=True)\n",
}
HARMLESS = {
    "passes": "def test_it():\n    assert True\n",
    "fails as expected": (
        "import pytest\n@pytest.mark.xfail(reason='known')\ndef test_it():\n    assert False\n"
    ),
}


def run_pytest(tmp_path: Path, source: str, ci: str) -> subprocess.CompletedProcess[str]:
    (tmp_path / "test_sample.py").write_text(source)
    return subprocess.run(
        [
            sys.executable,
            "-m",
            "pytest",
            "-p",
            "tests.no_skips",
            "-p",
            "no:cacheprovider",
            "-rs",
            str(tmp_path),
        ],
        cwd=tmp_path,
        env=os.environ | {"CI": ci, "PYTHONPATH": str(ROOT), "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"},
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.parametrize("source", SUITE.values(), ids=SUITE.keys())
def test_under_ci_a_skip_fails_and_says_what_was_missing(tmp_path: Path, source: str) -> None:
    result = run_pytest(tmp_path, source, ci="true")

    assert result.returncode != 0
    assert "nothing may be skipped with CI=true" in result.stdout
    assert "no promtool" in result.stdout


@pytest.mark.parametrize("source", SUITE.values(), ids=SUITE.keys())
def test_off_ci_the_same_skip_is_only_reported(tmp_path: Path, source: str) -> None:
    result = run_pytest(tmp_path, source, ci="")

    assert "1 skipped" in result.stdout
    assert "failed" not in result.stdout


@pytest.mark.parametrize("source", HARMLESS.values(), ids=HARMLESS.keys())
def test_under_ci_what_is_no_skip_stays_as_it_was(tmp_path: Path, source: str) -> None:
    assert run_pytest(tmp_path, source, ci="true").returncode == 0
