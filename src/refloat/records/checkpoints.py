"""Checkpoints as the service knows them: in the banks, being made, failed, deleted."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, time, timedelta
from typing import Any

from sqlalchemy import ColumnElement, and_, func, or_, select, update
from sqlalchemy.orm import Session

from refloat.database import changed, now
from refloat.errors import Conflict, NotFound
from refloat.records import about
from refloat.records.database import Database, of_row
from refloat.records.paging import Page, fetch
from refloat.records.plans import PlanRow
from refloat.records.tables import CheckpointRow

MANUAL = {"created_by": "manual"}
"""The ``extra_info`` of a checkpoint that was asked for by hand."""

SCHEDULED = "scheduled_operation_id"
"""In ``extra_info``: the scheduled operation that made it."""

SORTABLE = ("id", "status", "created_at")

PROTECTING, AVAILABLE, ERROR = "protecting", "available", "error"
DELETING, DELETED, ERROR_DELETING = "deleting", "deleted", "error-deleting"
WAIT_COPYING, COPYING = "wait_copying", "copying"
MISSING = "missing"
"""It was in its bank, and is not found there; ``available`` again when it is seen."""

SET_BY_HAND = "set by hand"
"""The reason of an ``error`` that somebody has set."""

NEVER, GOOD, BAD = "never", "good", "bad"

GOOD_IN_BANK = "good in its bank"
"""What a look at the bank alone finds: good, if nothing is known that is bad, such as in the cloud."""

UNVERIFIED: dict[str, Any] = {"verified": NEVER, "verified_at": None, "verified_depth": ""}

DEPTHS = ("manifests", "existence", "full")
"""How deep a verification looks, from the shallowest on."""

Known = Mapping[str, tuple[str, str]]
"""The status and the provider of checkpoints by id."""


@dataclass(frozen=True, slots=True)
class CheckpointRecord:
    """One checkpoint.

    :param provider_id: the provider's id; its name when no such provider is known any more.
    :param plan: ``{"id", "name", "resources"}``.
    :param reason: why it is in error, or missing.
    :param graph: ``Graph.to_json()``; None until it is known.
    :param created_at: UTC.
    :param copied_from: of a copy: ``{"checkpoint_id", "provider_id", "origin"}``.
    :param plugins: the names of the plugins that made it, by resource type; None: not known here.
    :param lacks: what of the plan it does not have, each with its ``reason``; None: nothing.
    :param verified: :data:`NEVER`, :data:`GOOD` or :data:`BAD`, by a look of some depth at some time (UTC).
    :param about: what people say of it (:mod:`refloat.records.about`); ``user_id``: who asked for it.
    :param size: bytes of its data in the bank, before compression.
    :param seconds: so long it took to make.
    :param reassigned_from: the project under whose key it is in its bank, when it was given to another one.
    """

    id: str
    project_id: str
    provider_id: str
    plan_id: str
    plan: Mapping[str, Any]
    status: str
    reason: str
    extra_info: Mapping[str, Any]
    graph: Mapping[str, Any] | None
    created_at: datetime
    copied_from: Mapping[str, Any] | None = None
    plugins: Mapping[str, str] | None = None
    verified: str = NEVER
    verified_at: datetime | None = None
    verified_depth: str = ""
    lacks: Sequence[Mapping[str, str]] | None = None
    about: Mapping[str, Any] = field(default_factory=dict)
    size: int | None = None
    seconds: int | None = None
    reassigned_from: str | None = None

    @property
    def owner(self) -> str:
        """The project under whose key it is in its bank."""
        return self.reassigned_from or self.project_id


class CheckpointRecords:
    """The checkpoints of all projects."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def add(self, session: Session, record: CheckpointRecord) -> None:
        session.add(CheckpointRow(**{name: getattr(record, name) for name in CheckpointRecord.__slots__}))
        session.flush()

    def get(self, identity: str, project_id: str | None, provider_id: str | None = None) -> CheckpointRecord:
        """One checkpoint, also one that is deleted.

        :param project_id: of this project only; None: of any.
        :param provider_id: of this provider only; None: of any.
        :raises NotFound: there is none.
        """
        conditions = [CheckpointRow.id == identity, *_scope(project_id, provider_id)]
        with self._database.session() as session:
            row = session.scalars(select(CheckpointRow).where(*conditions)).one_or_none()
            if row is None:
                raise NotFound(f"Checkpoint {identity} could not be found")
            return _record(row)

    def read(self, session: Session, identity: str) -> CheckpointRecord:
        """One checkpoint, in a session of the caller's, as that has changed it."""
        return _record(session.get_one(CheckpointRow, identity, populate_existing=True))

    def page(
        self,
        page: Page,
        project_id: str | None,
        provider_id: str,
        *,
        plan_id: str | None = None,
        start: date | None = None,
        end: date | None = None,
    ) -> Sequence[CheckpointRecord]:
        """A page of a provider's checkpoints without those that are deleted.

        :param start: made on this day (UTC) or later; then ``end`` is the last day.
        """
        conditions = [CheckpointRow.status != DELETED, *_scope(project_id, provider_id)]
        if plan_id is not None:
            conditions.append(CheckpointRow.plan_id == plan_id)
        if start is not None:
            conditions.append(CheckpointRow.created_at >= datetime.combine(start, time()))
            if end is not None:
                conditions.append(
                    CheckpointRow.created_at < datetime.combine(end, time()) + timedelta(days=1)
                )
        with self._database.session() as session:
            return [_record(row) for row in fetch(session, CheckpointRow, conditions, page, SORTABLE)]

    def of_plan(self, plan_id: str, project_id: str, provider_id: str) -> Sequence[CheckpointRecord]:
        """The available checkpoints of a plan in a provider's bank, oldest first."""
        query = (
            select(CheckpointRow)
            .where(
                CheckpointRow.plan_id == plan_id,
                CheckpointRow.status == AVAILABLE,
                *_scope(project_id, provider_id),
            )
            .order_by(CheckpointRow.created_at, CheckpointRow.id)
        )
        return self._database.read(query, _record)

    def last_whole(self, plan_id: str, project_id: str) -> CheckpointRecord | None:
        """The last available checkpoint of a plan that lacks nothing, made since the plan was changed."""
        row = CheckpointRow
        changed_at = select(PlanRow.updated_at).where(PlanRow.id == plan_id).scalar_subquery()
        query = (
            select(row)
            .where(
                row.plan_id == plan_id,
                row.status == AVAILABLE,
                row.lacks.is_(None),
                row.verified != BAD,
                row.graph.is_not(None),
                row.copied_from.is_(None),
                or_(changed_at.is_(None), row.created_at >= changed_at),
                *_scope(project_id, None),
            )
            .order_by(row.created_at.desc(), row.id)
            .limit(1)
        )
        return next(iter(self._database.read(query, _record)), None)

    def expected(self, providers: Collection[str], project_id: str | None) -> Sequence[CheckpointRecord]:
        """The checkpoints that should be in the bank of some providers, without their graphs.

        :param project_id: of this project only; None: of all.
        """
        names = [name for name in CheckpointRecord.__slots__ if name != "graph"]
        query = select(*(getattr(CheckpointRow, name) for name in names)).where(
            CheckpointRow.status.in_((AVAILABLE, MISSING)),
            CheckpointRow.provider_id.in_(providers),
            *_scope(project_id, None),
        )
        with self._database.session() as session:
            return [CheckpointRecord(**row, graph=None) for row in session.execute(query).mappings()]

    def copies_of(self, checkpoint_id: str, project_id: str) -> Sequence[CheckpointRecord]:
        """The copies of a checkpoint that are not deleted."""
        query = select(CheckpointRow).where(
            CheckpointRow.project_id == project_id,
            CheckpointRow.status != DELETED,
            CheckpointRow.copied_from.is_not(None),
        )
        found = self._database.read(query, _record)
        return [
            record for record in found if (record.copied_from or {}).get("checkpoint_id") == checkpoint_id
        ]

    def statuses(self, session: Session, identities: Collection[str]) -> Mapping[str, str]:
        """The statuses of some checkpoints, of those that there are."""
        query = select(CheckpointRow.id, CheckpointRow.status).where(CheckpointRow.id.in_(identities))
        return {row[0]: row[1] for row in session.execute(query)}

    def known(self) -> Known:
        query = select(CheckpointRow.id, CheckpointRow.status, CheckpointRow.provider_id)
        with self._database.session() as session:
            return {row[0]: (row[1], row[2]) for row in session.execute(query)}

    def verified(self, session: Session, identities: Iterable[str], state: str, depth: str) -> None:
        """Write down what a look at checkpoints has found.

        A shallower look takes back nothing that a deeper one has found; but that something is bad counts
        whatever a deeper one has found before.

        :param state: :data:`GOOD`, :data:`GOOD_IN_BANK` or :data:`BAD`.
        """
        row, chosen = CheckpointRow, sorted(identities)
        if not chosen:
            return
        counts: ColumnElement[bool] = row.verified_depth.in_(("", *DEPTHS[: DEPTHS.index(depth) + 1]))
        if state != GOOD:
            counts = (or_ if state == BAD else and_)(counts, row.verified != BAD)
        values = {
            "verified": BAD if state == BAD else GOOD,
            "verified_depth": depth,
            "verified_at": now(),
        }
        for some in (chosen[at : at + 500] for at in range(0, len(chosen), 500)):
            session.execute(update(row).where(row.id.in_(some), counts).values(values))

    def describe(self, identity: str, wanted: Mapping[str, Any]) -> CheckpointRecord:
        """Change what is said of a checkpoint.

        :param wanted: as for :func:`refloat.records.about.changed`.
        :raises Conflict: it is deleted, or about to be.
        """
        with self._database.one_at_a_time(f"checkpoint {identity}") as session:
            row = session.get_one(CheckpointRow, identity, populate_existing=True)
            if row.status in (DELETED, DELETING):
                raise Conflict(f"nothing is said of the checkpoint {identity} any more: it is {row.status}")
            row.about = about.changed(row.about, wanted, now())
            session.flush()
            return _record(row)

    def said(self, identities: Collection[str]) -> Mapping[str, Mapping[str, Any]]:
        """What was said of checkpoints after they were made, of those that are available."""
        changed = CheckpointRow.about["changed_at"].as_string().is_not(None)
        query = select(CheckpointRow.id, CheckpointRow.about).where(
            CheckpointRow.status == AVAILABLE, changed
        )
        with self._database.session() as session:
            return {row[0]: row[1] for row in session.execute(query) if row[0] in identities}

    def of_projects(self) -> Mapping[str, tuple[int, str, datetime]]:
        """Of each project: how many checkpoints it has, from which other one, and the newest one's time."""
        row = CheckpointRow
        query = (
            select(row.project_id, func.count(), func.min(row.reassigned_from), func.max(row.created_at))
            .where(row.status != DELETED)
            .group_by(row.project_id)
        )
        with self._database.session() as session:
            return {each[0]: (each[1], each[2] or "", each[3]) for each in session.execute(query)}

    def of_project(self, session: Session, project_id: str) -> Sequence[CheckpointRecord]:
        """Those of a project that are not deleted, the oldest first, in a session of the caller's."""
        row = CheckpointRow
        query = select(row).where(row.project_id == project_id, row.status != DELETED)
        return [_record(each) for each in session.scalars(query.order_by(row.created_at, row.id))]

    def move(self, session: Session, identity: str, before: Sequence[str], **values: Any) -> bool:
        """Change a checkpoint, if its status still is one of some; whether it was."""
        statement = (
            update(CheckpointRow)
            .where(CheckpointRow.id == identity, CheckpointRow.status.in_(before))
            .values(**values)
        )
        return bool(changed(session, statement))


def _scope(project_id: str | None, provider_id: str | None) -> list[ColumnElement[bool]]:
    conditions: list[ColumnElement[bool]] = []
    if project_id is not None:
        conditions.append(CheckpointRow.project_id == project_id)
    if provider_id is not None:
        conditions.append(CheckpointRow.provider_id == provider_id)
    return conditions


def _record(row: CheckpointRow) -> CheckpointRecord:
    return of_row(CheckpointRecord, row)
