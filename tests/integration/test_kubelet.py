"""Real agents that ask a fake kubelet on a real socket, over a fake driver and beside a dcgm page."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.agents import agent_with
from tests.conftest import ROOT
from tests.dcgm_server import DcgmServer
from tests.fake_kubelet import FakeKubelet, listing, offering
from tests.nvml.fake import FakeNvml, build
from tests.nvml.profiles import A10G, A100
from tests.pages import labels_of, parsed, value, values

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.pages import Series

CAPTURES = ROOT / "tests" / "captures"


@pytest.fixture
def kubelet(tmp_path: Path) -> Iterator[FakeKubelet]:
    with FakeKubelet(tmp_path / "kubelet.sock") as server:
        yield server


@pytest.fixture(scope="module")
def library(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build(tmp_path_factory.mktemp("nvml"))


def config(kubelet: FakeKubelet, source: str, sources: str = "") -> str:
    return (
        f'agent: {{listen: "127.0.0.1:0", source: {source}, interval_seconds: 1}}\n'
        f"kubelet: {{enabled: always, socket: {kubelet.path}, interval_seconds: 1}}\n"
        f"node: {{name: node-1}}\npricing: {{book: [{{gpu_per_hour: '4'}}]}}\n{sources}"
    )


def holders(series: Series) -> dict[str, float]:
    """Shares of pods, by uuid, instance and pod."""
    return {
        "{uuid} {gi} {pod}".format(**labels): value(series, "gpu_allocation_share", **labels)
        for labels in labels_of(series, "gpu_allocation_share")
        if labels["pod"]
    }


def test_pods_come_and_go_over_nvml_and_a_kubelet_that_is_away_frees_no_gpu(
    kubelet: FakeKubelet, library: Path, tmp_path: Path
) -> None:
    with FakeNvml(tmp_path / "machine", [A10G, A10G, A100], library=library) as fake:
        first, shared, mig = (fake.gpu(index).uuid for index in range(3))
        three, one = fake.set_mig_layout(2, ["3g.40gb", "1g.10gb"])
        seats = [f"{shared}::{seat}" for seat in range(4)]
        train, web = ("ml", "train", "main", first), ("ml", "web", "main", seats[2])
        serve = ("ml", "serve", "main", three.uuid)
        kubelet.offered = offering(first, *seats, three.uuid, one.uuid)
        kubelet.listed = listing(train, web, serve)
        with agent_with(config(kubelet, "nvml"), tmp_path, fake.env()) as agent:
            series = parsed(agent.wait_for(r'^gpusteward_gpu_allocation_share{.*pod="train"').encode())
            assert holders(series) == {
                f"{first}  train": 1.0,
                f"{shared}  web": 0.25,
                f"{mig} {three.gi} serve": 1.0,
            }
            assert value(series, "gpu_cost_per_hour", uuid=shared, cause="unallocated") == 3.0
            assert value(series, "gpu_cost_per_hour", gi=str(one.gi), cause="unallocated") > 0
            for uuid in (first, shared, mig):
                assert sum(values(series, "gpu_cost_per_hour", uuid=uuid)) == pytest.approx(4.0)

            kubelet.listed = listing()
            agent.wait_for(r'^gpusteward_attribution_errors_total{reason="empty_reply"} 1.0')
            assert set(holders(parsed(agent.metrics().encode()))) == set(holders(series)), "not believed yet"

            kubelet.listed = listing(train, ("ml", "next", "main", seats[0]), serve)
            agent.wait_for(r'^gpusteward_gpu_allocation_share{.*pod="next"')
            kubelet.stop()
            agent.wait_for(r'^gpusteward_attribution_errors_total{reason="(socket_absent|restarting)"} [1-9]')
            page = agent.metrics()
            assert 'pod="next"' in page
            assert "gpusteward_cost_conservation_error" in page
            agent.wait_for_log("the kubelet did not say who holds the GPUs")

            kubelet.listed = listing(("ml", "last", "main", first))
            kubelet.start()
            series = parsed(agent.wait_for(r'^gpusteward_gpu_allocation_share{.*pod="last"').encode())
            assert set(holders(series)) == {f"{first}  last"}
            agent.wait_for_log("the kubelet says again who holds the GPUs")


def test_gkes_ids_name_device_files_and_not_places_in_nvmls_order(
    kubelet: FakeKubelet, library: Path, tmp_path: Path
) -> None:
    with FakeNvml(tmp_path / "machine", [A10G, A10G], library=library) as fake:
        fake.set_gpu(0, minor=1)
        fake.set_gpu(1, minor=0)
        kubelet.listed = listing(("ml", "train", "main", "nvidia1/vgpu0"))
        kubelet.offered = offering("nvidia0/vgpu0", "nvidia0/vgpu1", "nvidia1/vgpu0", "nvidia1/vgpu1")
        with agent_with(config(kubelet, "nvml"), tmp_path, fake.env()) as agent:
            series = parsed(agent.wait_for(r'^gpusteward_gpu_allocation_share{.*pod="train"').encode())
        assert holders(series) == {f"{fake.gpu(0).uuid}  train": 0.5}


def test_the_kubelet_says_who_holds_the_gpus_of_a_page_without_pods(
    kubelet: FakeKubelet, tmp_path: Path
) -> None:
    page = (CAPTURES / "dcgm-l4.prom").read_text()
    (uuid,) = {part.split('"')[1] for part in page.split(",") if part.startswith("UUID=")}
    kubelet.listed = listing(("ml", "train", "main", uuid))
    kubelet.offered = offering(uuid)
    with DcgmServer(page) as dcgm:
        sources = f"sources: {{dcgm: {{url: '{dcgm.url}'}}}}\n"
        with agent_with(config(kubelet, "dcgm", sources), tmp_path) as agent:
            series = parsed(agent.wait_for(r"^gpusteward_gpu_allocation_share{").encode())
    assert holders(series) == {f"{uuid}  train": 1.0}


def test_gkes_ids_find_the_instances_of_a_dcgm_page(kubelet: FakeKubelet, tmp_path: Path) -> None:
    kubelet.listed = listing(("ml", "train", "main", "nvidia0/gi2"), resource="nvidia.com/gpu")
    kubelet.offered = offering("nvidia0/gi1", "nvidia0/gi2")
    file = CAPTURES / "synthesised-4.8.3-mig-h100-4g-3g.prom"
    sources = f"sources: {{dcgm: {{file: {file}}}}}\n"
    with agent_with(config(kubelet, "dcgm", sources), tmp_path) as agent:
        series = parsed(agent.wait_for(r'^gpusteward_gpu_allocation_share{.*pod="train"').encode())
    assert [key.split(" ", 1)[1] for key in holders(series)] == ["2 train"], (
        "and not the pod that the page names for the other instance"
    )


def test_in_a_pod_without_the_socket_the_pages_own_pods_stand_and_the_cause_is_said(tmp_path: Path) -> None:
    file = CAPTURES / "dcgm-8xh100-one-pod.prom"
    text = (
        f'agent: {{listen: "127.0.0.1:0", source: dcgm, interval_seconds: 1}}\n'
        f"kubelet: {{socket: {tmp_path / 'none.sock'}}}\nsources: {{dcgm: {{file: {file}}}}}\n"
    )
    pod = {"KUBERNETES_SERVICE_HOST": "127.0.0.1", "NODE_NAME": "gpu-1"}
    with agent_with(text, tmp_path, pod) as agent:
        page = agent.wait_for(r'^gpusteward_attribution_errors_total{reason="socket_absent"} [1-9]')
        agent.wait_for_log("mount the host's /var/lib/kubelet/pod-resources into the pod")
    assert [key.split()[1] for key in holders(parsed(page.encode()))] == ["vllm-agg-0-vllmdecodeworker-s65j5"]


def test_on_a_plain_host_no_kubelet_is_asked(tmp_path: Path) -> None:
    file = CAPTURES / "dcgm-8xh100-one-pod.prom"
    text = f'agent: {{listen: "127.0.0.1:0", source: dcgm}}\nsources: {{dcgm: {{file: {file}}}}}\n'
    with agent_with(text, tmp_path, {"KUBERNETES_SERVICE_HOST": ""}) as agent:
        assert "gpusteward_attribution_errors_total{" not in agent.metrics()
