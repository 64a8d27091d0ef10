"""Looks at operations, whoever runs them; never writes."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import sqlalchemy as sa

from refloat.database import SCHEMA, SqlDatabase
from refloat.engine.history import STEP, UNDOING, History
from refloat.engine.lease import Leases, Row, is_alive
from refloat.engine.owner import Owner
from refloat.engine.snapshot import Snapshot, snapshot


@dataclass(frozen=True, slots=True)
class Record:
    """One thing that an attempt at an operation has recorded.

    :param step: a step's name, ``prepare``, ``finish`` or ``undo``.
    :param ended_at: seconds since 1970.
    """

    attempt: int
    step: str
    status: str
    error: dict[str, str] | None
    ended_at: float


class Reader:
    """The operations of a table. Loads the (slow) workflow library when details are wanted.

    :param table: as for :class:`refloat.engine.lease.Leases`.
    """

    def __init__(self, database: SqlDatabase, table: sa.Table) -> None:
        self._database = database
        self._leases = Leases(database, table, Owner.of_this_process())

    def look(self, operation_id: str) -> Snapshot | None:
        """How an operation is, without how its steps ended; None when it has not begun."""
        row = self._leases.read(operation_id)
        return None if row is None or not row.attempt else snapshot(row, None, alive=is_alive(row))

    def read(self, operation_id: str) -> tuple[Snapshot, History, list[Record]] | None:
        """How an operation is, and all that was recorded of it; None when it has not begun."""
        row = self._leases.read(operation_id)
        if row is None or not row.attempt:
            return None
        history, records = self.recorded(row)
        return snapshot(row, history, alive=is_alive(row)), history, records

    def recorded(self, row: Row) -> tuple[History, list[Record]]:
        """All that was recorded of an operation, in all its attempts."""
        history, records = History(), []
        forgiven_until = row.attempt if row.state == "parked" else row.forgiven_until
        for attempt, identity in enumerate(row.attempts, 1):
            kept = [
                (name, value, step["completed_at_epoch_ms"])
                for step in self._client.list_workflow_steps(identity)
                if step["error"] is None
                for name, value in step["output"] or ()
            ]
            history.add(((name, value) for name, value, _at in kept), forgiven=attempt <= forgiven_until)
            records += [
                Record(
                    attempt, name.removeprefix(STEP), value["status"], value.get("error"), at and at / 1000
                )
                for name, value, at in kept
                if name != UNDOING
            ]
        return history, records

    @cached_property
    def _client(self) -> Any:
        from dbos import DBOSClient

        from refloat.engine.journal import PlainJson  # keeps the library's log quiet, too

        return DBOSClient(
            system_database_engine=self._database.engine,
            dbos_system_schema=SCHEMA,
            serializer=PlainJson(),
            lazy=True,
            retry_connection_errors=False,
        )
