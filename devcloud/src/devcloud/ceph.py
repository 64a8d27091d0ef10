"""Ceph under the cloud: a cluster of one node, its pools, and who may do what in them.

One monitor, one manager and one OSD, which keeps its data in a sparse file. Their configuration and all keys
are in the cloud's `etc/ceph`, which is `/etc/ceph` for everything that runs in the cloud.
"""

from __future__ import annotations

import importlib.machinery
import json
import shutil
import socket
import struct
from pathlib import Path

from devcloud import shell
from devcloud.cloud import ADDRESS, PORTS, Cloud
from devcloud.errors import DevcloudError

DEBIAN_PACKAGES = (
    "ceph-mon", "ceph-mgr", "ceph-osd", "ceph-common", "python3-rados", "python3-rbd",
    # QEMU's own driver: no block device of the kernel's is needed
    "qemu-block-extra",
)  # fmt: skip
CONFIG = Path("/etc/ceph")
DEBIAN_MODULES = Path("/usr/lib/python3/dist-packages")
MODULES = ("rados", "rbd")
MKFS_SECONDS = 120
SETUP_SECONDS = 120

VOLUMES, SERVERS, IMAGES = "volumes", "vms", "images"
POOLS = (VOLUMES, SERVERS, IMAGES)
CINDER, GLANCE, REFLOAT = "cinder", "glance", "refloat"


def _rbd(*pools: str, read: tuple[str, ...] = ()) -> dict[str, str]:
    """What a client may do that has images in some pools, and reads in others (the parents of clones)."""
    write = [f"profile rbd pool={pool}" for pool in pools]
    return {
        "mon": "profile rbd",
        "mgr": ", ".join(write),
        "osd": ", ".join([*write, *(f"profile rbd-read-only pool={pool}" for pool in read)]),
    }


USERS = {
    "mon.": {"mon": "allow *"},
    "client.admin": {"mon": "allow *", "mgr": "allow *", "osd": "allow *"},
    "mgr.x": {"mon": "allow profile mgr", "osd": "allow *"},
    "osd.0": {"mon": "allow profile osd", "mgr": "allow profile osd", "osd": "allow *"},
    # Cinder and Nova; Nova makes images of servers in Glance's pool, without a copy through Glance
    f"client.{CINDER}": _rbd(*POOLS),
    f"client.{GLANCE}": _rbd(IMAGES),
    f"client.{REFLOAT}": _rbd(VOLUMES, SERVERS, read=(IMAGES,)),
}
"""Who there is, and what each may do."""


def etc(cloud: Cloud) -> Path:
    """The cluster's configuration and keys."""
    return cloud.etc / "ceph"


def keyring(cloud: Cloud, user: str) -> Path:
    """The file with a user's key, where Ceph's programs look for it."""
    return etc(cloud) / f"ceph.{user}.keyring"


# -- installation ---------------------------------------------------------------------------------------


def link_modules(cloud: Cloud) -> None:
    """Debian's Python modules of Ceph, which PyPI has not, into OpenStack's environment."""
    packages = next((cloud.venv / "lib").glob("python3*/site-packages"))
    suffix = importlib.machinery.EXTENSION_SUFFIXES[0]
    for module in MODULES:
        found, link = DEBIAN_MODULES / f"{module}{suffix}", packages / f"{module}{suffix}"
        if not found.exists():
            there = ", ".join(path.name for path in DEBIAN_MODULES.glob(f"{module}.*.so")) or "none"
            raise DevcloudError(
                f"Debian's module {module} is not for this Python: no {found.name}, but {there}"
            )
        if not link.is_symlink():
            link.symlink_to(found)


# -- what is made once ----------------------------------------------------------------------------------


def files(cloud: Cloud) -> None:
    """Keys, and the files of the monitor and of the OSD; and /etc/ceph."""
    CONFIG.mkdir(exist_ok=True)
    if not CONFIG.samefile(etc(cloud)):
        shell.run(["mount", "--bind", etc(cloud), CONFIG])
    done, state = cloud.state / "done/ceph", cloud.state / "ceph"
    if done.exists():
        return
    log = cloud.log("ceph-files")
    for folder in (state / "osd", state / "mgr", monitor(cloud)):
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
    for user, caps in USERS.items():
        key = shell.run(["ceph-authtool", "--gen-print-key"]).stdout.strip()
        lines = [f"[{user}]", f"key = {key}", *(f'caps {service} = "{may}"' for service, may in caps.items())]
        keyring(cloud, user).touch(mode=0o600)
        keyring(cloud, user).write_text("\n".join(lines) + "\n")
    monmap = state / "monmap"
    shell.run(
        ["monmaptool", "--create", "--clobber", "--fsid", cloud.uuid, "--addv", "a",
         f"[v2:{ADDRESS}:{PORTS['ceph-mon']}]", monmap],
        log=log,
    )  # fmt: skip
    all_keys = state / "keyring"
    all_keys.touch(mode=0o600)
    all_keys.write_text("".join(keyring(cloud, user).read_text() for user in USERS))
    for words in (
        ("ceph-mon", "-i", "a", "--mkfs", "--monmap", monmap, "--keyring", all_keys),
        ("ceph-osd", "-i", "0", "--mkfs", "--osd-uuid", cloud.uuid, "--no-mon-config"),
    ):
        shell.run(words, timeout=MKFS_SECONDS, log=log)
    all_keys.unlink()
    done.touch()


def monitor(cloud: Cloud) -> Path:
    """The monitor's database, beside the others: it waits for the disk at each change."""
    return cloud.database / "ceph-mon"


SETUP_SCRIPT = """
import json, sys, rados
osd, *pools = sys.argv[1:]
with rados.Rados(conffile="/etc/ceph/ceph.conf", rados_id="admin") as cluster:
    def do(prefix, **words):
        code, _, said = cluster.mon_command(json.dumps({"prefix": prefix, **words}), b"", timeout=60)
        if code:
            sys.exit(f"{prefix}: {said}")
    do("osd new", uuid=osd)
    for pool in pools:
        do("osd pool create", pool=pool, pg_num=16)
        do("osd pool application enable", pool=pool, app="rbd")
"""


def setup(cloud: Cloud) -> None:
    """The OSD is known to the monitor, and the pools are there. (`ceph` takes a second a word.)"""
    shell.run(
        [cloud.bin / "python", "-c", SETUP_SCRIPT, cloud.uuid, *POOLS],
        timeout=SETUP_SECONDS, log=cloud.log("ceph-files"),
    )  # fmt: skip


def secret(cloud: Cloud) -> None:
    """The key with which QEMU opens disks, in libvirt."""
    virsh = ("virsh", "-c", "qemu:///system")
    key = cloud.run / "libvirt-secret"
    key.touch(mode=0o600)
    key.write_text(keyring(cloud, f"client.{CINDER}").read_text().split("key = ")[1].split()[0])
    shell.run([*virsh, "secret-define", etc(cloud) / "secret.xml"])
    shell.run([*virsh, "secret-set-value", cloud.uuid, "--file", key])
    key.unlink()


# -- the daemons ----------------------------------------------------------------------------------------


def command(kind: str, name: str) -> tuple[str, ...]:
    """A daemon in the foreground."""
    return (f"/usr/bin/ceph-{kind}", "-f", "-i", name)


def monitor_answers() -> bool:
    """It greets whoever connects."""
    with socket.create_connection((ADDRESS, PORTS["ceph-mon"]), timeout=3) as connection:
        return connection.recv(7) == b"ceph v2"


def osd_active(cloud: Cloud) -> bool:
    """The OSD takes part in the cluster, as it says on its socket."""
    with socket.socket(socket.AF_UNIX) as connection:
        connection.settimeout(3)
        connection.connect(str(cloud.run / "ceph-osd.0.sock"))
        connection.sendall(b'{"prefix": "status"}\0')
        with connection.makefile("rb") as answer:
            (length,) = struct.unpack(">I", answer.read(4))
            return bool(json.loads(answer.read(length))["state"] == "active")
