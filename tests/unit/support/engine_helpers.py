"""An engine on the table of operations, and rows for it to run."""

from __future__ import annotations

from contextlib import suppress
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from refloat.database import SqlDatabase
from refloat.engine.engine import Engine
from refloat.records.tables import OPERATIONS


def open_engine(database: SqlDatabase, **options: Any) -> Engine:
    return Engine(database, OPERATIONS, **options)


def ask(
    database: SqlDatabase, operation_id: str, kind: str, payload: Any = None, *, on_failure: str = "undo"
) -> None:
    """Write down that an operation is to run."""
    row = {
        "id": operation_id,
        "kind": kind,
        "project_id": "project",
        "state": "queued",
        "payload": payload,
        "on_failure": on_failure,
        "created_at": datetime.fromisoformat("2026-01-01T00:00:00"),
    }
    with database.engine.begin() as connection:
        connection.execute(sa.insert(OPERATIONS).values(row))


def start(
    engine: Engine, operation_id: str, kind: str, payload: Any = None, *, on_failure: str = "undo"
) -> None:
    """Write down that an operation is to run, unless that is written, and begin with it."""
    with suppress(sa.exc.IntegrityError):
        ask(engine._shared.database, operation_id, kind, payload, on_failure=on_failure)
    engine.start(operation_id)
