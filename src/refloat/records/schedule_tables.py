"""The tables of triggers, scheduled operations, their runs, and legal holds."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import (
    JSON,
    DateTime,
    ForeignKey,
    Index,
    String,
    Text,
    UniqueConstraint,
    column,
    exists,
    false,
    table,
)
from sqlalchemy.orm import Mapped, column_property, mapped_column

from refloat.records.tables import Base

_PLANS = table("plans", column("id"))


class TriggerRow(Base):
    """When something is to happen."""

    __tablename__ = "triggers"
    __table_args__ = (
        Index("triggers_by_time", "project_id", "created_at", "id"),
        Index("triggers_due", "next_run_at"),
    )

    id: Mapped[str] = mapped_column(String(36), primary_key=True)
    project_id: Mapped[str] = mapped_column(String(64))
    name: Mapped[str] = mapped_column(String(255))
    type: Mapped[str] = mapped_column(String(64))
    properties: Mapped[dict[str, Any]] = mapped_column(JSON)
    next_run_at: Mapped[datetime | None] = mapped_column(DateTime, default=None)
    """When it fires next; once that is over, a worker finds out when it does then. None: never again."""
    created_at: Mapped[datetime] = mapped_column(DateTime)


class ScheduleRow(Base):
    """A scheduled operation: what is to happen when a trigger fires."""

    __tablename__ = "scheduled_operations"
    __table_args__ = (
        Index("scheduled_operations_by_time", "project_id", "created_at", "id"),
        Index("scheduled_operations_due", "enabled", "next_due"),
    )

    id: Mapped[str] = mapped_column(String(36), primary_key=True)
    project_id: Mapped[str] = mapped_column(String(64))
    user_id: Mapped[str] = mapped_column(String(64))
    name: Mapped[str] = mapped_column(String(255))
    description: Mapped[str | None] = mapped_column(String(255), default=None)
    operation_type: Mapped[str] = mapped_column(String(64))
    trigger_id: Mapped[str | None] = mapped_column(ForeignKey("triggers.id"), index=True)
    """None: it is deleted, and only remembered until what it acted with is given back."""
    plan_id: Mapped[str] = mapped_column(String(36))
    definition: Mapped[dict[str, Any]] = mapped_column(JSON)
    enabled: Mapped[bool] = mapped_column(default=True)
    authority: Mapped[dict[str, Any] | None] = mapped_column(JSON(none_as_null=True), default=None)
    """What its operations act with; no secrets."""
    retired: Mapped[list[dict[str, Any]]] = mapped_column(JSON)
    """What they acted with before, to be given back when none of them runs."""
    next_due: Mapped[datetime | None] = mapped_column(DateTime, default=None)
    """The first firing that nobody has taken up yet."""
    reason: Mapped[str] = mapped_column(Text, default="")
    """Why it cannot run, as far as that is known."""
    checked_at: Mapped[datetime] = mapped_column(DateTime)
    """When what it acts with was last looked at."""
    created_at: Mapped[datetime] = mapped_column(DateTime)

    has_plan: Mapped[bool] = column_property(
        exists().where(_PLANS.c.id == plan_id).correlate_except(_PLANS), expire_on_flush=False
    )


class FiringRow(Base):
    """One firing of a scheduled operation. That there is one row for each is what no two workers get past."""

    __tablename__ = "firings"
    __table_args__ = (
        UniqueConstraint("schedule_id", "due_at"),
        Index("firings_by_state", "state", "due_at"),
    )

    id: Mapped[str] = mapped_column(String(36), primary_key=True)
    schedule_id: Mapped[str] = mapped_column(ForeignKey("scheduled_operations.id", ondelete="CASCADE"))
    due_at: Mapped[datetime] = mapped_column(DateTime)
    claimed_at: Mapped[datetime] = mapped_column(DateTime)
    ended_at: Mapped[datetime | None] = mapped_column(DateTime, default=None)
    manual: Mapped[bool] = mapped_column(default=False)
    state: Mapped[str] = mapped_column(String(16))
    reason: Mapped[str] = mapped_column(Text, default="")
    operation_id: Mapped[str] = mapped_column(String(36), default="")
    checkpoint_id: Mapped[str] = mapped_column(String(36), default="")
    deletions: Mapped[list[dict[str, Any]]] = mapped_column(JSON)
    """What retention deletes: ``[{"checkpoint_id", "rule", "operation_id", "state", "reason"}]``."""
    kept: Mapped[list[dict[str, Any]]] = mapped_column(JSON, default=list, server_default="[]")
    """What it does not: ``[{"checkpoint_id", "rule"}]``."""


class HoldRow(Base):
    """A legal hold: the checkpoint may not be deleted."""

    __tablename__ = "holds"

    checkpoint_id: Mapped[str] = mapped_column(String(36), primary_key=True)
    project_id: Mapped[str] = mapped_column(String(64), index=True)
    user_id: Mapped[str] = mapped_column(String(64))
    reason: Mapped[str] = mapped_column(String(255))
    created_at: Mapped[datetime] = mapped_column(DateTime)
    in_bank: Mapped[bool] = mapped_column(default=False, server_default=false())
    """It is also in the bank that the checkpoint is in."""

    released_at: Mapped[datetime | None] = mapped_column(DateTime)
    """It holds no more; the row stays until it is not in the bank either."""
