"""start.sh and .ci/environment.sh run for real, with a Python whose `venv` and `pip` are imitated."""

from __future__ import annotations

import shlex
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[3]

# `-m venv` makes a directory with a copy of this; `-m pip install` "installs" a gpusteward that says how it
# was called. The rest is the real interpreter. The variables make it old, bare, offline or killed half-way.
PYTHON = f"""#!/bin/bash
echo "$*" >>"$CALLS"
case "$*" in
"-m venv "*) mkdir -p "$3/bin" && cp "$0" "$3/bin/python" ;;
"-m pip --version") exit 0 ;;
"-m pip install "*)
    if [[ $PIP == killed ]]; then kill -KILL 0; fi
    if [[ $PIP == offline ]]; then echo "no route to the index" >&2; exit 1; fi
    program=${{0%/*}}/gpusteward
    printf '#!/bin/bash\\necho "gpusteward $*"; pwd\\n' >"$program" && chmod +x "$program" ;;
*"sys.exit"*version_info*) [[ ${{0##*/}} != "$OLD" ]] ;;
*ensurepip*) [[ $BARE != yes ]] ;;
-V) if [[ ${{0##*/}} == "$OLD" ]]; then echo "Python 3.9.2"; else echo "Python 3.12.1"; fi ;;
*) exec {shlex.quote(sys.executable)} "$@" ;;
esac
"""


@dataclass
class Machine:
    """A checkout in a folder whose name has spaces, and a PATH with nothing but what is put there."""

    checkout: Path
    path: Path
    elsewhere: Path

    def add_python(self, name: str = "python3") -> None:
        target = self.path / name
        target.write_text(PYTHON)
        target.chmod(0o755)

    def start(self, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
        self.calls_file.write_text("")
        return subprocess.run(
            [str(self.checkout / "start.sh"), *arguments],
            cwd=self.elsewhere,
            env={"PATH": str(self.path), "CALLS": str(self.calls_file), **environment},
            capture_output=True,
            text=True,
            check=False,
            start_new_session=True,
        )

    @property
    def calls_file(self) -> Path:
        return self.elsewhere / "calls"

    @property
    def installs(self) -> int:
        return self.calls_file.read_text().count("-m pip install")

    @property
    def builds(self) -> int:
        return self.calls_file.read_text().count("-m venv")


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    checkout, path, elsewhere = tmp_path / "my own  checkout", tmp_path / "bin", tmp_path / "else where"
    (checkout / ".ci").mkdir(parents=True)
    path.mkdir()
    elsewhere.mkdir()
    for name in ("start.sh", ".ci/environment.sh", "pyproject.toml"):
        shutil.copy2(ROOT / name, checkout / name)
    for tool in ("bash", "env", "dirname", "mkdir", "rm", "cp", "chmod"):
        (path / tool).symlink_to(shutil.which(tool) or f"/bin/{tool}")
    return Machine(checkout, path, elsewhere)


def test_without_python_it_says_what_to_install(machine: Machine) -> None:
    result = machine.start()

    assert result.returncode == 1
    assert "No Python 3.11 or later was found" in result.stderr
    assert "apt install python3" in result.stderr


def test_an_old_python_is_named_and_not_used(machine: Machine) -> None:
    machine.add_python()

    result = machine.start(OLD="python3")

    assert result.returncode == 1
    assert "only Python 3.9.2" in result.stderr


def test_a_newer_python_beside_an_old_one_is_used(machine: Machine) -> None:
    machine.add_python()
    machine.add_python("python3.12")

    result = machine.start(OLD="python3")

    assert result.returncode == 0, result.stderr
    assert "gpusteward up" in result.stdout


def test_a_python_without_its_venv_module_gets_the_name_of_the_package(machine: Machine) -> None:
    machine.add_python()

    result = machine.start(BARE="yes")

    assert result.returncode == 1
    assert "sudo apt install python3-venv" in result.stderr


def test_a_shim_that_starts_nothing_is_passed_over(machine: Machine) -> None:
    shim = machine.path / "python3"
    shim.write_text("#!/bin/bash\necho 'shim: python3: command not found' >&2; exit 127\n")
    shim.chmod(0o755)
    machine.add_python("python3.11")

    assert machine.start().returncode == 0


def test_the_python_that_the_user_names_is_the_only_one_tried(machine: Machine) -> None:
    machine.add_python()

    result = machine.start(PYTHON=str(machine.path / "python9"))

    assert result.returncode == 1
    assert "python9" in result.stderr


def test_the_first_run_installs_and_passes_arguments_on_in_the_callers_directory(machine: Machine) -> None:
    machine.add_python()

    result = machine.start("--mode", "simulated", "--config", "my file.yaml")

    assert result.returncode == 0, result.stderr
    assert result.stdout.splitlines() == [
        "gpusteward up --mode simulated --config my file.yaml",
        str(machine.elsewhere),
    ]
    assert "curl http://localhost:9455/metrics" in result.stderr
    assert (machine.builds, machine.installs) == (1, 1)


def test_where_to_look_is_left_to_the_program_when_another_address_is_asked_for(machine: Machine) -> None:
    machine.add_python()

    assert "9455" not in machine.start("--listen", "127.0.0.1:9999").stderr


def test_the_second_run_installs_nothing_and_needs_no_network(machine: Machine) -> None:
    machine.add_python()
    machine.start()

    result = machine.start(PIP="offline")

    assert result.returncode == 0, result.stderr
    assert (machine.builds, machine.installs) == (0, 0)


def test_a_first_run_without_network_says_what_it_needs_and_the_next_one_starts_over(
    machine: Machine,
) -> None:
    machine.add_python()

    result = machine.start(PIP="offline")

    assert result.returncode == 1
    assert "PIP_INDEX_URL" in result.stderr
    assert machine.start().returncode == 0
    assert (machine.builds, machine.installs) == (1, 1)


@pytest.mark.parametrize("earlier_runs", [0, 1])
def test_after_a_run_that_was_killed_while_installing_the_environment_is_built_anew(
    machine: Machine, earlier_runs: int
) -> None:
    machine.add_python()
    for _ in range(earlier_runs):
        machine.start()
        (machine.checkout / "pyproject.toml").write_text("# other dependencies\n")
    assert machine.start(PIP="killed").returncode < 0

    assert machine.start().returncode == 0
    assert (machine.builds, machine.installs) == (1, 1)


def test_changed_dependencies_are_installed_into_the_same_environment(machine: Machine) -> None:
    machine.add_python()
    machine.start()
    (machine.checkout / "pyproject.toml").write_text("# other dependencies\n")

    assert machine.start().returncode == 0
    assert (machine.builds, machine.installs) == (0, 1)


def test_changed_dependencies_without_network_leave_the_environment_as_it_was(machine: Machine) -> None:
    machine.add_python()
    machine.start()
    before = (machine.checkout / "pyproject.toml").read_text()
    (machine.checkout / "pyproject.toml").write_text("# other dependencies\n")
    assert machine.start(PIP="offline").returncode == 1

    (machine.checkout / "pyproject.toml").write_text(before)

    assert machine.start(PIP="offline").returncode == 0
    assert (machine.builds, machine.installs) == (0, 0)


def test_an_environment_that_somebody_made_by_hand_is_installed_into_and_kept(machine: Machine) -> None:
    machine.add_python()
    theirs = machine.checkout / ".venv-start/bin"
    theirs.mkdir(parents=True)
    shutil.copy2(machine.path / "python3", theirs / "python")
    (theirs / "their-tool").touch()

    assert machine.start().returncode == 0
    assert (machine.builds, machine.installs) == (0, 1)
    assert (theirs / "their-tool").exists()


def test_a_checkout_that_was_moved_gets_a_new_environment(machine: Machine) -> None:
    machine.add_python()
    machine.start()
    machine.checkout = machine.checkout.rename(machine.checkout.with_name("moved"))

    assert machine.start().returncode == 0
    assert (machine.builds, machine.installs) == (1, 1)


def test_an_environment_whose_python_is_gone_is_built_anew(machine: Machine) -> None:
    machine.add_python()
    machine.start()
    (machine.checkout / ".venv-start/bin/python").unlink()

    assert machine.start().returncode == 0
    assert (machine.builds, machine.installs) == (1, 1)
