"""Leases on operations: who runs one, how it ended, and what others ask of it.

The table is the caller's, with one row per operation, which whoever asks for one has written: ``queued``. A
*lease* is the right to run one attempt at it. It is taken in one statement that only one of several
processes can win, lasts :data:`LASTS` seconds and is renewed long before. Taking over raises the attempt
number, so that whatever the former owner still writes here no longer matches and is refused.

What belongs to a beginning or an end is written in the same transaction, by a function that is given its
session.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Literal, Protocol, TypeAlias

import sqlalchemy as sa
from sqlalchemy.orm import Session

from refloat.database import SqlDatabase, changed, now
from refloat.engine.owner import Owner, uptime
from refloat.engine.program import Ended, Json, State

LASTS = 15.0
"""Seconds after the last renewal at which an owner on another host counts as dead."""

_LEFT = 1.0
"""A lease that ends within so many seconds is renewed before anything is changed on the strength of it."""
_PAUSE = 0.2
"""Seconds between two attempts to ask a database that does not answer."""

Request: TypeAlias = Literal["", "park", "resume", "cancel"]
Beside: TypeAlias = Callable[[Session], None]
"""Writes what belongs to a change, in its transaction."""

OPEN = ("queued", "running", "parked")
"""The states of operations that have not ended."""


class Lost(Exception):
    """Another process has taken the operation over.

    :param ended: the operation has ended.
    """

    def __init__(self, message: str = "", *, ended: bool = False) -> None:
        super().__init__(message)
        self.ended = ended


class Claim(Protocol):
    """What a row says of who runs it."""

    @property
    def id(self) -> str: ...
    @property
    def executor(self) -> str: ...
    @property
    def host(self) -> str: ...
    @property
    def pid(self) -> int: ...
    @property
    def born(self) -> str: ...
    @property
    def expires(self) -> float: ...
    @property
    def read_at(self) -> float: ...


def owner_of(claim: Claim) -> Owner | None:
    """Who runs it, or ran it until he died; None: nobody."""
    return Owner(claim.executor, claim.host, claim.pid, claim.born) if claim.executor else None


def is_alive(claim: Claim) -> bool:
    """Whether its owner lives, as far as can be told."""
    owner = owner_of(claim)
    return owner is not None and claim.expires > claim.read_at and not owner.is_dead_for_sure()


def attempt_id(operation_id: str, attempt: int) -> str:
    """As what the workflow library knows an attempt."""
    return f"{operation_id}#{attempt}"


@dataclass(frozen=True, slots=True)
class Row:
    """An operation as it was when it was read; its payload, which may be large, is read by itself."""

    id: str
    kind: str
    on_failure: Literal["undo", "park"]
    state: State
    requested: Request
    attempt: int
    forgiven_until: int
    deaths: int
    executor: str
    host: str
    pid: int
    born: str
    expires: float
    progress: Mapping[str, Any] | None
    result: Json
    error: Mapping[str, str] | None
    skipped: Mapping[str, str] | None
    created_at: datetime
    began_at: datetime | None
    updated_at: float
    read_at: float

    @property
    def attempts(self) -> list[str]:
        return [attempt_id(self.id, number) for number in range(1, self.attempt + 1)]

    @property
    def since(self) -> float:
        """When it began, in seconds since 1970; when it was asked for, if it has not."""
        return (self.began_at or self.created_at).replace(tzinfo=UTC).timestamp()


class Lease:
    """The right of this process to run one attempt. Any thread may use it."""

    def __init__(self, leases: Leases, operation_id: str, attempt: int) -> None:
        self.operation_id = operation_id
        self.attempt = attempt
        self._leases = leases
        self._lock = threading.Lock()
        self._renewed = uptime()

    @property
    def age(self) -> float:
        """Seconds since it was last renewed, whatever stopped the process in between."""
        return uptime() - self._renewed

    @property
    def fresh(self) -> bool:
        """Whether nobody else can have taken it yet."""
        return self.age < LASTS - 1.0

    def renew(self, progress: Mapping[str, Any] | None = None) -> bool:
        """Extend it, saying how far the operation is; False when it is lost."""
        with self._lock:
            at = uptime()
            if not self._leases.renew(self, progress):
                return False
            self._renewed = at
            return True

    def check(self) -> None:
        """Ask the database whether it is ours. Whatever this process remembers of it counts for nothing.

        A database that is away is asked again for as long as nobody else can have taken the lease.

        :raises Lost: it is not ours.
        :raises sqlalchemy.exc.SQLAlchemyError: nobody can say.
        """
        deadline = uptime() + LASTS
        while True:
            try:
                left = self._leases.seconds_left(self)
                if left < _LEFT and not self.renew():
                    raise Lost
                return
            except sa.exc.SQLAlchemyError:
                if not self.fresh or uptime() > deadline:
                    raise
                time.sleep(_PAUSE)

    def end(
        self,
        ended: Ended,
        skipped: Mapping[str, str],
        progress: Mapping[str, Any],
        beside: Beside,
        *,
        unless_cancelled: bool = False,
    ) -> bool:
        """Say how the attempt ended and give the lease back; False when it is lost.

        :param ended: of the state ``running``: it has not, somebody else is to go on with it.
        :param unless_cancelled: write nothing and return False also when somebody has asked in the
            meantime for the operation to be cancelled.
        """
        values: dict[str, Any] = {"progress": progress}
        if ended.state != "running":
            values |= _ended(ended) | {"skipped": dict(skipped)}
        with self._lock:
            return self._leases.end(self, values, beside, unless_cancelled=unless_cancelled)

    def survived(self) -> None:
        """Write, when it is lost, that this process lives all the same."""
        self._leases.survived(self)

    def give_back(self, state: State) -> None:
        """Give it back unused; the operation is again as it was."""
        with self._lock:
            self._leases.end(self, {"state": state}, lambda _session: None)


class Leases:
    """The table of operations, seen by one process.

    :param table: with the columns of :class:`Row`, and ``payload``.
    """

    def __init__(self, database: SqlDatabase, table: sa.Table, owner: Owner) -> None:
        self.database = database
        self._table = table
        self.owner = owner
        names = [name for name in Row.__slots__ if name != "read_at"]
        self._columns = [table.c[name] for name in names]

    def take(self, row: Row, *, cancel: bool, beside: Beside) -> Lease | None:
        """Take an operation that waits, or over from a dead owner; None when somebody was faster."""
        table = self._table.c
        lease = Lease(self, row.id, row.attempt + 1)
        values: dict[str, Any] = {
            "state": "running",
            "requested": "cancel" if cancel else sa.case((table.requested == "cancel", "cancel"), else_=""),
            "attempt": lease.attempt,
            "forgiven_until": row.attempt if row.state == "parked" else row.forgiven_until,
            # Whoever stops in good order gives it back: then nobody is named.
            "deaths": row.deaths + 1 if row.state == "running" and row.executor else 0,
            "expires": self.database.now() + LASTS,
            "updated_at": self.database.now(),
            "result": None,
            "error": None,
            "ended_at": None,
            "executor": self.owner.executor,
            "host": self.owner.host,
            "pid": self.owner.pid,
            "born": self.owner.born,
        }
        if row.began_at is None and not cancel:
            values["began_at"] = now()
        taken = self._write(self._unchanged(row).values(values), beside)
        return lease if taken else None

    def survived(self, lease: Lease) -> None:
        """Write that who lost a lease lives: whoever took the operation over has counted a death too many."""
        table = self._table.c
        statement = (
            sa.update(self._table)
            .where(table.id == lease.operation_id, table.attempt > lease.attempt)
            .where(table.state == "running", table.deaths > 0)
        )
        self._write(statement.values(deaths=table.deaths - 1), lambda _session: None)

    def end_idle(self, row: Row, ended: Ended, beside: Beside) -> bool:
        """End or park an operation that nobody runs; False when that has changed.

        One that was asked to be cancelled is parked only when its process has died again and again.
        """
        statement = self._unchanged(row).values(_ended(ended) | _NOBODY | {"updated_at": self.database.now()})
        if ended.state == "parked" and not ended.error:
            statement = statement.where(self._table.c.requested != "cancel")
        return self._write(statement, beside)

    def _unchanged(self, row: Row) -> sa.Update:
        table = self._table.c
        return (
            sa.update(self._table)
            .where(table.id == row.id, table.attempt == row.attempt, table.state == row.state)
            .where(table.executor == row.executor, table.expires <= row.expires)
        )

    def _write(self, statement: sa.Update, beside: Beside) -> bool:
        with self.database.session() as session:
            if not changed(session, statement):
                return False
            beside(session)
        return True

    def renew(self, lease: Lease, progress: Mapping[str, Any] | None) -> bool:
        """Extend a lease; False when it is not ours any more."""
        values: dict[str, Any] = {} if progress is None else {"progress": progress}
        values |= {"expires": self.database.now() + LASTS, "updated_at": self.database.now()}
        with self.database.engine.begin() as connection:
            return bool(connection.execute(self._owned(lease).values(values)).rowcount)

    def end(
        self, lease: Lease, values: Mapping[str, Any], beside: Beside, *, unless_cancelled: bool = False
    ) -> bool:
        """Write that a lease is given back; False when it is not ours any more."""
        statement = self._owned(lease).values({**values, **_NOBODY, "updated_at": self.database.now()})
        if unless_cancelled:
            statement = statement.where(self._table.c.requested != "cancel")
        return self._write(statement, beside)

    def _owned(self, lease: Lease) -> sa.Update:
        table = self._table.c
        return sa.update(self._table).where(
            table.id == lease.operation_id,
            table.attempt == lease.attempt,
            table.executor == self.owner.executor,
        )

    def request(self, operation_id: str, what: Request) -> bool:
        """Ask the owner of a running operation for something; False when it is not running.

        A request to cancel outlives its owner, and is not taken back by another.
        """
        table = self._table.c
        statement = (
            sa.update(self._table)
            .where(table.id == operation_id, table.state == "running")
            .values(requested=sa.case((table.requested == "cancel", "cancel"), else_=what))
        )
        return self._write(statement, lambda _session: None)

    def requests(self, operation_ids: Iterable[str]) -> Mapping[str, tuple[int, Request]]:
        """Of each operation, its attempt and what is asked of it."""
        table = self._table.c
        query = sa.select(table.id, table.attempt, table.requested).where(table.id.in_(list(operation_ids)))
        with self.database.engine.connect() as connection:
            return {row.id: (row.attempt, row.requested) for row in connection.execute(query)}

    def read(self, operation_id: str) -> Row | None:
        return next(iter(self._rows(self._table.c.id == operation_id)), None)

    def payload(self, operation_id: str) -> Json:
        query = sa.select(self._table.c.payload).where(self._table.c.id == operation_id)
        with self.database.engine.connect() as connection:
            return connection.scalar(query)

    def running(self) -> list[Row]:
        return self._rows(self._table.c.state == "running")

    def delete(self, row: Row) -> bool:
        table = self._table.c
        statement = sa.delete(self._table).where(
            table.id == row.id, table.attempt == row.attempt, table.state == row.state
        )
        with self.database.engine.begin() as connection:
            return bool(connection.execute(statement).rowcount)

    def seconds_left(self, lease: Lease) -> float:
        """How long a lease of ours still lasts. :raises Lost: it is not ours."""
        table = self._table.c
        left = (table.expires - self.database.now()).label("left")
        query = sa.select(table.attempt, table.executor, table.state, left)
        with self.database.engine.connect() as connection:
            row = connection.execute(query.where(table.id == lease.operation_id)).one_or_none()
        if row is None or (row.attempt, row.executor) != (lease.attempt, self.owner.executor):
            raise Lost(ended=row is None or row.state not in OPEN)
        return float(row.left)

    def _rows(self, condition: sa.ColumnElement[bool]) -> list[Row]:
        query = sa.select(*self._columns, self.database.now().label("read_at")).where(condition)
        with self.database.engine.connect() as connection:
            return [Row(**found) for found in connection.execute(query).mappings()]


_NOBODY: dict[str, Any] = {"executor": "", "host": "", "pid": 0, "born": "", "expires": 0.0}


def _ended(ended: Ended) -> dict[str, Any]:
    return {
        "state": ended.state,
        "result": ended.result,
        "error": dict(ended.error) if ended.error else None,
        "ended_at": None if ended.state in OPEN else now(),
        "requested": "",
    }
