"""A Ceph cluster of one's own: Debian's packages, one monitor, one OSD, a temporary folder, 127.0.0.1."""

from __future__ import annotations

import json
import shutil
import socket
import subprocess
import tempfile
import time
import uuid
from pathlib import Path
from typing import Any

from refloat.movers.rbd import missing

NOT_INSTALLED = "Ceph is not installed: apt-get install ceph-mon ceph-osd python3-rados python3-rbd"
CAPS = {
    "mon": "profile rbd",
    "osd": "profile rbd pool=volumes, profile rbd-read-only pool=images",
}
"""All that a worker needs: docs/movers.md."""


def is_installed() -> bool:
    return all(map(shutil.which, ("ceph-mon", "ceph-osd", "ceph"))) and not missing()


def free_ports(count: int) -> list[int]:
    taken = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [each.getsockname()[1] for each in taken]
    for each in taken:
        each.close()
    return ports


class Ceph:
    """A running cluster with pools ``volumes`` and ``images``."""

    def __init__(self) -> None:
        self.home = Path(tempfile.mkdtemp(prefix="refloat-ceph-"))
        self.conf = self.home / "ceph.conf"
        self._running: list[subprocess.Popen[bytes]] = []
        try:
            self._start()
        except BaseException:
            self.close()
            raise

    def _start(self) -> None:
        home, fsid = self.home, str(uuid.uuid4())
        for name in ("mon", "osd", "run"):
            (home / name).mkdir()
        (port,) = free_ports(1)
        address = f"[v2:127.0.0.1:{port}]"
        settings = {
            "fsid": fsid,
            "mon host": address,
            "public network": "127.0.0.0/8",
            "cluster network": "127.0.0.0/8",
            "public addr": "127.0.0.1",
            "cluster addr": "127.0.0.1",
            "ms bind ipv6": "false",
            **{f"auth {of} required": "cephx" for of in ("cluster", "service", "client")},
            "osd pool default size": 1,
            "osd pool default min size": 1,
            "osd crush chooseleaf type": 0,
            "osd pool default pg num": 8,
            "osd pool default pg autoscale mode": "off",
            "osd objectstore": "memstore",  # what clients see is the same, and nothing waits for a disk
            "memstore device bytes": 8 << 30,
            "osd client watch timeout": 3,  # after that a client that was killed has no image open
            "objecter tick interval": 1,  # so often those that live say so
            "osd memory target": 939524096,
            "paxos propose interval": 0.02,  # every snapshot waits for one
            "paxos min wait": 0.01,
            "osd op num shards": 2,
            "auth allow insecure global id reclaim": "false",
            "run dir": home / "run",
            "admin socket": home / "run" / "$cluster-$name.$pid.asok",
            "log file": home / "$name.log",
            "mon cluster log file": home / "cluster.log",
            "keyring": home / "keyring",
            "mon data": home / "mon",
            "osd data": home / "osd",
        }
        lines = "".join(f"{name} = {value}\n" for name, value in settings.items())
        self.conf.write_text(f"[global]\n{lines}", encoding="utf-8")
        keyring, mon_keyring = str(home / "keyring"), str(home / "mon.keyring")
        caps = [word for of in ("mon", "osd", "mgr") for word in ("--cap", of, "allow *")]
        new = ("ceph-authtool", "--gen-key", "--create-keyring")
        self.run(*new, mon_keyring, "-n", "mon.", *caps[:3])
        self.run(*new, keyring, "-n", "client.admin", *caps)
        self.run("ceph-authtool", mon_keyring, "--import-keyring", keyring)
        monmap = str(home / "monmap")
        self.run("monmaptool", "--create", "--fsid", fsid, "--addv", "a", address, monmap)
        self.run("ceph-mon", "-i", "a", "--mkfs", "--monmap", monmap, "--keyring", mon_keyring)
        self._serve("ceph-mon", "-i", "a")
        identity, secret = str(uuid.uuid4()), home / "osd" / "keyring"
        number = self.ceph("osd", "new", identity)["osdid"]
        caps = ("mon", "allow profile osd", "mgr", "allow profile osd", "osd", "allow *")
        self.run(
            "ceph", "-c", str(self.conf), "auth", "get-or-create", f"osd.{number}", *caps, "-o", str(secret)
        )
        arguments = ("-i", str(number), "--keyring", str(secret))
        self.run("ceph-osd", "-c", str(self.conf), *arguments, "--mkfs", "--osd-uuid", identity)
        self._serve("ceph-osd", *arguments)
        for pool in ("volumes", "images"):
            self.ceph("osd", "pool", "create", pool, "8")
            self.ceph("osd", "pool", "application", "enable", pool, "rbd")
        give_up = time.monotonic() + 60
        while not self.ceph("osd", "stat")["num_up_osds"]:
            assert time.monotonic() < give_up, "the OSD did not come up"
            time.sleep(0.2)

    def user(self, name: str, caps: dict[str, str]) -> str:
        """A client with these rights; returns the path of its keyring."""
        keyring = self.home / f"client.{name}.keyring"
        words = [word for pair in caps.items() for word in pair]
        self.run(
            "ceph",
            "-c",
            str(self.conf),
            "auth",
            "get-or-create",
            f"client.{name}",
            *words,
            "-o",
            str(keyring),
        )
        return str(keyring)

    def ceph(self, *command: str) -> Any:
        """A command of an administrator's, and its answer."""
        done = self.run("ceph", "-c", str(self.conf), "-f", "json", *command)
        return json.loads(done) if done.strip() else None

    def run(self, *command: str) -> str:
        if command[0] == "ceph-mon":
            command = (*command, "-c", str(self.conf))
        done = subprocess.run(command, cwd=self.home, capture_output=True, text=True, timeout=120)
        assert done.returncode == 0, f"{command}: {done.stdout}{done.stderr}"
        return done.stdout

    def _serve(self, program: str, *arguments: str) -> None:
        """Run a daemon that ends with this process, however that ends."""
        with (self.home / f"{program}.out").open("wb") as out:
            command = ["setpriv", "--pdeathsig", "KILL", program, "-f", "-c", str(self.conf), *arguments]
            self._running.append(subprocess.Popen(command, cwd=self.home, stdout=out, stderr=out))

    def close(self) -> None:
        for process in self._running:
            process.kill()  # nothing of it is needed any more
            process.wait()
        shutil.rmtree(self.home, ignore_errors=True)
