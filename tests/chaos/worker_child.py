"""A ``refloat worker`` whose no-op hooks leave traces: ``worker_child.py CONFIG FOLDER HOST LEASE PAUSE``.

Each hook writes a line to FOLDER/log when it begins and when it ends, and takes PAUSE seconds; protecting
stores bytes in the bank, for as long as FOLDER/hold is there. The worker takes itself to be on a host of its
own, so that others know of its death by the end of its lease (LEASE seconds) alone.

Each thread also writes to FOLDER/published when it asks whose the operation is, and when it gives an object
of the bank its name.

When there is a file FOLDER/trap, the process stops (as by SIGSTOP) right after the first SQL statement with
that text, in the middle of its transaction; the file is then called FOLDER/sprung. When there is a file
FOLDER/gate, objects whose writing begins before FOLDER/trap is there get no further until it has sprung.
"""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import threading
import time
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import sqlalchemy as sa

import refloat.engine.lease
from refloat import postgresql
from refloat.bank import filesystem
from refloat.cli.main import main
from refloat.engine import owner
from refloat.engine.driver import Driver
from refloat.resources import noop as plugin
from refloat.resources.base import HOOKS

BLOCK = 1 << 16
BLOCKS = 8


def data_of(resource_id: str) -> list[bytes]:
    """The bytes of a made-up resource."""
    return [f"{resource_id} {number} ".encode().ljust(BLOCK, b".") for number in range(BLOCKS)]


class Traces:
    """What hooks leave behind."""

    def __init__(self, folder: Path, pause: float) -> None:
        self.folder = folder
        self.pause = pause

    def write(self, what: str, context: Any, kind: str, hook: str, run: str) -> None:
        """Add a line: whole lines only, in the order of things."""
        line = f"{os.getpid()} {what} {context.operation_id} {kind} {hook} {context.resource.id} {run}\n"
        log = os.open(self.folder / "log", os.O_WRONLY | os.O_APPEND | os.O_CREAT)
        os.write(log, line.encode())
        os.close(log)

    def held(self, resource_id: str) -> bool:
        """Whether FOLDER/hold is there, and empty or with the id of this resource."""
        with contextlib.suppress(FileNotFoundError):
            return (self.folder / "hold").read_text() in ("", resource_id)
        return False

    def blocks(self, context: Any) -> Iterator[bytes]:
        """The data, slowly."""
        for block in data_of(context.resource.id):
            deadline = time.monotonic() + 120
            while self.held(context.resource.id) and time.monotonic() < deadline:
                time.sleep(0.02)
            yield block
            time.sleep(self.pause / BLOCKS)

    def hook(self, kind: str, name: str, known: Any) -> Any:
        """A hook that does as the known one does, and more."""

        def run(self_: Any, context: Any) -> Any:
            number = uuid.uuid4().hex
            self.write("begin", context, kind, name, number)
            result = dict(known(self_, context) or {})
            if name != "on_main":
                time.sleep(self.pause)
            elif kind == "protect":
                size = BLOCK * BLOCKS
                result["data"] = context.data.put(
                    self.blocks(context), size, context.progress, context.cancelled
                )
            elif kind in ("restore", "verify"):
                with context.data.open(context.section["data"]) as reader:
                    if reader.read(BLOCK * BLOCKS) != b"".join(data_of(context.resource.id)):
                        raise AssertionError(f"{context.resource.id} is not what it was")
            self.write("end", context, kind, name, number)
            return result | {"_run": number}

        return run


def install(traces: Traces) -> None:
    """Put the hooks in the place of the no-op ones."""
    classes = {
        "protect": plugin.NoopProtect,
        "restore": plugin.NoopRestore,
        "verify": plugin.NoopVerify,
        "delete": type("NoopDelete", (plugin.NoopHooks,), {}),
    }
    made = {
        kind: {name: traces.hook(kind, name, getattr(known, name)) for name in HOOKS}
        for kind, known in classes.items()
    }
    for kind, hooks in made.items():
        setattr(plugin.NoopPlugin, kind, type(f"Traced{kind}", (classes[kind],), hooks))


def trace_publications(folder: Path) -> None:
    """Have all threads tell when they ask and what they publish, and stop before that at the gate."""
    thread = threading.local()

    def write(what: str, name: str = "") -> None:
        if not hasattr(thread, "id"):
            thread.id = uuid.uuid4().hex
        trail = os.open(folder / "published", os.O_WRONLY | os.O_APPEND | os.O_CREAT)
        os.write(trail, f"{os.getpid()} {thread.id} {what} {name}\n".encode())
        os.close(trail)

    check, link, write_all = Driver.check_lease, filesystem._link, filesystem._write_all

    def checked(driver: Driver) -> None:
        write("asks")
        check(driver)

    def linked(temporary: Path, path: Path) -> None:
        write("publishes", str(path))
        link(temporary, path)

    def written(fd: int, parts: Any) -> None:
        write_all(fd, parts)
        trap, sprung = folder / "trap", folder / "sprung"
        if (folder / "gate").exists() and not trap.exists() and not sprung.exists():
            write("waits")
            deadline = time.monotonic() + 120
            while not sprung.exists() and time.monotonic() < deadline:
                time.sleep(0.02)

    Driver.check_lease = checked  # type: ignore[method-assign]
    filesystem._link, filesystem._write_all = linked, written


def set_trap(folder: Path) -> None:
    """Have this process walk into the trap when there is one."""
    trap = folder / "trap"

    def after(_connection: Any, _cursor: Any, statement: str, *_more: Any) -> None:
        with contextlib.suppress(FileNotFoundError):
            if (text := trap.read_text()) and text in statement:
                trap.rename(folder / "sprung")
                os.kill(os.getpid(), signal.SIGSTOP)
                time.sleep(1)  # this thread may come some way before the signal stops them all

    sa.event.listen(sa.Engine, "after_cursor_execute", after)


if __name__ == "__main__":
    config, folder, host, lease, pause = sys.argv[1:]
    owner.this_host = lambda: host
    refloat.engine.lease.LASTS = float(lease)
    postgresql.IDLE_IN_TRANSACTION = min(postgresql.IDLE_IN_TRANSACTION, float(lease) / 2)
    set_trap(Path(folder))
    trace_publications(Path(folder))
    install(Traces(Path(folder), float(pause)))
    sys.exit(main(["-v", "worker", "--config-file", config]))
