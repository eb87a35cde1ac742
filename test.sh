#!/usr/bin/env bash
# Makes the development environment and runs every check of the project, all of them, whatever fails on the way.
# Usage: ./test.sh        (one test alone: .venv/bin/python -m pytest tests/unit/... -k words)
# With CI=true a check or a test that would be skipped fails instead.
set -euo pipefail
root=$(cd -- "$(dirname -- "${BASH_SOURCE[0]}")" && pwd -P)
# shellcheck source=.ci/environment.sh
source "$root/.ci/environment.sh"
cd -- "$root"
if (($#)); then die "./test.sh takes no arguments." "One test alone: .venv/bin/python -m pytest tests/unit -k words"; fi

# 100 % of the branches of these, which decide what is charged and shown; 90 % of everything (pyproject.toml).
pure_rooms=(model units errors attribution pricing underuse meter processes snapshot metrics)
passed=()
failed=()
skipped=()

headline() { printf '\n======== %s ========\n' "$*"; }

# check NAME COMMAND...: runs it under a headline and remembers how it ended.
check() {
    local name=$1
    shift
    headline "$name"
    if "$@"; then passed+=("$name"); else failed+=("$name"); fi
}

# check_with TOOL NAME COMMAND...: the same, where TOOL is there.
check_with() {
    local tool=$1 name=$2
    shift 2
    if command -v "$tool" >/dev/null; then
        check "$name" "$@"
    else
        headline "$name"
        printf 'skipped: %s is not on this machine\n' "$tool"
        if [[ ${CI:-} == true ]]; then failed+=("$name ($tool is missing)"); else skipped+=("$name ($tool is missing)"); fi
    fi
}

# Debian packages that tests need: prometheus brings promtool and the server that scrapes us in a test.
install_packages() {
    local packages=() apt=(apt-get)
    if ! command -v promtool >/dev/null || ! command -v prometheus >/dev/null; then packages+=(prometheus); fi
    if ! command -v shellcheck >/dev/null; then packages+=(shellcheck); fi
    if ((${#packages[@]} == 0)); then return; fi
    if ! command -v apt-get >/dev/null; then
        say "Not installed: ${packages[*]} (no apt-get here); what needs them is skipped"
        return
    fi
    if ((EUID != 0)); then
        if ! sudo -n true 2>/dev/null; then
            say "Not installed: ${packages[*]} (needs root); what needs them is skipped. To have it all:" \
                "sudo apt-get install ${packages[*]}"
            return
        fi
        apt=(sudo -n env DEBIAN_FRONTEND=noninteractive apt-get)
    fi
    say "Installing Debian packages: ${packages[*]}"
    if ! DEBIAN_FRONTEND=noninteractive "${apt[@]}" update -qq ||
        ! DEBIAN_FRONTEND=noninteractive "${apt[@]}" install -y -qq --no-install-recommends "${packages[@]}"; then
        say "apt-get failed; what needs ${packages[*]} is skipped"
    fi
}

pure_rooms_are_covered() {
    local room include=""
    for room in "${pure_rooms[@]}"; do
        include+="exporter/gpusteward/$room.py,exporter/gpusteward/$room/*,"
    done
    coverage report --include="${include%,}" --fail-under=100
}

committed_rules_are_valid() {
    local rules=()
    shopt -s nullglob
    rules=(rules/*.yaml)
    shopt -u nullglob
    if ((${#rules[@]} == 0)); then
        echo "no rules are committed yet"
        return
    fi
    promtool check rules "${rules[@]}"
}

shell_scripts=(start.sh test.sh .ci/run .ci/environment.sh)

shell_syntax() {
    local script
    for script in "${shell_scripts[@]}"; do bash -n "$script" || return; done
}

ensure_environment "$root/.venv" "$root" dev
export PATH="$root/.venv/bin:$PATH"
install_packages

check "bash -n" shell_syntax
check_with shellcheck "shellcheck" shellcheck --external-sources "${shell_scripts[@]}"
check "ruff check" ruff check .
check "ruff format" ruff format --check .
check "mypy" mypy
check "import-linter" lint-imports
check_with promtool "promtool check config" promtool check config docs/examples/prometheus.yml
check_with promtool "promtool check rules" committed_rules_are_valid
check "pytest" python -m pytest tests/ -v -p tests.no_skips --cov
check "coverage of the pure rooms" pure_rooms_are_covered

headline "summary"
for name in ${skipped[@]+"${skipped[@]}"}; do printf 'skipped: %s\n' "$name"; done
for name in ${failed[@]+"${failed[@]}"}; do printf 'FAILED:  %s\n' "$name"; done
printf 'checks: %d passed, %d failed, %d skipped\n' "${#passed[@]}" "${#failed[@]}" "${#skipped[@]}"
((${#failed[@]} == 0))
