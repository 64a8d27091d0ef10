"""An operation's row says who runs it and how far it is, which the engine's own table did before.

On SQLite that table, and those of the workflow library, were in a file beside the records'; it is attached
(:func:`refloat.records.migrate.upgrade`), and all of it is brought into the one file. Operations in flight
go on.
"""

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"

_ENDED = ("succeeded", "failed", "cancelled")

_OPERATIONS = sa.table(
    "operations",
    *(sa.column(name) for name in ("id", "state", "runner", "requested", "on_failure")),
    *(sa.column(name, sa.DateTime) for name in ("began_at", "ended_at")),
    *(sa.column(name) for name in ("attempt", "forgiven_until", "executor", "host", "pid", "born")),
    *(sa.column(name) for name in ("expires", "updated_at")),
    *(sa.column(name, sa.JSON) for name in ("progress", "skipped", "result", "error")),
)


def _columns() -> tuple[sa.Column[Any], ...]:
    return (
        sa.Column("on_failure", sa.String(8), nullable=False, server_default="undo"),
        sa.Column("skipped", sa.JSON),
        sa.Column("updated_at", sa.Float, nullable=False, server_default="0"),
        sa.Column("attempt", sa.Integer, nullable=False, server_default="0"),
        sa.Column("forgiven_until", sa.Integer, nullable=False, server_default="0"),
        sa.Column("executor", sa.String(64), nullable=False, server_default=""),
        sa.Column("host", sa.Text, nullable=False, server_default=""),
        sa.Column("pid", sa.Integer, nullable=False, server_default="0"),
        sa.Column("born", sa.String(32), nullable=False, server_default=""),
        sa.Column("expires", sa.Float, nullable=False, server_default="0"),
        sa.Column("progress", sa.JSON),
    )


def upgrade() -> None:
    """Add the columns, and bring the engine's rows along."""
    # Not in batches: SQLite's table would be made anew for them, and rows that refer to its rows would go.
    op.execute("ALTER TABLE operations RENAME COLUMN wish TO requested")
    for column in _columns():
        op.add_column("operations", column)
    connection = op.get_bind()
    schema = "old_engine" if connection.dialect.name == "sqlite" else "refloat_engine"
    known = _engine_rows(connection, schema)
    for found in connection.execute(sa.select(_OPERATIONS)).mappings().all():
        row = dict(found)
        changes = _merged(row, known.get(row["id"]))
        if changes:
            connection.execute(sa.update(_OPERATIONS).where(_OPERATIONS.c.id == row["id"]).values(changes))
    if connection.dialect.name != "sqlite":
        connection.exec_driver_sql("DROP TABLE IF EXISTS refloat_engine.engine_operation")
    elif known:
        _bring_along(connection)


def _engine_rows(connection: sa.Connection, schema: str) -> dict[str, Mapping[str, Any]]:
    if connection.dialect.name == "sqlite":
        files = {row[1] for row in connection.exec_driver_sql("PRAGMA database_list")}
        if schema not in files:
            return {}
    if not sa.inspect(connection).has_table("engine_operation", schema=schema):
        return {}
    names = (
        "id",
        "on_failure",
        "state",
        "wish",
        "attempt",
        "forgiven_until",
        "executor",
        "host",
        "pid",
        "born",
    )
    more = ("expires", "progress", "ended", "created_at", "updated_at")
    columns: list[sa.ColumnClause[Any]] = [sa.column(name) for name in (*names, *more)]
    table = sa.table("engine_operation", *columns, schema=schema)
    return {
        row["id"]: {**row, "progress": json.loads(row["progress"]), "ended": json.loads(row["ended"])}
        for row in connection.execute(sa.select(*columns).select_from(table)).mappings()
    }


def _merged(row: Mapping[str, Any], engine: Mapping[str, Any] | None) -> dict[str, Any]:
    """What changes in an operation's row; *engine*: what the engine said of it, when it had begun."""
    wish = "cancel" if row["requested"] == "cancelling" else row["requested"]
    if engine is None:
        if row["state"] == "running":
            return {"state": "queued", "requested": wish}
        return {"requested": wish if row["state"] == "parked" and wish != "park" else ""}
    names = ("on_failure", "attempt", "forgiven_until", "updated_at", "progress")
    changes = {name: engine[name] for name in names}
    changes["began_at"] = row["began_at"] or _moment(engine["created_at"])
    ended = engine["ended"]
    changes["skipped"] = ended.get("skipped")
    if row["state"] in _ENDED:
        return changes | {"requested": ""}
    if engine["state"] == "running":
        owner = {name: engine[name] for name in ("executor", "host", "pid", "born", "expires")}
        asked = {"stop": "park", "cancel": "cancel"}.get(engine["wish"], "")
        requested = "cancel" if "cancel" in (wish, asked) else asked or ("park" if wish == "park" else "")
        return changes | owner | {"state": "running", "requested": requested}
    error = _error(ended)
    if engine["state"] == "parked":
        stays = row["runner"] == "command" or row["state"] == "parked" or wish == "park" or error
        requested = wish if wish in ("cancel", "resume") else ""
        # Else its worker was stopped, and another was to go on with it.
        state = {"state": "parked", "error": error} if stays else {"state": "running"}
        return changes | state | {"requested": requested}
    # It has ended, but that was not written down any more.
    if row["runner"] == "command":
        end = {"state": engine["state"], "result": ended.get("result"), "error": error, "requested": ""}
        return changes | end | {"ended_at": _moment(engine["updated_at"])}
    # A worker takes it up, finds that all is done, and ends it with all that belongs to its end.
    again = "cancel" if wish == "cancel" and ended.get("undo_error") else ""
    return changes | {"state": "running", "requested": again}


def _error(ended: Mapping[str, Any]) -> dict[str, Any] | None:
    error, undo = ended.get("error"), ended.get("undo_error")
    if not undo:
        return error
    return {**(error or undo), **{name: str(undo.get(name, "")) for name in ("left_behind", "advice")}}


def _moment(seconds: float) -> datetime:
    return datetime.fromtimestamp(seconds, UTC).replace(tzinfo=None)


def _bring_along(connection: sa.Connection) -> None:
    """Copy the tables of the workflow library from the engine's file, and leave that one to nobody."""
    connection.exec_driver_sql("PRAGMA defer_foreign_keys = ON")
    listing = "SELECT type, name, sql FROM old_engine.sqlite_master WHERE sql IS NOT NULL"
    found = connection.exec_driver_sql(listing).all()
    made = {row.name: row.sql for row in found if row.type == "table"}
    for name in ("engine_operation", "sqlite_sequence"):
        made.pop(name, None)
    for statement in made.values():
        connection.exec_driver_sql(statement)
    for name in made:
        connection.exec_driver_sql(f'INSERT INTO main."{name}" SELECT * FROM old_engine."{name}"')  # noqa: S608
    for row in found:
        if row.type != "table":
            connection.exec_driver_sql(row.sql)
    # A process of the former version that still runs loses what it runs.
    connection.exec_driver_sql("UPDATE old_engine.engine_operation SET executor = '', attempt = attempt + 1")
    fenced = "UPDATE old_engine.workflow_status SET status = 'CANCELLED' WHERE status = 'PENDING'"
    connection.exec_driver_sql(fenced)
