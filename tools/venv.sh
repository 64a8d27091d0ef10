#!/bin/sh
# Makes .venv with Refloat, devcloud and what develops them, at the versions of constraints.txt.
# uv comes from PyPI; on a bare Debian or Ubuntu, and as root, Python's venv module comes from the distribution.
set -eu
cd "$(dirname "$0")/.."
export UV_PYTHON_DOWNLOADS=never
python=${PYTHON:-python3}

say() { echo "venv: $*" >&2; }

can_make_venvs() { "$python" -c 'import ensurepip, venv' 2>/dev/null; }

install_python() {
  if [ "$(id -u)" != 0 ] || ! command -v apt-get >/dev/null; then
    say "no uv, and $python cannot make virtual environments: install uv, or python3 with its venv module"
    exit 1
  fi
  say "installing python3-venv"
  apt-get -q -y update >/dev/null
  DEBIAN_FRONTEND=noninteractive apt-get -q -y install --no-install-recommends \
    python3 python3-venv ca-certificates >/dev/null
}

if command -v uv >/dev/null; then
  uv=uv
  [ -x .venv/bin/python ] || uv venv -q -p "$python" .venv
else
  if [ ! -x .venv/bin/python ]; then
    can_make_venvs || install_python
    "$python" -m venv .venv
  fi
  [ -x .venv/bin/uv ] || .venv/bin/python -m pip install -q --disable-pip-version-check uv
  uv=.venv/bin/uv
fi
"$uv" pip install -q -p .venv/bin/python -c constraints.txt -e '.[service]' -e ./devcloud --group dev
# Compile what the command imports: else each would do that anew where PYTHONDONTWRITEBYTECODE is set.
env -u PYTHONDONTWRITEBYTECODE .venv/bin/python -c 'import cliff.formatters.table, dbos, rich.progress
import refloat.api.server, refloat.cli.embedded.schedules, refloat.cli.running
from refloat.resources.registry import installed; installed()'
