"""A clean Debian machine: systemd is its first process, and the APIs of a devcloud are at its own loopback.

It is a container of systemd-nspawn in a network of its own. slirp4netns connects that with the archives
of packages, `relay.py` its loopback with the cloud's. All of it is gone with `stop()`.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import Callable
from pathlib import Path

SUITE = "bookworm"
ARCHIVE = "http://deb.debian.org/debian"
CACHE = Path("/var/cache/refloat-install")
# Of the cloud: Keystone, Nova and its metadata, Cinder, Placement, Swift, Glance, Neutron.
PORTS = (5000, 8774, 8775, 8776, 8778, 8080, 9292, 9696)
BOOT_SECONDS = 120
REPOSITORY = Path(__file__).parents[2]
SOURCE = "usr/local/src/refloat"
ENVIRONMENT = {
    "HOME": "/root", "LANG": "C.UTF-8", "TERM": "dumb", "DEBIAN_FRONTEND": "noninteractive",
    "PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
}  # fmt: skip


def run(*words: str | Path, timeout: float = 600) -> str:
    """Run it here; what it printed."""
    done = subprocess.run([str(word) for word in words], capture_output=True, text=True, timeout=timeout)
    if done.returncode:
        raise RuntimeError(f"{' '.join(str(word) for word in words)}: {done.stdout}{done.stderr}")
    return done.stdout


def wait(what: str, true: Callable[[], bool], seconds: float) -> None:
    """Until `true()`."""
    end = time.monotonic() + seconds
    while not true():
        if time.monotonic() > end:
            raise TimeoutError(f"{what}: not within {seconds} s")
        time.sleep(0.3)


def base() -> Path:
    """The files of a fresh machine, as a tar archive, which is made once and kept for the next machine."""
    archive = CACHE / f"{SUITE}.tar"
    if not archive.exists():
        CACHE.mkdir(parents=True, exist_ok=True)
        part = archive.with_suffix(".part.tar")
        run(
            "mmdebstrap",
            "--variant=debootstrap",
            "--include=ca-certificates",
            SUITE,
            part,
            ARCHIVE,
            timeout=1800,
        )
        part.rename(archive)
    return archive


class Machine:
    """One machine beside one cloud."""

    def __init__(self, cloud_home: Path) -> None:
        """`cloud_home`: where the devcloud's files are. The cloud runs, in a network of its own."""
        self.cloud_home = cloud_home
        self.folder = Path(tempfile.mkdtemp(prefix="refloat-machine-", dir="/var/tmp"))
        self.root = self.folder / "root"
        self.name = self.folder.name
        self.namespace = Path("/run/netns") / self.name
        self._running: list[subprocess.Popen[str]] = []
        self._container: subprocess.Popen[str] | None = None

    # -- to be and not to be ------------------------------------------------------------------------

    def start(self) -> None:
        """Make its files and its network, and boot it."""
        self._files()
        self._network()
        self.boot()

    def _files(self) -> None:
        self.root.mkdir()
        run("tar", "-C", self.root, "-xpf", base(), "--exclude=./dev/*")
        (self.root / "etc/hostname").write_text("controller\n")
        (self.root / "etc/hosts").write_text("127.0.0.1 localhost controller\n")
        shutil.copy("/etc/resolv.conf", self.root / "etc/resolv.conf")
        # Authorities that the host believes besides the usual ones, such as its proxy's, it believes too.
        authorities = list(Path("/usr/local/share/ca-certificates").glob("*.crt"))
        for authority in authorities:
            shutil.copy(authority, self.root / "usr/local/share/ca-certificates")
        if authorities:
            (self.root / "etc/pip.conf").write_text("[global]\ncert = /etc/ssl/certs/ca-certificates.crt\n")
            run("chroot", self.root, "update-ca-certificates")
        (self.root / "etc/openstack").mkdir()
        shutil.copy(self.cloud_home / "clouds.yaml", self.root / "etc/openstack/clouds.yaml")
        (self.root / "etc/openstack/clouds.yaml").chmod(0o644)
        # It is thrown away: nothing has to survive a power cut.
        (self.root / "etc/dpkg/dpkg.cfg.d/fast").write_text("force-unsafe-io\n")
        source = self.root / SOURCE
        source.mkdir(parents=True)
        files = run("git", "-C", REPOSITORY, "ls-files", "-z", "--cached", "--others", "--exclude-standard")
        for name in filter(None, files.split("\0")):
            if os.path.lexists(REPOSITORY / name):
                (source / name).parent.mkdir(parents=True, exist_ok=True)
                shutil.copy2(REPOSITORY / name, source / name, follow_symlinks=False)

    def _network(self) -> None:
        run("ip", "netns", "add", self.name)
        run("ip", "-n", self.name, "link", "set", "lo", "up")
        with (self.folder / "slirp.log").open("w") as log:
            slirp = subprocess.Popen(
                ["slirp4netns", "--configure", "--mtu=1400", "--disable-host-loopback", "--netns-type=path",
                 str(self.namespace), "tap0"],
                stdin=subprocess.DEVNULL, stdout=log, stderr=log, text=True,
            )  # fmt: skip
        cloud = json.loads((self.cloud_home / "run/init.json").read_text())["pid"]
        relay = subprocess.Popen(
            [sys.executable, str(Path(__file__).with_name("relay.py")), str(self.namespace),
             f"/proc/{cloud}/ns/net", *map(str, PORTS)],
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True,
        )  # fmt: skip
        self._running += [slirp, relay]
        assert relay.stdout
        if relay.stdout.readline() != "ready\n":
            raise RuntimeError("relay.py did not start")

    def boot(self) -> None:
        """Switch it on, and wait until systemd has started what it starts."""
        caches = {"apt": "/var/cache/apt/archives", "pip": "/root/.cache/pip"}
        for name in caches:
            (CACHE / name).mkdir(exist_ok=True)
        with (self.folder / "console.log").open("a") as log:
            self._container = subprocess.Popen(
                ["systemd-nspawn", "--quiet", f"--directory={self.root}", "--boot", f"--machine={self.name}",
                 "--register=no", "--keep-unit", f"--network-namespace-path={self.namespace}",
                 "--resolv-conf=off", "--timezone=off", "--console=pipe",
                 *(f"--bind={CACHE / name}:{path}" for name, path in caches.items())],
                stdin=subprocess.DEVNULL, stdout=log, stderr=log, text=True,
            )  # fmt: skip
        wait("systemd", self._booted, BOOT_SECONDS)

    def _booted(self) -> bool:
        assert self._container
        if self._container.poll() is not None:
            raise RuntimeError(f"the machine ended: {(self.folder / 'console.log').read_text()}")
        with contextlib.suppress(subprocess.CalledProcessError, LookupError):
            done = subprocess.run(
                [*self.enter(), "systemctl", "is-system-running"],
                capture_output=True, text=True, env=ENVIRONMENT, timeout=60,
            )  # fmt: skip
            # "degraded": something that a container has no use for did not start
            return done.stdout.strip() in ("running", "degraded")
        return False

    def reboot(self) -> None:
        """Switch it off in order, and on again. Shells end."""
        assert self._container
        subprocess.run([*self.enter(), "systemctl", "poweroff"], env=ENVIRONMENT, check=True, timeout=60)
        self._container.wait(BOOT_SECONDS)
        self.boot()

    def stop(self) -> None:
        """Leave nothing of it."""
        with contextlib.suppress(LookupError, OSError):
            # With its first process, the kernel ends all others.
            os.kill(self._init(), signal.SIGKILL)
            assert self._container
            self._container.wait(BOOT_SECONDS)
        for process in filter(None, [self._container, *self._running]):
            process.kill()
            process.wait()
        subprocess.run(["ip", "netns", "delete", self.name], check=False)
        shutil.rmtree(self.folder)

    # -- to be used ---------------------------------------------------------------------------------

    def enter(self) -> list[str]:
        """The words before a command that runs in it."""
        return [
            "nsenter", "-t", str(self._init()), "-m", "-u", "-i", "-n", "-p", "-C", "-r", "-w", "--",
        ]  # fmt: skip

    def _init(self) -> int:
        """Its first process, as seen from here."""
        if not self._container:
            raise LookupError("it is not switched on")
        children = (
            Path(f"/proc/{self._container.pid}/task/{self._container.pid}/children").read_text().split()
        )
        if not children:
            raise LookupError("it has no process yet")
        return int(children[0])

    def sh(self, script: str, user: str = "root", timeout: float = 600) -> str:
        """Run a script; what it printed.

        Raises AssertionError, with all it printed, when it fails.
        """
        become = [] if user == "root" else ["runuser", "-u", user, "--"]
        done = subprocess.run(
            [*self.enter(), *become, "bash", "-euc", script],
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
            env={**ENVIRONMENT, "HOME": "/root" if user == "root" else f"/home/{user}"}, timeout=timeout,
        )  # fmt: skip
        assert done.returncode == 0, f"{script}\n{done.stdout}"
        return done.stdout

    def shell(self, user: str = "root") -> Shell:
        """A shell that keeps what is set in it, as somebody's who types one command after the other."""
        become = [] if user == "root" else ["runuser", "-u", user, "--"]
        home = "/root" if user == "root" else f"/home/{user}"
        return Shell([*self.enter(), *become, "bash"], {**ENVIRONMENT, "HOME": home})


class Shell:
    """Commands typed one after the other."""

    def __init__(self, command: list[str], environment: dict[str, str]) -> None:
        self._process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            env=environment,
        )

    def type(self, command: str) -> str:
        """Run one command; what it printed.

        Raises AssertionError, with all it printed, when it fails.
        """
        assert self._process.stdin
        assert self._process.stdout
        mark = uuid.uuid4().hex
        self._process.stdin.write(f"{{ {command}\n}} < /dev/null; status=$?; echo; echo {mark} $status\n")
        self._process.stdin.flush()
        printed: list[str] = []
        for line in self._process.stdout:
            if line.startswith(mark):
                text = "".join(printed).removesuffix("\n")
                assert line.split()[1] == "0", f"# {command}\n{text}"
                return text
            printed.append(line)
        raise AssertionError(f"the shell ended at # {command}\n{''.join(printed)}")

    def close(self) -> None:
        """Leave it."""
        assert self._process.stdin
        self._process.stdin.close()
        self._process.wait(60)
