"""Triggers: when something is to happen."""

from __future__ import annotations

import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, Text, cast, delete, func, select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from refloat.errors import Conflict, InvalidInput, NotFound
from refloat.records.checkpoints import now
from refloat.records.database import Database
from refloat.records.paging import Page, fetch
from refloat.records.schedule_tables import ScheduleRow, TriggerRow

SORTABLE = ("id", "name", "type", "created_at")


class TriggerInUse(Conflict):
    """Scheduled operations use the trigger."""


@dataclass(frozen=True, slots=True)
class Trigger:
    """One trigger.

    :param properties: as :meth:`refloat.schedule.timetable.Timetable.to_json` writes them.
    :param created_at: UTC.
    """

    id: str
    project_id: str
    name: str
    type: str
    properties: Mapping[str, Any]
    created_at: datetime


class Triggers:
    """The triggers of a project.

    :param project_id: None: of all projects; then nothing can be created.
    """

    def __init__(self, database: Database, project_id: str | None) -> None:
        self._database = database
        self._project_id = project_id

    def create(self, session: Session, name: str, kind: str, properties: Mapping[str, Any]) -> Trigger:
        row = TriggerRow(
            id=str(uuid.uuid4()),
            project_id=self._project_id,
            name=name,
            type=kind,
            properties=dict(properties),
            created_at=now(),
        )
        session.add(row)
        return _trigger(row)

    def page(
        self, page: Page, *, name: str | None = None, kind: str | None = None, properties: str | None = None
    ) -> Sequence[Trigger]:
        """A page of the triggers.

        :param name: contains this.
        :param kind: exactly of this type.
        :param properties: their JSON contains this.
        """
        conditions = self._scope()
        if name is not None:
            conditions.append(TriggerRow.name.contains(name, autoescape=True))
        if kind is not None:
            conditions.append(TriggerRow.type == kind)
        if properties is not None:
            conditions.append(cast(TriggerRow.properties, Text).contains(properties, autoescape=True))
        with self._database.session() as session:
            return [_trigger(row) for row in fetch(session, TriggerRow, conditions, page, SORTABLE)]

    def _scope(self) -> list[ColumnElement[bool]]:
        return [] if self._project_id is None else [TriggerRow.project_id == self._project_id]

    def list(self) -> Sequence[Trigger]:
        query = select(TriggerRow).where(*self._scope()).order_by(TriggerRow.created_at, TriggerRow.id)
        with self._database.session() as session:
            return [_trigger(row) for row in session.scalars(query)]

    def find(self, name_or_id: str) -> Trigger:
        """One trigger by id, or by name when just one has it.

        :raises NotFound: there is none.
        :raises InvalidInput: several have this name.
        """
        found = [trigger for trigger in self.list() if name_or_id in (trigger.id, trigger.name)]
        exact = [trigger for trigger in found if trigger.id == name_or_id]
        if not found:
            raise NotFound(f"there is no trigger '{name_or_id}'", advice="See: refloat trigger list")
        if len(found) > 1 and not exact:
            ids = ", ".join(item.id for item in found)
            raise InvalidInput(f"{len(found)} triggers are called '{name_or_id}'", advice=f"Use an id: {ids}")
        return (exact or found)[0]

    def get(self, identity: str) -> Trigger:
        """One trigger by its id. :raises NotFound: there is none."""
        with self._database.session() as session:
            return _trigger(self.locked(session, identity))

    def locked(self, session: Session, identity: str) -> TriggerRow:
        """The row of a trigger, in a session of the caller's. :raises NotFound: there is none."""
        query = select(TriggerRow).where(TriggerRow.id == identity, *self._scope())
        row = session.scalars(query).one_or_none()
        if row is None:
            raise NotFound(f"Trigger {identity} could not be found")
        return row

    def delete(self, identity: str) -> None:
        """Forget a trigger.

        :raises NotFound: there is none.
        :raises TriggerInUse: scheduled operations use it.
        """
        try:
            with self._database.session() as session:
                self.locked(session, identity)
                used = select(func.count()).where(ScheduleRow.trigger_id == identity)
                if session.scalar(used):
                    raise _in_use(identity)
                session.execute(delete(TriggerRow).where(TriggerRow.id == identity))
        except IntegrityError:  # one was made just now
            raise _in_use(identity) from None


def _in_use(identity: str) -> TriggerInUse:
    return TriggerInUse(
        f"the trigger {identity} is in use by scheduled operations", advice="Delete these first"
    )


def _trigger(row: TriggerRow) -> Trigger:
    return Trigger(**{name: getattr(row, name) for name in Trigger.__slots__})
