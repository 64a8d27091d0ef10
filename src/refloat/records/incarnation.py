"""Which database this is, and how far it has come: so that one that was brought back can be told from it.

``number`` is raised when a database is brought back, ``sequence`` with everything that begins or ends, and
while something runs.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, case, select, update
from sqlalchemy.orm import Session

from refloat.database import now
from refloat.records.checkpoints import COPYING, PROTECTING, WAIT_COPYING
from refloat.records.database import Database
from refloat.records.operations import OPEN, Operation, operation_of
from refloat.records.tables import CheckpointRow, IncarnationRow, OperationRow

_NOBODY: dict[str, Any] = {"executor": "", "host": "", "pid": 0, "born": "", "expires": 0.0, "requested": ""}


@dataclass(frozen=True, slots=True)
class Incarnation:
    """A database at one moment."""

    id: str
    number: int
    sequence: int

    def is_older_than(self, other: Incarnation) -> bool:
        return self.id == other.id and (self.number, self.sequence) < (other.number, other.sequence)


class Incarnations:
    """The one row of it."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def read(self) -> Incarnation:
        with self._database.session() as session:
            return self._read(session)

    def advance(self) -> None:
        with self._database.session() as session:
            advance(session)

    def begin_anew(
        self, session: Session, seen: Incarnation | None, error: dict[str, str]
    ) -> list[Operation]:
        """Park all operations that have not ended, whoever runs them; these, as they were.

        :param seen: the newest that is known.
        """
        which = OperationRow.state.in_(OPEN)
        found = [operation_of(row) for row in session.scalars(select(OperationRow).where(which))]
        session.execute(
            update(OperationRow)
            .where(which)
            # Whoever ran it must not go on: his attempt is not the latest any more.
            .values(state="parked", error=error, deaths=0, attempt=_next_attempt(), **_NOBODY)
        )
        # What is in a bank although its record says so, deletions are to look for.
        session.execute(
            update(CheckpointRow)
            .where(CheckpointRow.status.in_((PROTECTING, WAIT_COPYING, COPYING)))
            .values(reason=error["message"])
        )
        here = self._read(session)
        number = max(here.number, seen.number if seen is not None and seen.id == here.id else 0) + 1
        values = {"number": number, "brought_back_at": now()}
        session.execute(update(IncarnationRow).values(**values))
        return found

    @staticmethod
    def _read(session: Session) -> Incarnation:
        row = session.scalars(select(IncarnationRow).execution_options(populate_existing=True)).one()
        return Incarnation(row.id, row.number, row.sequence)


def _next_attempt() -> ColumnElement[int]:
    return case((OperationRow.executor != "", OperationRow.attempt + 1), else_=OperationRow.attempt)


def advance(session: Session) -> None:
    """Something has begun or ended."""
    session.execute(update(IncarnationRow).values(sequence=IncarnationRow.sequence + 1))


def brought_back_since(session: Session, moment: datetime) -> bool:
    """Whether the database was brought back after a moment: then it may not know what was done meanwhile."""
    back = session.scalar(select(IncarnationRow.brought_back_at))
    return back is not None and moment < back
