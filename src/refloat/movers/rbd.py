"""Ceph's RBD, through librbd: what a volume holds is read from its image, and written into it.

A volume's *baseline* is a snapshot of its image that is kept so that the next protection can ask the cluster
what has changed. Its name is like those of Cinder's backups: Cinder removes them when it deletes the volume.

The object map of a snapshot is asked which objects there are, never which have changed: a revert of the
volume puts one of long ago in the place of the present one, and releases before 2023 may lose changes. What
the OSDs know of the snapshots of each object is right in both cases.

librbd itself is in a process of its own, for it may end the process that it is in: :mod:`.rbd_process`.
"""

from __future__ import annotations

import itertools
import subprocess
from collections.abc import Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from functools import cached_property
from typing import Any, ClassVar

from refloat.closing import Closing
from refloat.errors import BankError, InvalidInput, NotFound
from refloat.movers import CannotTell, rbd_process
from refloat.movers.processes import Replaced, Unanswered

PYTHON = "/usr/bin/python3"
"""The system's, which sees its packages."""

_MOST_RANGES = 4096
_AT_ONCE = 64 << 30
"""How much of an image is compared with one request, which must not take too long."""

Ranges = list[tuple[int, int]]


def missing(python: str = PYTHON) -> str:
    """Why this host cannot use RBD; empty: it can."""
    try:
        command = [python, "-I", "-c", "import rados, rbd"]
        done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)  # noqa: S603
    except (OSError, subprocess.TimeoutExpired) as error:
        return f"{python} cannot be run ({error})"
    if done.returncode:
        why = done.stderr.strip().rpartition("\n")[2] or f"status {done.returncode}"
        return f"librbd's Python modules are not installed for {python} ({why})"
    return ""


class CephCluster(Closing):
    """A Ceph cluster, and as whom it is asked. Connects when it is needed; safe to use from many threads.

    :param conf: the path of ``ceph.conf``.
    :param user: without ``client.`` before it.
    :param keyring: the path of its key; empty: where ``conf`` says it is.
    :param python: which Python has the modules ``rados`` and ``rbd``.
    """

    program: ClassVar[str] = rbd_process.__file__

    def __init__(self, conf: str, user: str, keyring: str = "", python: str = PYTHON) -> None:
        self._conf, self._user, self._python = conf, user, python
        self._process = Replaced([python, self.program, conf, user, keyring])
        self._numbers = itertools.count(1)

    @contextmanager
    def image(
        self, pool: str, name: str, snapshot: str | None = None, *, write: bool = False
    ) -> Iterator[RbdImage]:
        """An image, to be used inside. :raises NotFound: there is no such pool, image or snapshot."""
        key = {"image": next(self._numbers), "pool": pool, "name": name, "snapshot": snapshot, "write": write}
        image = RbdImage(self, key)
        try:
            image.look()
            yield image
        finally:
            image.close()

    @property
    def fsid(self) -> str:
        """Which cluster it is."""
        doing = "ask the cluster who it is"
        with _answered(doing):
            return str(self._checked(doing, "", self._process.hello)["fsid"])

    def close(self) -> None:
        self._process.close()

    def ask(
        self,
        doing: str,
        key: Mapping[str, Any],
        request: Mapping[str, Any],
        data: bytes | memoryview = b"",
        target: memoryview | None = None,
    ) -> dict[str, Any]:
        """The answer to a request. :raises NotFound, BankError: with what could not be done."""
        with _answered(doing):
            answer = self._process.ask({**key, **request}, data, target)
        return self._checked(doing, _named(key), answer)

    def close_image(self, key: Mapping[str, Any]) -> None:
        doing = f"close {_named(key)}"
        with _answered(doing):
            self._checked(doing, "", self._process.tell({**key, "request": "close"}))

    def _checked(self, doing: str, image: str, answer: dict[str, Any]) -> dict[str, Any]:
        """:raises NotFound, BankError: it is an error, and what could not be done."""
        if (kind := answer.get("error")) is None:
            return answer
        if kind == "missing":
            advice = f"Install python3-rados and python3-rbd, for {self._python}"
            reason = f"librbd's Python modules are missing: {answer['reason']}"
            raise BankError(f"could not {doing}", reason=reason, advice=advice)
        if answer["doing"] == "connect":
            doing = f"connect to the Ceph cluster of {self._conf} as client.{self._user}"
        elif answer["doing"] == "open":
            doing = f"open {image}"
        raise (NotFound if kind == "absent" else BankError)(f"could not {doing}", reason=answer["reason"])


@contextmanager
def _answered(doing: str) -> Iterator[None]:
    try:
        yield
    except Unanswered as error:
        raise BankError(f"could not {doing}", reason=f"librbd gave no answer: {error}") from error


def _named(key: Mapping[str, Any]) -> str:
    named = f"{key['pool']}/{key['name']}"
    return f"{named}@{key['snapshot']}" if key["snapshot"] else named


class RbdImage:
    """An image that the cluster's process has open. For many threads."""

    def __init__(self, cluster: CephCluster, key: dict[str, Any]) -> None:
        self._cluster, self._key = cluster, {**key, "identity": None}
        self.what = _named(key)
        self.seen: dict[str, Any] = {}

    def look(self) -> dict[str, Any]:
        """Its ``identity``, ``size``, ``overlap`` and ``snapshots``. From then on it is the same image."""
        self.seen = self.ask("look at", "look")
        self._key["identity"] = self.seen["identity"]
        return self.seen

    def read_into(self, offset: int, target: memoryview) -> None:
        for at in range(0, len(target), rbd_process.SHARED):
            part = target[at : at + rbd_process.SHARED]
            got = self.ask("read", "read", target=part, offset=offset + at, length=len(part))["bytes"]
            if got != len(part):
                raise BankError(f"{self.what} gave {got} of {len(part)} bytes at {offset + at}")

    def diff(self, since: str | None, within: Ranges, *, whole: bool, parent: bool) -> Ranges:
        """What may differ from a snapshot, or from nothing."""
        doing = f"compare {since} with" if since else "list the objects of"
        found = self.ask(doing, "diff", since=since, within=within, whole=whole, parent=parent)
        return [(offset, length) for offset, length in found["ranges"]]

    def write(self, offset: int, data: bytes | memoryview) -> None:
        for at in range(0, len(data), rbd_process.SHARED):
            part = memoryview(data)[at : at + rbd_process.SHARED]
            self.ask("write", "write", part, offset=offset + at)

    def discard(self, offset: int, length: int) -> None:
        self.ask("discard in", "discard", offset=offset, length=length)

    def flush(self) -> None:
        self.ask("flush", "flush")

    def create_snapshot(self, name: str) -> None:
        """It is there, also if it was before."""
        self.ask("make a snapshot of", "create_snapshot", made=name)

    def remove_snapshot(self, name: str) -> None:
        self.ask("remove a snapshot of", "remove_snapshot", removed=name)

    def close(self) -> None:
        self._cluster.close_image(self._key)

    def ask(
        self,
        doing: str,
        request: str,
        data: bytes | memoryview = b"",
        target: memoryview | None = None,
        **more: Any,
    ) -> dict[str, Any]:
        return self._cluster.ask(
            f"{doing} {self.what}", self._key, {"request": request, **more}, data, target
        )


class RbdSource(Closing):
    """A snapshot of an image.

    :param baseline: the name of the snapshot that is kept for the next protection; it is there.
    :raises NotFound: there is no such image, or it has no such snapshot.
    """

    def __init__(self, cluster: CephCluster, pool: str, name: str, snapshot: str, baseline: str = "") -> None:
        self._cluster, self._pool, self._name, self._snapshot = cluster, pool, name, snapshot
        self._baseline = baseline
        self._opened = ExitStack()
        self._image = self._opened.enter_context(cluster.image(pool, name, snapshot))
        self.size = int(self._image.seen["size"])
        self._snapshots = {
            each["name"]: each for each in self._image.seen["snapshots"] if not each["removed"]
        }

    def extents(self) -> Iterator[tuple[int, int]]:
        """The objects that there are, and what the image that it was made of has."""
        yield from _diff(self._image, None, [(0, self.size)], whole=True)

    def read_into(self, offset: int, target: memoryview) -> None:
        if offset + len(target) > self.size:
            raise BankError(f"{self._image.what} has only {self.size} bytes")
        self._image.read_into(offset, target)

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
        return {
            "fsid": self._cluster.fsid,
            "pool": self._pool,
            "image": self._image.seen["identity"][0],
            "size": self.size,
            "overlap": self._image.seen["overlap"],
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
        there: Ranges = []
        for name in (first, last):
            with self._cluster.image(self._pool, self._name, name) as image:
                there += _diff(image, None, [(0, int(image.seen["size"]))], whole=True, parent=False)
        with self._cluster.image(self._pool, self._name, last) as image:
            return _diff(image, first, joined(there), whole=False)

    def close(self) -> None:
        self._opened.close()


def _diff(image: RbdImage, since: str | None, within: Ranges, *, whole: bool, parent: bool = True) -> Ranges:
    found: Ranges = []
    for some in _portions(within, int(image.seen["size"])):
        found += image.diff(since, some, whole=whole, parent=parent)
    return joined(found)


def _portions(ranges: Ranges, size: int) -> Iterator[Ranges]:
    """What of them is below ``size``, so much at a time as is asked for at once."""
    some: Ranges = []
    room = _AT_ONCE
    for offset, length in ranges:
        end = min(size, offset + length)
        while offset < end:
            part = min(room, end - offset)
            some.append((offset, part))
            offset, room = offset + part, room - part
            if not room:
                yield some
                some, room = [], _AT_ONCE
    if some:
        yield some


def joined(ranges: Iterable[tuple[int, int]]) -> Ranges:
    """In order, without overlaps and empty ones."""
    found: Ranges = []
    for offset, length in sorted(ranges):
        if found and offset <= (end := sum(found[-1])):
            found[-1] = (found[-1][0], max(end, offset + length) - found[-1][0])
        elif length:
            found.append((offset, length))
    return found


class RbdSink:
    """An image that is there and is written. What it had is lost."""

    def __init__(self, cluster: CephCluster, pool: str, name: str) -> None:
        self._opened = ExitStack()
        self._image = self._opened.enter_context(cluster.image(pool, name, write=True))

    def begin(self, size: int, holes: Iterable[tuple[int, int]]) -> None:
        room = int(self._image.look()["size"])
        if room < size:
            raise InvalidInput(f"{self._image.what} has {room} bytes, {size} are needed")

    def write(self, offset: int, data: bytes | memoryview) -> None:
        self._image.write(offset, data)

    def zeros(self, offset: int, length: int) -> None:
        self._image.discard(offset, length)

    def finish(self, *, flush: bool) -> None:
        try:
            if flush:
                self._image.flush()
        finally:
            self.abort()

    def abort(self) -> None:
        """Close it; it has a part of the new data."""
        self._opened.close()
