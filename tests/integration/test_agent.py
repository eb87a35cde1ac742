"""The agent as its users run it: a process, its page, its signals, and what happens when its source fails."""

from __future__ import annotations

import json
import signal
import time
from typing import TYPE_CHECKING

import pytest

from tests.agents import agent_with, running
from tests.conftest import ROOT
from tests.dcgm_server import Behaviour, DcgmServer
from tests.pages import parsed

if TYPE_CHECKING:
    from pathlib import Path

H100_PAGE = (ROOT / "tests" / "captures" / "dcgm-8xh100-one-pod.prom").read_text()
H100_NODE = "{provider: aws, instance_type: p5.48xlarge, region: us-east-1, capacity_type: on-demand}"


def dcgm_config(url: str, further: str = "") -> str:
    return f"""
node: {H100_NODE}
agent: {{listen: "127.0.0.1:0", source: dcgm, interval_seconds: 1}}
sources: {{dcgm: {{url: "{url}"}}}}
{further}
"""


def costs(page: str) -> list[tuple[dict[str, str], float]]:
    """Labels and value of each cost series."""
    rows = parsed(page.encode()).get("gpusteward_gpu_cost_per_hour", {})
    return [(dict(labels), value) for labels, value in rows.items()]


def cost_sum(page: str) -> float:
    return sum(value for _, value in costs(page))


def causes(page: str) -> set[str]:
    return {labels["cause"] for labels, _ in costs(page)}


def test_a_node_costs_its_list_price_and_still_does_when_a_gpu_is_lost(tmp_path: Path) -> None:
    with DcgmServer(H100_PAGE) as server, agent_with(dcgm_config(server.url), tmp_path) as agent:
        assert cost_sum(agent.metrics()) == pytest.approx(55.04)
        without_gpu_3 = "\n".join(line for line in H100_PAGE.splitlines() if 'gpu="3"' not in line)
        server.page = without_gpu_3
        page = agent.wait_for(r'^gpusteward_gpu_up\{.*gpu="3".*reason="lost".*\} 0')
        assert cost_sum(page) == pytest.approx(55.04)
        unhealthy = [
            (labels["gpu"], value) for labels, value in costs(page) if labels["cause"] == "unhealthy"
        ]
        assert [gpu for gpu, _ in unhealthy] == ["3"]
        assert unhealthy[0][1] == pytest.approx(6.88)
        assert 'gpusteward_gpu_seen{node="gpu-node-1"} 7.0' in page
        assert 'gpusteward_gpu_expected{node="gpu-node-1"} 8.0' in page
        server.page = H100_PAGE
        agent.wait_for(r'^gpusteward_gpu_up\{.*gpu="3".*reason="".*\} 1')


@pytest.mark.parametrize(
    ("behaviour", "reason"),
    [
        (Behaviour.STATUS, "http_status"),
        (Behaviour.HANG, "timeout"),
        (Behaviour.EMPTY, "empty"),
        (Behaviour.HTML, "not_dcgm"),
    ],
)
def test_a_source_that_fails_costs_its_values_and_nothing_else(
    behaviour: Behaviour, reason: str, tmp_path: Path
) -> None:
    with DcgmServer(H100_PAGE) as server, agent_with(dcgm_config(server.url), tmp_path) as agent:
        server.behaviour = behaviour
        page = agent.wait_for(rf'^gpusteward_collect_cycles_total\{{reason="{reason}"\}} ')
        assert "gpusteward_collect_success 0.0" in page
        assert "gpusteward_gpu_power_watts" not in page
        assert cost_sum(page) == pytest.approx(55.04)
        assert causes(page) == {"unmeasured"}
        status, _, body = agent.get("/snapshot")
        health = json.loads(body)["health"]
        assert (status, health["success"], health["reason"]) == (200, False, reason)
        assert "next:" in health["message"]
        assert agent.get("/livez")[0] == agent.get("/readyz")[0] == 200
        server.behaviour = Behaviour.SERVE
        agent.wait_for(r"^gpusteward_collect_success 1\.0")


def test_a_source_that_was_never_there_is_waited_for(tmp_path: Path) -> None:
    config = dcgm_config("http://127.0.0.1:1/metrics")
    with agent_with(config, tmp_path) as agent:
        status, _, body = agent.get("/readyz")
        assert status == 503
        assert "cannot be reached" in body
        assert agent.get("/livez")[0] == 200
        assert 'gpusteward_collect_cycles_total{reason="connection"}' in agent.metrics()


def test_config_is_reloaded_on_change_and_on_sighup_and_a_bad_file_keeps_the_old(tmp_path: Path) -> None:
    with DcgmServer(H100_PAGE) as server:
        config = dcgm_config(server.url)
        with agent_with(config, tmp_path) as agent:
            file = tmp_path / "gpusteward.yaml"
            book = 'pricing: {book: [{instance_type: p5.48xlarge, node_per_hour: "40"}]}'
            file.write_text(dcgm_config(server.url, book))
            page = agent.wait_for(r"^gpusteward_node_price_per_hour\{.*\} 40\.0")
            assert 'source="price_book"' in page
            assert cost_sum(page) == pytest.approx(40.0)
            file.write_text(dcgm_config(server.url, "pricing: {bok: []}"))
            page = agent.wait_for(r"^gpusteward_config_reload_success 0\.0")
            assert cost_sum(page) == pytest.approx(40.0)
            agent.wait_for_log("did you mean")
            file.write_text(config)
            agent.signal(signal.SIGHUP)
            page = agent.wait_for(r"^gpusteward_config_reload_success 1\.0")
            agent.wait_for(r"^gpusteward_node_price_per_hour\{.*\} 55\.04")


def test_a_catalogue_that_fails_its_checks_is_refused_like_a_bad_config(tmp_path: Path) -> None:
    catalogue = tmp_path / "prices.csv"
    catalogue.write_text("provider,instance_type\naws,p5.48xlarge\n")
    with DcgmServer(H100_PAGE) as server, agent_with(dcgm_config(server.url), tmp_path) as agent:
        further = f'pricing: {{catalogue_file: "{catalogue}"}}'
        (tmp_path / "gpusteward.yaml").write_text(dcgm_config(server.url, further))
        page = agent.wait_for(r"^gpusteward_config_reload_success 0\.0")
        assert cost_sum(page) == pytest.approx(55.04)
        agent.wait_for_log("prices.csv")


def test_a_token_guards_all_but_the_health_paths_and_follows_its_file(tmp_path: Path) -> None:
    token = tmp_path / "token"
    token.write_text("first-token\n")
    config = f"""
agent: {{listen: "127.0.0.1:0", source: simulated, bearer_token_file: "{token}"}}
sources: {{simulated: {{profile: small, warmup_minutes: 0}}}}
"""
    path = tmp_path / "gpusteward.yaml"
    path.write_text(config)
    with running("agent", "--config", str(path), token="first-token") as agent:  # noqa: S106 - a test's own
        bare = {"Authorization": ""}
        statuses = {
            path: agent.get(path, bare)[0] for path in ("/", "/metrics", "/snapshot", "/livez", "/readyz")
        }
        assert statuses == {"/": 401, "/metrics": 401, "/snapshot": 401, "/livez": 200, "/readyz": 200}
        assert agent.get("/metrics", {"Authorization": "Bearer wrong"})[0] == 401
        assert agent.get("/metrics", {"Authorization": "Bearer first-token"})[0] == 200
        token.write_text("second-token\n")
        assert agent.get("/metrics", {"Authorization": "Bearer second-token"})[0] == 200
        assert agent.get("/metrics", {"Authorization": "Bearer first-token"})[0] == 401


def test_a_page_of_two_hosts_gives_two_nodes(tmp_path: Path) -> None:
    other = H100_PAGE.replace("gpu-node-1", "gpu-node-2").replace("GPU-", "GPU-2")
    with DcgmServer(H100_PAGE + other) as server, agent_with(dcgm_config(server.url), tmp_path) as agent:
        scrape = agent.metrics()
        for node in ("gpu-node-1", "gpu-node-2"):
            assert f'gpusteward_node_price_per_hour{{node="{node}"}} 55.04' in scrape


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_it_stops_cleanly_and_soon(number: signal.Signals, tmp_path: Path) -> None:
    with DcgmServer(H100_PAGE) as server, agent_with(dcgm_config(server.url), tmp_path) as agent:
        server.behaviour = Behaviour.HANG
        time.sleep(0.3)
        agent.signal(number)
        assert agent.process.wait(timeout=8) == 0


def test_up_says_on_its_first_line_that_the_fleet_is_simulated() -> None:
    with running("up", "--mode", "simulated", "--listen", "127.0.0.1:0") as agent:
        assert agent.log[0].startswith("SIMULATED fleet (asked for)")
        page = agent.metrics()
        assert 'gpusteward_build_info{mode="simulated"' in page
        assert "SIMULATED" in agent.get("/")[2]
        assert {"used", "idle", "underused", "headroom", "unallocated", "unhealthy", "stranded"} <= causes(
            page
        )


def test_up_finds_a_dcgm_page_and_is_then_real(tmp_path: Path) -> None:
    path = tmp_path / "gpusteward.yaml"
    with DcgmServer(H100_PAGE) as server:
        path.write_text(f'sources: {{dcgm: {{url: "{server.url}"}}}}')
        with running("up", "--config", str(path), "--listen", "127.0.0.1:0") as agent:
            assert any(line.startswith("This machine's GPUs (reading dcgm)") for line in agent.log)
            assert 'gpusteward_build_info{mode="real"' in agent.metrics()


def test_another_currency_waits_for_a_restart_since_no_sum_mixes_two(tmp_path: Path) -> None:
    with DcgmServer(H100_PAGE) as server, agent_with(dcgm_config(server.url), tmp_path) as agent:
        yen = 'pricing: {currency: JPY, usd_exchange_rate: "150"}'
        (tmp_path / "gpusteward.yaml").write_text(dcgm_config(server.url, yen))
        page = agent.wait_for(r"^gpusteward_config_reload_success 0\.0")
        assert 'gpusteward_price_info{catalogue_date="2026-08-03",currency="USD"}' in page
        assert cost_sum(page) == pytest.approx(55.04)
        agent.wait_for_log("no sum mixes two currencies")


def test_what_is_withdrawn_from_the_config_is_forgotten(tmp_path: Path) -> None:
    with DcgmServer(H100_PAGE) as server, agent_with(dcgm_config(server.url), tmp_path) as agent:
        assert 'source="catalogue"' in agent.metrics()
        file = tmp_path / "gpusteward.yaml"
        file.write_text(dcgm_config(server.url).replace(f"node: {H100_NODE}", ""))
        agent.wait_for(r"^gpusteward_gpu_price_per_hour\{.*confidence=\"low\".*source=\"model\"")


def test_up_waits_for_a_source_that_the_config_names_and_does_not_simulate(tmp_path: Path) -> None:
    path = tmp_path / "gpusteward.yaml"
    path.write_text('{agent: {source: dcgm}, sources: {dcgm: {url: "http://127.0.0.1:1/metrics"}}}')
    with running("up", "--config", str(path), "--listen", "127.0.0.1:0") as agent:
        assert any(line.startswith("This machine's GPUs (waiting for dcgm") for line in agent.log)
        assert 'gpusteward_build_info{mode="real"' in agent.metrics()


def test_the_config_of_this_node_says_nothing_of_simulated_ones(tmp_path: Path) -> None:
    path = tmp_path / "gpusteward.yaml"
    path.write_text(f"{{node: {H100_NODE}, agent: {{source: simulated}}}}")
    with running("up", "--config", str(path), "--listen", "127.0.0.1:0") as agent:
        page = agent.metrics()
        assert 'gpusteward_node_price_per_hour{node="train-h100-1"} 55.04' in page
        assert 'gpusteward_node_price_per_hour{node="edge-t4-1"} 0.752' in page
