"""A consistent copy of the database, also while it is in use."""

from __future__ import annotations

import os
import sqlite3
from contextlib import closing
from pathlib import Path

import sqlalchemy as sa

from refloat.errors import InvalidInput, RefloatError


def copy_database(url: str, to: Path) -> int:
    """Copy an SQLite database; the size of the copy. A file that is there is replaced when the copy is whole.

    :raises InvalidInput: it is another database, which tools of its own copy.
    """
    parsed = sa.make_url(url)
    if parsed.get_backend_name() != "sqlite":
        shown = parsed._replace(drivername="postgresql", password=None).render_as_string()
        raise InvalidInput(
            "PostgreSQL is copied by its own tools",
            reason="nothing was copied",
            advice=f"Run: pg_dump --format=custom --file={to} {shown} (with the password in ~/.pgpass)",
        )
    source = Path(parsed.database or "")
    if not source.is_file():
        raise InvalidInput(f"there is no database {source}")
    temporary = to.with_name(f".{to.name}.{os.getpid()}")
    try:
        os.close(os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600))
        with (
            closing(sqlite3.connect(source, timeout=60.0)) as there,
            closing(sqlite3.connect(temporary)) as copy,
        ):
            there.backup(copy)
            copy.execute("PRAGMA journal_mode=DELETE")
        _sync(temporary)
        temporary.replace(to)
        _sync(to.parent)
    except (OSError, sqlite3.Error) as exc:
        temporary.unlink(missing_ok=True)
        raise RefloatError(f"the database could not be copied to {to}", reason=str(exc)) from exc
    return to.stat().st_size


def _sync(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
