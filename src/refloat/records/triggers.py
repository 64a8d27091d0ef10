"""Triggers: when something is to happen."""

from __future__ import annotations

import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Text, cast, delete, func, select, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from refloat.database import now
from refloat.errors import Conflict
from refloat.records.database import of_row
from refloat.records.named import Named
from refloat.records.paging import Page
from refloat.records.schedule_tables import ScheduleRow, TriggerRow


class TriggerInUse(Conflict):
    """Scheduled operations use the trigger."""


@dataclass(frozen=True, slots=True)
class Trigger:
    """One trigger.

    :param properties: as :meth:`refloat.schedule.timetable.Timetable.to_json` writes them.
    :param next_run_at: as it was last worked out; None: never again. Times are UTC.
    """

    id: str
    project_id: str
    name: str
    type: str
    properties: Mapping[str, Any]
    next_run_at: datetime | None
    created_at: datetime


def _trigger(row: TriggerRow) -> Trigger:
    return of_row(Trigger, row)


class Triggers(Named[TriggerRow, Trigger]):
    """The triggers of a project."""

    table, noun, title = TriggerRow, "trigger", "Trigger"
    sortable = ("id", "name", "type", "created_at")
    made = staticmethod(_trigger)

    def create(
        self,
        session: Session,
        name: str,
        kind: str,
        properties: Mapping[str, Any],
        next_run_at: datetime | None,
    ) -> Trigger:
        row = TriggerRow(
            id=str(uuid.uuid4()),
            project_id=self._project_id,
            name=name,
            type=kind,
            properties=dict(properties),
            next_run_at=next_run_at,
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
        return self._page(
            page,
            [(TriggerRow.type, kind)],
            [(TriggerRow.name, name), (cast(TriggerRow.properties, Text), properties)],
        )

    def passed(self, moment: datetime, limit: int = 100) -> Sequence[Trigger]:
        """Those that have fired since it was worked out when they do."""
        query = select(TriggerRow).where(*self._scope(), TriggerRow.next_run_at <= moment)
        query = query.order_by(TriggerRow.next_run_at, TriggerRow.id).limit(limit)
        return self._database.read(query, _trigger)

    def fires_next(self, trigger: Trigger, moment: datetime | None) -> None:
        """Write down when a trigger fires next, if it is still as it was seen."""
        same = TriggerRow.id == trigger.id, TriggerRow.next_run_at == trigger.next_run_at
        self._database.change(update(TriggerRow).where(*same).values(next_run_at=moment))

    def delete(self, identity: str) -> None:
        """Forget a trigger.

        :raises NotFound: there is none.
        :raises TriggerInUse: scheduled operations use it.
        """
        try:
            with self._database.session() as session:
                self.row(session, identity)
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
