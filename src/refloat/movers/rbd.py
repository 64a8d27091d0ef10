"""Ceph's RBD, through librbd: what a volume holds is read from its image, and written into it.

A volume's *baseline* is a snapshot of its image that is kept so that the next protection can ask the cluster
what has changed. Its name is like those of Cinder's backups: Cinder removes them when it deletes the volume.

The object map of a snapshot is asked which objects there are, never which have changed: a revert of the
volume puts one of long ago in the place of the present one, and releases before 2023 may lose changes. What
the OSDs know of the snapshots of each object is right in both cases.

``rados`` and ``rbd`` are Debian's python3-rados and python3-rbd, which no package index has.
"""

from __future__ import annotations

import threading
from collections.abc import Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from functools import cached_property
from importlib import import_module
from typing import Any

from refloat.closing import Closing
from refloat.errors import BankError, InvalidInput, NotFound
from refloat.movers import CannotTell

_SETTINGS = {
    "rbd_concurrent_management_ops": "64",
    "rbd_cache": "false",  # everything is read once, and written in large pieces
    "rados_osd_op_timeout": "300",
    "rados_mon_op_timeout": "60",
    "client_mount_timeout": "60",
}
_MOST_RANGES = 4096
_ADVICE = "Install python3-rados and python3-rbd, for the Python that runs Refloat"

Ranges = list[tuple[int, int]]


def missing() -> str:
    """Why this host cannot use RBD; empty: it can."""
    try:
        import_module("rados")
        import_module("rbd")
    except ImportError as error:
        return f"librbd's Python modules are not installed here ({error})"
    return ""


class CephCluster(Closing):
    """A Ceph cluster, and as whom it is asked. Connects when it is needed; safe to use from many threads.

    :param conf: the path of ``ceph.conf``.
    :param user: without ``client.`` before it.
    :param keyring: the path of its key; empty: where ``conf`` says it is.
    """

    def __init__(self, conf: str, user: str, keyring: str = "") -> None:
        self._conf, self._user, self._keyring = conf, user, keyring
        self._lock = threading.Lock()
        self._rados: Any = None

    @contextmanager
    def image(
        self, pool: str, name: str, snapshot: str | None = None, *, write: bool = False
    ) -> Iterator[Any]:
        """An open image of librbd's. :raises NotFound: there is no such pool, image or snapshot."""
        rbd = _module("rbd")
        what = f"{pool}/{name}@{snapshot}" if snapshot else f"{pool}/{name}"
        with ExitStack() as stack:
            with explained(f"open {what}"):
                ioctx = stack.enter_context(self._connected().open_ioctx(pool))
                image = rbd.Image(ioctx, name, snapshot=snapshot, read_only=not write)
                stack.enter_context(image)
            yield image

    @property
    def fsid(self) -> str:
        """Which cluster it is."""
        with explained("ask the cluster who it is"):
            return str(self._connected().get_fsid())

    def close(self) -> None:
        with self._lock:
            if self._rados is not None:
                self._rados.shutdown()
                self._rados = None

    def _connected(self) -> Any:
        with self._lock:
            if self._rados is None:
                rados = _module("rados")
                settings = {**_SETTINGS, **({"keyring": self._keyring} if self._keyring else {})}
                with explained(f"connect to the Ceph cluster of {self._conf} as client.{self._user}"):
                    found = rados.Rados(conffile=self._conf, rados_id=self._user, conf=settings)
                    try:
                        found.connect()
                    except BaseException:
                        found.shutdown()
                        raise
                self._rados = found
            return self._rados


def _module(name: str) -> Any:
    try:
        return import_module(name)
    except ImportError as error:
        raise BankError(f"the Python module {name} is missing", reason=str(error), advice=_ADVICE) from None


@contextmanager
def explained(what: str) -> Iterator[None]:
    """Errors of librados and librbd in words. :raises NotFound, BankError:"""
    rados, rbd = _module("rados"), _module("rbd")
    try:
        yield
    except (rados.ObjectNotFound, rbd.ImageNotFound) as error:
        raise NotFound(f"could not {what}", reason=str(error)) from error
    except (rados.Error, rbd.Error) as error:
        raise BankError(f"could not {what}", reason=str(error) or type(error).__name__) from error


class RbdSource(Closing):
    """A snapshot of an image.

    :param baseline: the name of the snapshot that is kept for the next protection; it is there.
    :raises NotFound: there is no such image, or it has no such snapshot.
    """

    def __init__(self, cluster: CephCluster, pool: str, name: str, snapshot: str, baseline: str = "") -> None:
        self._cluster, self._pool, self._name, self._snapshot = cluster, pool, name, snapshot
        self._what = f"{pool}/{name}@{snapshot}"
        self._baseline = baseline
        with ExitStack() as stack, explained(f"look at {self._what}"):
            self._image = stack.enter_context(cluster.image(pool, name, snapshot))
            self.size = int(self._image.size())
            self._snapshots = {each["name"]: each for each in self._image.list_snaps()}
            self.close = stack.pop_all().close  # type: ignore[method-assign]

    def extents(self) -> Iterator[tuple[int, int]]:
        """The objects that there are, and what the image that it was made of has."""
        with explained(f"list the objects of {self._what}"):
            yield from _diff(self._image, None, [(0, self.size)], whole=True)

    def read_into(self, offset: int, target: memoryview) -> None:
        if offset + len(target) > self.size:
            raise BankError(f"{self._what} has only {self.size} bytes")
        with explained(f"read {self._what}"):
            data = self._image.read(offset, len(target))
        if len(data) != len(target):
            raise BankError(f"{self._what} gave {len(data)} of {len(target)} bytes at {offset}")
        target[:] = data

    @cached_property
    def state(self) -> Mapping[str, Any]:
        """Which image it is, its baseline, and where the baseline may differ from this source."""
        kept = self._snapshots.get(self._baseline)
        if kept is None:
            return {}
        differs = self._between(self._snapshot, self._baseline)
        if len(differs) > _MOST_RANGES:
            return {}
        return {**self._identity, "baseline": {"name": self._baseline, "id": kept["id"]}, "differs": differs}

    @cached_property
    def _identity(self) -> dict[str, Any]:
        """What is not the same of a volume that was made anew, moved or resized."""
        with explained(f"look at {self._what}"):
            return {
                "fsid": self._cluster.fsid,
                "pool": self._pool,
                "image": str(self._image.id()),
                "size": self.size,
                "overlap": _overlap(self._image),
            }

    def changed(self, since: Mapping[str, Any]) -> Iterator[tuple[int, int]]:
        """What the baseline of then has not, and what of it was not so then."""
        if not since:
            raise CannotTell("nothing was kept for it")
        for name, now in self._identity.items():
            if since.get(name) != now:
                raise CannotTell(f"its {name} was {since.get(name)} then, and is {now}")
        baseline, kept = since["baseline"], self._snapshots.get(since["baseline"]["name"])
        if kept is None or kept["id"] != baseline["id"]:
            raise CannotTell(f"its snapshot {baseline['name']} is gone")
        if int(kept["size"]) != self.size:
            raise CannotTell("it was resized")
        then = [(int(offset), int(length)) for offset, length in since["differs"]]
        return iter(joined([*self._between(baseline["name"], self._snapshot), *then]))

    def _between(self, one: str, other: str) -> Ranges:
        """Everything that may differ in two snapshots, by what the OSDs know of each object."""
        first, last = sorted((one, other), key=lambda name: int(self._snapshots[name]["id"]))
        with explained(f"compare {first} and {last} of {self._pool}/{self._name}"):
            there: Ranges = []
            for name in (first, last):
                with self._cluster.image(self._pool, self._name, name) as image:
                    there += _diff(image, None, [(0, int(image.size()))], whole=True, parent=False)
            with self._cluster.image(self._pool, self._name, last) as image:
                return _diff(image, first, joined(there), whole=False)


def _diff(image: Any, since: str | None, within: Ranges, *, whole: bool, parent: bool = True) -> Ranges:
    found: Ranges = []
    size = int(image.size())

    def tell(offset: int, length: int, _exists: bool) -> None:
        if found and sum(found[-1]) == offset:
            found[-1] = (found[-1][0], found[-1][1] + length)
        else:
            found.append((offset, length))

    for offset, length in within:
        if offset < size:
            image.diff_iterate(
                offset, min(length, size - offset), since, tell, include_parent=parent, whole_object=whole
            )
    return joined(found)


def joined(ranges: Iterable[tuple[int, int]]) -> Ranges:
    """In order, without overlaps and empty ones."""
    found: Ranges = []
    for offset, length in sorted(ranges):
        if found and offset <= (end := sum(found[-1])):
            found[-1] = (found[-1][0], max(end, offset + length) - found[-1][0])
        elif length:
            found.append((offset, length))
    return found


def _overlap(image: Any) -> int:
    """How much of it is read from the image that it was made of, where it has no objects of its own."""
    rbd = _module("rbd")
    try:
        image.parent_info()
    except rbd.ImageNotFound:
        return 0
    return int(image.overlap())


class RbdSink:
    """An image that is there and is written. What it had is lost."""

    def __init__(self, cluster: CephCluster, pool: str, name: str) -> None:
        self._what = f"{pool}/{name}"
        self._opened = ExitStack()
        self._image = self._opened.enter_context(cluster.image(pool, name, write=True))

    def begin(self, size: int, holes: Iterable[tuple[int, int]]) -> None:
        with explained(f"look at {self._what}"):
            room = int(self._image.size())
        if room < size:
            raise InvalidInput(f"{self._what} has {room} bytes, {size} are needed")

    def write(self, offset: int, data: bytes | memoryview) -> None:
        with explained(f"write {self._what}"):
            self._image.write(bytes(data), offset)

    def zeros(self, offset: int, length: int) -> None:
        with explained(f"discard in {self._what}"):
            self._image.discard(offset, length)

    def finish(self, *, flush: bool) -> None:
        try:
            if flush:
                with explained(f"flush {self._what}"):
                    self._image.flush()
        finally:
            self.abort()

    def abort(self) -> None:
        """Close it; it has a part of the new data."""
        self._opened.close()
