#!/bin/sh
# Makes .venv-upstream: Karbor 1.6.0 itself, for its own fullstack tests, and the clients that these use. Then
#   devcloud up --with-refloat && devcloud exec -- .venv-upstream/bin/python -W ignore tools/upstream_tests.py [NAME...]
# runs them, unchanged, against the service that the cloud has deployed.
set -eu
cd "$(dirname "$0")/.."
export UV_PYTHON_DOWNLOADS=never
made=.venv-upstream
uv=$(command -v uv || echo .venv/bin/uv)
"$uv" venv -q --clear -p .venv/bin/python "$made"
"$uv" pip install -q -p "$made/bin/python" --no-deps karbor==1.6.0 python-karborclient==2.1.0
"$uv" pip install -q -p "$made/bin/python" croniter eventlet icalendar openstacksdk os-client-config oslotest \
  oslo.messaging oslo.service oslo.versionedobjects python-cinderclient python-glanceclient python-manilaclient \
  python-neutronclient python-novaclient 'setuptools<81' six testtools webob
