"""Runs the Alembic migrations that ship with the package."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

from alembic import command
from alembic.config import Config
from sqlalchemy import Connection, Engine, text

from refloat import postgresql

_OLD_FILE = "old_engine"
"""As what the file is attached in which the engine had its tables up to schema 0006."""


def upgrade(engine: Engine, revision: str = "head") -> None:
    """Bring the tables of a database up to a revision. Safe for several processes at once."""
    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent / "migrations"))
    old = _engine_file(engine)
    with engine.connect() as connection:
        if old is not None:
            connection.exec_driver_sql(f"ATTACH DATABASE ? AS {_OLD_FILE}", (str(old),))
        if engine.dialect.name == "sqlite":
            # One writer from the start: a second process waits here and then finds the work done.
            connection.exec_driver_sql("BEGIN IMMEDIATE")
        else:
            postgresql.take_time(connection)
            # The second process waits here and then finds the work done.
            connection.execute(text("SELECT pg_advisory_xact_lock(hashtext('refloat migrations'))"))
        config.attributes["connection"] = connection
        command.upgrade(config, revision)
        connection.commit()
        if old is not None:
            _put_aside(connection, old)


def _engine_file(engine: Engine) -> Path | None:
    """Where an SQLite database's engine had its tables, if that is there."""
    if engine.dialect.name != "sqlite" or not engine.url.database:
        return None
    path = Path(f"{engine.url.database.removesuffix('.sqlite')}-engine.sqlite")
    return path if path.is_file() else None


def _put_aside(connection: Connection, old: Path) -> None:
    """Nobody needs the file any more; the user may delete it."""
    connection.exec_driver_sql(f"PRAGMA {_OLD_FILE}.wal_checkpoint(TRUNCATE)")
    connection.exec_driver_sql(f"DETACH DATABASE {_OLD_FILE}")
    for ending in ("", "-wal", "-shm"):
        with suppress(FileNotFoundError):  # another process has done so
            Path(f"{old}{ending}").rename(f"{old}.merged{ending}")
