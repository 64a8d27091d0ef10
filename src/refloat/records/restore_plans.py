"""Restore plans that are kept: what was chosen, and what a restore would do."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import JSON, DateTime, Index, String, Text, delete, func, select, update
from sqlalchemy.orm import Mapped, Session, defer, mapped_column

from refloat.database import now
from refloat.records.database import of_row, shown
from refloat.records.named import Named
from refloat.records.paging import Page, fetch
from refloat.records.tables import Base

PLANNING, READY, FAILED, RUNNING, STALE, RESTORED = (
    *("planning", "ready", "failed", "running", "stale", "restored"),
)
STATUSES = {
    PLANNING: "it is being made",
    READY: "it can be run, or shows why not",
    FAILED: "it could not be made",
    RUNNING: "it is being restored",
    STALE: "when it was to be run, the cloud was not as it had been: nothing was done",
    RESTORED: "",
}


class RestorePlanRow(Base):
    """What a restore will do, kept to be looked at, changed, approved and run."""

    __tablename__ = "restore_plans"
    __table_args__ = (Index("restore_plans_by_time", "project_id", "created_at", "id"),)

    id: Mapped[str] = mapped_column(String(36), primary_key=True)
    project_id: Mapped[str] = mapped_column(String(64))
    user_id: Mapped[str] = mapped_column(String(64))
    """Who made it, or changed it last."""
    name: Mapped[str] = mapped_column(String(255))
    provider_id: Mapped[str] = mapped_column(String(255))
    checkpoint_id: Mapped[str] = mapped_column(String(36), index=True)
    choices: Mapped[dict[str, Any]] = mapped_column(JSON)
    """As :class:`refloat.operations.choices.Choices` says them."""
    status: Mapped[str] = mapped_column(String(16))
    reason: Mapped[str] = mapped_column(Text, default="")
    operation_id: Mapped[str] = mapped_column(String(36))
    """Of the operation that makes it, or, after that, of its last run."""
    content: Mapped[dict[str, Any] | None] = mapped_column(JSON(none_as_null=True), default=None)
    """What the operation that made it has found."""
    approval: Mapped[bool] = mapped_column(default=False)
    """It is run only when somebody else has approved it."""
    approved_by: Mapped[str] = mapped_column(String(64), default="")
    approved_at: Mapped[datetime | None] = mapped_column(DateTime, default=None)
    created_at: Mapped[datetime] = mapped_column(DateTime)
    updated_at: Mapped[datetime | None] = mapped_column(DateTime, default=None)


@dataclass(frozen=True, slots=True)
class KeptPlan:
    """A restore plan that is kept. Times are UTC, ISO 8601; its fields are those of the row."""

    id: str
    project_id: str
    user_id: str
    name: str
    provider_id: str
    checkpoint_id: str
    choices: Mapping[str, Any]
    status: str
    reason: str
    operation_id: str
    content: Mapping[str, Any] | None
    approval: bool
    approved_by: str
    approved_at: str
    created_at: str
    updated_at: str


def _made(row: RestorePlanRow, **instead: Any) -> KeptPlan:
    if row.status == PLANNING:  # what it said before is only what it may be again
        instead.setdefault("content", None)
    times = {name: shown(getattr(row, name)) for name in ("approved_at", "created_at", "updated_at")}
    return of_row(KeptPlan, row, **times, **instead)


_TIMES = ("approved_at", "updated_at")
_CHANGED = ("status", "choices", "name", "approval", "user_id", "approved_by", *_TIMES)


def former(plan: KeptPlan) -> dict[str, Any]:
    """What of one a change takes away, as JSON."""
    return {name: getattr(plan, name) for name in _CHANGED}


def again(was: Mapping[str, Any]) -> dict[str, Any]:
    """The values of a row that has again what :func:`former` says."""
    times = {name: was[name].removesuffix("Z") for name in _TIMES}
    return {**was, **{name: datetime.fromisoformat(text) if text else None for name, text in times.items()}}


def _head(row: RestorePlanRow) -> KeptPlan:
    return _made(row, content=None)


_SMALL = (defer(RestorePlanRow.content),)


class RestorePlans(Named[RestorePlanRow, KeptPlan]):
    """The restore plans of one project."""

    table, noun, title = RestorePlanRow, "restore plan", "Restore plan"
    sortable = ("id", "name", "status", "created_at")
    made = staticmethod(_made)

    def list(self) -> list[KeptPlan]:
        """All of them, without what they say, which is large."""
        table = RestorePlanRow
        query = select(table).where(*self._scope()).order_by(table.created_at, table.id)
        return self._database.read(query.options(*_SMALL), _head)

    def find(self, name_or_id: str) -> KeptPlan:
        return self.get(super().find(name_or_id).id)

    def page(
        self, page: Page, *, status: str | None = None, checkpoint_id: str | None = None
    ) -> Sequence[KeptPlan]:
        """A page of them, without what they say."""
        same = ((RestorePlanRow.status, status), (RestorePlanRow.checkpoint_id, checkpoint_id))
        wanted = [column == value for column, value in same if value is not None]
        with self._database.session() as session:
            rows = fetch(session, RestorePlanRow, [*self._scope(), *wanted], page, self.sortable, _SMALL)
            return [_head(row) for row in rows]

    def count(self, session: Session, project_id: str) -> int:
        query = select(func.count()).where(RestorePlanRow.project_id == project_id)
        return session.scalars(query).one()

    def add(self, session: Session, **fields: Any) -> None:
        session.add(RestorePlanRow(created_at=now(), status=PLANNING, reason="", **fields))
        session.flush()

    def change(self, session: Session, identity: str, **values: Any) -> None:
        statement = update(RestorePlanRow).where(RestorePlanRow.id == identity)
        session.execute(statement.values(**values))

    def delete(self, session: Session, identity: str) -> None:
        session.execute(delete(RestorePlanRow).where(RestorePlanRow.id == identity))


def ended(
    session: Session, identity: str, operation_id: str, status: str, reason: str, **content: Any
) -> None:
    """Write what has become of one, if it is still this operation that it waits for."""
    of_it = RestorePlanRow.id == identity, RestorePlanRow.operation_id == operation_id
    values = {"status": status, "reason": reason, **content}
    session.execute(update(RestorePlanRow).where(*of_it).values(**values))
