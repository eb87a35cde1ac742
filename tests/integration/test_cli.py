"""The command line as a person meets it: what is printed where, and the exit code."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from gpusteward.pricing.offers import shown
from tests.agents import running
from tests.conftest import ROOT

if TYPE_CHECKING:
    from pathlib import Path

    from tests.conftest import Golden


SECRET = "s3cret"  # noqa: S105 - a test's own, of no other use
PRICES = ROOT / "exporter" / "gpusteward" / "pricing" / "catalogue" / "gpu_prices.csv"
SUBJECTS = ["p5.48xlarge", "g6.12xlarge", "NVIDIA L4", "nvidia-tesla-t4", "g6", "a100"]


def gpusteward(*arguments: str) -> tuple[int, str, str]:
    """Exit code, standard output and standard error."""
    done = subprocess.run(
        [sys.executable, "-m", "gpusteward", *arguments],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    return done.returncode, done.stdout, done.stderr


def test_no_command_is_wrong_usage() -> None:
    code, out, err = gpusteward()
    assert (code, out) == (2, "")
    assert "usage: gpusteward" in err


def test_version_is_the_packages() -> None:
    assert gpusteward("--version")[1].startswith("gpusteward 0.")


def test_check_lists_every_problem_with_its_line_on_standard_error(tmp_path: Path) -> None:
    path = tmp_path / "bad.yaml"
    path.write_text("agent: {interval_secnds: 5}\nunderuse: {idle_activity: 3}\n")
    code, out, err = gpusteward("check", "--config", str(path))
    assert (code, out) == (1, "")
    assert f"{path}:1 agent.interval_secnds" in err
    assert f"{path}:2 underuse.idle_activity" in err


def test_check_looks_into_the_files_that_the_config_names(tmp_path: Path) -> None:
    path, prices, profile, token = (tmp_path / name for name in ("g.yaml", "p.csv", "fleet.yaml", "token"))
    path.write_text(
        f"agent: {{bearer_token_file: {token}}}\npricing: {{catalogue_file: {prices}}}\n"
        f"sources: {{simulated: {{profile: {profile}}}}}"
    )
    prices.write_text("provider,price\naws,1\n")
    profile.write_text("nodes: []")
    token.write_text("two words")
    code, out, err = gpusteward("check", "--config", str(path))
    assert (code, out) == (1, "")
    assert f"pricing.catalogue_file {prices}:1: wrong columns" in err
    assert f"sources.simulated.profile {profile}:1 nodes: is empty" in err
    assert f"agent.bearer_token_file {token}: holds a blank" in err
    prices.unlink()
    code, _, err = gpusteward("check", "--config", str(path))
    assert code == 1
    assert f"pricing.catalogue_file: {prices} cannot be read" in err


def test_check_passes_good_files_and_a_token_that_is_only_elsewhere(tmp_path: Path) -> None:
    path = tmp_path / "g.yaml"
    path.write_text(
        f"agent: {{bearer_token_file: {tmp_path / 'token'}}}\npricing: {{catalogue_file: {PRICES}}}\n"
        "sources: {simulated: {profile: small}}\nnode: {instance_type: p5.48xlarg}"
    )
    code, out, err = gpusteward("check", "--config", str(path))
    assert (code, err) == (0, "")
    assert f"agent.bearer_token_file {tmp_path / 'token'}: does not exist" in out
    assert "node.instance_type: is 'p5.48xlarg'" in out
    assert "did you mean p5.48xlarge?" in out
    (tmp_path / "token").write_text(SECRET)
    assert "bearer_token_file /" not in gpusteward("check", "--config", str(path))[1]


def test_check_accepts_the_committed_example() -> None:
    code, out, err = gpusteward("check", "--config", str(ROOT / "gpusteward.example.yaml"))
    assert (code, err) == (0, "")
    assert "is valid" in out


def test_a_bad_config_stops_the_agent_at_its_start(tmp_path: Path) -> None:
    path = tmp_path / "bad.yaml"
    path.write_text("agent: {source: nvidia}")
    code, _, err = gpusteward("agent", "--config", str(path))
    assert code == 1
    assert "agent.source" in err
    assert "Traceback" not in err


@pytest.mark.parametrize("subject", SUBJECTS)
def test_a_price_is_explained_as_committed(subject: str, golden: Golden) -> None:
    code, out, err = gpusteward("prices", "explain", subject)
    assert (code, err) == (0, "")
    golden(out, f"tests/golden/prices/{subject.replace(' ', '-')}.txt")


def test_every_node_is_explained_by_asking_the_agent_with_the_price_that_it_charges() -> None:
    with running("up", "--mode", "simulated", "--listen", "127.0.0.1:0") as agent:
        nodes = json.loads(agent.get("/snapshot")[2])["nodes"]
        for node in nodes:
            code, out, err = gpusteward("prices", "explain", node["node"], "--agent", agent.url)
            said = out + err
            assert said.startswith(f"node {node['node']}: ")
            assert "The two differ" not in said
            if node["price"] is None:
                assert (code, out) == (1, "")
                assert node["missing_price"] in said
            else:
                price = shown(node["price"]["list_micro_per_hour"])
                assert (code, err) == (0, "")
                assert f"the agent charges\n  node        {price} USD an hour\n" in said
        assert {node["price"] is None for node in nodes} == {True, False}
        code, _, err = gpusteward("prices", "explain", "no-such-node", "--agent", agent.url)
        assert code == 1
        assert "no-such-node" in err


def test_an_agent_with_a_token_and_another_config_explains_what_it_charges(tmp_path: Path) -> None:
    token = tmp_path / "token"
    token.write_text(f"{SECRET}\n")
    config = tmp_path / "gpusteward.yaml"
    own = "pricing: {book: [{node: train-h100-1, node_per_hour: 32}]}"
    config.write_text(f"agent: {{bearer_token_file: {token}}}\n{own}")
    arguments = ("up", "--mode", "simulated", "--listen", "127.0.0.1:0", "--config", str(config))
    with running(*arguments, token=SECRET) as agent:
        explain = ("prices", "explain", "train-h100-1", "--agent", agent.url)
        code, out, err = gpusteward(*explain)
        assert (code, out) == (1, "")
        assert "needs a token" in err
        assert "next: give its file with --token-file FILE" in err
        code, out, _ = gpusteward(*explain, "--token-file", str(token))
        assert code == 0
        assert out.index("  node        32 USD an hour") < out.index("  node        55.04 USD an hour")
        assert "next: give the agent's config with --config FILE" in out
        code, out, _ = gpusteward(*explain, "--token-file", str(token), "--config", str(config))
        assert code == 0
        assert "55.04" not in out
        assert "The two differ" not in out


def test_a_token_file_that_is_not_there_is_a_problem(tmp_path: Path) -> None:
    code, _, err = gpusteward(
        "prices", "explain", "n1", "--agent", "http://127.0.0.1:1", "--token-file", str(tmp_path / "none")
    )
    assert code == 1
    assert "does not exist" in err
    assert "Traceback" not in err


def test_an_agent_that_is_named_is_asked_even_for_an_instance_type() -> None:
    with running("up", "--mode", "simulated", "--listen", "127.0.0.1:0") as agent:
        code, out, _ = gpusteward("prices", "explain", "p5.48xlarge", "--agent", agent.url)
    assert code == 0
    assert out.startswith("aws p5.48xlarge in us-east-1")
    code, _, err = gpusteward("prices", "explain", "p5.48xlarge", "--agent", "http://127.0.0.1:1")
    assert code == 1
    assert "is no node known here" not in err
    assert "no agent answers at http://127.0.0.1:1" in err


def test_what_is_neither_type_nor_model_nor_node_says_so_with_a_next_step() -> None:
    code, out, err = gpusteward("prices", "explain", "nonsense", "--agent", "http://127.0.0.1:1")
    assert (code, out) == (1, "")
    assert "'nonsense' is no node known here" in err
    assert "next: start the agent" in err


def test_prices_are_listed_by_provider_and_model() -> None:
    code, out, _ = gpusteward("prices", "list", "--provider", "gcp", "--model", "nvidia-l4")
    assert code == 0
    assert "g2-standard-4" in out
    assert "2026-08-03" in out
    assert "p5.48xlarge" not in out


def test_a_price_file_is_checked_all_at_once(tmp_path: Path) -> None:
    assert gpusteward("prices", "check", str(PRICES))[0] == 0
    bad = tmp_path / "bad.csv"
    bad.write_text(
        PRICES.read_text().replace(
            "p5.48xlarge,us-east-1,H100-SXM5-80GB,8", "p5.48xlarge,us-east-1,H100-SXM5-80GB,12"
        )
    )
    code, _, err = gpusteward("prices", "check", str(bad))
    assert code == 1
    assert "bad.csv:" in err
    code, _, err = gpusteward("prices", "check", str(tmp_path / "none.csv"))
    assert code == 1
    assert "cannot be read" in err


@pytest.mark.parametrize(
    ("page", "committed"),
    [
        ("metrics", "docs/metrics.md"),
        ("configuration", "docs/configuration.md"),
        ("example", "gpusteward.example.yaml"),
    ],
)
def test_a_reference_page_is_printed_as_committed(page: str, committed: str) -> None:
    code, out, _ = gpusteward("docs", page)
    assert code == 0
    assert out == (ROOT / committed).read_text()


def test_a_port_in_use_is_said_with_a_next_step() -> None:
    with running("up", "--mode", "simulated", "--listen", "127.0.0.1:0") as agent:
        code, out, err = gpusteward(
            "up", "--mode", "simulated", "--listen", agent.url.removeprefix("http://")
        )
    assert (code, out) == (1, "")
    assert "is in use by another process" in err
    assert "next:" in err


def test_real_mode_without_a_gpu_says_what_was_tried(tmp_path: Path) -> None:
    path = tmp_path / "gpusteward.yaml"
    path.write_text('sources: {dcgm: {url: "http://127.0.0.1:1/metrics"}}')
    code, out, err = gpusteward("up", "--mode", "real", "--config", str(path))
    assert (code, out) == (1, "")
    assert "no GPU source found; tried" in err
    assert "dcgm: http://127.0.0.1:1/metrics cannot be reached" in err
    assert "Traceback" not in err


def test_a_reader_that_goes_away_is_no_error() -> None:
    with subprocess.Popen(
        [sys.executable, "-m", "gpusteward", "prices", "list"], stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as listing:
        assert listing.stdout is not None
        assert listing.stderr is not None
        listing.stdout.close()
        assert listing.stderr.read() == b""


def test_up_does_not_serve_everybody_without_a_token() -> None:
    code, out, err = gpusteward("up", "--mode", "simulated", "--listen", "0.0.0.0:0")
    assert (code, out) == (1, "")
    assert "would serve everybody without a token" in err


def test_real_mode_and_a_simulated_source_contradict_each_other(tmp_path: Path) -> None:
    path = tmp_path / "gpusteward.yaml"
    path.write_text("agent: {source: simulated}")
    code, _, err = gpusteward("up", "--mode", "real", "--config", str(path))
    assert code == 1
    assert "leave one of them out" in err
