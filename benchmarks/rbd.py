"""The mover ``rbd`` beside Ceph's own command: a volume is read to nowhere, and another one is written.

    python -m benchmarks.rbd [--read MIB] [--write MIB] [--threads N] [--rounds N]

On a cluster that keeps everything in memory, several times what is read and written: of Debian's ceph-mon,
ceph-osd and ceph-common, which is started and taken down here. The CPU is that of who reads or writes, with
all its processes, and not the cluster's. Medians.
"""

from __future__ import annotations

import argparse
import resource
import statistics
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from benchmarks.image import Noise
from refloat.movers.rbd import CephCluster, RbdSink, RbdSource
from tests.ceph.cephserver import CAPS, Ceph

MIB = 1 << 20
PIECE = MIB  # what the bank reads and writes at a time


def measured(act: Callable[[], None]) -> tuple[float, float]:
    """Seconds, and those of CPU of this process and of its children, which have ended."""
    at, before = time.monotonic(), _cpu()
    act()
    return time.monotonic() - at, _cpu() - before


def _cpu() -> float:
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(each.ru_utime + each.ru_stime for each in used)


class Benchmark:
    """A volume that is read, ``v``, and those that are written, ``w`` and ``x``."""

    def __init__(self, ceph: Ceph, to_read: int, to_write: int, threads: int) -> None:
        self.to_read, self.to_write, self.threads = to_read, to_write, threads
        self.login = (str(ceph.conf), "worker", ceph.user("worker", CAPS))
        self.noise = Noise(1).take(PIECE)
        self.file = str(ceph.home / "file")
        self.make("v", to_read)
        self.fill("v", to_read)
        self.rbd("snap", "create", "volumes/v@s")
        with open(self.file, "wb") as file:
            for _ in range(0, to_write, PIECE):
                file.write(self.noise)

    def rbd(self, *words: str, **options: Any) -> None:
        conf, user, keyring = self.login
        command = ["rbd", "-c", conf, "--id", user, "--keyring", keyring, "--no-progress", *words]
        subprocess.run(command, check=True, timeout=600, **options)

    def make(self, name: str, size: int) -> None:
        self.rbd("create", "--size", f"{size // MIB}M", f"volumes/{name}")

    def fill(self, name: str, size: int) -> None:
        with CephCluster(*self.login) as cluster:
            sink = RbdSink(cluster, "volumes", name)
            sink.begin(size, [])
            self.spread(lambda at: sink.write(at, self.noise), size)
            sink.finish(flush=True)

    def spread(self, act: Callable[[int], None], size: int) -> None:
        with ThreadPoolExecutor(self.threads) as pool:
            for _ in pool.map(act, range(0, size, PIECE)):
                pass

    def read(self) -> None:
        mine = threading.local()  # as the bank does, a thread reads into the same memory again and again

        def read(at: int) -> None:
            if not hasattr(mine, "target"):
                mine.target = memoryview(bytearray(PIECE))
            source.read_into(at, mine.target)

        with CephCluster(*self.login) as cluster, RbdSource(cluster, "volumes", "v", "s") as source:
            self.spread(read, self.to_read)

    def export(self) -> None:
        self.rbd("export", "volumes/v@s", "-", stdout=subprocess.DEVNULL)

    def write(self) -> None:
        self.fill("x", self.to_write)

    def import_(self) -> None:
        self.rbd("import", self.file, "volumes/w")

    def round(self) -> Iterator[tuple[str, int, float, float]]:
        """What was done, how many bytes, and in which time and CPU."""
        yield "rbd export", self.to_read, *measured(self.export)
        yield "RbdSource", self.to_read, *measured(self.read)
        yield "rbd import", self.to_write, *measured(self.import_)
        self.rbd("rm", "volumes/w")
        self.make("x", self.to_write)
        yield "RbdSink", self.to_write, *measured(self.write)
        self.rbd("rm", "volumes/x")


def main() -> None:
    """Print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--read", type=int, default=2048, metavar="MIB")
    parser.add_argument("--write", type=int, default=512, metavar="MIB")
    parser.add_argument("--threads", type=int, default=4)
    parser.add_argument("--rounds", type=int, default=3)
    given = parser.parse_args()
    found: dict[tuple[str, int], list[tuple[float, float]]] = {}
    ceph = Ceph()
    try:
        benchmark = Benchmark(ceph, given.read * MIB, given.write * MIB, given.threads)
        for _ in range(given.rounds):  # in turn: the machine is not the same all the time
            for name, size, seconds, cpu in benchmark.round():
                found.setdefault((name, size), []).append((seconds, cpu))
    finally:
        ceph.close()
    for (name, size), runs in found.items():
        seconds, cpu = (statistics.median(each) for each in zip(*runs, strict=True))
        print(f"{name:12} {size / MIB / seconds:6.0f} MiB/s {seconds:6.2f} s {cpu:6.2f} s of CPU")


if __name__ == "__main__":
    main()
