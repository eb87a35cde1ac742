"""What the checkout as a whole promises: scripts that run, folders that pytest may walk, links that lead."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
import yaml

import gpusteward

ROOT = Path(__file__).resolve().parents[3]
SCRIPTS = ("start.sh", "test.sh", ".ci/run")
DOCUMENTS = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", ROOT / "CHANGELOG.md"]
DOCUMENTS += sorted((ROOT / "docs").rglob("*.md"))


def headings(text: str) -> set[str]:
    return set(re.findall(r"^#+ (.+)$", text, flags=re.MULTILINE))


@pytest.mark.parametrize("script", SCRIPTS)
def test_a_script_may_be_executed_and_says_bash(script: str) -> None:
    assert os.access(ROOT / script, os.X_OK)
    assert (ROOT / script).read_text().startswith("#!/usr/bin/env bash\n")


def test_ci_runs_what_people_run() -> None:
    assert "exec bash ./test.sh" in (ROOT / ".ci/run").read_text()


def test_test_sh_refuses_arguments_that_it_would_ignore() -> None:
    result = subprocess.run([str(ROOT / "test.sh"), "-k", "x"], capture_output=True, text=True, check=False)

    assert result.returncode == 1
    assert "takes no arguments" in result.stderr


def test_soaks_and_benchmarks_hold_nothing_that_pytest_would_collect() -> None:
    found = [path for room in ("soak", "benchmarks") for path in (ROOT / "tests" / room).rglob("*test*.py")]

    assert found == []


def test_the_pure_rooms_of_test_sh_are_those_that_import_linter_keeps_pure_and_metrics() -> None:
    contracts = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]["contracts"]
    (pure,) = [contract for contract in contracts if contract["type"] == "forbidden"]
    match = re.search(r"^pure_rooms=\((.+)\)$", (ROOT / "test.sh").read_text(), flags=re.MULTILINE)
    assert match

    modules = {module.removeprefix("gpusteward.") for module in pure["source_modules"]}
    assert set(match[1].split()) == modules | {"metrics"}


def test_subprocesses_are_measured_too(tmp_path: Path) -> None:
    (tmp_path / "child.py").write_text("import gpusteward.units\ngpusteward.units.to_micro('1')\n")
    (tmp_path / "parent.py").write_text(
        "import subprocess, sys\nsubprocess.run([sys.executable, 'child.py'], check=True)\n"
    )
    environment = {key: value for key, value in os.environ.items() if not key.startswith("COV")}
    environment["COVERAGE_FILE"] = str(tmp_path / ".coverage")
    run = [sys.executable, "-m", "coverage"]
    rcfile = f"--rcfile={ROOT / 'pyproject.toml'}"

    subprocess.run([*run, "run", rcfile, "parent.py"], cwd=tmp_path, env=environment, check=True)
    subprocess.run([*run, "combine", rcfile], cwd=tmp_path, env=environment, check=True, capture_output=True)
    report = subprocess.run(
        [*run, "report", rcfile, "--include=*/units.py", "--fail-under=0"],
        cwd=tmp_path,
        env=environment,
        check=True,
        capture_output=True,
        text=True,
    )

    assert re.search(r"units\.py.* [1-9]\d*%", report.stdout), report.stdout


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_every_link_of_a_document_leads_to_a_file(document: Path) -> None:
    text = document.read_text()
    targets = re.findall(r"\]\(([^)#]+)(?:#[^)]*)?\)", text)
    local = [target for target in targets if "://" not in target]

    assert [target for target in local if not (document.parent / target).exists()] == []


def test_the_readme_shows_the_scrape_job_that_compose_uses_with_another_target() -> None:
    readme = (ROOT / "README.md").read_text()
    (example,) = yaml.safe_load((ROOT / "docs/examples/prometheus.yml").read_text())["scrape_configs"]
    blocks = [yaml.safe_load(block) for block in re.findall(r"```yaml\n(.+?)```", readme, flags=re.DOTALL)]
    (job,) = next(block["scrape_configs"] for block in blocks if "scrape_configs" in block)

    assert job.keys() == example.keys()
    assert job["honor_labels"] is example["honor_labels"] is True


def test_the_readme_has_a_marked_place_for_the_sample_of_metrics() -> None:
    readme = (ROOT / "README.md").read_text()

    assert (
        len(
            re.findall(
                r"<!-- sample:metrics -->\n```text\n.*?```\n<!-- /sample:metrics -->", readme, re.DOTALL
            )
        )
        == 1
    )


def test_every_decision_has_the_same_form_and_its_number_once() -> None:
    decisions = sorted((ROOT / "docs/decisions").glob("[0-9]*.md"))
    numbers = [path.name[:4] for path in decisions]

    assert numbers == [f"{number:04}" for number in range(1, len(decisions) + 1)]
    for path in decisions:
        assert {"Status", "Drivers", "Options", "Outcome"} <= headings(path.read_text()), path.name


def test_every_runtime_dependency_is_accounted_for_in_its_decision() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    decision = (ROOT / "docs/decisions/0004-dependencies.md").read_text()
    names = [re.split(r"[<>=\[]", requirement)[0] for requirement in project["dependencies"]]

    assert [name for name in names if f"| {name} |" not in decision] == []


def test_the_changelog_has_the_newest_first_and_says_what_this_version_brings() -> None:
    parts = re.split(r"^## (.+)$", (ROOT / "CHANGELOG.md").read_text(), flags=re.MULTILINE)[1:]
    first, *released = parts[::2]
    texts = dict(zip(parts[::2], parts[1::2], strict=True))
    forms = [re.fullmatch(r"\[(\d+)\.(\d+)\.(\d+)\] - \d{4}-\d\d-\d\d", heading) for heading in released]
    versions = [tuple(int(part) for part in form.groups()) for form in forms if form]
    current = tuple(int(part) for part in gpusteward.__version__.split("."))

    assert first == "[Unreleased]"
    assert len(versions) == len(released), "each release has its number and its day"
    assert versions == sorted(set(versions), reverse=True)
    assert all(version <= current for version in versions)
    own = released[0] if current in versions else first
    assert re.search(r"^- .+", texts[own], flags=re.MULTILINE)
