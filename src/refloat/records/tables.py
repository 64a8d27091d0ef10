"""The SQL tables of Refloat's own memory. The engine keeps its own, separately."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import JSON, DateTime, ForeignKey, Index, String, UniqueConstraint
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column


class Base(DeclarativeBase):
    """Where the tables register themselves."""


class PlanRow(Base):
    """What a user wants protected together."""

    __tablename__ = "plans"

    id: Mapped[str] = mapped_column(String(36), primary_key=True)
    project_id: Mapped[str] = mapped_column(String(64), index=True)
    name: Mapped[str] = mapped_column(String(255))
    description: Mapped[str] = mapped_column(String(255), default="")
    provider: Mapped[str] = mapped_column(String(255))
    resources: Mapped[list[dict[str, Any]]] = mapped_column(JSON)
    """``[{"type", "id", "name"}]``, or ``{"type", "select"}`` for all that carry a tag or metadata item."""
    parameters: Mapped[dict[str, dict[str, Any]]] = mapped_column(JSON)
    """Settings by ``TYPE`` or ``TYPE#ID``."""
    created_at: Mapped[datetime] = mapped_column(DateTime)
    updated_at: Mapped[datetime | None] = mapped_column(DateTime, default=None)


class OperationRow(Base):
    """One run of protect, restore, verify or delete. Its progress is the engine's to know."""

    __tablename__ = "operations"

    id: Mapped[str] = mapped_column(String(36), primary_key=True)
    kind: Mapped[str] = mapped_column(String(16))
    project_id: Mapped[str] = mapped_column(String(64), index=True)
    plan_id: Mapped[str] = mapped_column(String(36), default="")
    checkpoint_id: Mapped[str] = mapped_column(String(36), default="", index=True)
    state: Mapped[str] = mapped_column(String(16))
    payload: Mapped[dict[str, Any]] = mapped_column(JSON)
    """What the engine was given; no secrets."""
    result: Mapped[dict[str, Any] | None] = mapped_column(JSON, default=None)
    error: Mapped[dict[str, Any] | None] = mapped_column(JSON, default=None)
    created_at: Mapped[datetime] = mapped_column(DateTime)
    ended_at: Mapped[datetime | None] = mapped_column(DateTime, default=None)


class JournalRow(Base):
    """One thing that an operation created in the cloud, or was about to create."""

    __tablename__ = "journal"
    __table_args__ = (
        UniqueConstraint("operation_id", "source", "role"),
        Index("journal_by_operation", "operation_id", "number"),
    )

    number: Mapped[int] = mapped_column(primary_key=True, autoincrement=True)
    operation_id: Mapped[str] = mapped_column(ForeignKey("operations.id", ondelete="CASCADE"))
    source: Mapped[str] = mapped_column(String(512))
    role: Mapped[str] = mapped_column(String(255))
    kind: Mapped[str] = mapped_column(String(64))
    thing_id: Mapped[str] = mapped_column(String(255), default="")
    clue: Mapped[dict[str, Any]] = mapped_column(JSON)
