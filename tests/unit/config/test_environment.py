from __future__ import annotations

from pathlib import Path

import pytest

from gpusteward.config import (
    config_path,
    environment_api_server,
    environment_node_name,
    environment_service_account,
)


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


@pytest.mark.parametrize(
    ("host", "port", "url"),
    [
        ("10.96.0.1", "443", "https://10.96.0.1:443"),
        ("fd00::1", "6443", "https://[fd00::1]:6443"),
        ("10.96.0.1", "", "https://10.96.0.1:443"),
        ("", "443", ""),
    ],
)
def test_the_api_server_is_where_the_kubelet_says(
    monkeypatch: pytest.MonkeyPatch, host: str, port: str, url: str
) -> None:
    monkeypatch.setenv("KUBERNETES_SERVICE_HOST", host)
    monkeypatch.setenv("KUBERNETES_SERVICE_PORT", port)
    assert environment_api_server() == url


def test_the_service_account_is_where_kubernetes_mounts_it_unless_said_otherwise(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delenv("GPUSTEWARD_SERVICE_ACCOUNT", raising=False)
    assert environment_service_account() == Path("/var/run/secrets/kubernetes.io/serviceaccount")
    monkeypatch.setenv("GPUSTEWARD_SERVICE_ACCOUNT", "/var/run/secrets/tokens")
    assert environment_service_account() == Path("/var/run/secrets/tokens")
