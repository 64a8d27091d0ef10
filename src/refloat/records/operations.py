"""Operations: every run of protect, restore, verify, copy and delete, and what it created."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import delete, select, update

from refloat.errors import InvalidInput, NotFound
from refloat.records.database import Database
from refloat.records.tables import JournalRow, OperationRow


@dataclass(frozen=True, slots=True)
class Operation:
    """One operation as it was last written down. Times are UTC, ISO 8601."""

    id: str
    kind: str
    project_id: str
    plan_id: str
    checkpoint_id: str
    state: str
    payload: Mapping[str, Any]
    result: Mapping[str, Any] | None
    error: Mapping[str, str] | None
    created_at: str
    ended_at: str = ""


def _operation(row: OperationRow) -> Operation:
    fields = {name: getattr(row, name) for name in Operation.__slots__}
    for name in ("created_at", "ended_at"):
        fields[name] = f"{fields[name].isoformat(timespec='seconds')}Z" if fields[name] else ""
    return Operation(**fields)


class Operations:
    """The operations of one project."""

    def __init__(self, database: Database, project_id: str) -> None:
        self._database = database
        self._project_id = project_id

    def create(self, identity: str, kind: str, payload: Mapping[str, Any]) -> Operation:
        """Write down an operation that is about to start."""
        row = OperationRow(
            id=identity,
            kind=kind,
            project_id=self._project_id,
            plan_id=str(payload.get("plan", {}).get("id", "")),
            checkpoint_id=str(payload.get("checkpoint_id", "")),
            state="running",
            payload=dict(payload),
            created_at=datetime.now(UTC).replace(tzinfo=None),
        )
        with self._database.session() as session:
            session.add(row)
        return _operation(row)

    def ended(
        self, identity: str, state: str, result: Mapping[str, Any] | None, error: Mapping[str, str] | None
    ) -> None:
        """Write down how an operation ended, or that it was parked."""
        values: dict[str, Any] = {"state": state, "result": result, "error": error}
        values["ended_at"] = (
            None if state in {"running", "parked"} else datetime.now(UTC).replace(tzinfo=None)
        )
        with self._database.session() as session:
            session.execute(update(OperationRow).where(OperationRow.id == identity).values(**values))

    def list(self) -> list[Operation]:
        """All operations of the project, newest first."""
        query = (
            select(OperationRow)
            .where(OperationRow.project_id == self._project_id)
            .order_by(OperationRow.created_at.desc(), OperationRow.id)
        )
        with self._database.session() as session:
            return [_operation(row) for row in session.scalars(query)]

    def get(self, identity: str) -> Operation:
        """One operation by id, or by the beginning of its id when only one begins so.

        :raises NotFound: there is none.
        :raises InvalidInput: several ids begin so.
        """
        found = (
            [operation for operation in self.list() if operation.id.startswith(identity)] if identity else []
        )
        exact = [operation for operation in found if operation.id == identity]
        if len(found) > 1 and not exact:
            raise InvalidInput(
                f"{len(found)} operations begin with '{identity}'", advice="Give more of the id"
            )
        if not found:
            raise NotFound(f"there is no operation '{identity}'", advice="See: refloat operation list")
        return (exact or found)[0]


@dataclass(frozen=True, slots=True)
class JournalItem:
    """One line of the journal; ``id`` is empty while the thing is only intended."""

    source: str
    role: str
    kind: str
    id: str
    clue: Mapping[str, Any]


class SqlJournal:
    """The durable list of what one operation creates. Every change is committed before it returns."""

    def __init__(self, database: Database, operation_id: str) -> None:
        self._database = database
        self._operation_id = operation_id

    def find(self, source: str, role: str) -> JournalItem | None:
        """What was written down for a role."""
        query = select(JournalRow).where(*self._is(source, role))
        with self._database.session() as session:
            row = session.scalars(query).one_or_none()
            return _item(row) if row is not None else None

    def intend(self, source: str, role: str, kind: str, clue: Mapping[str, Any]) -> None:
        """Write down that something is about to be created."""
        row = JournalRow(
            operation_id=self._operation_id, source=source, role=role, kind=kind, thing_id="", clue=dict(clue)
        )
        with self._database.session() as session:
            session.add(row)

    def made(self, source: str, role: str, identity: str) -> None:
        """Write down that it was created."""
        with self._database.session() as session:
            session.execute(update(JournalRow).where(*self._is(source, role)).values(thing_id=identity))

    def forget(self, source: str, role: str) -> None:
        """Write down that it is gone again, or never was."""
        with self._database.session() as session:
            session.execute(delete(JournalRow).where(*self._is(source, role)))

    def entries(self) -> list[JournalItem]:
        """All that is written down, oldest first."""
        query = (
            select(JournalRow)
            .where(JournalRow.operation_id == self._operation_id)
            .order_by(JournalRow.number)
        )
        with self._database.session() as session:
            return [_item(row) for row in session.scalars(query)]

    def _is(self, source: str, role: str) -> tuple[Any, ...]:
        return (
            JournalRow.operation_id == self._operation_id,
            JournalRow.source == source,
            JournalRow.role == role,
        )


def _item(row: JournalRow) -> JournalItem:
    return JournalItem(row.source, row.role, row.kind, row.thing_id, row.clue)
