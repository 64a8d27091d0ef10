"""Operations: every run of protect, restore, verify, copy and delete, and every look."""

from __future__ import annotations

import uuid
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from sqlalchemy import ColumnElement, and_, func, not_, null, or_, select, update
from sqlalchemy.orm import Session, defer

from refloat.database import changed, now
from refloat.errors import InvalidInput, NotFound
from refloat.records.database import Database, of_row, shown
from refloat.records.paging import Page, fetch
from refloat.records.tables import OperationRow

KINDS = ("protect", "restore", "verify", "copy", "delete")
"""The kinds of operations on checkpoints; the service knows of others, which only look."""

LOGGED = (*KINDS, "reassign")
"""Those that operation logs tell of."""

OPEN = ("queued", "running", "parked")
"""The states of operations that have not ended."""

COMMAND, SERVICE = "command", "service"
"""Who is to run an operation: the process that asked for it, or any worker."""

SORTABLE = ("id", "state", "created_at")

LISTED = ("provider", "to", "copy_id", "restore_target", "reason")
"""What lists tell of payloads, besides the plan's name."""

_MEASURED = 20
"""So many restores say how long one takes."""

Outcome = Literal["in_progress", "success", "fail"]

BAD = "bad"
"""The status in the result of a verification that found something bad."""


_IS_BAD = func.coalesce(OperationRow.result["status"].as_string(), "") == BAD
_LARGE = tuple(
    defer(each)
    for each in (OperationRow.result, OperationRow.payload, OperationRow.progress, OperationRow.skipped)
)


@dataclass(frozen=True, slots=True)
class Operation:
    """One operation as it was last written down. Times are UTC, ISO 8601.

    :param requested: what its owner is asked for: ``park``, ``resume`` or ``cancel``. That to cancel stays
        until the operation has ended.
    """

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
    runner: str = COMMAND
    authority: Mapping[str, Any] | None = None
    scheduled_operation_id: str = ""
    requested: str = ""

    @property
    def after(self) -> str:
        """The operation that has to end before this one begins; empty: none has."""
        return str((self.payload.get("safety") or {}).get("operation_id", ""))


@dataclass(frozen=True, slots=True)
class OpenOperation:
    """What workers look at every second, of each operation that they have something to do about.

    :param after: it begins when this one has ended; empty or None: at once.
    :param owes: it has something to give back at its end.
    """

    id: str
    kind: str
    project_id: str
    scheduled_operation_id: str
    state: str
    requested: str
    after: str | None
    owes: bool
    attempt: int
    deaths: int
    executor: str
    host: str
    pid: int
    born: str
    expires: float
    read_at: float


class Operations:
    """The operations of a project, or of all.

    :param project_id: None: of all projects.
    """

    def __init__(self, database: Database, project_id: str | None = None) -> None:
        self._database = database
        self._project_id = project_id

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
        """Write down, in a session of the caller's, an operation that is to run.

        :param runner: :data:`SERVICE`, any worker; or :data:`COMMAND`, the process that asks for it.
        """
        row = OperationRow(
            id=identity,
            kind=kind,
            project_id=project_id,
            plan_id=str(payload.get("plan", {}).get("id", "")),
            checkpoint_id=str(payload.get("checkpoint_id", "")),
            state="queued",
            payload=dict(payload),
            on_failure="park" if payload.get("keep_on_failure") else "undo",
            created_at=now(),
            runner=runner,
            authority=dict(authority) if authority is not None else None,
            scheduled_operation_id=str(payload.get("scheduled_operation_id", "")),
        )
        session.add(row)
        session.flush()
        return operation_of(row)

    def add_ended(
        self,
        session: Session,
        kind: str,
        project_id: str,
        payload: Mapping[str, Any],
        result: Mapping[str, Any],
    ) -> None:
        """Write down, in a session of the caller's, what was done without being asked for here."""
        made = self.add(session, str(uuid.uuid4()), kind, project_id, payload, None, runner=COMMAND)
        values = {"state": "succeeded", "result": dict(result), "began_at": now(), "ended_at": now()}
        session.execute(update(OperationRow).where(OperationRow.id == made.id).values(**values))

    def get(self, identity: str, project_id: str | None = None, kinds: Sequence[str] = ()) -> Operation:
        """One operation by its whole id; of a project's also by the beginning of it.

        :param project_id: of this project only.
        :param kinds: of these kinds only, when there are any.
        :raises NotFound: there is none.
        :raises InvalidInput: several ids begin so.
        """
        if self._project_id is not None:
            return self._get_by_beginning(identity)
        query = select(OperationRow).where(OperationRow.id == identity, *_which(project_id, kinds))
        with self._database.session() as session:
            row = session.scalars(query).one_or_none()
            if row is None:
                raise NotFound(f"there is no operation {identity}")
            return operation_of(row)

    def _get_by_beginning(self, identity: str) -> Operation:
        begins = OperationRow.id.startswith(identity, autoescape=True)
        found = self._list(begins) if identity else []
        exact = [operation for operation in found if operation.id == identity]
        if len(found) > 1 and not exact:
            raise InvalidInput(
                f"{len(found)} operations begin with '{identity}'", advice="Give more of the id"
            )
        if not found:
            raise NotFound(f"there is no operation '{identity}'", advice="See: refloat operation list")
        return (exact or found)[0]

    def list(self, states: Collection[str] = ()) -> Sequence[Operation]:
        """All of them, newest first; or those in some states: the results of thousands are large."""
        return self._list(OperationRow.state.in_(states)) if states else self._list()

    def _list(self, *conditions: ColumnElement[bool]) -> Sequence[Operation]:
        query = (
            select(OperationRow)
            .where(*_which(self._project_id, KINDS), *conditions)
            .order_by(OperationRow.created_at.desc(), OperationRow.id)
        )
        return self._database.read(query, operation_of)

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
        whole: bool = False,
    ) -> Sequence[Operation]:
        """A page of the operations of some kinds.

        :param whole: with their results and all of their payloads, which are large; else of the results only
            that they are :data:`BAD`, and of the payloads what :data:`LISTED` names, and the plan's name.
        :param outcome: a verification that found something bad counts as failed.
        :param state: ``running`` finds what is queued, too.
        """
        conditions = _which(project_id, kinds)
        if outcome is not None:
            conditions.append(_came_to(outcome))
        if state is not None:
            conditions.append(OperationRow.state.in_(("queued", state) if state == "running" else (state,)))
        for column, wanted in (
            (OperationRow.checkpoint_id, checkpoint_id),
            (OperationRow.plan_id, plan_id),
            (OperationRow.id, identity),
        ):
            if wanted is not None:
                conditions.append(column == wanted)
        with self._database.session() as session:
            rows = fetch(session, OperationRow, conditions, page, SORTABLE, () if whole else _LARGE)
            if whole:
                return [operation_of(row) for row in rows]
            small = _listed(session, [row.id for row in rows])
            return [operation_of(row, **small[row.id]) for row in rows]

    def unfinished(self, only: Collection[str] | None = None) -> Sequence[OpenOperation]:
        """Those that workers have to do something about, oldest first.

        :param only: just these, which a command runs; None: all those of the service.
        """
        table = OperationRow
        names = [name for name in OpenOperation.__slots__ if name not in ("after", "owes", "read_at")]
        open_or_owing = or_(table.state.in_(OPEN), table.authority.is_not(None))
        which: tuple[ColumnElement[bool], ...] = (table.runner == SERVICE,)
        after: ColumnElement[Any] = table.payload["safety"]["operation_id"].as_string()
        if only is not None:
            after = null()  # a command has room for all that it has asked for
            which = (table.runner == COMMAND, table.id.in_(list(only)))
        query = (
            select(
                *(getattr(table, name) for name in names),
                after.label("after"),
                table.authority.is_not(None).label("owes"),
                self._database.now().label("read_at"),
            )
            .where(*which, open_or_owing)
            .order_by(table.created_at, table.id)
        )
        with self._database.session() as session:
            return [OpenOperation(**row) for row in session.execute(query).mappings()]

    def request(
        self, session: Session, identity: str, what: str, states: Sequence[str], **values: Any
    ) -> bool:
        """Ask an operation's owner for something, if it is in one of some states; whether it was.

        A request to cancel is not taken back.
        """
        statement = (
            update(OperationRow)
            .where(
                OperationRow.id == identity,
                OperationRow.state.in_(states),
                OperationRow.requested != "cancel",
            )
            .values(requested=what, **values)
        )
        return bool(changed(session, statement))

    def gave_back(self, identity: str) -> None:
        """Write down that what an operation acted with is given back."""
        self._database.change(update(OperationRow).where(OperationRow.id == identity).values(authority=None))

    def pace(self) -> dict[str, float | None]:
        """Seconds that the latest restores took for a resource (``resources``) and for a byte (``bytes``).

        None: nothing is known of that.
        """
        effort = OperationRow.result["effort"]
        names = ("resources", "bytes")
        query = (
            select(
                *(OperationRow.began_at, OperationRow.ended_at),
                *(effort[name].as_integer().label(name) for name in names),
            )
            .where(OperationRow.kind == "restore", OperationRow.state == "succeeded")
            .order_by(OperationRow.created_at.desc())
            .limit(_MEASURED)
        )
        found: dict[str, float | None] = dict.fromkeys(names)
        with self._database.session() as session:
            rows = list(session.execute(query).mappings())
        for name in names:
            known = [row for row in rows if row[name] and row["began_at"] and row["ended_at"]]
            if known:
                took = sum((row["ended_at"] - row["began_at"]).total_seconds() for row in known)
                found[name] = took / sum(row[name] for row in known)
        return found

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
            OperationRow.state.in_(OPEN),
            OperationRow.kind.in_(KINDS),
        )
        return [operation_of(row) for row in session.scalars(query)]

    def open_restores(self, session: Session, project_id: str) -> Sequence[Operation]:
        """The restores of a project that have not ended."""
        query = select(OperationRow).where(
            OperationRow.project_id == project_id,
            OperationRow.kind == "restore",
            OperationRow.state.in_(OPEN),
        )
        return [operation_of(row) for row in session.scalars(query)]

    def copying_to(self, session: Session, checkpoint_id: str) -> Sequence[Operation]:
        """The copies that have not ended and make a checkpoint."""
        query = select(OperationRow).where(
            OperationRow.kind == "copy",
            OperationRow.state.in_(OPEN),
            OperationRow.payload["copy_id"].as_string() == checkpoint_id,
        )
        return [operation_of(row) for row in session.scalars(query)]


def operation_of(row: OperationRow, **instead: Any) -> Operation:
    """What a row says.

    :param instead: fields that are not read from it.
    """
    times = {name: shown(getattr(row, name)) for name in ("created_at", "began_at", "ended_at")}
    return of_row(Operation, row, **times, **instead)


def _listed(session: Session, identities: Collection[str]) -> dict[str, dict[str, Any]]:
    """By operation, what a list tells of its payload and result: the database takes it out of them."""
    payload = OperationRow.payload
    texts = [payload[name].as_string().label(name) for name in LISTED]
    query = select(OperationRow.id, _IS_BAD.label("bad"), payload[("plan", "name")].as_string(), *texts)
    found = {}
    for identity, bad, plan_name, *values in session.execute(query.where(OperationRow.id.in_(identities))):
        known = {name: value for name, value in zip(LISTED, values, strict=True) if value is not None}
        found[identity] = {
            "payload": {**known, "plan": {"name": plan_name or ""}},
            "result": {"status": BAD} if bad else None,
        }
    return found


def without_result(session: Session, identity: str, payload: Mapping[str, Any]) -> Operation:
    """An operation, in a session of the caller's, but for its result, which may be large.

    :param payload: its payload, which is known already.
    """
    query = select(OperationRow).where(OperationRow.id == identity).options(*_LARGE)
    return operation_of(session.scalars(query).one(), result=None, payload=payload)


def write_failure(session: Session, identity: str, error: Mapping[str, str]) -> None:
    """Write down, in a session of the caller's, that an operation could not even begin."""
    values = {"state": "failed", "error": dict(error), "ended_at": now()}
    session.execute(update(OperationRow).where(OperationRow.id == identity).values(**values))


def write_result(session: Session, identity: str, result: Mapping[str, Any]) -> None:
    session.execute(update(OperationRow).where(OperationRow.id == identity).values(result=dict(result)))


def _came_to(outcome: Outcome) -> ColumnElement[bool]:
    if outcome == "in_progress":
        return OperationRow.state.in_(OPEN)
    if outcome == "success":
        return and_(OperationRow.state == "succeeded", not_(_IS_BAD))
    return or_(OperationRow.state.in_(("failed", "cancelled")), _IS_BAD)


def _which(project_id: str | None, kinds: Sequence[str]) -> list[ColumnElement[bool]]:
    conditions: list[ColumnElement[bool]] = []
    if project_id is not None:
        conditions.append(OperationRow.project_id == project_id)
    if kinds:
        conditions.append(OperationRow.kind.in_(kinds))
    return conditions
