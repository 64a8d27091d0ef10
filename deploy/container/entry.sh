#!/bin/sh
# What the container is: api, worker, or manage or status with their arguments (manage db sync).
set -eu
what=${1:-api}
[ $# = 0 ] || shift
case $what in
  api) exec uwsgi --ini /opt/refloat/uwsgi.ini "$@" ;;
  worker) exec refloat -v worker "$@" ;;
  manage) exec refloat-manage "$@" ;;
  status) exec refloat-status "$@" ;;
  *) echo "entry.sh: '$what' is none of api, worker, manage, status" >&2; exit 2 ;;
esac
