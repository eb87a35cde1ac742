"""The agent as a pod: what it says where a right or a file of the service account is missing."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.agents import agent_with

if TYPE_CHECKING:
    from pathlib import Path

CONFIG = """\
agent: {listen: 127.0.0.1:0, source: nvml}
sources: {nvml: {library: /nowhere/libnvidia-ml.so.1}}
"""
POD = {"KUBERNETES_SERVICE_HOST": "127.0.0.1", "KUBERNETES_SERVICE_PORT": "1", "NODE_NAME": "gpu-1"}


def test_a_pod_without_a_token_serves_and_says_what_to_set(tmp_path: Path) -> None:
    with agent_with(CONFIG, tmp_path, env=POD) as agent:
        agent.wait_for_log("set automountServiceAccountToken: true")
        page = agent.wait_for(r'^gpusteward_collect_cycles_total\{reason="library_missing"\} ')
    assert "gpusteward_collect_success 0.0" in page
    assert "gpusteward_collector_stuck 0.0" in page


def test_a_plain_host_asks_no_api_server(tmp_path: Path) -> None:
    with agent_with(CONFIG, tmp_path, env={"KUBERNETES_SERVICE_HOST": ""}) as agent:
        agent.wait_for(r'^gpusteward_collect_cycles_total\{reason="library_missing"\} ')
    assert "driver is to be let go" not in "".join(agent.log)
