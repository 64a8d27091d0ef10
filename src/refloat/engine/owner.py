"""Who runs an operation, and whether that process still lives.

A process is named by a random id. Whether a dead one is dead can be seen at once on the same host: by its
process id and its time of birth, since process ids are used again. A "host" here is one boot of one machine
and one process id namespace, so that two containers of one host name are never taken for each other.
"""

from __future__ import annotations

import os
import socket
import time
import uuid
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Owner:
    """A process that runs operations."""

    executor: str
    host: str
    pid: int
    born: str

    @classmethod
    def of_this_process(cls) -> Owner:
        """A new identity, in which this process has not yet run anything."""
        return cls(uuid.uuid4().hex, this_host(), os.getpid(), _born(os.getpid()))

    @property
    def place(self) -> str:
        return f"process {self.pid} on {self.host.split('/')[0]}"

    def is_dead_for_sure(self) -> bool:
        """Whether it can be seen from here that the process is gone; False when it cannot be told."""
        return bool(self.born) and self.host == this_host() and _born(self.pid) != self.born


def this_host() -> str:
    """The name of this boot of this host and of its process id namespace."""
    return f"{socket.gethostname()}/{_read('/proc/sys/kernel/random/boot_id')}/{_link('/proc/self/ns/pid')}"


def uptime() -> float:
    """A clock in seconds that, unlike ``time.monotonic``, goes on while the machine sleeps."""
    clock = getattr(time, "CLOCK_BOOTTIME", None)
    return time.monotonic() if clock is None else time.clock_gettime(clock)


def _born(pid: int) -> str:
    # The name of the program, field 2, may contain anything; the fields after its last ")" are fixed.
    fields = _read(f"/proc/{pid}/stat").rpartition(")")[2].split()
    if len(fields) < 20 or fields[0] in "ZX":
        return ""
    return fields[19]


def _read(path: str) -> str:
    try:
        return Path(path).read_text().strip()
    except OSError:
        return ""


def _link(path: str) -> str:
    try:
        return str(Path(path).readlink())
    except OSError:
        return ""
