"""Runs the Alembic migrations that ship with the package."""

from __future__ import annotations

from pathlib import Path

from alembic import command
from alembic.config import Config
from sqlalchemy import Engine

from refloat import postgresql


def upgrade(engine: Engine, revision: str = "head") -> None:
    """Bring the tables of a database up to a revision. Safe for several processes at once."""
    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent / "migrations"))
    with engine.begin() as connection:
        if engine.dialect.name == "sqlite":
            # One writer from the start: a second process waits here and then finds the work done.
            connection.exec_driver_sql("BEGIN IMMEDIATE")
        else:
            postgresql.take_time(connection)
        config.attributes["connection"] = connection
        command.upgrade(config, revision)
