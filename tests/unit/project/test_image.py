"""Dockerfile, .dockerignore, docker-compose.yml and the wheel that goes into the image.

No container engine is needed: what the files refer to is checked, and the wheel is really built.
"""

from __future__ import annotations

import json
import re
import shlex
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import Any

import pytest
import yaml

import gpusteward
from gpusteward.config import Config

ROOT = Path(__file__).resolve().parents[3]
PACKAGE = ROOT / "exporter" / "gpusteward"


def instructions() -> list[tuple[str, str]]:
    """The Dockerfile as (instruction, arguments), continuation lines joined."""
    text = re.sub(r"\\\n\s*", "", (ROOT / "Dockerfile").read_text())
    lines = [line for line in text.splitlines() if line and not line.startswith("#")]
    return [(line.split(maxsplit=1)[0], line.split(maxsplit=1)[1]) for line in lines]


def final_stage() -> dict[str, str]:
    """The last stage's instructions, the last one of each kind."""
    found = instructions()
    last = max(index for index, (name, _) in enumerate(found) if name == "FROM")
    return dict(found[last:])


def copied() -> list[str]:
    """What the image copies out of the checkout."""
    return [
        source.rstrip("/")
        for name, arguments in instructions()
        if name == "COPY" and not arguments.startswith("--from")
        for source in shlex.split(arguments)[:-1]
    ]


def compose() -> dict[str, Any]:
    document: dict[str, Any] = yaml.safe_load((ROOT / "docker-compose.yml").read_text())
    return document


def test_the_image_copies_only_what_exists_and_what_dockerignore_lets_through() -> None:
    rules = (ROOT / ".dockerignore").read_text().splitlines()
    let_through = {rule.removeprefix("!") for rule in rules if rule.startswith("!")}

    assert "*" in rules
    assert set(copied()) == let_through
    assert all((ROOT / source).exists() for source in copied())


def test_the_image_runs_the_agent_as_nobody_in_particular_and_asks_livez_for_its_health() -> None:
    stage = final_stage()
    uid, gid = stage["USER"].split(":")
    port = Config().agent.listen.rpartition(":")[2]

    assert json.loads(stage["ENTRYPOINT"]) == ["gpusteward"]
    assert json.loads(stage["CMD"]) == ["agent"]
    assert int(uid) > 0
    assert int(gid) > 0
    assert stage["EXPOSE"] == port
    assert f"http://127.0.0.1:{port}/livez" in stage["HEALTHCHECK"]
    assert not {"RUN", "ADD"} & stage.keys()  # nothing is installed in it, so no compiler is


def test_the_base_image_is_pinned_and_the_version_is_the_packages() -> None:
    arguments = [arguments for name, arguments in instructions() if name == "ARG"]

    assert any(re.fullmatch(r"PYTHON_IMAGE=python:3\.1[1-3]-slim-\w+", argument) for argument in arguments)
    assert f"VERSION={gpusteward.__version__}" in arguments


def test_compose_mounts_files_that_exist_and_the_agents_one_is_a_valid_config() -> None:
    services = compose()["services"]
    mounts = [volume.split(":") for service in services.values() for volume in service["volumes"]]
    files = {target: ROOT / source for source, target, *_ in mounts if source.startswith("./")}
    config = files[services["agent"]["environment"]["GPUSTEWARD_CONFIG"]]

    assert all(path.is_file() for path in files.values())
    assert Config.model_validate(yaml.safe_load(config.read_text())).agent.source == "simulated"
    assert "--config.file=/etc/prometheus/prometheus.yml" in services["prometheus"]["command"]
    assert "/etc/prometheus/prometheus.yml" in files


def test_compose_pins_its_images_and_opens_ports_on_loopback_only() -> None:
    services = compose()["services"]

    assert services["agent"]["image"] == f"gpusteward:{gpusteward.__version__}"
    assert all(re.fullmatch(r".+:v?\d[\w.-]+", service["image"]) for service in services.values())
    assert all(port.startswith("127.0.0.1:") for service in services.values() for port in service["ports"])


def test_compose_has_prometheus_scrape_the_agent_by_its_name_and_keep_our_labels() -> None:
    (job,) = yaml.safe_load((ROOT / "docs/examples/prometheus.yml").read_text())["scrape_configs"]
    (target,) = job["static_configs"][0]["targets"]
    host, port = target.split(":")

    assert host in compose()["services"]
    assert port == Config().agent.listen.rpartition(":")[2]
    assert job["honor_labels"] is True
    assert "metric_relabel_configs" not in job


def test_on_a_host_with_gpus_compose_reads_nvml_in_the_hosts_pid_namespace() -> None:
    (agent,) = yaml.safe_load((ROOT / "docs/examples/compose.nvml.yml").read_text())["services"].values()
    mounts = dict(reversed(volume.removesuffix(":ro").split(":")) for volume in agent["volumes"])
    plain = compose()["services"]["agent"]
    config = Config.model_validate(
        yaml.safe_load((ROOT / mounts[plain["environment"]["GPUSTEWARD_CONFIG"]]).read_text())
    )

    assert config.agent.source == "nvml"
    assert config.sources.nvml.holders == "processes"
    assert agent["pid"] == "host"
    assert agent["runtime"] == "nvidia"
    assert agent["environment"] == {"NVIDIA_VISIBLE_DEVICES": "all", "NVIDIA_DRIVER_CAPABILITIES": "utility"}
    assert not {"privileged", "cap_add", "ports", "user"} & agent.keys()


@pytest.mark.parametrize("file", sorted((ROOT / "docs/examples").glob("*.yaml")), ids=lambda path: path.name)
def test_every_example_config_is_valid(file: Path) -> None:
    config = Config.model_validate(yaml.safe_load(file.read_text()))

    assert config.agent.source == file.stem


def test_the_wheel_holds_the_package_with_its_data_and_nothing_else(tmp_path: Path) -> None:
    build = [sys.executable, "-m", "pip", "wheel", "--no-deps", "--no-build-isolation", "--no-index"]
    subprocess.run([*build, "--wheel-dir", str(tmp_path), str(ROOT)], check=True, capture_output=True)
    (wheel,) = tmp_path.glob("*.whl")

    names = set(zipfile.ZipFile(wheel).namelist())

    expected = {
        path.relative_to(PACKAGE.parent).as_posix()
        for path in PACKAGE.rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    info = f"gpusteward-{gpusteward.__version__}.dist-info"
    metadata = {
        f"{info}/{name}" for name in ("METADATA", "WHEEL", "RECORD", "entry_points.txt", "licenses/LICENSE")
    }
    assert names == expected | metadata
    assert "gpusteward/py.typed" in names
    assert any(name.endswith(".csv") for name in names)
