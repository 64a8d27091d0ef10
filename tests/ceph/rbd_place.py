"""Volumes on a Ceph cluster as Cinder keeps them there: made and looked at with an administrator's rights."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest

from refloat.movers import Sink
from refloat.movers.rbd import CephCluster, RbdImage, RbdSink, RbdSource
from tests.ceph.cephserver import CAPS, Ceph
from tests.mover_contract import SIZE, Place, whole
from tests.unit.support.bank_helpers import CHUNK, noise

POOL = "volumes"
SNAPSHOT = "snapshot-cut"


class Administrator(CephCluster):
    """All rights, and all calls of librbd's, in a process too: it may end the one that it is in."""

    program = str(Path(__file__).with_name("admin_process.py"))

    def pool(self, pool: str, method: str, *arguments: Any, into: str = "", **options: Any) -> Any:
        """What ``rbd.RBD`` can do."""
        request = {"request": "pool", "method": method, "arguments": arguments, "options": options}
        key = {"pool": pool, "name": "", "snapshot": None}
        return self.ask(method, key, {**request, "into": into})["result"]

    def me(self) -> str:
        return str(self.ask("ask", {"pool": "", "name": "", "snapshot": None}, {"request": "me"})["result"])


class AnyImage:
    """The methods of ``rbd.Image``."""

    def __init__(self, image: RbdImage) -> None:
        self._image = image

    def __getattr__(self, method: str) -> Callable[..., Any]:
        return lambda *arguments: self._image.ask(method, "call", method=method, arguments=arguments)[
            "result"
        ]

    def write(self, data: bytes, offset: int) -> None:
        self._image.write(offset, data)

    def read(self, offset: int, length: int) -> bytes:
        data = bytearray(length)
        self._image.read_into(offset, memoryview(data))
        return bytes(data)


def processes(user: str = "worker", parent: int | None = None) -> list[int]:
    """Those that use librbd, of this process or another."""
    found = []
    for each in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            words = (each / "cmdline").read_bytes().split(b"\0")
            above = int((each / "stat").read_text().rpartition(")")[2].split()[1])
            if words[2:3] and words[2].endswith(b"_process.py") and words[-3] == user.encode():
                found += [int(each.name)] * (above == (parent or os.getpid()))
    return found


def until(done: Callable[[], bool]) -> None:
    give_up = time.monotonic() + 60
    while not done():
        assert time.monotonic() < give_up
        time.sleep(0.02)


def kill_process() -> None:
    """End the mover's, as librbd does at times."""
    for each in processes():
        os.kill(each, signal.SIGKILL)


class Images(Place):
    """The pool of volumes.

    :param keyring: of the client ``worker``, whose rights the mover has.
    """

    def __init__(self, conf: str, keyring: str, order: int = 20) -> None:
        self.conf, self.keyring, self.order = conf, keyring, order
        self.worker = CephCluster(conf, "worker", keyring)
        self.admin = Administrator(conf, "admin")

    def close(self) -> None:
        self.worker.close()
        self.admin.close()

    def to_json(self) -> Any:
        return [__name__, "Images", self.conf, self.keyring]

    @contextmanager
    def image(
        self, name: str, pool: str = POOL, snapshot: str | None = None, *, write: bool = True
    ) -> Iterator[Any]:
        with self.admin.image(pool, name, snapshot, write=write) as image:
            yield AnyImage(image)

    def fill(self, name: str, size: int, data: Mapping[int, bytes]) -> None:
        self.remove(name)
        self.make(name, size, data)
        self.snapshot(name, SNAPSHOT)

    def make(self, name: str, size: int, data: Mapping[int, bytes], pool: str = POOL) -> None:
        """An image without any snapshot."""
        self.admin.pool(pool, "create", name, size, order=self.order)
        with self.image(name, pool) as image:
            for offset, part in data.items():
                image.write(part, offset)

    def snapshot(self, name: str, snapshot: str) -> None:
        """As Cinder makes one."""
        with self.image(name) as image:
            image.create_snap(snapshot)
            image.protect_snap(snapshot)

    def drop(self, name: str, snapshot: str) -> None:
        """As Cinder removes one."""
        with self.image(name) as image:
            if image.is_protected_snap(snapshot):
                image.unprotect_snap(snapshot)
            image.remove_snap(snapshot)

    def remove(self, name: str) -> None:
        if name not in self.listed():
            return
        with self.image(name) as image:
            for each in image.list_snaps():
                if each["namespace"]:  # what a removal has left
                    image.remove_snap_by_id(each["id"])
                else:
                    self.drop(name, each["name"])
        until(lambda: name not in self.in_use())  # one that was killed counts for some seconds
        self.admin.pool(POOL, "remove", name)

    def empty(self) -> None:
        for name in sorted(self.listed()):
            self.remove(name)

    def listed(self) -> list[str]:
        return list(self.admin.pool(POOL, "list"))

    def source(self, name: str) -> RbdSource:
        return RbdSource(self.worker, POOL, name, SNAPSHOT)

    def sink(self, name: str, size: int) -> Sink:
        if name not in self.listed():  # which Cinder makes
            self.make(name, size, {})
        return RbdSink(self.worker, POOL, name)

    def content(self, name: str, snapshot: str | None = None) -> bytes:
        with self.image(name, POOL, snapshot, write=False) as image:
            size, data = image.size(), {}
            for offset in range(0, size, 8 << 20):
                data[offset] = image.read(offset, min(8 << 20, size - offset))
            return whole(size, data)

    def names(self) -> set[str]:
        found = set(self.listed())
        for name in list(found):
            with self.image(name) as image:
                found |= {f"{name}@{each['name']}" for each in image.list_snaps() if each["name"] != SNAPSHOT}
        return found

    def in_use(self) -> list[str]:
        found = []
        for name in self.listed():
            with self.image(name, write=False) as image:
                mine = self.admin.me()
                watchers = [str(each["id"]) for each in image.watchers_list()]
                found += [name for each in watchers if each != mine]
        return found


@contextmanager
def clone(place: Images, name: str, unit: int = CHUNK) -> Iterator[None]:
    """A volume that was made of an image: it has only what has been written since."""
    data = {0: noise(9 * unit, "base"), 30 * unit: noise(unit, "end")}
    place.make("base", SIZE // CHUNK * unit, data, "images")
    with place.image("base", "images") as image:
        image.create_snap("snap")
        image.protect_snap("snap")
    place.admin.pool("images", "clone", "base", "snap", name, into=POOL, order=place.order)
    yield
    place.remove(name)
    with place.image("base", "images") as image:
        image.unprotect_snap("snap")
        image.remove_snap("snap")
    place.admin.pool("images", "remove", "base")


@pytest.fixture(scope="module")
def images(ceph: Ceph) -> Iterator[Images]:
    place = Images(str(ceph.conf), ceph.user("worker", CAPS))
    yield place
    place.close()


@pytest.fixture
def place(images: Images) -> Iterator[Images]:
    yield images
    images.empty()
