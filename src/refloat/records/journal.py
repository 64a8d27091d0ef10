"""The journal: what each operation creates in the cloud, so that it can be found and removed."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy import delete, select, update

from refloat.database import changed
from refloat.records.database import Database
from refloat.records.tables import JournalRow


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
        self.anchoring = threading.Lock()

    def find(self, source: str, role: str) -> JournalItem | None:
        query = select(JournalRow).where(*self._is(source, role))
        return next(iter(self._database.read(query, _item)), None)

    def intend(self, source: str, role: str, kind: str, clue: Mapping[str, Any]) -> None:
        """Write down that something is about to be created."""
        row = JournalRow(
            operation_id=self._operation_id, source=source, role=role, kind=kind, thing_id="", clue=dict(clue)
        )
        with self._database.session() as session:
            session.add(row)

    def made(self, source: str, role: str, identity: str) -> str:
        """Write down that it was created, unless something else is written there; returns what is."""
        intended = update(JournalRow).where(*self._is(source, role), JournalRow.thing_id == "")
        with self._database.session() as session:
            if changed(session, intended.values(thing_id=identity)):
                return identity
        entry = self.find(source, role)
        return entry.id if entry else ""

    def forget(self, source: str, role: str) -> None:
        self._database.change(delete(JournalRow).where(*self._is(source, role)))

    def entries(self) -> list[JournalItem]:
        query = (
            select(JournalRow)
            .where(JournalRow.operation_id == self._operation_id)
            .order_by(JournalRow.number)
        )
        return self._database.read(query, _item)

    def _is(self, source: str, role: str) -> tuple[Any, ...]:
        return (
            JournalRow.operation_id == self._operation_id,
            JournalRow.source == source,
            JournalRow.role == role,
        )


def _item(row: JournalRow) -> JournalItem:
    return JournalItem(row.source, row.role, row.kind, row.thing_id, row.clue)
