from __future__ import annotations

from typing import TYPE_CHECKING

from gpusteward.config import check
from gpusteward.config.check import Findings
from gpusteward.errors import Problem

if TYPE_CHECKING:
    from pathlib import Path

    from gpusteward.config import Config


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


def test_what_is_found_beyond_the_file_fails_it_or_warns(tmp_path: Path) -> None:
    path = tmp_path / "f.yaml"
    path.write_text("pricing: {currency: EUR}")
    problem, doubt = Problem("a.file", "is gone", "bring it"), Problem("node.region", "is the moon")

    def answer(*problems: Problem) -> tuple[bool, str]:
        def look(config: Config) -> Findings:
            assert config.pricing.currency == "EUR"
            return Findings(problems, (doubt,))

        return check.report(path, look)

    assert answer(problem) == (False, f"{path} has 1 problem\n  - a.file: is gone (bring it)")
    assert answer(problem, problem)[1].startswith(f"{path} has 2 problems\n")
    fine, text = answer()
    assert fine
    assert text.splitlines()[-1] == "  - node.region: is the moon"
    assert "  - pricing.currency: is EUR" in text


def test_nothing_is_looked_for_beyond_a_file_that_is_not_valid(tmp_path: Path) -> None:
    path = tmp_path / "f.yaml"
    path.write_text("pricing: {currency: euro}")

    def look(config: Config) -> Findings:
        raise AssertionError(config)

    fine, text = check.report(path, look)
    assert not fine
    assert "pricing.currency" in text
