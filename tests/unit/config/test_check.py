from __future__ import annotations

from typing import TYPE_CHECKING

from gpusteward.config import check

if TYPE_CHECKING:
    from pathlib import Path


def test_no_file_means_the_defaults() -> None:
    assert check.report(None) == (True, "No config file: the defaults are used.")


def test_a_missing_file_is_a_problem(tmp_path: Path) -> None:
    fine, text = check.report(tmp_path / "none.yaml")
    assert not fine
    assert "does not exist" in text


def test_a_login_in_an_address_is_not_shown(tmp_path: Path) -> None:
    path = tmp_path / "f.yaml"
    path.write_text("sources: {dcgm: {url: 'http://user:secret@h:9400/metrics'}}")
    fine, text = check.report(path)
    assert fine
    assert "secret" not in text
    assert "//…@h:9400/metrics" in text
