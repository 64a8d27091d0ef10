#!/bin/sh
# What the container is: api, worker, or manage or status with their arguments (manage db sync). healthy asks an API
# that runs in the same container.
set -eu
what=${1:-api}
[ $# = 0 ] || shift
case $what in
  api) exec uwsgi --ini /opt/refloat/uwsgi.ini "$@" ;;
  worker) exec refloat -v worker "$@" ;;
  manage) exec refloat-manage "$@" ;;
  status) exec refloat-status "$@" ;;
  healthy) exec python3 -c 'import urllib.request as r; r.urlopen("http://127.0.0.1:8799/healthcheck", timeout=20)' ;;
  *) echo "entry.sh: '$what' is none of api, worker, manage, status, healthy" >&2; exit 2 ;;
esac
