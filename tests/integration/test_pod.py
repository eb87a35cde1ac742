"""The agent as a pod: it lets the driver go while the Node's labels ask, and says what it lacks to know."""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from tests.agents import agent_with
from tests.fake_apiserver_nodes import NodeApi, certificate
from tests.nvml.fake import FakeNvml, build
from tests.nvml.profiles import A10G
from tests.pages import parsed, value, values

if TYPE_CHECKING:
    from pathlib import Path

CONFIG = """\
agent: {listen: 127.0.0.1:0, source: nvml}
sources: {nvml: {library: /nowhere/libnvidia-ml.so.1}}
"""
POD = {"KUBERNETES_SERVICE_HOST": "127.0.0.1", "KUBERNETES_SERVICE_PORT": "1", "NODE_NAME": "gpu-1"}


WITH_DRIVER = """\
agent: {listen: 127.0.0.1:0, source: nvml, interval_seconds: 1}
node: {provider: aws, instance_type: g5.12xlarge, region: us-east-1}
"""


def pod(api: NodeApi, account: Path) -> dict[str, str]:
    """The environment of a pod on gpu-1 of this API server's cluster."""
    where = urlsplit(api.url)
    return {
        "KUBERNETES_SERVICE_HOST": str(where.hostname),
        "KUBERNETES_SERVICE_PORT": str(where.port),
        "GPUSTEWARD_SERVICE_ACCOUNT": str(account),
        "NODE_NAME": "gpu-1",
    }


def test_the_driver_is_let_go_while_the_operator_asks_for_it_and_taken_up_again(tmp_path: Path) -> None:
    made = certificate(tmp_path, "ca")
    (tmp_path / "token").write_text("good")
    with (
        FakeNvml(tmp_path / "machine", [A10G] * 4, library=build(tmp_path / "library")) as fake,
        NodeApi({"metadata": {"name": "gpu-1"}}, tls=made) as api,
        agent_with(WITH_DRIVER, tmp_path, env={**fake.env(), **pod(api, tmp_path)}) as agent,
    ):
        agent.wait_for(r'^gpusteward_gpu_up{.*reason="".*} 1.0')
        api.label("gpu-1", device_plugin="paused-for-driver-upgrade")
        page = agent.wait_for(r'^gpusteward_collect_cycles_total{reason="released"} ')
        fake.reset_calls()
        series = parsed(agent.wait_for(r'^gpusteward_collect_cycles_total{reason="released"} [3-9]').encode())
        assert fake.calls() == {}, "nobody holds the driver"
        assert "gpusteward_collect_success 0.0" in page
        assert values(series, "gpu_up") == []
        assert values(series, "gpu_state", state="unknown") == [1.0] * 4
        assert value(series, "cost_conservation_error") == 0.0
        api.label("gpu-1", device_plugin="true")
        agent.wait_for(r"^gpusteward_collect_success 1.0")
        assert fake.calls(), "it is taken up again"
        assert [path for path, _ in api.asked if not path.startswith("/api/v1/nodes/gpu-1")] == []


def test_a_pod_that_starts_amid_an_upgrade_does_not_take_the_driver_up(tmp_path: Path) -> None:
    made = certificate(tmp_path, "ca")
    (tmp_path / "token").write_text("good")
    with (
        FakeNvml(tmp_path / "machine", [A10G], library=build(tmp_path / "library")) as fake,
        NodeApi({"metadata": {"name": "gpu-1"}}, tls=made) as api,
    ):
        api.label("gpu-1", client="paused-for-mig-change")
        with agent_with(WITH_DRIVER, tmp_path, env={**fake.env(), **pod(api, tmp_path)}) as agent:
            page = agent.wait_for(r'^gpusteward_collect_cycles_total{reason="released"} [2-9]')
            assert "gpusteward_driver_hold_success 1.0" in page
        assert fake.calls() == {}


def test_a_pod_without_the_right_reads_its_gpus_and_says_which_rule_it_lacks(tmp_path: Path) -> None:
    made = certificate(tmp_path, "ca")
    (tmp_path / "token").write_text("good")
    with (
        FakeNvml(tmp_path / "machine", [A10G], library=build(tmp_path / "library")) as fake,
        NodeApi({"metadata": {"name": "gpu-1"}}, tls=made) as api,
    ):
        api.may_get = False
        with agent_with(WITH_DRIVER, tmp_path, env={**fake.env(), **pod(api, tmp_path)}) as agent:
            agent.wait_for(r'^gpusteward_gpu_up{.*reason="".*} 1.0')
            agent.wait_for_log('{apiGroups: [""], resources: [nodes], verbs: [get]}')
            agent.wait_for(r"^gpusteward_driver_hold_success 0.0")
            assert "good" not in "".join(agent.log)


def test_a_pod_without_a_token_serves_and_says_what_to_set(tmp_path: Path) -> None:
    with agent_with(CONFIG, tmp_path, env=POD) as agent:
        agent.wait_for_log("set automountServiceAccountToken: true")
        page = agent.wait_for(r'^gpusteward_collect_cycles_total\{reason="library_missing"\} ')
    assert "gpusteward_collect_success 0.0" in page
    assert "gpusteward_collector_stuck 0.0" in page


def test_a_plain_host_asks_no_api_server(tmp_path: Path) -> None:
    with agent_with(CONFIG, tmp_path, env={"KUBERNETES_SERVICE_HOST": ""}) as agent:
        page = agent.wait_for(r'^gpusteward_collect_cycles_total\{reason="library_missing"\} ')
    assert "driver_hold" not in page
    assert "driver is to be let go" not in "".join(agent.log)
