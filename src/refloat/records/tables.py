"""The SQL tables of Refloat's memory. The workflow library keeps its own beside them."""

from __future__ import annotations

from datetime import datetime
from typing import Any, cast

from sqlalchemy import (
    JSON,
    BigInteger,
    DateTime,
    Float,
    ForeignKey,
    Index,
    String,
    Table,
    Text,
    UniqueConstraint,
)
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column


class Base(DeclarativeBase):
    """Where the tables register themselves."""


class OperationRow(Base):
    """One run of protect, restore, verify, copy or delete, or a look: what it is, who runs it, how it ended.

    The engine works on this table too (:mod:`refloat.engine.lease`); its states are drawn in
    ``docs/architecture.md``.
    """

    __tablename__ = "operations"
    __table_args__ = (
        Index("operations_by_runner", "runner", "state"),
        Index("operations_by_time", "project_id", "created_at", "id"),
    )

    id: Mapped[str] = mapped_column(String(36), primary_key=True)
    kind: Mapped[str] = mapped_column(String(16))
    project_id: Mapped[str] = mapped_column(String(64), index=True)
    plan_id: Mapped[str] = mapped_column(String(36), default="")
    checkpoint_id: Mapped[str] = mapped_column(String(36), default="", index=True)
    state: Mapped[str] = mapped_column(String(16))
    """``queued``, ``running``, ``parked``, ``succeeded``, ``failed`` or ``cancelled``."""
    payload: Mapped[dict[str, Any]] = mapped_column(JSON)
    """What is to be done; no secrets."""
    on_failure: Mapped[str] = mapped_column(String(8), default="undo")
    """``undo`` or ``park``."""
    result: Mapped[dict[str, Any] | None] = mapped_column(JSON, default=None)
    error: Mapped[dict[str, Any] | None] = mapped_column(JSON, default=None)
    skipped: Mapped[dict[str, str] | None] = mapped_column(JSON, default=None)
    """By step that did not run, the failed step that it was skipped for."""
    created_at: Mapped[datetime] = mapped_column(DateTime)
    began_at: Mapped[datetime | None] = mapped_column(DateTime, default=None)
    """When it first ran."""
    ended_at: Mapped[datetime | None] = mapped_column(DateTime, default=None)
    updated_at: Mapped[float] = mapped_column(Float, default=0.0)
    """When its owner last wrote here: seconds since 1970."""
    runner: Mapped[str] = mapped_column(String(16), default="command")
    """Who is to run it: ``command`` (whoever typed it) or ``service`` (any worker)."""
    authority: Mapped[dict[str, Any] | None] = mapped_column(JSON(none_as_null=True), default=None)
    """What a worker may act with, and gives back at the end; no secrets."""
    scheduled_operation_id: Mapped[str] = mapped_column(String(36), default="", index=True)
    """The scheduled operation that it is a run of; what it acts with is then that one's."""
    requested: Mapped[str] = mapped_column(String(16), default="")
    """What its owner is asked for and has not done yet: ``cancel``, ``park``, ``resume``."""
    attempt: Mapped[int] = mapped_column(default=0)
    """How often it was taken up."""
    forgiven_until: Mapped[int] = mapped_column(default=0)
    """Failures up to this attempt do not count: it was parked since, and resumed."""
    deaths: Mapped[int] = mapped_column(default=0)
    """How many of its last attempts, in a row, ended with the death of their process."""
    executor: Mapped[str] = mapped_column(String(64), default="")
    """The process that runs it; empty: none does. So are the next four."""
    host: Mapped[str] = mapped_column(Text, default="")
    pid: Mapped[int] = mapped_column(default=0)
    born: Mapped[str] = mapped_column(String(32), default="")
    expires: Mapped[float] = mapped_column(Float, default=0.0)
    """Until then others leave it to that process: seconds since 1970."""
    progress: Mapped[dict[str, Any] | None] = mapped_column(JSON, default=None)
    """How far it is, up to about a second ago."""


OPERATIONS = cast(Table, OperationRow.__table__)
"""The same table, for the engine."""


class GrantRow(Base):
    """Something that is about to be granted, until the operation that it is for is written down."""

    __tablename__ = "grants"

    id: Mapped[str] = mapped_column(String(36), primary_key=True)
    user_id: Mapped[str] = mapped_column(String(64))
    project_id: Mapped[str] = mapped_column(String(64))
    target: Mapped[str] = mapped_column(String(64))
    """The cloud it is in: a name of the configuration; empty: the service's own."""
    until: Mapped[datetime] = mapped_column(DateTime)
    """When it ends by itself, UTC, to the second: by that it can be told from all others."""
    created_at: Mapped[datetime] = mapped_column(DateTime)


class CheckpointRow(Base):
    """A checkpoint as the service knows it: what can be listed quickly. The bank has the last word."""

    __tablename__ = "checkpoints"
    __table_args__ = (Index("checkpoints_by_provider", "project_id", "provider_id", "created_at", "id"),)

    id: Mapped[str] = mapped_column(String(36), primary_key=True)
    project_id: Mapped[str] = mapped_column(String(64))
    provider_id: Mapped[str] = mapped_column(String(255))
    plan_id: Mapped[str] = mapped_column(String(36), index=True)
    plan: Mapped[dict[str, Any]] = mapped_column(JSON)
    """``{"id", "name", "resources"}``."""
    status: Mapped[str] = mapped_column(String(32), index=True)
    reason: Mapped[str] = mapped_column(Text, default="")
    """Why it is in ``error``, or ``missing``."""
    extra_info: Mapped[dict[str, Any]] = mapped_column(JSON)
    graph: Mapped[dict[str, Any] | None] = mapped_column(JSON(none_as_null=True), default=None)
    created_at: Mapped[datetime] = mapped_column(DateTime)
    copied_from: Mapped[dict[str, Any] | None] = mapped_column(JSON(none_as_null=True), default=None)
    """``{"checkpoint_id", "provider_id", "origin"}`` of a copy; ``origin`` as in the bank."""
    plugins: Mapped[dict[str, str] | None] = mapped_column(JSON(none_as_null=True), default=None)
    """The names of the plugins that made it, by resource type."""
    verified: Mapped[str] = mapped_column(String(8), default="never")
    """``never``, ``good`` or ``bad``: what looks at all that it needs have found."""
    verified_at: Mapped[datetime | None] = mapped_column(DateTime, default=None)
    verified_depth: Mapped[str] = mapped_column(String(16), default="")
    """``manifests``, ``existence`` or ``full``."""
    lacks: Mapped[list[dict[str, str]] | None] = mapped_column(JSON(none_as_null=True), default=None)
    """``[{"type", "id", "name", "reason"}]`` of what the plan means and it does not have; None: nothing."""
    about: Mapped[dict[str, Any]] = mapped_column(JSON, default=dict, server_default="{}")
    """What people say of it: see :mod:`refloat.records.about`; and ``user_id``: who asked for it."""
    size: Mapped[int | None] = mapped_column(BigInteger, default=None)
    """Bytes of its data in the bank, before compression."""
    seconds: Mapped[int | None] = mapped_column(default=None)
    """So long it took to make."""
    reassigned_from: Mapped[str | None] = mapped_column(String(64), default=None)
    """The project under whose key it is in its bank, when that is not ``project_id``."""


class QuotaRow(Base):
    """A limit that an administrator has set for a project."""

    __tablename__ = "quotas"

    project_id: Mapped[str] = mapped_column(String(64), primary_key=True)
    name: Mapped[str] = mapped_column(String(64), primary_key=True)
    limit: Mapped[int] = mapped_column()


class QuotaClassRow(Base):
    """A limit that an administrator has set for a class; ``default`` is that of all projects."""

    __tablename__ = "quota_classes"

    class_name: Mapped[str] = mapped_column(String(255), primary_key=True)
    name: Mapped[str] = mapped_column(String(64), primary_key=True)
    limit: Mapped[int] = mapped_column()


class TermRow(Base):
    """Something that the operator says in the service's configuration, and all who use the database keep."""

    __tablename__ = "terms"

    name: Mapped[str] = mapped_column(String(64), primary_key=True)
    value: Mapped[Any] = mapped_column(JSON)


class IncarnationRow(Base):
    """Which database this is, and how far it has come: see :mod:`refloat.records.incarnation`. One row."""

    __tablename__ = "incarnation"

    id: Mapped[str] = mapped_column(String(36), primary_key=True)
    number: Mapped[int] = mapped_column()
    sequence: Mapped[int] = mapped_column(BigInteger)
    brought_back_at: Mapped[datetime | None] = mapped_column(DateTime, default=None)
    """When it was last seen, or said, to be brought back from a copy."""


class BankRow(Base):
    """Which bank has to be where: it is opened only as that one."""

    __tablename__ = "banks"

    used_by: Mapped[str] = mapped_column(String(1024), primary_key=True)
    """Of a service, the id of a provider; of the command, the bank's URL."""
    bank_id: Mapped[str] = mapped_column(String(32), index=True)
    since: Mapped[datetime] = mapped_column(DateTime)
    head: Mapped[dict[str, Any] | None] = mapped_column(JSON(none_as_null=True), default=None)
    """The last that was seen of the bank's head."""


class ServiceRow(Base):
    """A worker, and its last sign of life."""

    __tablename__ = "services"
    __table_args__ = (UniqueConstraint("binary", "host"),)

    id: Mapped[int] = mapped_column(primary_key=True, autoincrement=True)
    binary: Mapped[str] = mapped_column(String(255))
    host: Mapped[str] = mapped_column(String(255))
    updated_at: Mapped[datetime] = mapped_column(DateTime)
    disabled: Mapped[bool] = mapped_column(default=False)
    disabled_reason: Mapped[str | None] = mapped_column(String(255), default=None)


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


class NoticeRow(Base):
    """Something that is to be told to one destination, and is not told yet. What is told goes."""

    __tablename__ = "notices"
    __table_args__ = (
        Index("notices_by_destination", "destination", "given_up_at", "number"),
        Index("notices_by_subject", "destination", "subject", "number"),
        {"sqlite_autoincrement": True},  # else SQLite would begin anew when all is told
    )

    number: Mapped[int] = mapped_column(primary_key=True, autoincrement=True)
    id: Mapped[str] = mapped_column(String(36))
    """What happened has one id, for all destinations."""
    destination: Mapped[str] = mapped_column(String(64))
    event_type: Mapped[str] = mapped_column(String(64))
    subject: Mapped[str] = mapped_column(String(36))
    """The operation or scheduled operation that it happened to."""
    data: Mapped[dict[str, Any]] = mapped_column(JSON)
    """No secrets."""
    created_at: Mapped[datetime] = mapped_column(DateTime)
    tries: Mapped[int] = mapped_column(default=0)
    due_at: Mapped[datetime] = mapped_column(DateTime)
    """Nobody tries (again) before; whoever tries moves it on first."""
    given_up_at: Mapped[datetime | None] = mapped_column(DateTime, default=None)
    reason: Mapped[str] = mapped_column(Text, default="")
    """Why it could not be told when that was last tried."""
