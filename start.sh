#!/usr/bin/env bash
# Installs GPU Steward into a virtual environment of its own, once, and runs it on this machine.
# Needs Python >= 3.11 with its venv module, nothing else. Arguments go to `gpusteward up`, such as
#   ./start.sh --mode simulated --listen 127.0.0.1:9500
set -euo pipefail
root=$(cd -- "$(dirname -- "${BASH_SOURCE[0]}")" && pwd -P)
# shellcheck source=.ci/environment.sh
source "$root/.ci/environment.sh"

venv=$root/.venv-start # apart from .venv, so that ./test.sh can change that one while this one runs
ensure_environment "$venv" "$root" ""
case " $* " in
*" --listen"* | *" -h "* | *" --help "*) ;;
*) say "In another terminal: curl http://localhost:9455/metrics (Ctrl-C here ends it)" ;;
esac
exec "$venv/bin/gpusteward" up "$@"
