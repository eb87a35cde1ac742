from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from gpusteward.config import SimulatedSettings
from gpusteward.devices.simulated import SimulatedSource, load_profile
from gpusteward.devices.simulated.loading import parse_profile
from gpusteward.errors import ConfigError, Problem
from tests.unit.devices.simulated.fleets import EPOCH, NODE

if TYPE_CHECKING:
    from tests.conftest import Golden

HERE = Path(__file__).parent
GOOD = NODE.format(model="NVIDIA L4", gpus=1).replace("    groups:\n", "")


def problems(text: str) -> tuple[Problem, ...]:
    with pytest.raises(ConfigError) as caught:
        parse_profile(text, "fleet.yaml")
    return caught.value.problems


def test_every_problem_of_a_profile_is_told_at_once_with_path_and_remedy(golden: Golden) -> None:
    with pytest.raises(ConfigError) as caught:
        parse_profile((HERE / "bad_profile.yaml").read_text(), "bad_profile.yaml")
    golden(f"{caught.value}\n", "tests/unit/devices/simulated/bad_profile.txt")
    assert all(problem.remedy for problem in caught.value.problems)


def test_a_profile_file_is_read_from_its_path(tmp_path: Path) -> None:
    path = tmp_path / "fleet.yaml"
    path.write_text(GOOD)
    source = SimulatedSource(SimulatedSettings(profile=str(path)), EPOCH)
    (node,) = source.read(EPOCH).nodes
    assert [gpu.model for gpu in node.gpus] == ["NVIDIA L4"]


def test_a_file_of_a_bundled_name_is_read_when_its_path_is_written_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("small").write_text(GOOD)
    assert load_profile("./small").nodes[0].name == "n1"
    assert load_profile("small").nodes[0].name == "small-l4-1"


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    path = tmp_path / "none.yaml"
    with pytest.raises(ConfigError, match="does not exist") as caught:
        load_profile(str(path))
    assert caught.value.problems[0].path == str(path)


def test_what_is_not_yaml_is_told_by_its_line() -> None:
    told = problems("nodes:\n  - name: [n1\n    gpus: 1\n")
    assert any(p.path == "fleet.yaml:3" and p.message.startswith("not YAML: ") for p in told)


def test_a_key_that_is_written_twice_is_refused_though_the_rest_is_well() -> None:
    (problem,) = problems(GOOD + "    gpus: 1\n")
    assert problem.path == "fleet.yaml:6 nodes[0].gpus"
    assert "twice" in problem.message


def test_an_empty_file_is_no_fleet() -> None:
    (problem,) = problems("")
    assert (problem.path, problem.message) == ("fleet.yaml:1 nodes", "is missing")


def test_names_of_nodes_are_unique() -> None:
    twice = GOOD + GOOD.replace("\nnodes:\n", "")
    assert [(p.path, p.message) for p in problems(twice)] == [
        ("fleet.yaml:3 nodes[0].name", "`n1` is the name of 2 nodes"),
        ("fleet.yaml:6 nodes[1].name", "`n1` is the name of 2 nodes"),
    ]


def test_a_model_of_ones_own_needs_its_hardware_and_no_more() -> None:
    own = (
        "    hardware: {memory_mib: 8192, idle_watts: 9, tdp_watts: 75, activity: utilization, "
        "sm_clock_mhz: 1500, memory_clock_mhz: 6000}\n"
    )
    text = GOOD.replace("NVIDIA L4", "NVIDIA T400")
    (problem,) = problems(text)
    assert problem.path == "fleet.yaml:4 nodes[0].model"
    assert parse_profile(text + own, "fleet.yaml").nodes[0].board.memory_mib == 8192


@pytest.mark.parametrize(
    ("mig", "fits"),
    [
        ("[{profile: 3g.40gb}, {profile: 2g.20gb}, {profile: 1g.10gb, count: 2}]", True),
        ("[{profile: 4g.40gb}, {profile: 3g.40gb}]", True),
        ("[{profile: 4g.40gb}, {profile: 4g.40gb}]", False),
        ("[{profile: 1g.20gb, count: 4}]", True),
        ("[{profile: 1g.20gb, count: 5}]", False),
        ("[]", True),
    ],
)
def test_a_mig_layout_must_fit_slices_and_memory(mig: str, fits: bool) -> None:
    text = NODE.format(model="NVIDIA H100 80GB HBM3", gpus=1) + f"      - {{gpus: [0], mig: {mig}}}\n"
    if fits:
        assert parse_profile(text, "fleet.yaml").nodes[0].groups[0].mig is not None
    else:
        assert "nodes[0].groups[0].mig" in problems(text)[0].path


@pytest.mark.parametrize(("start", "clash"), [(30, False), (29.9, True)])
def test_a_job_may_start_when_the_one_before_it_ends_and_not_before(start: float, clash: bool) -> None:
    text = NODE.format(model="NVIDIA L4", gpus=1) + (
        "      - gpus: [0]\n        cycle_minutes: 60\n        jobs:\n"
        f"          - {{pattern: leftover, start_minutes: {start}, minutes: 30}}\n"
        "          - {pattern: notebook, namespace: ns, pod: a, minutes: 30}\n"
    )
    if clash:
        assert [p.path for p in problems(text)] == ["fleet.yaml:10 nodes[0].groups[0].jobs[0].start_minutes"]
    else:
        assert len(parse_profile(text, "fleet.yaml").nodes[0].groups[0].jobs) == 2
