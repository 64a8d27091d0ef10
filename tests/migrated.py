"""A database that was migrated once: new ones of tests begin as copies of it."""

from __future__ import annotations

import sqlite3
import subprocess
import sys
import uuid
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

MIGRATE = """
import sys
from refloat.engine.journal import Journal
from refloat.records.database import Database
with Database(sys.argv[1]) as database:
    Journal(database, "migrate").close()
"""
RENAME = "UPDATE incarnation SET id = %s"
"""A copy is another database, and says so."""


def migrate(url: str) -> None:
    """Make all tables in an empty database, the workflow library's too, in a process of its own."""
    subprocess.run([sys.executable, "-c", MIGRATE, url], check=True, timeout=120)


@contextmanager
def copied(scratch: Path) -> Iterator[None]:
    """New SQLite databases that are opened in this process are copies of one in this folder.

    (A copy is opened like any other database.)
    """
    from refloat.records.database import Database

    file, opened = scratch / "migrated.sqlite", Database._migrate

    def copy_and_open(database: Database) -> None:
        if database.is_sqlite and database.version() is None:
            if not file.exists():
                migrate(f"sqlite:///{file}")
            with (
                closing(sqlite3.connect(file)) as source,
                closing(database.engine.raw_connection()) as target,
            ):
                source.backup(target.driver_connection)
                target.driver_connection.execute(RENAME.replace("%s", "?"), (str(uuid.uuid4()),))
                target.driver_connection.commit()
        opened(database)

    Database._migrate = copy_and_open  # type: ignore[method-assign]
    try:
        yield
    finally:
        Database._migrate = opened  # type: ignore[method-assign]
