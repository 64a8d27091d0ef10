"""The one database: SQLite in a file or PostgreSQL, opened the way the engine needs it.

SQLite runs in WAL mode with ``synchronous=NORMAL``, which by itself may lose the last commits when the
power fails. :meth:`Database.flush` closes that gap: nothing that was committed before it is called is
lost once it returns. It costs one ``fsync`` of the WAL for everything that was committed meanwhile, where
``synchronous=FULL`` costs one per commit (measured: half of the whole time per step). It is safe because in
WAL mode SQLite itself syncs the WAL before it copies pages into the database file. PostgreSQL does its
own group commit; there ``flush`` does nothing.

The file must be on a local file system: WAL needs shared memory between the processes that use it.
"""

from __future__ import annotations

import os
import threading
import time
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from refloat import postgresql

SCHEMA = "refloat_engine"
"""The schema of everything of the engine's on PostgreSQL; SQLite has no schemas."""


class Database:
    """An open database.

    :param url: ``sqlite:///path`` or ``postgresql://user@host/name``.
    """

    def __init__(self, url: str) -> None:
        parsed = sa.make_url(url)
        self.is_sqlite = parsed.get_backend_name() == "sqlite"
        if self.is_sqlite:
            if not parsed.database or parsed.database == ":memory:":
                raise ValueError("the engine needs a database in a file, not in memory")
            self._wal = Path(f"{parsed.database}-wal")
            Path(parsed.database).parent.mkdir(parents=True, exist_ok=True)
        elif parsed.get_backend_name() == "postgresql":
            parsed = parsed.set(drivername="postgresql+psycopg")
        else:
            raise ValueError(f"the engine runs on sqlite and postgresql, not on {parsed.get_backend_name()}")
        self.url = parsed.render_as_string(hide_password=False)
        make = sa.create_engine if self.is_sqlite else postgresql.make_engine
        self.engine = make(parsed, pool_size=8, max_overflow=24, pool_timeout=30)
        if self.is_sqlite:
            sa.event.listen(self.engine, "connect", _set_up_sqlite)
        self._flush = _GroupFlush(self._sync_wal)

    def now(self) -> sa.ColumnElement[float]:
        """The time, in seconds since 1970, by the clock that all users of the database share."""
        if self.is_sqlite:
            return sa.literal(time.time(), sa.Float)
        return sa.cast(sa.func.extract("epoch", sa.func.clock_timestamp()), sa.Float)

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
        """Close every connection."""
        self.engine.dispose()


def _set_up_sqlite(connection: Any, _record: Any) -> None:
    # IMMEDIATE: a transaction that starts by reading and then writes must not fail half-way.
    connection.isolation_level = "IMMEDIATE"
    for pragma in ("busy_timeout=30000", "foreign_keys=ON", "journal_mode=WAL", "synchronous=NORMAL"):
        connection.execute(f"PRAGMA {pragma}")


class _GroupFlush:
    """Callers that arrive while a flush runs share the next one."""

    def __init__(self, flush: Any) -> None:
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
