# shellcheck shell=bash
# Sourced by start.sh and test.sh: finds a Python and keeps a virtual environment of this checkout current.
#
# Two small files in the environment tell its state:
#   .gpusteward-installed   what it was built from; when that still holds, nothing is done (and no network asked)
#   .gpusteward-incomplete  a build began and did not end: nothing in it is trusted, it is built anew

# To stderr: stdout belongs to what is started.
say() { printf '==> %s\n' "$*" >&2; }

die() {
    printf 'error: %s\n' "$1" >&2
    shift
    if (($#)); then printf '  %s\n' "$@" >&2; fi
    exit 1
}

# Prints the first Python >= 3.11 that can make virtual environments. $PYTHON, when set, is the only one tried.
find_python() {
    local candidate old="" bare=""
    for candidate in ${PYTHON:+"$PYTHON"} ${PYTHON:-python3 python3.13 python3.12 python3.11 python}; do
        # A pyenv or Windows shim may be on the PATH and still start nothing: only an answer counts.
        "$candidate" -c 'pass' >/dev/null 2>&1 || continue
        if ! "$candidate" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then
            old=$("$candidate" -V 2>&1)
        elif ! "$candidate" -c 'import ensurepip, venv' >/dev/null 2>&1; then
            bare=${bare:-$candidate}
        else
            printf '%s\n' "$candidate"
            return
        fi
    done
    if [[ -n $bare ]]; then
        die "$bare cannot make virtual environments: its venv module is missing." \
            "On Debian and Ubuntu: sudo apt install python3-venv" \
            "(or the package of that version, such as python3.12-venv)"
    fi
    die "No Python 3.11 or later was found${PYTHON:+ in PYTHON=$PYTHON}${old:+ (only $old)}." \
        "Install one (Debian, Ubuntu: sudo apt install python3 python3-venv)," \
        "or name it: PYTHON=/path/to/python3.12 $0"
}

# Prints what an environment is built from, as its own Python sees it: a line on where and with which Python,
# a line on the dependencies. Fails when that Python no longer starts.
fingerprint() {
    local venv=$1 root=$2 extras=$3
    "$venv/bin/python" -c '
import hashlib, pathlib, sys
root, extras = sys.argv[1:]
print(root, "%d.%d" % sys.version_info[:2])
print(extras, hashlib.sha256(pathlib.Path(root, "pyproject.toml").read_bytes()).hexdigest())
' "$root" "$extras" 2>/dev/null
}

# Whether an environment that is not current can be installed over, rather than built anew.
reusable() {
    local venv=$1 want=$2 have=""
    [[ ! -e $venv/.gpusteward-incomplete ]] || return 1
    "$venv/bin/python" -m pip --version >/dev/null 2>&1 || return 1
    # An environment without our file was made by somebody else, by hand: theirs to keep.
    [[ -e $venv/.gpusteward-installed ]] || return 0
    read -r have <"$venv/.gpusteward-installed"
    [[ $have == "${want%%$'\n'*}" ]]
}

# ensure_environment VENV ROOT EXTRAS: VENV holds the package of ROOT, editable, with EXTRAS ("" for none).
# Two starts at once would build it into each other, so the second waits (where there is flock: util-linux).
ensure_environment() {
    if command -v flock >/dev/null; then
        exec 9>"$1.lock"
        flock -n 9 || { say "Waiting for another start that is building $1" && flock 9; }
    fi
    build_environment "$@"
    exec 9>&-
}

build_environment() {
    local venv=$1 root=$2 extras=$3 want python fresh=""
    want=$(fingerprint "$venv" "$root" "$extras") || want=""
    if [[ -n $want && ! -e $venv/.gpusteward-incomplete && -e $venv/.gpusteward-installed &&
        $want == "$(<"$venv/.gpusteward-installed")" ]]; then
        return
    fi
    if [[ -z $want ]] || ! reusable "$venv" "$want"; then
        python=$(find_python)
        say "Making a virtual environment in $venv with $("$python" -V)"
        rm -rf -- "$venv"
        mkdir -p -- "$venv"
        : >"$venv/.gpusteward-incomplete"
        "$python" -m venv "$venv"
        fresh=yes
    fi
    : >"$venv/.gpusteward-incomplete"
    say "Installing GPU Steward and what it needs (once; from PyPI or your PIP_INDEX_URL)"
    if ! (cd -- "$root" && "$venv/bin/python" -m pip install --disable-pip-version-check -e ".${extras:+[$extras]}" >&2); then
        # pip that gives up leaves what was there as it was; pip that is killed does not, and the mark stays.
        [[ -n $fresh ]] || rm -f -- "$venv/.gpusteward-incomplete"
        die "The packages could not be installed; pip says why above." \
            "This needs a package index, the first time and when dependencies change; behind a mirror, set PIP_INDEX_URL." \
            "Then run $0 again."
    fi
    fingerprint "$venv" "$root" "$extras" >"$venv/.gpusteward-installed"
    rm -f -- "$venv/.gpusteward-incomplete"
}
