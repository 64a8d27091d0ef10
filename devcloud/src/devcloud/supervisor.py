"""The cloud's supervisor (supervisord) over its unix socket."""

from __future__ import annotations

import http.client
import shlex
import socket
import threading
import xmlrpc.client
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

RPC_TIMEOUT = 15


class _Connection(http.client.HTTPConnection):
    def __init__(self, path: Path) -> None:
        super().__init__("localhost", timeout=RPC_TIMEOUT)
        self._path = str(path)

    def connect(self) -> None:
        """Connect to the unix socket."""
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(RPC_TIMEOUT)
        self.sock.connect(self._path)


@dataclass(frozen=True)
class Process:
    """A supervised service as its supervisor sees it."""

    name: str
    state: str
    pid: int
    since: int
    now: int
    says: str

    @property
    def seconds(self) -> int:
        """For how long it has been running."""
        return max(0, self.now - self.since) if self.state == "RUNNING" else 0

    @property
    def alive(self) -> bool:
        """It runs, or has just been started."""
        return self.state in ("RUNNING", "STARTING")


class Supervisor:
    """Calls go through one connection that stays open.

    A connection that supervisord closes leaves its number registered for polling; if a service that is
    started in the same moment gets that number for a pipe, supervisord can spin on it for ever.
    """

    def __init__(self, path: Path) -> None:
        self._connection = _Connection(path)
        self._lock = threading.Lock()

    def _call(self, method: str, *arguments: object) -> Any:
        body = xmlrpc.client.dumps(cast("tuple[Any, ...]", arguments), f"supervisor.{method}")
        with self._lock:
            try:
                self._connection.request("POST", "/RPC2", body, {"Content-Type": "text/xml"})
                response = self._connection.getresponse()
                text = response.read()
            except (OSError, http.client.HTTPException):
                self._connection.close()
                raise
        if response.status != 200:
            raise http.client.HTTPException(f"supervisord: {response.status} {response.reason}")
        return xmlrpc.client.loads(text)[0][0]

    def answers(self) -> bool:
        """Is there a supervisor?"""
        try:
            return bool(self._call("getState")["statename"] == "RUNNING")
        except (OSError, http.client.HTTPException, xmlrpc.client.Error):
            return False

    def start(self, name: str) -> None:
        """Start a service that does not run. The reason why it could not be started is in its state."""
        try:
            self._call("startProcess", name, False)
        except xmlrpc.client.Fault as fault:
            if "ALREADY_STARTED" not in fault.faultString and "SPAWN_ERROR" not in fault.faultString:
                raise

    def stop(self, name: str) -> None:
        """Ask a service to stop, without waiting for it."""
        try:
            self._call("stopProcess", name, False)
        except xmlrpc.client.Fault as fault:
            if "NOT_RUNNING" not in fault.faultString:
                raise

    def reread(self) -> None:
        """Take over the services of its file that are new or have changed; none is started."""
        added, changed, removed = self._call("reloadConfig")[0]
        for name in (*changed, *removed):
            self._call("stopProcessGroup", name)
            self._call("removeProcessGroup", name)
        for name in (*added, *changed):
            self._call("addProcessGroup", name)

    def process(self, name: str) -> Process:
        """One service."""
        return _process(cast("dict[str, Any]", self._call("getProcessInfo", name)))

    def processes(self) -> list[Process]:
        """All services."""
        return [_process(info) for info in self._call("getAllProcessInfo")]


def _process(info: dict[str, Any]) -> Process:
    return Process(
        info["name"], info["statename"], info["pid"], info["start"], info["now"], info["spawnerr"] or ""
    )


def program_command(words: tuple[str, ...]) -> str:
    """A command as supervisord's configuration wants it: % is its own, and it splits like a shell."""
    return shlex.join(words).replace("%", "%%")


def program_environment(env: dict[str, str]) -> str:
    """An environment as supervisord's configuration wants it."""
    return ",".join(f'{name}="{value}"' for name, value in env.items()).replace("%", "%%")
