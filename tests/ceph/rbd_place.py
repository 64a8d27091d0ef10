"""Volumes on a Ceph cluster as Cinder keeps them there: made and looked at with an administrator's rights."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from typing import Any

import pytest
import rados
import rbd

from refloat.movers import Sink
from refloat.movers.rbd import CephCluster, RbdSink, RbdSource
from tests.ceph.cephserver import CAPS, Ceph
from tests.mover_contract import SIZE, Place, whole
from tests.unit.support.bank_helpers import CHUNK, noise

POOL = "volumes"
SNAPSHOT = "snapshot-cut"


class Images(Place):
    """The pool of volumes.

    :param keyring: of the client ``worker``, whose rights the mover has.
    """

    def __init__(self, conf: str, keyring: str, order: int = 20) -> None:
        self.conf, self.keyring, self.order = conf, keyring, order
        self.worker = CephCluster(conf, "worker", keyring)
        self.admin = rados.Rados(conffile=conf)
        self.admin.connect()

    def close(self) -> None:
        self.worker.close()
        self.admin.shutdown()

    def to_json(self) -> Any:
        return [__name__, "Images", self.conf, self.keyring]

    @contextmanager
    def pool(self, name: str = POOL) -> Iterator[Any]:
        with self.admin.open_ioctx(name) as ioctx:
            yield ioctx

    @contextmanager
    def image(self, name: str, pool: str = POOL) -> Iterator[Any]:
        with self.pool(pool) as ioctx, rbd.Image(ioctx, name) as image:
            yield image

    def fill(self, name: str, size: int, data: Mapping[int, bytes]) -> None:
        self.remove(name)
        self.make(name, size, data)
        self.snapshot(name, SNAPSHOT)

    def make(self, name: str, size: int, data: Mapping[int, bytes], pool: str = POOL) -> None:
        """An image without any snapshot."""
        with self.pool(pool) as ioctx:
            rbd.RBD().create(ioctx, name, size, order=self.order)
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
        with suppress(rbd.ImageNotFound):
            with self.image(name) as image:
                snapshots = [each["name"] for each in image.list_snaps()]
            for each in snapshots:
                self.drop(name, each)
            with self.pool() as ioctx:
                rbd.RBD().remove(ioctx, name)

    def empty(self) -> None:
        for name in sorted(self.listed()):
            self.remove(name)

    def listed(self) -> list[str]:
        with self.pool() as ioctx:
            return list(rbd.RBD().list(ioctx))

    def source(self, name: str) -> RbdSource:
        return RbdSource(self.worker, POOL, name, SNAPSHOT)

    def sink(self, name: str, size: int) -> Sink:
        if name not in self.listed():  # which Cinder makes
            self.make(name, size, {})
        return RbdSink(self.worker, POOL, name)

    def content(self, name: str, snapshot: str | None = None) -> bytes:
        with self.pool() as ioctx, rbd.Image(ioctx, name, snapshot, read_only=True) as image:
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
            with self.pool() as ioctx, rbd.Image(ioctx, name, read_only=True) as image:
                mine = str(self.admin.get_instance_id())
                watchers = [str(each["id"]) for each in image.watchers_list()]
                found += [name for each in watchers if each != mine]
        return found


@contextmanager
def clone(place: Images, name: str) -> Iterator[None]:
    """A volume that was made of an image: it has only what has been written since."""
    place.make("base", SIZE, {0: noise(9 * CHUNK, "base"), 30 * CHUNK: noise(CHUNK, "end")}, "images")
    with place.image("base", "images") as image:
        image.create_snap("snap")
        image.protect_snap("snap")
    with place.pool("images") as parent, place.pool() as child:
        rbd.RBD().clone(parent, "base", "snap", child, name, order=place.order)
    yield
    place.remove(name)
    with place.image("base", "images") as image:
        image.unprotect_snap("snap")
        image.remove_snap("snap")
    with place.pool("images") as ioctx:
        rbd.RBD().remove(ioctx, "base")


@pytest.fixture(scope="module")
def images(ceph: Ceph) -> Iterator[Images]:
    place = Images(str(ceph.conf), ceph.user("worker", CAPS))
    yield place
    place.close()


@pytest.fixture
def place(images: Images) -> Iterator[Images]:
    yield images
    images.empty()
