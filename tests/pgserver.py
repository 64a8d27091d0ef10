"""A PostgreSQL server of one's own: Debian's package, in a temporary folder, on a unix socket."""

from __future__ import annotations

import itertools
import os
import pwd
import shutil
import subprocess
import tempfile
import uuid
from pathlib import Path

import psycopg
from psycopg import sql

from tests import migrated

NOT_INSTALLED = "PostgreSQL is not installed (apt-get install postgresql)"


def is_installed() -> bool:
    """Whether there is one."""
    return bool(_programs())


def _programs() -> list[Path]:
    return sorted(path.parent for path in Path("/usr/lib/postgresql").glob("*/bin/initdb"))


class PostgreSQL:
    """A running server."""

    def __init__(self) -> None:
        self._programs = _programs()[-1]
        # In memory where there is room: thousands of small files are slow to make and to remove.
        memory = Path("/dev/shm")
        roomy = memory.is_dir() and shutil.disk_usage(memory).free > 2**31
        self.home = Path(tempfile.mkdtemp(prefix="refloat-pg-", dir=memory if roomy else None))
        self._become: list[str] = []
        if os.geteuid() == 0:  # the server refuses to run as root
            user = pwd.getpwnam("postgres")
            os.chown(self.home, user.pw_uid, user.pw_gid)
            self._become = ["setpriv", f"--reuid={user.pw_uid}", f"--regid={user.pw_gid}", "--clear-groups"]
        self._numbers = itertools.count(1)
        self._migrated = False
        self._run("initdb", "-U", "refloat", "-A", "trust", "--no-sync", "-E", "UTF8")
        # What is lost when the machine dies in the middle of a test does not matter.
        self._options = f"-k {self.home} -c listen_addresses= -c fsync=off -c max_connections=200"
        self._run("pg_ctl", "-w", "-l", f"{self.home}/log", "-o", self._options, "start")

    def _run(self, program: str, *arguments: str) -> None:
        command = [*self._become, f"{self._programs}/{program}", *arguments]
        environ = {**os.environ, "PGDATA": f"{self.home}/data"}
        done = subprocess.run(
            command, cwd=self.home, env=environ, capture_output=True, text=True, timeout=120
        )
        assert done.returncode == 0, f"{command}: {done.stdout}{done.stderr}"

    def create(self) -> str:
        """Make an empty database; its URL."""
        return self._make(f"test{next(self._numbers)}")

    def create_migrated(self) -> str:
        """Make a database that has all tables; its URL."""
        if not self._migrated:
            migrated.migrate(self._make("migrated"))
            self._migrated = True
        url = self._make(f"test{next(self._numbers)}", "migrated")
        with psycopg.connect(url) as database:
            database.execute(migrated.RENAME, (str(uuid.uuid4()),))
        return url

    def _make(self, name: str, template: str = "template1") -> str:
        words = sql.SQL("CREATE DATABASE {} TEMPLATE {}").format(*map(sql.Identifier, (name, template)))
        with psycopg.connect(self._url("postgres"), autocommit=True) as server:
            server.execute(words)
        return self._url(name)

    def _url(self, name: str) -> str:
        return f"postgresql://refloat@/{name}?host={self.home}"

    def restart(self, mode: str = "fast") -> None:
        """Cut everybody off and start it again.

        :param mode: ``fast``, or ``immediate``: as if it had crashed.
        """
        options = ("-w", "-m", mode, "-l", f"{self.home}/log", "-o", self._options)
        self._run("pg_ctl", *options, "restart")

    def close(self) -> None:
        """Stop it and remove it."""
        self._run("pg_ctl", "-m", "immediate", "stop")
        shutil.rmtree(self.home, ignore_errors=True)
