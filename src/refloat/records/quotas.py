"""Quotas: how many plans, checkpoints, triggers and so on a project may have.

What is in use is counted, never kept.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from sqlalchemy import ColumnElement, delete, func, select
from sqlalchemy.orm import Session

from refloat.errors import RefloatError
from refloat.records.database import Database
from refloat.records.operations import SERVICE
from refloat.records.plans import PlanRow
from refloat.records.schedule_tables import ScheduleRow, TriggerRow
from refloat.records.tables import Base, CheckpointRow, OperationRow, QuotaClassRow, QuotaRow

UNLIMITED = -1
DEFAULT_CLASS = "default"

DEFAULTS: Mapping[str, int] = {
    "plans": 50,
    "checkpoints": UNLIMITED,
    "triggers": 100,
    "scheduled_operations": 100,
    "operations_queued": 200,
    "operations_running": UNLIMITED,
}
"""All quotas that there are, and their limits where nothing else is said."""

_COUNTED: Mapping[str, tuple[type[Base], tuple[ColumnElement[bool], ...]]] = {
    "plans": (PlanRow, ()),
    "checkpoints": (CheckpointRow, (CheckpointRow.status != "deleted",)),
    "triggers": (TriggerRow, ()),
    "scheduled_operations": (ScheduleRow, (ScheduleRow.trigger_id.is_not(None),)),
    "operations_queued": (OperationRow, (OperationRow.runner == SERVICE, OperationRow.state == "queued")),
    "operations_running": (OperationRow, (OperationRow.runner == SERVICE, OperationRow.state == "running")),
}
"""Of each quota, what takes room. What is over ``operations_running`` is not refused, but waits."""


class OverQuota(RefloatError):
    """The project has as many as it may have."""


@dataclass(frozen=True, slots=True)
class Usage:
    """A limit, and how much of it is used."""

    limit: int
    in_use: int


class Quotas:
    """The limits of all projects.

    :param defaults: the limits of the configuration; they name all quotas that there are.
    """

    def __init__(self, database: Database, defaults: Mapping[str, int]) -> None:
        self._database = database
        self.names = tuple(defaults)
        self._defaults = dict(defaults)

    def of_class(self, class_name: str = DEFAULT_CLASS) -> dict[str, int]:
        with self._database.session() as session:
            return self._of_class(session, class_name)

    def of_project(self, project_id: str) -> dict[str, int]:
        with self._database.session() as session:
            return self._of_project(session, project_id)

    def usage(self, project_id: str) -> dict[str, Usage]:
        """The limits of a project, and what it uses."""
        with self._database.session() as session:
            limits = self._of_project(session, project_id)
            return {name: Usage(limit, _in_use(session, name, project_id)) for name, limit in limits.items()}

    def check(self, session: Session, name: str, project_id: str) -> None:
        """Make sure that there may be one more, which the caller adds in the same session.

        :param session: of ``Database.one_at_a_time``.
        :raises OverQuota: there may not.
        """
        limit = self._of_project(session, project_id)[name]
        if limit != UNLIMITED and _in_use(session, name, project_id) >= limit:
            raise OverQuota(f"Maximum number of {name} allowed ({limit}) exceeded")

    def set_project(self, project_id: str, limits: Mapping[str, int]) -> dict[str, int]:
        """Set some of a project's limits; all of them afterwards."""
        with self._database.session() as session:
            for name, limit in limits.items():
                session.merge(QuotaRow(project_id=project_id, name=name, limit=limit))
            session.flush()
            return self._of_project(session, project_id)

    def reset_project(self, project_id: str) -> None:
        """Go back to the limits that all projects have."""
        self._database.change(delete(QuotaRow).where(QuotaRow.project_id == project_id))

    def set_class(self, class_name: str, limits: Mapping[str, int]) -> dict[str, int]:
        """Set some of a class's limits; all of them afterwards."""
        with self._database.session() as session:
            for name, limit in limits.items():
                session.merge(QuotaClassRow(class_name=class_name, name=name, limit=limit))
            session.flush()
            return self._of_class(session, class_name)

    def _of_class(self, session: Session, class_name: str) -> dict[str, int]:
        query = select(QuotaClassRow).where(QuotaClassRow.class_name == class_name)
        set_here = {row.name: row.limit for row in session.scalars(query)}
        return {name: set_here.get(name, limit) for name, limit in self._defaults.items()}

    def _of_project(self, session: Session, project_id: str) -> dict[str, int]:
        query = select(QuotaRow).where(QuotaRow.project_id == project_id)
        set_here = {row.name: row.limit for row in session.scalars(query)}
        return {
            name: set_here.get(name, limit) for name, limit in self._of_class(session, DEFAULT_CLASS).items()
        }


def _in_use(session: Session, name: str, project_id: str) -> int:
    table, conditions = _COUNTED[name]
    scope = table.__table__.c.project_id == project_id
    return session.scalar(select(func.count()).select_from(table).where(scope, *conditions)) or 0
