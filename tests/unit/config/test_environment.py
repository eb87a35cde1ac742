from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from gpusteward.config import config_path, environment_node_name

if TYPE_CHECKING:
    import pytest


def test_the_node_name_comes_from_the_downward_api(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NODE_NAME", "gpu-7\n")
    assert environment_node_name() == "gpu-7"


def test_without_the_variable_the_node_name_is_empty(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NODE_NAME", raising=False)
    assert environment_node_name() == ""


def test_the_command_line_names_the_config_before_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GPUSTEWARD_CONFIG", "/etc/from-environment.yaml")
    assert config_path("mine.yaml") == Path("mine.yaml")
    assert config_path(None) == Path("/etc/from-environment.yaml")


def test_with_neither_there_is_no_config_file(monkeypatch: pytest.MonkeyPatch) -> None:
    for value in ("", "  "):
        monkeypatch.setenv("GPUSTEWARD_CONFIG", value)
        assert config_path(None) is None
        assert config_path("") is None
    monkeypatch.delenv("GPUSTEWARD_CONFIG")
    assert config_path(None) is None
