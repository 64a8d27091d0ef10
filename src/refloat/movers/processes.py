"""A program that is asked over Unix sockets, by many threads, and is replaced by another one when it ends."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import tempfile
import threading
from collections.abc import Callable, Sequence
from typing import IO, TypeVar

from refloat.closing import Closing
from refloat.movers.rbd_process import SHARED, Connection, Json, receive, send

PATIENCE = 400.0
"""Seconds for one answer: a little more than what librados waits for the cluster."""

TRIES = 3
"""How many processes are asked for one answer."""

_ENVIRONMENT = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL": "C.UTF-8"}

T = TypeVar("T")


class Unanswered(Exception):
    """There is no answer, and this is why."""


class ProcessEnded(Unanswered):
    """The process ended before it answered, and this is how. Another one may answer."""


class Process:
    """One that runs, and has said its first message.

    :param command: the Python that runs it, the file, and its arguments after the number of its socket.
    :raises Unanswered: it cannot be started, or ended, or says nothing.
    """

    def __init__(self, command: Sequence[str]) -> None:
        self._lock = threading.Lock()
        self._idle: list[Connection] = []
        self._how = ""
        self._control, its = socket.socketpair()
        self._control.settimeout(PATIENCE)
        self._output: IO[bytes] = tempfile.TemporaryFile()  # noqa: SIM115 - end() closes it
        python, program, *arguments = command
        with its:
            try:
                self._running = subprocess.Popen(  # noqa: S603 - the operator's Python, our file
                    [python, "-I", program, str(its.fileno()), *arguments],
                    pass_fds=[its.fileno()],
                    stdin=subprocess.DEVNULL,
                    stdout=self._output,
                    stderr=self._output,
                    env=_ENVIRONMENT,  # ours may have passwords
                    start_new_session=True,
                )
            except OSError as error:
                self._control.close()
                self._output.close()
                raise Unanswered(f"{python} cannot be started: {error.strerror}") from error
        try:
            self.hello = self._bounded(lambda: receive(self._control))
        except BaseException:
            self.end()
            raise

    def ask(self, head: Json, data: bytes | memoryview, target: memoryview | None) -> Json:
        """Its answer; the bytes of it go into the target, if they are as many. For many threads.

        :param data: at most ``SHARED``, like the answer.
        """
        connection = self._bounded(self._connection)

        def conversation() -> Json:
            connection.memory[: len(data)] = data
            send(connection.messages, {**head, "bytes": len(data)})
            answer = receive(connection.messages)
            if target is not None and len(target) == answer["bytes"]:
                with memoryview(connection.memory) as memory:
                    target[:] = memory[: len(target)]
            return answer

        try:
            answer = self._bounded(conversation)
        except BaseException:
            connection.close()
            raise
        with self._lock:
            self._idle.append(connection)
        return answer

    def _connection(self) -> Connection:
        with self._lock:
            if self._idle:
                return self._idle.pop()
            mine, its = socket.socketpair()
            mine.settimeout(PATIENCE)
            with its, open(os.memfd_create("refloat-rbd"), "wb") as memory:
                memory.truncate(SHARED)
                connection = Connection(mine, memory.fileno())
                socket.send_fds(self._control, [b"+"], [its.fileno(), memory.fileno()])
            return connection

    def _bounded(self, act: Callable[[], T]) -> T:
        try:
            return act()
        except TimeoutError:
            self._running.kill()
            self.end()
            raise Unanswered(f"its process said nothing for {PATIENCE:.0f} s, and was ended") from None
        except OSError as error:
            raise ProcessEnded(self.end()) from error

    def end(self) -> str:
        """End it, if it has not ended by itself; how it ended. By any thread, again and again."""
        with self._lock:
            self._control.close()
            while self._idle:
                self._idle.pop().close()
            if not self._how:
                self._how = self._ended()
                self._output.close()
            return self._how

    def _ended(self) -> str:
        for _ in range(2):
            try:
                self._running.wait(5)
                break
            except subprocess.TimeoutExpired:
                self._running.kill()
        status = self._running.returncode
        how = f"with status {status}"
        if status and status < 0:
            how = f"by signal {-status} ({signal.Signals(-status).name})"
        self._output.seek(max(0, self._output.seek(0, 2) - 4096))
        said = self._output.read().decode(errors="replace").split("\n")
        last = next((line.strip() for line in reversed(said) if line.strip()), "")
        return f"{how}, and said: {last}" if last else how


class Replaced(Closing):
    """One process, or the one that has taken its place. It is started when it is needed."""

    def __init__(self, command: Sequence[str]) -> None:
        self._command = command
        self._lock = threading.Lock()
        self._process: Process | None = None

    def ask(self, head: Json, data: bytes | memoryview = b"", target: memoryview | None = None) -> Json:
        """The answer, to what can be asked again. :raises Unanswered: there is none."""
        return self._of(lambda process: process.ask(head, data, target))

    @property
    def hello(self) -> Json:
        """What it said first."""
        return self._of(lambda process: process.hello)

    def tell(self, head: Json) -> Json:
        """The answer, if there is still who would need to know; never started for it."""
        process = self._process
        try:
            return process.ask(head, b"", None) if process is not None else {}
        except ProcessEnded:
            self._forget(process)
            return {}

    def close(self) -> None:
        self._forget(self._process)

    def _of(self, act: Callable[[Process], Json]) -> Json:
        how = ""
        for _ in range(TRIES):
            process = None
            try:
                process = self._started()
                if "error" not in process.hello:
                    return act(process)
                self._forget(process)
                return process.hello
            except Unanswered as error:
                self._forget(process)
                if not isinstance(error, ProcessEnded):
                    raise
                how = str(error)
        raise Unanswered(f"its process ended {TRIES} times, the last time {how}")

    def _started(self) -> Process:
        with self._lock:
            if self._process is None:
                self._process = Process(self._command)
            return self._process

    def _forget(self, process: Process | None) -> None:
        with self._lock:
            if self._process is process:
                self._process = None
        if process is not None:
            process.end()
