"""The first process in a cloud's new namespaces: prepares them, then becomes the supervisor.

    python -m devcloud.init HOME

It is started by `devcloud.namespaces.start`, sees the machine's /proc when it begins, and reports its
process id there, which is the only handle on the namespaces from outside.
"""

from __future__ import annotations

import json
import os
import shutil
import socket
import sys
from pathlib import Path

from devcloud import namespaces, shell
from devcloud.cloud import HOSTNAME, Cloud, load


def mount(*words: str | Path) -> None:
    """mount(8)."""
    shell.run(["mount", *words], timeout=20)


def report(cloud: Cloud) -> None:
    """Tell the outside this process' id."""
    # /proc is still the machine's: it tells this process' id there, not the 1 that getpid() returns.
    pid = int(Path("/proc/self").readlink().name)
    started = namespaces.start_time(pid)
    namespaces.init_file(cloud).write_text(json.dumps({"pid": pid, "started": started}))


def prepare(cloud: Cloud) -> None:
    """Mount what is this cloud's own."""
    # What the machine mounts later is to be seen in here; what is mounted in here stays in here.
    mount("--make-rslave", "/")
    mount("-t", "proc", "proc", "/proc")
    socket.sethostname(HOSTNAME)
    for directory in namespaces.OWN_DIRECTORIES:
        mount("-t", "tmpfs", "-o", "mode=755", "devcloud", directory)
    if cloud.options.libvirt:
        shutil.copy(cloud.etc / "libvirt/qemu.conf", "/etc/libvirt/qemu.conf")
    if cloud.options.swift:
        mount("--bind", cloud.etc / "swift", namespaces.SWIFT_DIRECTORY)
    helper = next(path for path in namespaces.MOUNT_HELPERS if path.exists())
    mount("--bind", cloud.etc / "mount.nfs", helper)
    if cloud.options.isolated:
        # /sys/class/net shows the network that /sys was mounted in
        mount("-t", "sysfs", "sysfs", "/sys")
        shell.run(["ip", "link", "set", "lo", "up"])


def main() -> None:
    """Prepare the namespaces and become the supervisor."""
    home = Path(sys.argv[1])
    cloud = load(home.name, str(home.parent))
    report(cloud)
    prepare(cloud)
    conf = cloud.etc / "supervisord.conf"
    os.execv(sys.executable, [sys.executable, "-m", "supervisor.supervisord", "-n", "-c", str(conf)])


if __name__ == "__main__":
    main()
