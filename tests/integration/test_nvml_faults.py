"""The agent over HTTP while its machine breaks: the fault list of docs/nvml.md, one test each.

In every test a scraper asks for the page without pause and must get one each time (`agent_on`); only what is
faulty is missing from it, the health series say why, and once the fault is gone all is there again.
"""

from __future__ import annotations

import os
import signal
import threading
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.agents import running
from tests.nvml.fake import FakeNvml, build
from tests.nvml.profiles import A10G, H100
from tests.nvml_agents import agent_on
from tests.pages import labels_of, value, values

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.nvml_agents import OnNvml
    from tests.pages import Series

NODE = "node-1"


@pytest.fixture(scope="session")
def library(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build(tmp_path_factory.mktemp("nvml"))


@pytest.fixture
def four(tmp_path: Path, library: Path) -> Iterator[FakeNvml]:
    """What a g5.12xlarge holds."""
    with FakeNvml(tmp_path / "machine", [A10G] * 4, library=library) as fake:
        yield fake


def cycles(page: Series, reason: str) -> float:
    return sum(values(page, "collect_cycles_total", reason=reason))


def assert_nothing_is_known_of_the_gpus(page: Series) -> None:
    """Known GPUs stay, with their cost, and without values."""
    assert values(page, "gpu_utilization_ratio") == []
    assert values(page, "gpu_up") == []
    assert len(labels_of(page, "gpu_info")) == 4
    assert {labels["cause"] for labels in labels_of(page, "gpu_cost_per_hour")} == {"unmeasured"}


def assert_all_is_there(page: Series) -> None:
    assert len(values(page, "gpu_utilization_ratio")) == 4
    assert values(page, "gpu_up") == [1.0] * 4


def test_library_missing_then_found_under_the_operators_driver_root(
    four: FakeNvml, tmp_path: Path, library: Path
) -> None:
    root = tmp_path / "driver-root"
    four.remove_library()
    with agent_on(four, tmp_path, [f"driver_root: {root}"]) as on:
        page = on.wait_for_reason("library_missing")
        assert values(page, "gpu_up") == []
        on.agent.wait_for_log(f"{root}/usr/lib/x86_64-linux-gnu/libnvidia-ml.so.1 (no such file)")
        there = root / "usr/lib/x86_64-linux-gnu/libnvidia-ml.so.1"
        there.parent.mkdir(parents=True)
        there.symlink_to(library)
        assert_all_is_there(on.wait_until_well(4))


def test_driver_not_loaded_yet_then_loaded(four: FakeNvml, tmp_path: Path) -> None:
    absent = four.fault("*", 9)
    with agent_on(four, tmp_path) as on:
        on.wait_for_reason("driver_not_loaded")
        on.agent.wait_for_log("load the nvidia kernel module")
        four.clear_faults(absent)
        assert_all_is_there(on.wait_until_well(4))


def test_driver_upgraded_under_it(four: FakeNvml, tmp_path: Path) -> None:
    with agent_on(four, tmp_path) as on:
        on.wait_until_well(4)
        four.upgrade_driver("580.82.07")
        assert_nothing_is_known_of_the_gpus(on.wait_for_reason("driver_mismatch"))
        page = on.wait_until_well(4)
        assert {labels["driver_version"] for labels in labels_of(page, "gpu_info")} == {"580.82.07"}


def test_a_call_that_never_returns(four: FakeNvml, tmp_path: Path) -> None:
    with agent_on(four, tmp_path) as on:
        on.wait_until_well(4)
        hung = four.hang("nvmlDeviceGetUtilizationRates")
        page = on.wait_for_reason("timeout")
        assert_nothing_is_known_of_the_gpus(page)
        assert value(page, "collector_stuck") == 0, "the worker could be killed"
        four.clear_faults(hung)
        assert_all_is_there(on.wait_until_well(4))
        assert children(on) == 1


def test_one_gpu_whose_calls_never_return(four: FakeNvml, tmp_path: Path) -> None:
    with agent_on(four, tmp_path) as on:
        before = on.wait_until_well(4)
        broken = four.gpu(2).uuid
        with four.one_change():
            four.xid(2, 119)
            four.hang("*", gpu=2)
        page = on.wait_for(r'^gpusteward_gpu_up{.*reason="not_responding"')
        assert [labels["uuid"] for labels in labels_of(page, "gpu_up", reason="not_responding")] == [broken]
        assert value(page, "gpu_xid_errors_total", uuid=broken, xid="119") == 1
        (price,) = set(values(before, "gpu_price_per_hour"))
        assert values(page, "gpu_cost_per_hour", uuid=broken, cause="unhealthy") == [price]
        assert values(page, "gpu_power_watts", uuid=broken) == []
        page = on.wait_for(f'^gpusteward_gpu_utilization_ratio{{.*uuid="{four.gpu(3).uuid}"')
        assert len(values(page, "gpu_utilization_ratio")) == 3
        assert value(page, "collect_success") == 1
        four.clear_faults()
        assert_all_is_there(on.wait_until_well(4))
        assert children(on) == 1


def test_a_worker_that_dies(four: FakeNvml, tmp_path: Path) -> None:
    with agent_on(four, tmp_path) as on:
        on.wait_until_well(4)
        os.kill(four.census().pid, signal.SIGKILL)
        on.wait_for_reason("worker_died")
        assert_all_is_there(on.wait_until_well(4))
        assert children(on) == 1


@pytest.mark.parametrize(("code", "reason"), [(15, "lost"), (16, "reset_required"), (999, "unreadable")])
def test_one_gpu_lost_or_in_need_of_a_reset(four: FakeNvml, tmp_path: Path, code: int, reason: str) -> None:
    with agent_on(four, tmp_path) as on:
        before = on.wait_until_well(4)
        broken = four.gpu(2).uuid
        four.fault("*", code, gpu=2)
        page = on.wait_for(rf'^gpusteward_gpu_up{{.*reason="{reason}"')
        assert labels_of(page, "gpu_up", reason=reason) == [
            {"node": NODE, "gpu": "2", "uuid": broken, "gi": "", "reason": reason}
        ]
        assert values(page, "gpu_utilization_ratio", uuid=broken) == []
        assert values(page, "gpu_power_watts", uuid=broken) == []
        assert len(values(page, "gpu_utilization_ratio")) == 3
        assert value(page, "collect_success") == 1
        assert values(page, "nvml_errors_total", code=CODES[code]), page["gpusteward_nvml_errors_total"]
        (price,) = set(values(before, "gpu_price_per_hour"))
        assert values(page, "gpu_cost_per_hour", uuid=broken, cause="unhealthy") == [price]
        four.clear_faults()
        assert_all_is_there(on.wait_until_well(4))


CODES = {15: "GPU_IS_LOST", 16: "RESET_REQUIRED", 999: "UNKNOWN"}


def test_permission_lost_after_a_reload_of_the_hosts_services(four: FakeNvml, tmp_path: Path) -> None:
    with agent_on(four, tmp_path) as on:
        on.wait_until_well(4)
        four.fault("*", 999)
        assert_nothing_is_known_of_the_gpus(on.wait_for_reason("unknown_error"))
        on.agent.wait_for_log("systemctl daemon-reload")
        four.clear_faults()
        assert_all_is_there(on.wait_until_well(4))


def test_a_bad_gpu_at_the_start_while_the_others_work(four: FakeNvml, tmp_path: Path) -> None:
    bad = four.fault("*", 999, gpu=1)
    with agent_on(four, tmp_path) as on:
        page = on.wait_for('^gpusteward_gpu_up{.*uuid="unreadable-1"')
        assert len(values(page, "gpu_utilization_ratio")) == 3
        assert len(values(page, "gpu_cost_per_hour")) == 4, "it costs what the others do"
        assert value(page, "gpu_expected") == 4
        four.clear_faults(bad)
        page = on.wait_until_well(4)
        assert_all_is_there(page)
        assert "unreadable-1" not in {labels["uuid"] for labels in labels_of(page, "gpu_info")}


def test_a_gpu_less_and_a_gpu_again(four: FakeNvml, tmp_path: Path) -> None:
    with agent_on(four, tmp_path) as on:
        on.wait_until_well(4)
        gone = four.remove_gpu(3)
        page = on.wait_for('^gpusteward_gpu_up{.*reason="lost"')
        assert (value(page, "gpu_expected"), value(page, "gpu_seen")) == (4, 3)
        assert labels_of(page, "gpu_up", reason="lost")[0]["uuid"] == gone.uuid
        with four.one_change():
            four.machine.gpus.append(gone)
        page = on.wait_until_well(4)
        assert value(page, "gpu_seen") == 4


def test_no_gpu_at_all(tmp_path: Path, library: Path) -> None:
    with FakeNvml(tmp_path / "machine", [], library=library) as fake, agent_on(fake, tmp_path) as on:
        on.wait_for_reason("no_gpus")
        fake.add_gpu(A10G)
        on.wait_for('^gpusteward_gpu_up{gi="",gpu="0",node="node-1",reason=""')


def test_mig_divided_anew_under_it(tmp_path: Path, library: Path) -> None:
    with FakeNvml(tmp_path / "machine", [H100], library=library) as fake:
        (first,) = fake.set_mig_layout(0, ["3g.40gb"])
        fake.set_activity(0, gi=first.gi, sm=0.5)
        with agent_on(fake, tmp_path) as on:
            page = on.wait_for('^gpusteward_gpu_sm_active_ratio{gi="')
            assert {labels["mig_profile"] for labels in labels_of(page, "gpu_info", gi=str(first.gi))} == {
                "3g.40gb"
            }
            second, third = fake.set_mig_layout(0, ["1g.10gb", "2g.20gb"])
            page = on.wait_for(f'^gpusteward_gpu_sm_active_ratio{{gi="{third.gi}"')
            told = {labels["gi"] for labels in labels_of(page, "gpu_sm_active_ratio")}
            assert told == {str(second.gi), str(third.gi)}
            assert values(page, "gpu_sm_active_ratio") == [0.0, 0.0], "nothing of the one before"
            assert value(page, "collect_success") == 1


def test_auto_waits_for_a_driver_that_wakes_and_takes_it(four: FakeNvml, tmp_path: Path) -> None:
    asleep = four.stall("nvmlDeviceGetHandleByIndex_v2")
    with agent_on(four, tmp_path, source="auto") as on:
        on.wait_for_reason("starting")
        four.clear_faults(asleep)
        page = on.wait_until_well(4)
        assert {labels["source"] for labels in labels_of(page, "gpu_info")} == {"nvml"}


def test_without_nvml_auto_says_what_it_tried(four: FakeNvml, tmp_path: Path) -> None:
    four.remove_library()
    with agent_on(four, tmp_path, source="auto") as on:
        on.wait_for_reason("no_source")
        on.agent.wait_for_log("tried nvml: no libnvidia-ml.so.1; tried")


@pytest.mark.parametrize("mode", ["auto", "real"])
def test_up_waits_for_a_driver_that_wakes_rather_than_make_up_a_fleet(
    four: FakeNvml, tmp_path: Path, mode: str
) -> None:
    asleep = four.stall("nvmlDeviceGetHandleByIndex_v2")
    config = tmp_path / "gpusteward.yaml"
    config.write_text("agent: {interval_seconds: 1}\nsources: {nvml: {deadline_seconds: 0.3}}\n")

    def wake() -> None:
        while four.calls().get("nvmlDeviceGetHandleByIndex_v2", 0) == 0:
            threading.Event().wait(0.05)
        threading.Event().wait(1.0)  # three deadlines later
        four.clear_faults(asleep)

    waking = threading.Thread(target=wake)
    waking.start()
    arguments = ("up", "--mode", mode, "--listen", "127.0.0.1:0", "--config", str(config))
    with running(*arguments, env=four.env()) as up:
        up.wait_for("^gpusteward_gpu_up{")
        assert any("This machine's GPUs (reading nvml)." in line for line in up.log)
        assert 'mode="real"' in up.metrics()
    waking.join(20)


def children(on: OnNvml) -> int:
    """Processes whose parent is the agent."""
    found = 0
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = stat.read_text().rpartition(")")[2].split()
        except OSError:
            continue
        found += fields[1] == str(on.agent.process.pid)
    return found
