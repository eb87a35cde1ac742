from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from gpusteward.config import check

if TYPE_CHECKING:
    from tests.conftest import Golden

FOLDER = Path(__file__).parents[2] / "golden" / "config"
BAD = sorted(FOLDER.glob("bad-*.yaml"))
GOOD = sorted(FOLDER.glob("good-*.yaml"))


@pytest.mark.parametrize("path", BAD, ids=lambda path: path.stem)
def test_a_bad_file_is_refused_with_exactly_this_message(
    path: Path, golden: Golden, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(FOLDER)
    fine, text = check.report(Path(path.name))
    assert not fine
    golden(f"{text}\n", f"tests/golden/config/{path.stem}.txt")


@pytest.mark.parametrize("path", GOOD, ids=lambda path: path.stem)
def test_a_good_file_is_reported_with_what_it_changes_and_what_is_doubtful(
    path: Path, golden: Golden, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(FOLDER)
    fine, text = check.report(Path(path.name))
    assert fine
    golden(f"{text}\n", f"tests/golden/config/{path.stem}.txt")


def test_no_recorded_message_is_without_its_file() -> None:
    recorded = {path.stem for path in FOLDER.glob("*.txt")}
    assert recorded == {path.stem for path in (*BAD, *GOOD)}
    assert len(BAD) >= 20
