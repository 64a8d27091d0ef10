"""What the machine must have: Debian packages, and the one Python environment of all clouds.

Both come from the package registries by name. Runs outside of a cloud's namespaces, where there is a
network, and does nothing when all is there already.
"""

from __future__ import annotations

import contextlib
import grp
import hashlib
import os
import pwd
import shutil
import sys
import sysconfig
from collections.abc import Iterator
from pathlib import Path

from devcloud import ceph, refloat, shell
from devcloud.cloud import Cloud
from devcloud.errors import DevcloudError

HERE = Path(__file__).parent
APT_TIMEOUT = 900
PIP_TIMEOUT = 900
POLICY = Path("/usr/sbin/policy-rc.d")

DEBIAN_PACKAGES = (
    # bus, database, cache
    "rabbitmq-server", "mariadb-server", "memcached",
    # hypervisor; the -dev package and the compiler are for libvirt's Python binding, which is no wheel
    "qemu-system-x86", "qemu-utils", "libvirt-daemon", "libvirt-daemon-driver-qemu", "libvirt-clients",
    "libvirt-dev", "pkg-config", "gcc", "libc6-dev", "genisoimage", "dmidecode",
    # network
    "openvswitch-switch", "ovn-central", "ovn-host", "iproute2", "iptables", "ebtables", "nftables",
    "ethtool", "haproxy", "dnsmasq-base", "iputils-ping", "curl",
    # namespaces, file systems, the guest image
    "util-linux", "mount", "e2fsprogs", "busybox-static", "extlinux", "syslinux-common", "cpio",
)  # fmt: skip


def missing_packages(cloud: Cloud) -> list[str]:
    """The Debian packages that are not installed."""
    wanted = [*DEBIAN_PACKAGES]
    wanted += refloat.DEBIAN_PACKAGES if cloud.options.refloat else ()
    wanted += ceph.DEBIAN_PACKAGES if cloud.options.ceph else ()
    done = shell.run(["dpkg-query", "-W", "-f", "${Package} ${Status}\n", *wanted], timeout=30, check=False)
    there = {line.split()[0] for line in done.stdout.splitlines() if line.endswith(" installed")}
    if not (Path(sysconfig.get_paths()["include"]) / "Python.h").exists():
        wanted.append("python3-dev")
    return [package for package in wanted if package not in there]


@contextlib.contextmanager
def no_service_starts() -> Iterator[None]:
    """While packages are installed, their services must not start: the clouds run their own."""
    before = POLICY.read_bytes() if POLICY.exists() else None
    mode = POLICY.stat().st_mode if before is not None else 0
    POLICY.write_text("#!/bin/sh\nexit 101\n")
    POLICY.chmod(0o755)
    try:
        yield
    finally:
        if before is None:
            POLICY.unlink()
        else:
            POLICY.write_bytes(before)
            POLICY.chmod(mode)


def install_debian(cloud: Cloud) -> None:
    """Install what is missing, and make the user that libvirt wants."""
    missing = missing_packages(cloud)
    if missing:
        log = cloud.shared / "apt.log"
        env = {"DEBIAN_FRONTEND": "noninteractive"}
        apt = ["apt-get", "-q", "-y", "-o", "DPkg::Lock::Timeout=300", "-o", "Dpkg::Use-Pty=0"]
        with no_service_starts():
            shell.run([*apt, "update"], timeout=APT_TIMEOUT, log=log, env=env)
            shell.run([*apt, "install", "--no-install-recommends", *missing], timeout=APT_TIMEOUT, log=log,
                      env=env)  # fmt: skip
    # libvirt's qemu driver insists on its build-time user, even where qemu.conf names another one.
    for group in ("libvirt-qemu", "kvm"):
        with contextlib.suppress(KeyError):
            grp.getgrnam(group)
            continue
        shell.run(["groupadd", "--system", group])
    try:
        pwd.getpwnam("libvirt-qemu")
    except KeyError:
        shell.run(["useradd", "--system", "-g", "libvirt-qemu", "-d", "/var/lib/libvirt", "-M",
                   "-s", "/usr/sbin/nologin", "libvirt-qemu"])  # fmt: skip


def find_uv() -> list[str]:
    """The command that runs uv; uv is installed for this interpreter if there is none."""
    if path := shutil.which("uv"):
        return [path]
    module = [sys.executable, "-m", "uv"]
    if shell.run([*module, "--version"], timeout=30, check=False).returncode:
        shell.run([sys.executable, "-m", "pip", "install", "--quiet", "uv"], timeout=PIP_TIMEOUT)
    return module


def base_python() -> str:
    """The interpreter below the environment that devcloud itself runs in."""
    return getattr(sys, "_base_executable", None) or sys.executable


def environment_stamp() -> str:
    """Changes when the environment must be installed anew."""
    digest = hashlib.sha256()
    for name in ("requirements.txt", "constraints.txt"):
        digest.update((HERE / name).read_bytes())
    digest.update(sys.version.encode())
    return digest.hexdigest()


def uv_install(cloud: Cloud, *what: str) -> None:
    """Install into OpenStack's environment."""
    env = {
        "UV_PYTHON_DOWNLOADS": "never",
        # a shared cache on another file system must not become an error
        "UV_LINK_MODE": os.environ.get("UV_LINK_MODE", "hardlink"),
    }
    shell.run(
        [*find_uv(), "pip", "install", "--compile-bytecode", "-p", cloud.bin / "python", "-c",
         HERE / "constraints.txt", *what],
        timeout=PIP_TIMEOUT, log=cloud.shared / "python.log", env=env,
    )  # fmt: skip


def install_python(cloud: Cloud) -> None:
    """OpenStack from PyPI, at the versions of the constraints."""
    done = cloud.venv / ".devcloud"
    stamp = environment_stamp()
    if done.exists() and done.read_text() == stamp:
        return
    if not (cloud.bin / "python").exists():
        shell.run([*find_uv(), "venv", "-q", "--clear", "-p", base_python(), cloud.venv], timeout=120,
                  env={"UV_PYTHON_DOWNLOADS": "never"}, log=cloud.shared / "python.log")  # fmt: skip
    uv_install(cloud, "-r", str(HERE / "requirements.txt"))
    done.write_text(stamp)


def install_libvirt_binding(cloud: Cloud) -> None:
    """libvirt's Python binding, at the version of the libvirt that is installed."""
    try:
        version = shell.run(["pkg-config", "--modversion", "libvirt"]).stdout.strip()
    except DevcloudError as error:
        raise DevcloudError(f"libvirt's development files are missing: {error}") from error
    done = cloud.venv / ".devcloud-libvirt"
    if done.exists() and done.read_text() == version:
        return
    uv_install(cloud, f"libvirt-python=={version}")
    done.write_text(version)
