"""The journal of real agents: killed at random moments, stopped, started again, and read meanwhile."""

from __future__ import annotations

import json
import signal
from typing import TYPE_CHECKING

import pytest

from tests.agents import agent_with
from tests.journal_kills import PRICE, Machine, rows_of, run, settled_rows, sums_of

if TYPE_CHECKING:
    from pathlib import Path

KILLS = 40


def nothing(_line: str) -> None:
    """Where progress goes."""


@pytest.mark.timeout(600)
def test_forty_kills_get_at_most_a_minute_of_each_device_wrong_each(tmp_path: Path) -> None:
    """The bound, kill by kill, and that no row ever changes, are asserted in the run itself."""
    machine = run(tmp_path, KILLS, nothing)
    assert len(machine.samples()) > KILLS
    pods = {pod for _, pod, _ in machine.truth}
    assert len(pods) == KILLS // 5 + 1 + 1, "each pod that held it, and nobody"


def test_kills_lose_no_time_of_a_pod_that_stays_and_money_is_price_times_time(tmp_path: Path) -> None:
    machine = Machine(tmp_path)
    machine.hold("train-0")
    for _ in range(3):
        with machine.agent() as agent:
            agent.wait_for("^gpusteward_journal_last_write_timestamp_seconds ")
            machine.kill(agent)
    before = len(machine.samples())
    with machine.agent() as agent:
        rows = [row for row in settled_rows(agent) if row["uuid"] == "GPU-A"]
        prices = json.loads(agent.get("/usage")[2])["prices"]
        metered_ms = int(machine.samples()[before] * 1000) - int(machine.samples()[0] * 1000)
        assert abs(sum(row["held_ms"] for row in rows) - metered_ms) <= len(rows)
        assert {row["pod"] for row in rows} == {"train-0"}
        (price,) = {row["price"] for row in rows}
        (micro,) = [known["micro_per_hour"] for known in prices if known["id"] == price]
        assert micro == PRICE
        money = sum(row["held_ms"] * micro for row in rows) / 3_600_000
        assert money == pytest.approx(metered_ms * PRICE / 3_600_000, abs=len(rows) * PRICE / 3_600_000)
        machine.kill(agent)


def test_a_stop_on_request_loses_nothing_and_counters_go_on(tmp_path: Path) -> None:
    machine = Machine(tmp_path)
    machine.hold("train-0")
    counter = '^gpusteward_gpu_held_seconds_total{cause="used".*pod="train-0".*} [1-9]'
    with machine.agent() as agent:
        first = machine.samples()[0]
        agent.wait_for(counter)
        agent.signal(signal.SIGTERM)
        assert agent.process.wait(timeout=10) == 0
        machine.killed_at = (machine.samples()[-1], machine.pod)
    machine.truth.clear()
    stopped = machine.samples()[-1]
    with machine.agent() as agent:
        sums = sums_of(settled_rows(agent))
        assert sums["GPU-A", "train-0", "used"] == pytest.approx((stopped - first) / 2, abs=0.01)
        assert sums["GPU-A", "train-0", "headroom"] == pytest.approx((stopped - first) / 2, abs=0.01)
        assert sums["GPU-B", "", "unallocated"] == pytest.approx(stopped - first, abs=0.01)
        assert sums["GPU-A", "train-0", "unmeasured"] == pytest.approx(
            machine.truth["GPU-A", "train-0", "unmeasured"], abs=0.01
        )
        page = agent.wait_for(counter)
        values = [
            line.rsplit(" ", 1)[1]
            for line in page.splitlines()
            if 'cause="used"' in line and "held_s" in line
        ]
        assert float(values[0]) >= (stopped - first) / 2 - 0.01
        agent.wait_for_log("counters go on")
        machine.kill(agent)


def test_two_readers_in_pieces_of_their_own_read_the_same_rows(tmp_path: Path) -> None:
    machine = Machine(tmp_path)
    machine.hold("train-0")
    for _ in range(2):
        with machine.agent() as agent:
            agent.wait_for("^gpusteward_journal_last_write_timestamp_seconds ")
            rows = rows_of(agent, limit=1)
            assert rows_of(agent, limit=3)[: len(rows)] == rows
            machine.kill(agent)
    assert [row["seq"] for row in rows] == sorted({row["seq"] for row in rows})


def test_a_folder_that_cannot_be_written_costs_the_journal_and_nothing_else(tmp_path: Path) -> None:
    (tmp_path / "state").write_text("not a folder")
    config = f"""
agent: {{listen: "127.0.0.1:0", source: simulated, state_dir: "{tmp_path}/state", interval_seconds: 1}}
sources: {{simulated: {{profile: small, warmup_minutes: 0}}}}
"""
    with agent_with(config, tmp_path) as agent:
        page = agent.wait_for("^gpusteward_journal_write_errors_total [1-9]")
        assert "gpusteward_collect_success 1.0" in page
        assert "gpusteward_journal_last_write_timestamp_seconds" not in page
        agent.wait_for_log("metering goes on in memory")
        assert agent.get("/usage")[0] == 200


def test_a_simulated_fleet_bills_no_time_before_its_start_and_goes_on_from_its_own_checkpoint(
    tmp_path: Path,
) -> None:
    config = f"""
agent: {{listen: "127.0.0.1:0", source: simulated, state_dir: "{tmp_path}/state", interval_seconds: 1}}
sources: {{simulated: {{profile: small}}}}
"""
    with agent_with(config, tmp_path):
        pass
    with agent_with(config, tmp_path) as agent:
        assert (tmp_path / "state" / "simulated").is_dir()
        agent.wait_for_log("going on from a checkpoint; counters go on")
        rows = rows_of(agent)
        assert rows
        assert sum(row["held_ms"] for row in rows if row["uuid"] == rows[0]["uuid"]) < 120_000
