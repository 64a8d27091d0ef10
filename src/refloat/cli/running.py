"""Runs an operation for the user: begins it here or in a worker, follows it, stops it on Ctrl-C."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Any, NoReturn

from refloat.cli.progress import display, standing_of
from refloat.errors import Conflict, RefloatError

if TYPE_CHECKING:
    from refloat.cli.backend import Backend
    from refloat.cli.main import RefloatApp
    from refloat.cli.views import OperationView
    from refloat.records.operations import Operation

INTERRUPTED = 130
PATIENCE = 60.0
"""Seconds that steps have to come to their end after Ctrl-C."""
_TICK = 0.5
_WATCH_EVERY = 1.0
_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
_OLD = 30 * 24 * 3600.0

LIVE_WORDS = {
    "protect": "protecting",
    "restore": "restoring",
    "verify": "verifying",
    "copy": "copying",
    "delete": "deleting",
}


class Stopped(KeyboardInterrupt):
    """The user has stopped it, and has been told how to go on."""


class Interrupts:
    """While it is open, the first signal is noted, the second ends the process; so it is ever after a first.

    :param last_words: what the second says; it must not wait for anything.
    """

    def __init__(self, last_words: Callable[[], str]) -> None:
        self.asked = threading.Event()
        self.last_words = last_words
        self._before: dict[int, Any] = {}

    def _on_signal(self, _number: int, _frame: FrameType | None) -> None:
        if self.asked.is_set():
            leave(self.last_words())
        self.asked.set()

    def __enter__(self) -> Interrupts:
        for number in _SIGNALS:
            if signal.getsignal(number) == signal.SIG_IGN:
                continue  # nohup, or the background of a script
            self._before[number] = signal.signal(number, self._on_signal)
        return self

    def __exit__(self, *_exc: object) -> None:
        if self.asked.is_set():
            return
        for number, handler in self._before.items():
            signal.signal(number, handler)


def leave(last_words: str) -> NoReturn:
    """End this process now; whatever it runs is then interrupted."""
    with contextlib.suppress(OSError):
        os.write(2, f"\n{last_words}\n".encode())
    os._exit(INTERRUPTED)


def how_to_go_on(operation_id: str) -> str:
    """What to do with an operation that was stopped."""
    return (
        f"Go on with: refloat operation resume {operation_id}\n"
        f"Undo it with: refloat operation cancel {operation_id}"
    )


class OperationRunner:
    """Runs one operation.

    :param app: for messages.
    """

    def __init__(self, app: RefloatApp) -> None:
        self._app = app
        self._quiet = not app.options.verbose_level

    def run(
        self, refloat: Backend, operation: Operation, begin: Callable[[], object], title: str = ""
    ) -> Operation:
        """Begin, here, and follow to the end; what the operation came to.

        :raises Stopped: on Ctrl-C.
        """
        identity = operation.id
        if refloat.runs_elsewhere(operation):
            return self._follow(refloat, identity, begin, title)
        words = f"Left at once; operation {identity} is interrupted.\n{how_to_go_on(identity)}"
        with Interrupts(lambda: words) as interrupts:
            begin()
            with self._shown(operation, title) as update:
                while not interrupts.asked.is_set():
                    update(refloat.look(identity))
                    with contextlib.suppress(TimeoutError):
                        return refloat.wait(identity, _TICK)
            return self._stop(refloat, identity, interrupts)

    def _follow(self, refloat: Backend, identity: str, begin: Callable[[], object], title: str) -> Operation:
        begin()
        try:
            return self.watch(refloat, identity, title).operation
        except KeyboardInterrupt:
            self._tell(
                f"\nOperation {identity} goes on without this command.\n"
                f"Follow it with: refloat operation watch {identity}\n"
                f"Undo it with: refloat operation cancel {identity}"
            )
            raise Stopped("told") from None

    def _stop(self, refloat: Backend, identity: str, interrupts: Interrupts) -> Operation:
        self._tell("\nStopping: what runs comes to its end. Ctrl-C again leaves at once.")
        refloat.stop(identity)
        deadline = time.monotonic() + PATIENCE
        while time.monotonic() < deadline:
            with contextlib.suppress(TimeoutError):
                operation = refloat.wait(identity, _TICK)
                interrupts.last_words = str
                if operation.state != "parked":
                    return operation  # it came to its end before it could be stopped
                self._tell(f"Stopped operation {identity}.\n{how_to_go_on(identity)}")
                raise Stopped("told")
        leave(f"Some steps do not end; operation {identity} is interrupted.\n{how_to_go_on(identity)}")

    def _tell(self, text: str) -> None:
        with contextlib.suppress(OSError):  # the terminal may be gone
            self._app.stderr.write(f"{text}\n")
            self._app.stderr.flush()

    def watch(self, refloat: Backend, identity: str, title: str = "") -> OperationView:
        """Follow an operation, wherever it runs, until nobody runs it; Ctrl-C just stops watching."""
        view = refloat.look(identity)
        with self._shown(view.operation, title) as update:
            while view.live:
                update(view)
                time.sleep(_WATCH_EVERY if not self._app.stderr.isatty() else _WATCH_EVERY / 2)
                view = refloat.look(identity)
        return view

    @contextlib.contextmanager
    def _shown(self, operation: Operation, title: str) -> Iterator[Callable[[OperationView], None]]:
        title = title or LIVE_WORDS[operation.kind].capitalize()
        shown = display(self._app.stderr, title, quiet=self._quiet)
        try:
            yield lambda view: shown.update(standing_of(view.snapshot))
        finally:
            shown.close()

    def detach(self, operation_id: str, action: str = "resume") -> None:
        """Have a process of its own run an operation; it outlives this one and its terminal."""
        log = log_file(operation_id)
        command = [sys.executable, "-m", "refloat.cli.detached", operation_id, action]
        if self._app.options.os_cloud:
            command += ["--os-cloud", self._app.options.os_cloud]
        with log.open("a") as out:
            subprocess.Popen(  # noqa: S603
                command, stdin=subprocess.DEVNULL, stdout=out, stderr=out, start_new_session=True
            )
        self._app.say(f"Follow it with: refloat operation watch {operation_id}\nIts log is {log}")


def log_file(operation_id: str) -> Path:
    """Where a worker writes what it has to say. Old ones are removed."""
    import platformdirs

    folder = platformdirs.user_state_path("refloat") / "workers"
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    for old in folder.glob("*.log"):
        with contextlib.suppress(OSError):
            if time.time() - old.stat().st_mtime > _OLD:
                old.unlink()
    return folder / f"{operation_id}.log"


def error_of(operation: Operation, state: str) -> RefloatError | None:
    """Why an operation did not succeed; None when it did."""
    if state in {"succeeded", "starting", "running", "stopping", "cancelling"}:
        return None
    if operation.error:
        error = RefloatError.from_json(dict(operation.error))
        if state == "failed" and operation.kind in {"protect", "restore"} and not error.left_behind:
            error.advice = ". ".join(filter(None, ("Nothing is left behind", error.advice)))
        return error
    words = {"parked": "was stopped", "cancelled": "was cancelled", "interrupted": "was interrupted"}
    return Conflict(f"the operation {words.get(state, state)}")
