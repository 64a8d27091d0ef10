"""librbd in a process of its own: releases of it end the process that they are in, which must be no worker.

The system's Python runs this file, for it has Debian's python3-rados and python3-rbd, which no package index
has. So nothing is used but these and the standard library of Python 3.9, and nothing of Refloat:

    python3 -I rbd_process.py FD CONF USER KEYRING

FD is a Unix socket. The first message there says which cluster it is, or why it cannot be reached. With every
byte that comes then come a socket and memory; its requests are answered by a thread, one after the other.
When FD is closed, as by the death of who started it, the process ends at once.

A request says all that it needs: when a process has ended, another one is asked again.
"""

from __future__ import annotations

import json
import mmap
import os
import resource
import select
import signal
import socket
import struct
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager, nullcontext, suppress
from importlib import import_module
from typing import Any

SETTINGS = {
    "rbd_concurrent_management_ops": "64",
    "rbd_cache": "false",  # everything is read once, and written in large pieces
    # In 16.2 two threads may complete one comparison, and end the process. With one, unprotect_snap() would
    # wait for itself for ever: it is not used here.
    "librados_thread_count": "1",
    "rados_osd_op_timeout": "300",
    "rados_mon_op_timeout": "60",
    "client_mount_timeout": "60",
}

Json = dict[str, Any]


SHARED = 4 << 20
"""The memory that a connection has for the bytes of a request or an answer."""


def send(connection: socket.socket, head: Json) -> None:
    """A message: its length in four bytes, and JSON."""
    text = json.dumps(head).encode()
    connection.sendall(struct.pack(">I", len(text)) + text)


def receive(connection: socket.socket) -> Json:
    """The next message. :raises ConnectionError: there is none."""
    (length,) = struct.unpack(">I", _exactly(connection, 4))
    head: Json = json.loads(_exactly(connection, length))
    return head


def _exactly(connection: socket.socket, length: int) -> bytes:
    parts = []
    while length:
        parts.append(connection.recv(length, socket.MSG_WAITALL))
        if not parts[-1]:
            raise ConnectionError("the other side is gone")
        length -= len(parts[-1])
    return b"".join(parts)


class Connection:
    """A socket for messages, and memory that both sides see for the bytes: half of the work of a socket."""

    def __init__(self, messages: socket.socket, memory: int) -> None:
        self.messages, self.memory = messages, mmap.mmap(memory, SHARED)

    def close(self) -> None:
        self.messages.close()
        self.memory.close()


class Changed(Exception):
    """The image of this name is not the one that it was."""


class Image:
    """An image, from the first request that needs it; and how many are using it."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.users = 0
        self.image: Any = None
        self.cached = False
        self._opened = ExitStack()

    def open(self, cluster: Any, asked: Json) -> None:
        with self.lock, ExitStack() as stack:
            if self.image is not None:
                return
            ioctx = stack.enter_context(cluster.open_ioctx(asked["pool"]))
            snapshot, write = asked["snapshot"], asked["write"]
            image = import_module("rbd").Image(ioctx, asked["name"], snapshot=snapshot, read_only=not write)
            stack.enter_context(image)
            if asked["identity"] not in (None, _identity(image, snapshot)):
                raise Changed("it was made anew meanwhile")
            self.cached = write and _has_cache(image)
            self.image, self._opened = image, stack.pop_all()

    def close(self) -> None:
        self._opened.close()


def _has_cache(image: Any) -> bool:
    """The pool or the image may say other than SETTINGS."""
    return any(each["name"] == "rbd_cache" and each["value"] == "true" for each in image.config_list())


def _identity(image: Any, snapshot: str | None) -> list[Any]:
    return [str(image.id()), int(image.snap_get_id(snapshot)) if snapshot else None]


def look(image: Any, asked: Json, _data: bytes) -> Json:
    snapshots = [
        {**each, "at": image.get_snap_timestamp(each["id"]).isoformat()} for each in _snapshots(image)
    ]
    found = {"identity": _identity(image, asked["snapshot"]), "size": int(image.size())}
    return {**found, "overlap": _overlap(image), "snapshots": snapshots}


def _snapshots(image: Any) -> Iterator[Json]:
    """All, and what a removal has left that was cut off: in Ceph's trash, by another name."""
    for each in image.list_snaps():
        removed = each["namespace"] == import_module("rbd").RBD_SNAP_NAMESPACE_TYPE_TRASH
        name = image.snap_get_trash_namespace(each["id"])["original_name"] if removed else each["name"]
        yield {"name": name, "id": int(each["id"]), "size": int(each["size"]), "removed": removed}


def _overlap(image: Any) -> int:
    """How much of it is read from the image that it was made of, where it has no objects of its own."""
    try:
        image.parent_info()
    except import_module("rbd").ImageNotFound:
        return 0
    return int(image.overlap())


def diff(image: Any, asked: Json, _data: bytes) -> Json:
    found: list[tuple[int, int]] = []

    def tell(offset: int, length: int, _exists: bool) -> None:
        found.append((offset, length))

    options = {"include_parent": asked["parent"], "whole_object": asked["whole"]}
    for offset, length in asked["within"]:
        image.diff_iterate(offset, length, asked["since"], tell, **options)
    return {"ranges": found}


def create_snapshot(image: Any, asked: Json, _data: bytes) -> None:
    with suppress(import_module("rbd").ImageExists):  # by a process that could not say so any more
        image.create_snap(asked["made"])


def remove_snapshot(image: Any, asked: Json, _data: bytes) -> None:
    left = [each["id"] for each in _snapshots(image) if each["removed"] and each["name"] == asked["removed"]]
    for each in left:
        image.remove_snap_by_id(each)
    with suppress(import_module("rbd").ImageNotFound) if left else nullcontext():
        image.remove_snap(asked["removed"])


def write(image: Any, asked: Json, data: bytes) -> None:
    image.write(data, asked["offset"])


REQUESTS: dict[str, Callable[[Any, Json, bytes], Json | bytes | None]] = {
    "look": look,
    "diff": diff,
    "read": lambda image, asked, _: image.read(asked["offset"], asked["length"]),
    "write": write,
    "discard": lambda image, asked, _: image.discard(asked["offset"], asked["length"]),
    "flush": lambda image, _asked, _: image.flush(),
    "create_snapshot": create_snapshot,
    "remove_snapshot": remove_snapshot,
}
"""What can be asked of an image, and ``close``."""


class Requests:
    """Answers them, with the images that they have opened."""

    def __init__(self, cluster: Any) -> None:
        self.cluster = cluster
        self._lock = threading.Lock()
        self._images: dict[int, Image] = {}

    def serve(self, connection: Connection) -> None:
        """All of a connection, until it is closed."""
        with closing(connection), suppress(ConnectionError):
            while True:
                asked = receive(connection.messages)
                answer, data = self.answer(asked, connection.memory[: asked["bytes"]])
                connection.memory[: len(data)] = data
                send(connection.messages, {**answer, "bytes": len(data)})

    def answer(self, asked: Json, data: bytes) -> tuple[Json, bytes]:
        doing = "open"
        try:
            with self._image(asked) as image:
                if asked["request"] == "close":
                    return {}, b""
                image.open(self.cluster, asked)
                doing = ""
                answer = REQUESTS[asked["request"]](image.image, asked, data)
                if image.cached:  # and gone with this process
                    image.image.flush()
                return (answer, b"") if isinstance(answer, dict) else ({}, answer or b"")
        except Exception as error:  # whatever it is: who asked is told
            return told(error, doing), b""

    @contextmanager
    def _image(self, asked: Json) -> Iterator[Image]:
        """It stays open until ``close``, and is closed by the last one who uses it."""
        number = asked["image"]
        with self._lock:
            image = self._images.setdefault(number, Image())
            image.users += 1
            if asked["request"] == "close":
                del self._images[number]
        try:
            yield image
        finally:
            with self._lock:
                image.users -= 1
                last = not image.users and self._images.get(number) is not image
            if last:
                image.close()


def told(error: Exception, doing: str) -> Json:
    """An error, for who asked: ``absent`` is what says that there is no such thing."""
    absent = ("ObjectNotFound", "ImageNotFound", "Changed")
    kind = "absent" if type(error).__name__ in absent else "failed"
    if isinstance(error, ImportError):
        kind = "missing"
    return {"error": kind, "doing": doing, "reason": str(error) or type(error).__name__}


def connected(conf: str, user: str, keyring: str) -> Any:
    rados = import_module("rados")
    import_module("rbd")
    settings = {**SETTINGS, **({"keyring": keyring} if keyring else {})}
    cluster = rados.Rados(conffile=conf, rados_id=user, conf=settings)
    cluster.connect()
    return cluster


def main(fd: str, *settings: str) -> None:
    parent, control = os.getppid(), socket.socket(fileno=int(fd))
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)  # who has started it says when to end
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))  # it would have the key
    serving: list[Requests] = []

    def begin() -> None:
        try:
            cluster = connected(*settings)
            serving.append(Requests(cluster))
            send(control, {"fsid": str(cluster.get_fsid())})
        except Exception as error:
            send(control, told(error, "connect"))

    threading.Thread(target=begin, daemon=True).start()
    while os.getppid() == parent:
        if not select.select([control], [], [], 5)[0]:
            continue
        data, fds, _flags, _address = socket.recv_fds(control, 1, 2)
        if not data:
            break
        connection = Connection(socket.socket(fileno=fds[0]), fds[1])
        os.close(fds[1])  # the map has its own
        threading.Thread(target=serving[0].serve, args=(connection,), daemon=True).start()
    os._exit(0)  # not by way of librbd


if __name__ == "__main__":
    main(*sys.argv[1:])
