from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from gpusteward.config import Config, ConfigWatch, parse, restart_needed
from gpusteward.errors import ConfigError, GpustewardError
from tests.clocks import TurnedClock

if TYPE_CHECKING:
    from pathlib import Path

START = 1_800_000_000.0


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "gpusteward.yaml"
    path.write_text("cluster: one\n")
    return path


@pytest.fixture
def clock() -> TurnedClock:
    return TurnedClock(START)


def settle(watch: ConfigWatch) -> Config | None:
    """Poll until a change stands still: it is seen once, and taken up the second time."""
    assert watch.poll() is None
    return watch.poll()


def test_the_file_is_loaded_at_the_start(path: Path, clock: TurnedClock) -> None:
    watch = ConfigWatch(path, clock)
    assert watch.config.cluster == "one"
    assert (watch.last_success, watch.last_success_at, watch.error) == (True, START, None)


def test_a_bad_file_at_the_start_is_refused(path: Path, clock: TurnedClock) -> None:
    path.write_text("zone: a")
    with pytest.raises(ConfigError, match="no such setting"):
        ConfigWatch(path, clock)


def test_an_unchanged_file_is_not_loaded_again(path: Path, clock: TurnedClock) -> None:
    watch = ConfigWatch(path, clock)
    clock.turn(60)
    path.touch()
    assert settle(watch) is None
    assert watch.last_success_at == START


def test_a_change_is_taken_up_once_it_stands_still(path: Path, clock: TurnedClock) -> None:
    watch = ConfigWatch(path, clock)
    path.write_text("cluster: two\n")
    clock.turn(60)
    config = settle(watch)
    assert config is not None
    assert config.cluster == "two"
    assert watch.config is config
    assert watch.last_success_at == START + 60
    assert watch.poll() is None


def test_a_file_caught_half_written_is_not_taken_for_another_config(path: Path, clock: TurnedClock) -> None:
    watch = ConfigWatch(path, clock)
    path.write_text("")
    assert watch.poll() is None
    path.write_text("cluster: two\n")
    config = settle(watch)
    assert config is not None
    assert config.cluster == "two"


def test_a_change_that_is_taken_back_at_once_changes_nothing(path: Path, clock: TurnedClock) -> None:
    watch = ConfigWatch(path, clock)
    path.write_text("cluster: two\n")
    assert watch.poll() is None
    path.write_text("cluster: one\n")
    assert settle(watch) is None


def test_the_symlink_swap_of_a_config_map_is_seen(tmp_path: Path, clock: TurnedClock) -> None:
    for folder in ("one", "two"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "f.yaml").write_text(f"cluster: {folder}\n")
    (tmp_path / "..data").symlink_to("one")
    (tmp_path / "f.yaml").symlink_to("..data/f.yaml")
    watch = ConfigWatch(tmp_path / "f.yaml", clock)
    (tmp_path / "new").symlink_to("two")
    (tmp_path / "new").replace(tmp_path / "..data")
    config = settle(watch)
    assert config is not None
    assert config.cluster == "two"


def test_a_bad_file_keeps_the_old_config_and_says_so(path: Path, clock: TurnedClock) -> None:
    watch = ConfigWatch(path, clock)
    path.write_text("cluster: two\nzone: a\n")
    clock.turn(60)
    assert settle(watch) is None
    assert watch.config.cluster == "one"
    assert not watch.last_success
    assert watch.last_success_at == START
    assert "zone" in str(watch.error)


def test_a_bad_file_is_tried_again_when_it_changes(path: Path, clock: TurnedClock) -> None:
    watch = ConfigWatch(path, clock)
    path.write_text("zone: a\n")
    assert settle(watch) is None
    error = watch.error
    assert watch.poll() is None
    assert watch.error is error
    path.write_text("cluster: two\n")
    assert settle(watch) == Config(cluster="two")
    assert (watch.last_success, watch.error) == (True, None)


def test_going_back_from_a_bad_file_to_the_old_one_is_a_success(path: Path, clock: TurnedClock) -> None:
    watch = ConfigWatch(path, clock)
    path.write_text("zone: a\n")
    settle(watch)
    path.write_text("cluster: one\n")
    assert settle(watch) == Config(cluster="one")
    assert watch.last_success


def test_a_file_that_is_gone_keeps_the_old_config_and_is_told_once(path: Path, clock: TurnedClock) -> None:
    watch = ConfigWatch(path, clock)
    path.unlink()
    assert watch.poll() is None
    assert (watch.config.cluster, watch.last_success) == ("one", False)
    error = watch.error
    assert "does not exist" in str(error)
    assert watch.poll() is None
    assert watch.error is error
    path.write_text("cluster: one\n")
    assert watch.poll() == Config(cluster="one")
    assert watch.last_success


def test_a_request_loads_the_file_at_once_and_once(path: Path, clock: TurnedClock) -> None:
    watch = ConfigWatch(path, clock)
    path.write_text("cluster: two\n")
    watch.request()
    watch.request()
    assert watch.poll() == Config(cluster="two")
    assert watch.poll() is None


def test_a_request_takes_up_an_unchanged_file_too(path: Path, clock: TurnedClock) -> None:
    watch = ConfigWatch(path, clock)
    clock.turn(5)
    watch.request()
    assert watch.poll() == Config(cluster="one")
    assert watch.last_success_at == START + 5


def test_a_request_judges_a_bad_file_anew_so_that_it_is_told_again(path: Path, clock: TurnedClock) -> None:
    watch = ConfigWatch(path, clock)
    path.unlink()
    watch.poll()
    error = watch.error
    watch.request()
    assert watch.poll() is None
    assert watch.error is not error


def test_a_config_that_could_not_be_taken_up_leaves_the_one_before_in_force(
    path: Path, clock: TurnedClock
) -> None:
    watch = ConfigWatch(path, clock)
    path.write_text("pricing: {catalogue_file: none.csv}\n")
    clock.turn(5)
    assert settle(watch) is not None
    error = GpustewardError("none.csv does not exist")
    watch.refuse(error)
    assert watch.config == Config(cluster="one")
    assert (watch.last_success, watch.last_success_at, watch.error) == (False, START, error)
    assert settle(watch) is None
    path.write_text("cluster: two\n")
    assert settle(watch) == Config(cluster="two")
    assert (watch.last_success, watch.last_success_at, watch.error) == (True, START + 5, None)


def test_without_a_file_the_defaults_hold_and_nothing_is_watched(clock: TurnedClock) -> None:
    watch = ConfigWatch(None, clock)
    watch.request()
    assert watch.poll() is None
    assert watch.config == Config()
    assert (watch.last_success, watch.last_success_at) == (True, None)


def test_a_restart_is_needed_for_sockets_and_sources_only() -> None:
    old = Config()
    new = parse(
        "agent: {listen: ':1', source: dcgm, interval_seconds: 6}\n"
        "sources: {dcgm: {file: p}, simulated: {seed: 2}}\nunderuse: {idle_activity: 0.05}",
        "f.yaml",
    )
    assert restart_needed(old, new) == (
        "agent.listen",
        "agent.source",
        "sources.dcgm.file",
        "sources.simulated.seed",
    )
    assert restart_needed(old, old) == ()
