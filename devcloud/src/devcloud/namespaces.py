"""The namespaces that a cloud lives in, with its supervisor as their first process.

Every cloud has a mount, a PID and a host name space of its own: what it mounts over the system's
directories is seen by nobody else, and when its first process ends, the kernel ends all of its
processes and undoes its mounts, loop devices and network namespaces with them. Nothing can be left over,
whatever was killed before. An isolated cloud has its own network as well, so it uses the same ports as
any other cloud without a clash.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

from devcloud import shell
from devcloud.cloud import OUTSIDE_LINK, Cloud
from devcloud.errors import DevcloudError
from devcloud.supervisor import Supervisor

START_SECONDS = 30
KILL_SECONDS = 30

# Where the services insist on a fixed path: a tmpfs each, of this cloud only.
OWN_DIRECTORIES = (
    "/run/libvirt", "/run/netns", "/run/openvswitch", "/run/ovn", "/etc/libvirt", "/var/lib/libvirt",
    "/var/log/openvswitch", "/var/log/ovn",
)  # fmt: skip
INSIDE = "DEVCLOUD_INSIDE"
SWIFT_DIRECTORY = "/etc/swift"
# mount(8) looks for helpers in these, in this order.
MOUNT_HELPERS = (Path("/sbin/mount.nfs"), Path("/sbin/fs.d/mount.nfs"))
# Where services find programs; with the helpers' second directory, for Cinder itself runs mount.nfs, to test.
PROGRAMS = f"/usr/sbin:/usr/bin:/sbin:/bin:{MOUNT_HELPERS[1].parent}"
# The services' environment: nothing of the caller's (proxies, locales, Python paths) may reach them.
SERVICE_ENVIRONMENT = {
    "HOME": "/root",
    "LANG": "C.UTF-8",
    "PATH": PROGRAMS,
    "PYTHONWARNINGS": "ignore",
}


@dataclass(frozen=True)
class Init:
    """The first process of a cloud's namespaces, as seen from outside."""

    pid: int
    started: int

    @property
    def alive(self) -> bool:
        """Is it still that process?"""
        return start_time(self.pid) == self.started


def start_time(pid: int) -> int | None:
    """When the process was started, in ticks since boot: with the pid, it names one process for ever."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return None
    return None if fields[0] in "ZX" else int(fields[19])


def init_file(cloud: Cloud) -> Path:
    """Where the first process is recorded."""
    return cloud.run / "init.json"


def recorded(cloud: Cloud) -> Init | None:
    """The first process of the cloud's namespaces, as long as there is anything of it."""
    try:
        init = Init(**json.loads(init_file(cloud).read_text()))
    except (OSError, ValueError, TypeError):
        return None
    return init if init.alive else None


def find(cloud: Cloud) -> Init | None:
    """The running cloud's first process; None also while it is ending, when nothing can enter any more."""
    init = recorded(cloud)
    try:
        return init if init and Path(f"/proc/{init.pid}/ns/uts").readlink() else None
    except OSError:
        return None


def inside(cloud: Cloud) -> bool:
    """Is this process in the cloud's namespaces already?"""
    return os.environ.get(INSIDE) == cloud.name


def start(cloud: Cloud) -> None:
    """Make the namespaces and start the supervisor in them."""
    for directory in (*OWN_DIRECTORIES, SWIFT_DIRECTORY):
        Path(directory).mkdir(parents=True, exist_ok=True)
    if not MOUNT_HELPERS[0].exists():
        MOUNT_HELPERS[1].parent.mkdir(parents=True, exist_ok=True)
        MOUNT_HELPERS[1].touch(mode=0o755)
    init_file(cloud).unlink(missing_ok=True)
    cloud.supervisor_socket.unlink(missing_ok=True)
    flags = ["--mount", "--pid", "--uts", "--fork"] + (["--net"] if cloud.options.isolated else [])
    log = cloud.log("init")
    with log.open("w") as out:
        starter = subprocess.Popen(
            ["unshare", *flags, "--", sys.executable, "-m", "devcloud.init", str(cloud.home)],
            stdin=subprocess.DEVNULL, stdout=out, stderr=out, start_new_session=True, cwd="/",
            env={**SERVICE_ENVIRONMENT, "DEVCLOUD_NAME": cloud.name, "DEVCLOUD_HOME": str(cloud.base)},
        )  # fmt: skip
    supervisor = Supervisor(cloud.supervisor_socket)

    def answers() -> bool:
        if starter.poll() is not None:
            raise shell.Fatal("it ended")
        return supervisor.answers()

    try:
        shell.wait(answers, START_SECONDS, every=0.1)
    except (shell.WaitTimeout, shell.Fatal) as error:
        raise DevcloudError(f"the supervisor did not start{shell.tail(log)}") from error


def enter(cloud: Cloud, init: Init, command: list[str]) -> list[str]:
    """The command line that runs `command` in the namespaces, in the same directory as the caller's."""
    return [
        "env", f"{INSIDE}={cloud.name}", "nsenter", "-t", str(init.pid), "-m", "-u", "-n", "-p", "--",
        "/bin/sh", "-c", 'cd "$0" 2>/dev/null || cd /; exec "$@"', str(Path.cwd()), *command,
    ]  # fmt: skip


def destroy(cloud: Cloud) -> None:
    """End everything that runs in the namespaces, at once, and wait until the kernel has cleaned up."""
    init = recorded(cloud)
    if init:
        with contextlib.suppress(ProcessLookupError):
            os.kill(init.pid, signal.SIGKILL)
    end = time.monotonic() + KILL_SECONDS
    while (init and init.alive) or loop_devices(cloud) or outside_link(cloud):
        if time.monotonic() > end:
            raise DevcloudError(
                f"cloud '{cloud.name}' is not gone {KILL_SECONDS} s after its first process was killed"
            )
        time.sleep(0.1)
    init_file(cloud).unlink(missing_ok=True)


def nfs_image(cloud: Cloud) -> Path:
    """The file with the file system that holds the volumes."""
    return cloud.state / "nfs.img"


def loop_devices(cloud: Cloud) -> str:
    """The loop devices that still hold the cloud's volumes."""
    image = nfs_image(cloud)
    return shell.run(["losetup", "-j", image]).stdout.strip() if image.exists() else ""


def outside_link(cloud: Cloud) -> bool:
    """Is the link to the world outside still there, in the network that the cloud shares with the machine?"""
    return not cloud.options.isolated and link_exists(OUTSIDE_LINK)


def link_exists(name: str) -> bool:
    """Is there a network interface of that name? (/sys/class/net shows those of who mounted it.)"""
    return shell.run(["ip", "link", "show", "dev", name], check=False).returncode == 0
