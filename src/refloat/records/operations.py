"""Operations: every run of protect, restore, verify, copy and delete, and what it created."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Literal, cast

from sqlalchemy import ColumnElement, CursorResult, and_, delete, func, not_, or_, select, update
from sqlalchemy.orm import Session

from refloat.errors import InvalidInput, NotFound
from refloat.records.database import Database
from refloat.records.paging import Page, fetch
from refloat.records.tables import JournalRow, OperationRow


@dataclass(frozen=True, slots=True)
class Operation:
    """One operation as it was last written down. Times are UTC, ISO 8601."""

    id: str
    kind: str
    project_id: str
    plan_id: str
    checkpoint_id: str
    state: str
    payload: Mapping[str, Any]
    result: Mapping[str, Any] | None
    error: Mapping[str, str] | None
    created_at: str
    began_at: str = ""
    ended_at: str = ""
    runner: str = "command"
    authority: Mapping[str, Any] | None = None
    scheduled_operation_id: str = ""
    wish: str = ""


KINDS = ("protect", "restore", "verify", "copy", "delete")
"""The kinds of operations on checkpoints; the service knows of others, which only look."""


def _operation(row: OperationRow) -> Operation:
    fields = {name: getattr(row, name) for name in Operation.__slots__}
    for name in ("created_at", "began_at", "ended_at"):
        fields[name] = f"{fields[name].isoformat(timespec='seconds')}Z" if fields[name] else ""
    return Operation(**fields)


OPEN = ("running", "parked")
"""The states of operations that have not ended."""


def write_begin(session: Session, identity: str) -> str:
    """Write down, in a session of the caller's, that an operation begins; when, or "" if it had before."""
    moment = datetime.now(UTC).replace(tzinfo=None)
    statement = (
        update(OperationRow)
        .where(OperationRow.id == identity, OperationRow.began_at.is_(None))
        .values(began_at=moment)
    )
    first = cast("CursorResult[Any]", session.execute(statement)).rowcount
    return f"{moment.isoformat(timespec='seconds')}Z" if first else ""


def write_end(
    session: Session,
    identity: str,
    state: str,
    result: Mapping[str, Any] | None,
    error: Mapping[str, str] | None,
    before: Sequence[str] = (),
) -> bool:
    """Write down, in a session of the caller's, how an operation ended, or that it was parked.

    :param before: only if it is in one of these states, when there are any; of several who write this down at
        once, one does.
    :return: whether it was written down.
    """
    values: dict[str, Any] = {"state": state, "result": result, "error": error}
    values["ended_at"] = None
    if state not in {"running", "parked"}:
        values |= {"ended_at": datetime.now(UTC).replace(tzinfo=None), "wish": ""}
    statement = update(OperationRow).where(OperationRow.id == identity).values(**values)
    if before:
        statement = statement.where(OperationRow.state.in_(before))
    return bool(cast("CursorResult[Any]", session.execute(statement)).rowcount)


class Operations:
    """The operations of one project."""

    def __init__(self, database: Database, project_id: str) -> None:
        self._database = database
        self._project_id = project_id

    def create(self, identity: str, kind: str, payload: Mapping[str, Any]) -> Operation:
        """Write down an operation that is about to start."""
        row = OperationRow(
            id=identity,
            kind=kind,
            project_id=self._project_id,
            plan_id=str(payload.get("plan", {}).get("id", "")),
            checkpoint_id=str(payload.get("checkpoint_id", "")),
            state="running",
            payload=dict(payload),
            created_at=datetime.now(UTC).replace(tzinfo=None),
            scheduled_operation_id=str(payload.get("scheduled_operation_id", "")),
        )
        with self._database.session() as session:
            session.add(row)
        return _operation(row)

    def ended(
        self, identity: str, state: str, result: Mapping[str, Any] | None, error: Mapping[str, str] | None
    ) -> None:
        """Write down how an operation ended, or that it was parked."""
        with self._database.session() as session:
            write_end(session, identity, state, result, error)

    def list(self) -> Sequence[Operation]:
        """All operations of the project, newest first."""
        return self._which()

    def _which(self, *conditions: ColumnElement[bool]) -> Sequence[Operation]:
        query = (
            select(OperationRow)
            .where(OperationRow.project_id == self._project_id, OperationRow.kind.in_(KINDS), *conditions)
            .order_by(OperationRow.created_at.desc(), OperationRow.id)
        )
        with self._database.session() as session:
            return [_operation(row) for row in session.scalars(query)]

    def get(self, identity: str) -> Operation:
        """One operation by id, or by the beginning of its id when only one begins so.

        :raises NotFound: there is none.
        :raises InvalidInput: several ids begin so.
        """
        found = self._which(OperationRow.id.startswith(identity, autoescape=True)) if identity else []
        exact = [operation for operation in found if operation.id == identity]
        if len(found) > 1 and not exact:
            raise InvalidInput(
                f"{len(found)} operations begin with '{identity}'", advice="Give more of the id"
            )
        if not found:
            raise NotFound(f"there is no operation '{identity}'", advice="See: refloat operation list")
        return (exact or found)[0]


Outcome = Literal["in_progress", "success", "fail"]

BAD = "bad"
"""The status in the result of a verification that found something bad."""

SERVICE = "service"
"""The runner of operations that any worker may take up."""

CANCELLING = "cancelling"
"""The wish of an operation that is being cancelled: nothing else can be wished any more."""

SORTABLE = ("id", "state", "created_at")


class ServiceOperations:
    """The operations of all projects, as the service and its workers see them."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def add(
        self,
        session: Session,
        identity: str,
        kind: str,
        project_id: str,
        payload: Mapping[str, Any],
        authority: Mapping[str, Any] | None,
        *,
        runner: str = SERVICE,
    ) -> Operation:
        """Write down, in a session of the caller's, an operation that is to be run.

        :param runner: :data:`SERVICE`, any worker; or ``command``, the process that asks for it.
        """
        row = OperationRow(
            id=identity,
            kind=kind,
            project_id=project_id,
            plan_id=str(payload.get("plan", {}).get("id", "")),
            checkpoint_id=str(payload.get("checkpoint_id", "")),
            state="running",
            payload=dict(payload),
            created_at=datetime.now(UTC).replace(tzinfo=None),
            runner=runner,
            authority=dict(authority) if authority is not None else None,
            scheduled_operation_id=str(payload.get("scheduled_operation_id", "")),
        )
        session.add(row)
        session.flush()
        return _operation(row)

    def unfinished(self) -> Sequence[Operation]:
        """Those that the workers have to do something about, oldest first."""
        query = (
            select(OperationRow)
            .where(
                OperationRow.runner == SERVICE,
                or_(OperationRow.state.in_(("running", "parked")), OperationRow.authority.is_not(None)),
            )
            .order_by(OperationRow.created_at, OperationRow.id)
        )
        with self._database.session() as session:
            return [_operation(row) for row in session.scalars(query)]

    def wish(self, session: Session, identity: str, wish: str, states: Sequence[str], **values: Any) -> bool:
        """Ask a worker for something, if the operation is in one of some states; whether it was.

        A wish to cancel is not taken back.
        """
        statement = (
            update(OperationRow)
            .where(
                OperationRow.id == identity,
                OperationRow.runner == SERVICE,
                OperationRow.state.in_(states),
                OperationRow.wish.not_in(("cancel", CANCELLING)),
            )
            .values(wish=wish, **values)
        )
        return bool(cast("CursorResult[Any]", session.execute(statement)).rowcount)

    def heeded(self, identity: str, wish: str, state: str) -> None:
        """Write down that a worker has begun to do what was wished, and how the operation is now."""
        statement = (
            update(OperationRow)
            .where(OperationRow.id == identity, OperationRow.wish == wish)
            .values(
                wish=CANCELLING if wish == "cancel" else "",
                state=state,
                result=None,
                error=None,
                ended_at=None,
            )
        )
        with self._database.session() as session:
            session.execute(statement)

    def gave_back(self, identity: str) -> None:
        """Write down that what an operation acted with is given back."""
        statement = update(OperationRow).where(OperationRow.id == identity).values(authority=None)
        with self._database.session() as session:
            session.execute(statement)

    def get(self, identity: str, project_id: str | None, kinds: Sequence[str] = ()) -> Operation:
        """One operation by its whole id.

        :param project_id: of this project only; None: of any.
        :param kinds: of these kinds only, when there are any.
        :raises NotFound: there is none.
        """
        query = select(OperationRow).where(OperationRow.id == identity, *_which(project_id, kinds))
        with self._database.session() as session:
            row = session.scalars(query).one_or_none()
            if row is None:
                raise NotFound(f"there is no operation {identity}")
            return _operation(row)

    def page(
        self,
        page: Page,
        project_id: str | None,
        kinds: Sequence[str],
        *,
        outcome: Outcome | None = None,
        state: str | None = None,
        checkpoint_id: str | None = None,
        plan_id: str | None = None,
        identity: str | None = None,
    ) -> Sequence[Operation]:
        """A page of the operations of some kinds.

        :param outcome: a verification that found something bad counts as failed.
        :param state: as it is written down.
        """
        conditions = _which(project_id, kinds)
        if outcome is not None:
            conditions.append(_came_to(outcome))
        for column, wanted in (
            (OperationRow.state, state),
            (OperationRow.checkpoint_id, checkpoint_id),
            (OperationRow.plan_id, plan_id),
            (OperationRow.id, identity),
        ):
            if wanted is not None:
                conditions.append(column == wanted)
        with self._database.session() as session:
            return [_operation(row) for row in fetch(session, OperationRow, conditions, page, SORTABLE)]

    def makers(self, checkpoints: Collection[str], originals: Collection[str]) -> Mapping[str, str]:
        """The operations that made some checkpoints, by these; of those that are still remembered.

        :param originals: of which some of them are copies.
        """
        protected = select(OperationRow.checkpoint_id, OperationRow.id).where(
            OperationRow.kind == "protect", OperationRow.checkpoint_id.in_(checkpoints)
        )
        # What is copied again finds the copy: of several that have not failed, the first made it.
        failed = OperationRow.state.in_(("failed", "cancelled"))
        copied = (
            select(OperationRow.payload["copy_id"].as_string(), OperationRow.id)
            .where(OperationRow.kind == "copy", OperationRow.checkpoint_id.in_(originals))
            .order_by(not_(failed), OperationRow.created_at.desc())
        )
        with self._database.session() as session:
            queries = (protected, copied) if originals else (protected,)
            return {made: identity for query in queries for made, identity in session.execute(query)}

    def users_of(self, session: Session, checkpoint_id: str) -> Sequence[Operation]:
        """The operations that use a checkpoint and have not ended. Those that only look do not count."""
        query = select(OperationRow).where(
            OperationRow.checkpoint_id == checkpoint_id,
            OperationRow.state.in_(("running", "parked")),
            OperationRow.kind.in_(KINDS),
        )
        return [_operation(row) for row in session.scalars(query)]


def _came_to(outcome: Outcome) -> ColumnElement[bool]:
    if outcome == "in_progress":
        return OperationRow.state.in_(("running", "parked"))
    bad = func.coalesce(OperationRow.result["status"].as_string(), "") == BAD
    if outcome == "success":
        return and_(OperationRow.state == "succeeded", not_(bad))
    return or_(OperationRow.state.in_(("failed", "cancelled")), bad)


def _which(project_id: str | None, kinds: Sequence[str]) -> list[ColumnElement[bool]]:
    conditions: list[ColumnElement[bool]] = []
    if project_id is not None:
        conditions.append(OperationRow.project_id == project_id)
    if kinds:
        conditions.append(OperationRow.kind.in_(kinds))
    return conditions


def found_bad(session: Session, project_id: str | None = None) -> set[str]:
    """The checkpoints of which the latest verification found something bad.

    :param project_id: None: those of all projects.
    """
    query = (
        select(OperationRow.checkpoint_id, OperationRow.result["status"].as_string())
        .where(OperationRow.kind == "verify", OperationRow.state == "succeeded")
        .order_by(OperationRow.created_at)
    )
    if project_id is not None:
        query = query.where(OperationRow.project_id == project_id)
    latest: dict[str, str] = {row[0]: row[1] for row in session.execute(query)}
    return {identity for identity, status in latest.items() if status == BAD}


@dataclass(frozen=True, slots=True)
class JournalItem:
    """One line of the journal; ``id`` is empty while the thing is only intended."""

    source: str
    role: str
    kind: str
    id: str
    clue: Mapping[str, Any]


class SqlJournal:
    """The durable list of what one operation creates. Every change is committed before it returns."""

    def __init__(self, database: Database, operation_id: str) -> None:
        self._database = database
        self._operation_id = operation_id

    def find(self, source: str, role: str) -> JournalItem | None:
        """What was written down for a role."""
        query = select(JournalRow).where(*self._is(source, role))
        with self._database.session() as session:
            row = session.scalars(query).one_or_none()
            return _item(row) if row is not None else None

    def intend(self, source: str, role: str, kind: str, clue: Mapping[str, Any]) -> None:
        """Write down that something is about to be created."""
        row = JournalRow(
            operation_id=self._operation_id, source=source, role=role, kind=kind, thing_id="", clue=dict(clue)
        )
        with self._database.session() as session:
            session.add(row)

    def made(self, source: str, role: str, identity: str) -> None:
        """Write down that it was created."""
        with self._database.session() as session:
            session.execute(update(JournalRow).where(*self._is(source, role)).values(thing_id=identity))

    def forget(self, source: str, role: str) -> None:
        """Write down that it is gone again, or never was."""
        with self._database.session() as session:
            session.execute(delete(JournalRow).where(*self._is(source, role)))

    def entries(self) -> list[JournalItem]:
        """All that is written down, oldest first."""
        query = (
            select(JournalRow)
            .where(JournalRow.operation_id == self._operation_id)
            .order_by(JournalRow.number)
        )
        with self._database.session() as session:
            return [_item(row) for row in session.scalars(query)]

    def _is(self, source: str, role: str) -> tuple[Any, ...]:
        return (
            JournalRow.operation_id == self._operation_id,
            JournalRow.source == source,
            JournalRow.role == role,
        )


def _item(row: JournalRow) -> JournalItem:
    return JournalItem(row.source, row.role, row.kind, row.thing_id, row.clue)
