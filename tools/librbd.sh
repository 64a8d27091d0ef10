#!/bin/sh
# Lets a virtual environment see librbd: Debian's python3-rados and python3-rbd, which are on no package index.
# Its Python must be of the version that Debian's is of (3.11 on Debian 12): they are built for that.
set -eu
venv=${1:?the folder of a virtual environment}
tag=$("$venv/bin/python" -c 'import sysconfig; print(sysconfig.get_config_var("EXT_SUFFIX"))')
into=$("$venv/bin/python" -c 'import sysconfig; print(sysconfig.get_path("platlib"))')
for module in rados rbd; do
  from=/usr/lib/python3/dist-packages/$module$tag
  [ -e "$from" ] || { echo "$from is missing: apt-get install python3-$module, for this version of Python" >&2; exit 1; }
  ln -sf "$from" "$into/"
done
