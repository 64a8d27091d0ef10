"""Opens the database and brings its tables up to date."""

from __future__ import annotations

from datetime import datetime
from typing import Any, TypeVar

from sqlalchemy import inspect, text
from sqlalchemy.exc import SQLAlchemyError

from refloat.database import SqlDatabase
from refloat.errors import RefloatError

HEAD = "0019"
"""The newest migration. Compared before Alembic is loaded, which takes longer than most commands."""

Record = TypeVar("Record")


def of_row(kind: type[Record], row: Any, **instead: Any) -> Record:
    """What a row says, as a record whose fields are called as its columns.

    :param instead: fields that are not read from it.
    """
    names = kind.__slots__  # type: ignore[attr-defined]
    return kind(**{name: getattr(row, name) for name in names if name not in instead}, **instead)


def shown(moment: datetime | None) -> str:
    """A time for people and programs, ISO 8601; empty: there is none."""
    return f"{moment.isoformat(timespec='seconds')}Z" if moment else ""


class Database(SqlDatabase):
    """The database, with the tables of the records.

    :param url: an SQLAlchemy URL.
    :param migrate: bring its tables up to date; else they are left as they are.
    :raises RefloatError: it cannot be opened, or was made by a newer Refloat.
    """

    def __init__(self, url: str, *, migrate: bool = True) -> None:
        super().__init__(url)
        if migrate:
            self._migrate()

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
