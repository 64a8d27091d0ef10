"""The one database: SQLite in a file, or PostgreSQL. Records, engine and workflow library share it.

SQLite runs in WAL mode with ``synchronous=NORMAL``, which by itself may lose the last commits when the
power fails. :meth:`SqlDatabase.flush` closes that gap: nothing that was committed before it is called is
lost once it returns. It costs one ``fsync`` of the WAL for everything that was committed meanwhile, where
``synchronous=FULL`` costs one per commit (measured: half of the whole time per step). It is safe because in
WAL mode SQLite itself syncs the WAL before it copies pages into the database file. A session flushes what it
has committed. PostgreSQL does its own group commit; there ``flush`` does nothing.

The file must be on a local file system: WAL needs shared memory between the processes that use it.
"""

from __future__ import annotations

import os
import stat
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TypeVar, cast

import sqlalchemy as sa
from sqlalchemy.orm import Session, sessionmaker

from refloat import postgresql
from refloat.closing import Closing

SCHEMA = "refloat_engine"
"""The schema of the workflow library's tables on PostgreSQL; SQLite has no schemas."""
_OPEN_AT_ONCE = 32
"""Connections of one process at most."""

T = TypeVar("T")


def now() -> datetime:
    """The time as it is kept: UTC, without saying so."""
    return datetime.now(UTC).replace(tzinfo=None)


def changed(session: Session, statement: sa.Executable) -> int:
    """Run a statement; how many rows it has changed."""
    return cast("sa.CursorResult[Any]", session.execute(statement)).rowcount


class SqlDatabase(Closing):
    """An open database.

    :param url: ``sqlite:///path`` or ``postgresql://user@host/name``. An SQLite file and its folder are made,
        for this user alone; a file that is there becomes his alone.
    """

    def __init__(self, url: str) -> None:
        self.url = url
        parsed = sa.make_url(url)
        self.is_sqlite = parsed.get_backend_name() == "sqlite"
        options: dict[str, Any] = {"pool_size": 8, "max_overflow": _OPEN_AT_ONCE - 8, "pool_timeout": 30}
        if self.is_sqlite:
            if not parsed.database or parsed.database == ":memory:":
                raise ValueError("the database must be in a file, not in memory")
            self._wal = Path(f"{parsed.database}-wal")
            _make_file(Path(parsed.database))
            self.engine: sa.Engine = sa.create_engine(parsed, **options)
            sa.event.listen(self.engine, "connect", _set_up_sqlite)
        elif parsed.get_backend_name() == "postgresql":
            self.engine = postgresql.make_engine(parsed, **options)
        else:
            raise ValueError(f"SQLite and PostgreSQL are supported, not {parsed.get_backend_name()}")
        self._sessions = sessionmaker(self.engine, expire_on_commit=False)
        self._flush = _GroupFlush(self._sync_wal)

    def now(self) -> sa.ColumnElement[float]:
        """The time, in seconds since 1970, by the clock that all users of the database share."""
        if self.is_sqlite:
            return sa.literal(time.time(), sa.Float)
        return sa.cast(sa.func.extract("epoch", sa.func.clock_timestamp()), sa.Float)

    @contextmanager
    def session(self) -> Iterator[Session]:
        """A session whose changes are committed at the end, durably, or none of them."""
        with self._sessions.begin() as session:
            yield session
            wrote = self.is_sqlite and _has_written(session)
        if wrote:
            self.flush()

    def read(self, query: sa.Select[Any], made: Callable[[Any], T]) -> list[T]:
        """What is made of each thing that a query finds, in a session of its own."""
        with self.session() as session:
            return [made(row) for row in session.scalars(query)]

    def change(self, statement: sa.Executable) -> int:
        """Run a statement in a session of its own; how many rows it has changed."""
        with self.session() as session:
            return changed(session, statement)

    @contextmanager
    def one_at_a_time(self, *what: str) -> Iterator[Session]:
        """A session in which one caller at a time, of all processes, works on something: to count, then add.

        :param what: one thing or several, always in the same order. SQLite knows just one.
        """
        with self.session() as session:
            if self.is_sqlite:
                session.connection().exec_driver_sql("BEGIN IMMEDIATE")
            self.lock(session, *what)
            yield session

    def lock(self, session: Session, *what: str) -> None:
        """Be the only one to work on something until the end of a session of :meth:`one_at_a_time`."""
        if not self.is_sqlite:
            for each in what:
                session.execute(sa.text("SELECT pg_advisory_xact_lock(hashtext(:what))"), {"what": each})

    def flush(self) -> None:
        """Return when everything committed before the call survives a power cut."""
        if self.is_sqlite:
            self._flush()

    def _sync_wal(self) -> None:
        try:
            file = os.open(self._wal, os.O_RDONLY)
        except FileNotFoundError:
            return  # checkpointed and removed, hence already synced by SQLite
        try:
            os.fsync(file)
        finally:
            os.close(file)

    def close(self) -> None:
        self.engine.dispose()


def _make_file(path: Path) -> None:
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    with suppress(OSError):  # it is there; or it cannot be made, and SQLite says why
        os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600))
    # SQLite gives the files beside it the mode of the first. What was made otherwise, another's umask say:
    for each in (path, Path(f"{path}-wal"), Path(f"{path}-shm")):
        with suppress(FileNotFoundError):
            found = each.stat()
            if stat.S_ISREG(found.st_mode) and found.st_mode & 0o077 and found.st_uid == os.geteuid():
                each.chmod(0o600)


def _has_written(session: Session) -> bool:
    """Whether a transaction is open: Python's driver begins one before the first statement that writes."""
    session.flush()
    connection = session.connection().connection.driver_connection
    return bool(connection is not None and connection.in_transaction)


def _set_up_sqlite(connection: Any, _record: Any) -> None:
    # IMMEDIATE: a transaction that starts by reading and then writes must not fail half-way.
    connection.isolation_level = "IMMEDIATE"
    for pragma in ("busy_timeout=60000", "foreign_keys=ON", "journal_mode=WAL", "synchronous=NORMAL"):
        connection.execute(f"PRAGMA {pragma}")


class _GroupFlush:
    """Callers that arrive while a flush runs share the next one."""

    def __init__(self, flush: Callable[[], None]) -> None:
        self._run = flush
        self._turn = threading.Condition()
        self._asked = 0
        self._served = 0
        self._busy = False

    def __call__(self) -> None:
        with self._turn:
            self._asked += 1
            mine = self._asked
            while self._busy and self._served < mine:
                self._turn.wait(1.0)
            if self._served >= mine:
                return
            self._busy = True
            covers = self._asked
        try:
            self._run()
        except BaseException:
            covers = 0
            raise
        finally:
            with self._turn:
                self._busy = False
                self._served = max(self._served, covers)
                self._turn.notify_all()
