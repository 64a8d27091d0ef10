"""Plans: what users want protected together."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any, TypedDict, Unpack

from sqlalchemy import JSON, DateTime, Index, String, update
from sqlalchemy.orm import Mapped, Session, mapped_column

from refloat.database import now
from refloat.errors import InvalidInput
from refloat.records.database import of_row, shown
from refloat.records.named import Named
from refloat.records.paging import Page
from refloat.records.tables import Base

SKIP, FAIL = UNFIT = ("skip", "fail")
"""What a plan says of resources that are gone or cannot be protected: protect the others, or nothing."""


class PlanRow(Base):
    """What a user wants protected together."""

    __tablename__ = "plans"
    __table_args__ = (Index("plans_by_time", "project_id", "created_at", "id"),)

    id: Mapped[str] = mapped_column(String(36), primary_key=True)
    project_id: Mapped[str] = mapped_column(String(64), index=True)
    name: Mapped[str] = mapped_column(String(255))
    description: Mapped[str] = mapped_column(String(255), default="")
    provider: Mapped[str] = mapped_column(String(255))
    resources: Mapped[list[dict[str, Any]]] = mapped_column(JSON)
    """``[{"type", "id", "name"}]``, or ``{"type", "select"}`` for all that carry a tag or metadata item."""
    parameters: Mapped[dict[str, dict[str, Any]]] = mapped_column(JSON)
    """Settings by ``TYPE`` or ``TYPE#ID``."""
    status: Mapped[str] = mapped_column(String(255), default="suspended")
    """``suspended``, or what the service's users set; only a suspended plan can be changed there."""
    objective: Mapped[int | None] = mapped_column(default=None)
    """So many hours old may the newest good checkpoint be; None: nobody has said."""
    unfit: Mapped[str] = mapped_column(String(8), default="skip", server_default="skip")
    """What becomes of a protection when resources are gone or cannot be protected: one of :data:`UNFIT`."""
    exclude: Mapped[list[dict[str, Any]]] = mapped_column(JSON, default=list, server_default="[]")
    """What is left out, as ``resources``."""
    created_at: Mapped[datetime] = mapped_column(DateTime)
    updated_at: Mapped[datetime | None] = mapped_column(DateTime, default=None)


@dataclass(frozen=True, slots=True)
class Plan:
    """One plan. ``resources`` is ``[{"type", "id", "name"} | {"type", "select"}]``; ``parameters`` is
    settings by ``TYPE`` or ``TYPE#ID``. ``exclude``: likewise, what is left out. ``unfit``: one of
    :data:`UNFIT`. ``objective``: so many hours old may the newest good checkpoint be.
    Times are UTC, ISO 8601."""

    id: str
    project_id: str
    name: str
    description: str
    provider: str
    resources: Sequence[Mapping[str, Any]]
    parameters: Mapping[str, Mapping[str, Any]]
    created_at: str
    updated_at: str = ""
    status: str = "suspended"
    objective: int | None = None
    unfit: str = SKIP
    exclude: Sequence[Mapping[str, Any]] = ()

    def to_json(self) -> dict[str, Any]:
        return asdict(self)


def _plan(row: PlanRow) -> Plan:
    return of_row(Plan, row, created_at=shown(row.created_at), updated_at=shown(row.updated_at))


class PlanAttributes(TypedDict, total=False):
    """What a user says of a plan and is only remembered."""

    description: str
    objective: int | None
    unfit: str


class PlanChanges(PlanAttributes, total=False):
    """What commands change of a plan.

    ``resources`` and ``exclude`` are pairs of a type and what a user calls one.
    """

    name: str
    exclude: Sequence[tuple[str, str]]
    keep_excluded: bool
    """What was left out before still is."""
    resources: Sequence[tuple[str, str]]
    parameters: Mapping[str, Mapping[str, Any]]


class Plans(Named[PlanRow, Plan]):
    """The plans of one project."""

    table, noun, title = PlanRow, "plan", "Plan"
    sortable = ("id", "name", "status", "created_at")
    made = staticmethod(_plan)

    def create(
        self,
        name: str,
        provider: str,
        resources: Sequence[Mapping[str, Any]],
        parameters: Mapping[str, Mapping[str, Any]],
        *,
        exclude: Sequence[Mapping[str, Any]] = (),
        check: Callable[[Session], None] = lambda _session: None,
        **attributes: Unpack[PlanAttributes],
    ) -> Plan:
        """Remember a new plan.

        :param check: raises when the project may not have one more.
        """
        row = PlanRow(
            id=str(uuid.uuid4()),
            project_id=self._project_id,
            name=name,
            provider=provider,
            resources=[dict(resource) for resource in resources],
            parameters={key: dict(value) for key, value in parameters.items()},
            exclude=[dict(resource) for resource in exclude],
            status="suspended",
            created_at=now().replace(microsecond=0),
            **{"description": "", "unfit": SKIP, **attributes},
        )
        with self._database.one_at_a_time(f"plans {self._project_id}") as session:
            check(session)
            session.add(row)
        return _plan(row)

    def page(
        self,
        page: Page,
        *,
        status: str | None = None,
        name: str | None = None,
        description: str | None = None,
    ) -> Sequence[Plan]:
        """A page of the plans.

        :param status: exactly this one.
        :param name: contains this.
        :param description: contains this.
        """
        return self._page(
            page,
            [(PlanRow.status, status)],
            [(PlanRow.name, name), (PlanRow.description, description)],
        )

    def change_suspended(self, plan_id: str, **changes: Any) -> Plan:
        """Change fields of a plan that is suspended; of two that start it at once, one is refused.

        :raises NotFound: there is none.
        :raises InvalidInput: it is not suspended.
        """
        statement = (
            update(PlanRow)
            .where(PlanRow.id == plan_id, PlanRow.status == "suspended", *self._scope())
            .values(**changes, updated_at=now().replace(microsecond=0))
        )
        changed = self._database.change(statement)
        plan = self.get(plan_id)
        if not changed:
            raise InvalidInput(f"the plan can only be changed while it is suspended; it is {plan.status}")
        return plan

    def update(self, plan_id: str, **changes: Any) -> Plan:
        with self._database.session() as session:
            row = session.get_one(PlanRow, plan_id)
            for name, value in changes.items():
                setattr(row, name, value)
            row.updated_at = now().replace(microsecond=0)
            session.flush()
            return _plan(row)

    def delete(self, plan_id: str, check: Callable[[Session], None]) -> None:
        """Forget a plan.

        :param check: raises when it has to stay.
        """
        with self._database.one_at_a_time(plan_lock(plan_id)) as session:
            check(session)
            row = session.get(PlanRow, plan_id)
            if row is not None:
                session.delete(row)


def plan_lock(plan_id: str) -> str:
    """What is locked by who takes a plan away, and by who makes something that needs it."""
    return f"plan {plan_id}"
