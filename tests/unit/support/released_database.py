"""Loads what an older version has left behind: databases and banks of ``tests/fixtures/database-COMMIT``."""

from __future__ import annotations

import gzip
import json
import shutil
import sqlite3
from collections.abc import Callable, Mapping
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import sqlalchemy as sa

FIXTURES = Path(__file__).parents[2] / "fixtures"


@dataclass(frozen=True)
class Released:
    """A copy of it that may be changed.

    :param folder: where ``bank``, ``away``, their keys and ``providers.d`` are.
    :param url: the records' database; on SQLite the engine's is the file beside it.
    :param contents: what ``contents.json`` says.
    """

    folder: Path
    url: str
    contents: Mapping[str, Any]

    def operation(self, name: str) -> str:
        """The id of the operation of a scenario."""
        (found,) = (key for key, about in self.contents["operations"].items() if about["name"] == name)
        return str(found)

    @property
    def environ(self) -> dict[str, str]:
        """For the command."""
        return {
            "REFLOAT_DATABASE_URL": self.url,
            "REFLOAT_BANK": str(self.folder / "bank"),
            "REFLOAT_BANK_KEY": str(self.folder / "bank.key"),
            "REFLOAT_PROVIDERS": str(self.folder / "providers.d"),
        }


def load(folder: Path, create: Callable[[], str] | None = None, name: str = "database-29113ea") -> Released:
    """Load the one of SQLite, or that of PostgreSQL.

    :param create: makes an empty PostgreSQL database; None: SQLite.
    """
    source = FIXTURES / name / ("postgresql" if create else "sqlite")
    for bank in ("bank", "away"):
        shutil.copytree(source / bank, folder / bank)
        shutil.copy(source / f"{bank}.key", folder)
        (folder / f"{bank}.key").chmod(0o600)  # git does not keep that
    contents = json.loads((source / "contents.json").read_text(encoding="utf-8"))
    (folder / "providers.d").mkdir()
    (folder / "providers.d" / "away.conf").write_text(
        f"[provider]\nname = away\nid = {contents['away']}\nplugin = noop\nenabled = True\n"
        f"[refloat_bank]\nurl = {folder}/away\nkey_file = {folder}/away.key\n"
    )
    if create is None:
        url = f"sqlite:///{folder}/refloat.sqlite"
        _load_sqlite(source / "records.sql.gz", folder / "refloat.sqlite")
        _load_sqlite(source / "engine.sql.gz", folder / "refloat-engine.sqlite")
    else:
        url = create()
        _load_postgresql(source / "dump.sql.gz", url)
    return Released(folder, url, contents)


def _text(file: Path) -> str:
    return gzip.decompress(file.read_bytes()).decode()


def _load_sqlite(source: Path, target: Path) -> None:
    with closing(sqlite3.connect(target)) as connection:
        connection.executescript(_text(source))


def _load_postgresql(source: Path, url: str) -> None:
    engine = sa.create_engine(url.replace("postgresql:", "postgresql+psycopg:"))
    try:
        with engine.connect() as connection:
            driver: Any = connection.connection.driver_connection
            driver.execute(_text(source))  # all statements at once, as psql -f would run them
            driver.commit()
    finally:
        engine.dispose()
