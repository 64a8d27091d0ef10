"""Mounts that nobody else sees, and that are gone with the test."""

from __future__ import annotations

import ctypes
import os
import subprocess
import time
import traceback
from collections.abc import Callable
from pathlib import Path

_NEW_MOUNTS, _NEW_USER = 0x00020000, 0x10000000


def with_own_mounts(work: Callable[[], None]) -> None:
    """Run ``work`` in a child process with mounts of its own; root is not needed."""
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        status = 1
        try:
            _unshare()
            work()
            status = 0
        except BaseException:
            os.write(writer, traceback.format_exc().encode()[-60_000:])
        finally:
            os._exit(status)
    os.close(writer)
    with open(reader, "rb") as pipe:
        said = pipe.read().decode()
    _, ended = os.waitpid(child, 0)
    assert ended == 0, said or f"the child ended with {ended}"


def _unshare() -> None:
    user, group = os.getuid(), os.getgid()
    flags = _NEW_MOUNTS | (_NEW_USER if user else 0)
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.unshare(flags):
        raise OSError(ctypes.get_errno(), "unshare")
    if user:
        Path("/proc/self/setgroups").write_text("deny")
        Path("/proc/self/uid_map").write_text(f"0 {user} 1")
        Path("/proc/self/gid_map").write_text(f"0 {group} 1")
    subprocess.run(["mount", "--make-rprivate", "/"], check=True)


def bind(what: Path, where: Path) -> None:
    subprocess.run(["mount", "--bind", what, where], check=True)


def tmpfs(where: Path, size: str = "64m") -> None:
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", where], check=True)


def unmount(where: Path) -> None:
    for _attempt in range(100):  # somebody may have just a file open
        if subprocess.run(["umount", where], stderr=subprocess.DEVNULL).returncode == 0:
            return
        time.sleep(0.1)
    subprocess.run(["umount", where], check=True)
