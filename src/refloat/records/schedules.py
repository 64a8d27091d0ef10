"""Scheduled operations, and their firings: what has been taken up, and what came of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, Text, cast, func, or_, select
from sqlalchemy.orm import Session

from refloat.records import operations
from refloat.records.database import of_row
from refloat.records.named import Named
from refloat.records.paging import Page
from refloat.records.schedule_tables import FiringRow, ScheduleRow
from refloat.records.tables import OperationRow

WAITING, RUNNING, CLEANING = "waiting", "running", "cleaning"
SUCCEEDED, FAILED, DROPPED = "succeeded", "failed", "dropped"
OPEN = (WAITING, RUNNING, CLEANING)
"""The states of firings that have not ended."""
_NEXT = 2
"""So many of a schedule are looked at, what runs among them: it has one run at a time."""


@dataclass(frozen=True, slots=True)
class Schedule:
    """One scheduled operation. Times are UTC.

    :param definition: ``provider_id``, ``plan_id`` and, for ``retention_protect``, the rules.
    :param authority: what its operations act with.
    :param next_due: the first firing that nobody has taken up yet; None: there is none.
    :param reason: why it cannot run, as far as that is known.
    """

    id: str
    project_id: str
    user_id: str
    name: str
    description: str | None
    operation_type: str
    trigger_id: str
    plan_id: str
    definition: Mapping[str, Any]
    enabled: bool
    authority: Mapping[str, Any] | None
    retired: Sequence[Mapping[str, Any]]
    next_due: datetime | None
    reason: str
    checked_at: datetime
    created_at: datetime

    @property
    def authority_ends(self) -> datetime | None:
        """When what it acts with ends by itself; None: it does not."""
        ends = (self.authority or {}).get("expires_at")
        return datetime.fromisoformat(str(ends)) if ends else None


@dataclass(frozen=True, slots=True)
class Firing:
    """One firing. Times are UTC.

    :param state: ``waiting`` (taken up, not begun), ``running``, ``cleaning`` (deletes what retention says),
        ``succeeded``, ``failed`` or ``dropped``.
    :param deletions: what retention deletes, by which rule, and what came of it.
    :param kept: what it does not, and by which rule.
    """

    id: str
    schedule_id: str
    due_at: datetime
    claimed_at: datetime
    ended_at: datetime | None
    manual: bool
    state: str
    reason: str
    operation_id: str
    checkpoint_id: str
    deletions: Sequence[Mapping[str, Any]]
    kept: Sequence[Mapping[str, Any]] = ()


PLAN_GONE = "its plan is gone"


def schedule_of(row: ScheduleRow) -> Schedule:
    reason = row.reason if row.has_plan else "; ".join(filter(None, (PLAN_GONE, row.reason)))
    return of_row(Schedule, row, trigger_id=row.trigger_id or "", reason=reason)


class Schedules(Named[ScheduleRow, Schedule]):
    """The scheduled operations of a project."""

    table, noun, title = ScheduleRow, "schedule", "Scheduled operation"
    sortable = ("id", "name", "created_at")
    made = staticmethod(schedule_of)

    def page(
        self,
        page: Page,
        *,
        name: str | None = None,
        operation_type: str | None = None,
        trigger_id: str | None = None,
        definition: str | None = None,
    ) -> Sequence[Schedule]:
        """A page of them.

        :param name: contains this.
        :param operation_type: exactly of this type.
        :param trigger_id: exactly of this trigger.
        :param definition: its JSON contains this.
        """
        return self._page(
            page,
            [(ScheduleRow.operation_type, operation_type), (ScheduleRow.trigger_id, trigger_id)],
            [(ScheduleRow.name, name), (cast(ScheduleRow.definition, Text), definition)],
        )

    def _scope(self) -> list[ColumnElement[bool]]:
        return [ScheduleRow.trigger_id.is_not(None), *super()._scope()]

    def due(self, now: datetime, limit: int = 100) -> Sequence[Schedule]:
        """Those that are enabled and have a firing that is due, the longest overdue first."""
        query = select(ScheduleRow).where(
            *self._scope(), ScheduleRow.enabled.is_(True), ScheduleRow.next_due <= now
        )
        query = query.order_by(ScheduleRow.next_due, ScheduleRow.id).limit(limit)
        return self._database.read(query, schedule_of)

    def unchecked(self, since: datetime, limit: int = 10) -> Sequence[Schedule]:
        """Those that are enabled and whose authority was not looked at since a moment."""
        query = select(ScheduleRow).where(
            *self._scope(), ScheduleRow.enabled.is_(True), ScheduleRow.checked_at < since
        )
        return self._database.read(query.order_by(ScheduleRow.checked_at).limit(limit), schedule_of)

    def with_retired(self, limit: int = 10) -> Sequence[Schedule]:
        """Some with something to give back: deleted ones, and those that act with something new.

        In no order: those of which it cannot be given back yet keep no others waiting.
        """
        query = select(ScheduleRow).where(
            or_(ScheduleRow.trigger_id.is_(None), cast(ScheduleRow.retired, Text) != "[]"),
        )
        return self._database.read(query.order_by(func.random()).limit(limit), schedule_of)

    def last_firings(self, identities: Sequence[str], each: int) -> Mapping[str, Sequence[Firing]]:
        """The latest firings of several, the last first."""
        place = func.row_number().over(
            partition_by=FiringRow.schedule_id, order_by=(FiringRow.due_at.desc(), FiringRow.id)
        )
        numbered = (
            select(FiringRow.id, place.label("place")).where(FiringRow.schedule_id.in_(identities)).subquery()
        )
        query = (
            select(FiringRow)
            .join(numbered, numbered.c.id == FiringRow.id)
            .where(numbered.c.place <= each)
            .order_by(FiringRow.due_at.desc(), FiringRow.id)
        )
        found: dict[str, list[Firing]] = {}
        for firing in self._database.read(query, firing_of):
            found.setdefault(firing.schedule_id, []).append(firing)
        return found

    def open_firings(self, limit: int = 1000) -> Sequence[tuple[Firing, Schedule]]:
        """Firings that have not ended, the oldest first, and what they are of.

        Of each schedule what runs, the next one and the latest. When there are more than the limit, projects
        take turns: no number of one's firings keeps those of another waiting.
        """
        order = (FiringRow.state == WAITING, FiringRow.due_at, FiringRow.id)
        first = func.row_number().over(partition_by=FiringRow.schedule_id, order_by=order)
        last = func.row_number().over(
            partition_by=(FiringRow.schedule_id, FiringRow.manual), order_by=FiringRow.due_at.desc()
        )
        placed = select(FiringRow.id, first.label("first"), last.label("last"))
        turn = func.row_number().over(partition_by=ScheduleRow.project_id, order_by=order)
        placed_of = placed.where(FiringRow.state.in_(OPEN)).subquery()
        query = (
            select(FiringRow, ScheduleRow)
            .join(ScheduleRow, ScheduleRow.id == FiringRow.schedule_id)
            .join(placed_of, placed_of.c.id == FiringRow.id)
            .where(or_(placed_of.c.first <= _NEXT, placed_of.c.last == 1))
            .order_by(turn, FiringRow.id)
            .limit(limit)
        )
        if self._project_id is not None:
            query = query.where(ScheduleRow.project_id == self._project_id)
        with self._database.session() as session:
            found = [(firing_of(row[0]), schedule_of(row[1])) for row in session.execute(query)]
        return sorted(found, key=lambda each: (each[0].due_at, each[0].id))


def enabled_for(session: Session, plan_id: str) -> Sequence[str]:
    """What the enabled scheduled operations of a plan are called."""
    row = ScheduleRow
    query = select(row.name).where(row.plan_id == plan_id, row.trigger_id.is_not(None), row.enabled.is_(True))
    return session.scalars(query.order_by(row.name)).all()


def works(session: Session, identity: str) -> bool:
    """Whether a firing of a scheduled operation, or an operation that it has begun, has not ended."""
    firing = select(FiringRow.id).where(FiringRow.schedule_id == identity, FiringRow.state.in_(OPEN))
    operation = select(OperationRow.id).where(
        OperationRow.scheduled_operation_id == identity, OperationRow.state.in_(operations.OPEN)
    )
    return any(session.scalars(query.limit(1)).first() is not None for query in (firing, operation))


def firing_of(row: FiringRow) -> Firing:
    return of_row(Firing, row)
