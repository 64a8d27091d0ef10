#!/bin/sh
# Makes .venv-karborclient: the unmodified python-karborclient, for the tests that drive it against the service.
# It has an environment of its own, for it needs a PrettyTable of 2013.
set -eu
cd "$(dirname "$0")/.."
export UV_PYTHON_DOWNLOADS=never
wanted=tests/fullstack/karborclient.txt
made=.venv-karborclient
cmp -s "$wanted" "$made/installed.txt" && exit 0
uv=$(command -v uv || echo .venv/bin/uv)
"$uv" venv -q --clear -p .venv/bin/python "$made"
"$uv" pip install -q --compile-bytecode -p "$made/bin/python" --no-deps -r "$wanted"
cp "$wanted" "$made/installed.txt"
