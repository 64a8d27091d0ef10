#!/bin/sh
# Runs the fullstack tests of Karbor 1.6.0, unchanged, against the service that a devcloud has deployed:
#   devcloud up --with-refloat && devcloud exec -- tools/upstream.sh [TEST...]
# They need an environment of their own, for Karbor comes with clients of 2020.
set -eu
cd "$(dirname "$0")/.."
export UV_PYTHON_DOWNLOADS=never
made=.venv-upstream
uv=$(command -v uv || echo .venv/bin/uv)
if [ ! -e "$made/made" ]; then
  "$uv" venv -q --clear -p .venv/bin/python "$made"
  "$uv" pip install -q -p "$made/bin/python" --no-deps karbor==1.6.0 python-karborclient==2.1.0
  "$uv" pip install -q -p "$made/bin/python" croniter eventlet icalendar openstacksdk os-client-config oslotest \
    oslo.messaging oslo.service oslo.versionedobjects python-cinderclient python-glanceclient python-manilaclient \
    python-neutronclient python-novaclient 'setuptools<81' six testtools webob
  touch "$made/made"
fi
exec "$made/bin/python" -W ignore tools/upstream_tests.py "$@"
