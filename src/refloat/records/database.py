"""Opens the database and brings its tables up to date."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from sqlalchemy import Engine, create_engine, event, inspect, text
from sqlalchemy.engine import make_url
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.orm import Session, sessionmaker

from refloat import postgresql
from refloat.errors import RefloatError

HEAD = "0006"
"""The newest migration. Compared before Alembic is loaded, which takes longer than most commands."""


class Database:
    """The records' database: SQLite in a file, or PostgreSQL.

    :param url: an SQLAlchemy URL. The folder of an SQLite file is made, for this user alone.
    :param migrate: bring its tables up to date; else they are left as they are.
    :raises RefloatError: it cannot be opened, or was made by a newer Refloat.
    """

    def __init__(self, url: str, *, migrate: bool = True) -> None:
        self.url = url
        parsed = make_url(url)
        if parsed.get_backend_name() == "postgresql":
            self.engine: Engine = postgresql.make_engine(parsed)
        else:
            if parsed.database:
                Path(parsed.database).parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            self.engine = create_engine(parsed, connect_args={"timeout": 60})
            event.listen(self.engine, "connect", _tune_sqlite)
        self._sessions = sessionmaker(self.engine, expire_on_commit=False)
        if migrate:
            self._migrate()

    @contextmanager
    def session(self) -> Iterator[Session]:
        """A session whose changes are committed at the end, or none of them."""
        with self._sessions.begin() as session:
            yield session

    @contextmanager
    def one_at_a_time(self, *what: str) -> Iterator[Session]:
        """A session in which one caller at a time, of all processes, works on something: to count, then add.

        :param what: one thing or several, always in the same order. SQLite knows just one.
        """
        with self.session() as session:
            if self.engine.dialect.name == "sqlite":
                session.connection().exec_driver_sql("BEGIN IMMEDIATE")
            self.lock(session, *what)
            yield session

    def lock(self, session: Session, *what: str) -> None:
        """Be the only one to work on something until the end of a session of :meth:`one_at_a_time`."""
        if self.engine.dialect.name != "sqlite":
            for each in what:
                session.execute(text("SELECT pg_advisory_xact_lock(hashtext(:what))"), {"what": each})

    def close(self) -> None:
        """Close all connections."""
        self.engine.dispose()

    def version(self) -> str | None:
        """The newest migration that was made in it; None: none.

        :raises RefloatError: it cannot be opened.
        """
        try:
            with self.engine.connect() as connection:
                known = inspect(connection).has_table("alembic_version")
                if not known:
                    return None
                found: str | None = connection.scalar(text("SELECT version_num FROM alembic_version"))
                return found
        except SQLAlchemyError as exc:
            raise RefloatError(
                "could not open the database",
                reason=str(getattr(exc, "orig", None) or exc),
                advice="Check REFLOAT_DATABASE_URL, or the folder's owner and free space",
            ) from exc

    def _migrate(self) -> None:
        version = self.version()
        if version == HEAD:
            return
        if version is not None and version > HEAD:
            raise RefloatError(
                f"the database was made by a newer Refloat (schema {version}, this one knows {HEAD})",
                advice="Upgrade Refloat",
            )
        from refloat.records.migrate import upgrade

        upgrade(self.engine)


def _tune_sqlite(connection: Any, _record: Any) -> None:
    cursor = connection.cursor()
    # WAL lets other processes read while one writes; FULL keeps what was committed through a power cut.
    for pragma in ("journal_mode=WAL", "synchronous=FULL", "foreign_keys=ON"):
        cursor.execute(f"PRAGMA {pragma}")
    cursor.close()
