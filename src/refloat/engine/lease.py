"""One row per operation: what it is, who runs it, how it ended, and what others wish of it.

A *lease* is the right to run one attempt at an operation. It is taken in one statement that only one of
several processes can win, lasts :data:`LASTS` seconds and is renewed long before. Taking over raises the
attempt number, so that whatever the former owner still writes here no longer matches and is refused.
"""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

import sqlalchemy as sa

from refloat.engine.database import SCHEMA, Database
from refloat.engine.owner import Owner, uptime
from refloat.engine.program import Json, State

LASTS = 15.0
"""Seconds after the last renewal at which an owner on another host counts as dead."""

_LEFT = 1.0
"""A lease that ends within so many seconds is renewed before anything is changed on the strength of it."""
_PAUSE = 0.2
"""Seconds between two attempts to ask a database that does not answer."""

Wish: TypeAlias = Literal["", "stop", "cancel"]

_TABLE = sa.Table(
    "engine_operation",
    sa.MetaData(schema="engine"),
    sa.Column("id", sa.Text, primary_key=True),
    sa.Column("kind", sa.Text, nullable=False),
    sa.Column("payload", sa.Text, nullable=False),
    sa.Column("on_failure", sa.Text, nullable=False),
    sa.Column("state", sa.Text, nullable=False),
    sa.Column("wish", sa.Text, nullable=False),
    sa.Column("attempt", sa.Integer, nullable=False),
    # Failures recorded before this attempt are forgiven: the operation was parked since, and resumed.
    sa.Column("forgiven_until", sa.Integer, nullable=False),
    sa.Column("executor", sa.Text, nullable=False),
    sa.Column("host", sa.Text, nullable=False),
    sa.Column("pid", sa.Integer, nullable=False),
    sa.Column("born", sa.Text, nullable=False),
    sa.Column("expires", sa.Float, nullable=False),
    sa.Column("progress", sa.Text, nullable=False),
    sa.Column("ended", sa.Text, nullable=False),
    sa.Column("created_at", sa.Float, nullable=False),
    sa.Column("updated_at", sa.Float, nullable=False),
)


class Lost(Exception):
    """Another process has taken the operation over.

    :param ended: the operation has ended.
    """

    def __init__(self, message: str = "", *, ended: bool = False) -> None:
        super().__init__(message)
        self.ended = ended


@dataclass(frozen=True, slots=True)
class Row:
    """An operation as it was when it was read."""

    id: str
    kind: str
    payload: Json
    on_failure: Literal["undo", "park"]
    state: State
    wish: Wish
    attempt: int
    forgiven_until: int
    owner: Owner | None
    expires: float
    progress: Mapping[str, Any]
    ended: Mapping[str, Any]
    created_at: float
    updated_at: float
    read_at: float

    @property
    def alive(self) -> bool:
        """Whether its owner lives, as far as can be told."""
        return self.owner is not None and self.expires > self.read_at and not self.owner.is_dead_for_sure()


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
            values: dict[str, Any] = {} if progress is None else {"progress": json.dumps(progress)}
            if not self._leases.update_owned(self, expires=self._leases.expiry(), **values):
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
        state: State,
        ended: Mapping[str, Any],
        progress: Mapping[str, Any],
        *,
        unless_cancelled: bool = False,
    ) -> bool:
        """Say how the attempt ended and give the lease back; False when it is lost.

        :param unless_cancelled: write nothing and return False also when somebody has wished in the
            meantime that the operation be cancelled.
        """
        with self._lock:
            written = self._leases.update_owned(
                self,
                unless_cancelled=unless_cancelled,
                state=state,
                ended=json.dumps(ended),
                progress=json.dumps(progress),
                expires=0.0,
                **_NOBODY,
            )
        self._leases.database.flush()
        return written

    def give_back(self, state: State) -> None:
        """Give it back unused; the operation is again as it was."""
        with self._lock:
            self._leases.update_owned(self, state=state, expires=0.0, **_NOBODY)


class Leases:
    """The table of operations, seen by one process."""

    def __init__(self, database: Database, owner: Owner) -> None:
        self.database = database
        self._owner = owner
        self._engine = database.engine.execution_options(
            schema_translate_map={"engine": None if database.is_sqlite else SCHEMA}
        )
        self._create()

    def _create(self) -> None:
        schema = None if self.database.is_sqlite else SCHEMA
        if sa.inspect(self.database.engine).has_table(_TABLE.name, schema=schema):
            return
        try:
            self._create_once(schema)
        except (sa.exc.IntegrityError, sa.exc.ProgrammingError):
            # PostgreSQL lets two processes that create it at once run into each other; one has won.
            self._create_once(schema)

    def _create_once(self, schema: str | None) -> None:
        with self._engine.begin() as connection:
            if schema is not None:
                connection.execute(sa.schema.CreateSchema(schema, if_not_exists=True))
            connection.execute(sa.schema.CreateTable(_TABLE, if_not_exists=True))

    def expiry(self) -> sa.ColumnElement[float]:
        """When a lease ends that is taken or renewed now."""
        return self.database.now() + LASTS

    def insert(
        self,
        operation_id: str,
        kind: str,
        payload: Json,
        on_failure: Literal["undo", "park"],
        wish: Wish = "",
    ) -> Lease | None:
        """Begin a new operation; None when there is one of that id."""
        now = self.database.now()
        values = {
            "id": operation_id,
            "kind": kind,
            "payload": json.dumps(payload),
            "on_failure": on_failure,
            "state": "running",
            "wish": wish,
            "attempt": 1,
            "forgiven_until": 0,
            "expires": self.expiry(),
            "progress": "{}",
            "ended": "{}",
            "created_at": now,
            "updated_at": now,
            **_columns(self._owner),
        }
        lease = Lease(self, operation_id, 1)
        try:
            with self._engine.begin() as connection:
                connection.execute(sa.insert(_TABLE).values(values))
        except sa.exc.IntegrityError:
            return None
        return lease

    def take(self, row: Row, *, wish: Wish) -> Lease | None:
        """Take an operation over from nobody or from a dead owner; None when somebody was faster."""
        table = _TABLE.c
        lease = Lease(self, row.id, row.attempt + 1)
        statement = (
            sa.update(_TABLE)
            .where(table.id == row.id, table.attempt == row.attempt, table.state == row.state)
            .where(table.executor == (row.owner.executor if row.owner else ""), table.expires <= row.expires)
            .values(
                state="running",
                wish=wish,
                attempt=lease.attempt,
                forgiven_until=row.attempt if row.state == "parked" else row.forgiven_until,
                expires=self.expiry(),
                ended="{}",
                updated_at=self.database.now(),
                **_columns(self._owner),
            )
        )
        with self._engine.begin() as connection:
            return lease if connection.execute(statement).rowcount else None

    def wish(self, operation_id: str, wish: Wish) -> bool:
        """Ask the owner of a running operation for something; False when it is not running.

        A wish to cancel outlives its owner, and is not taken back by a wish to stop.
        """
        table = _TABLE.c
        statement = (
            sa.update(_TABLE)
            .where(table.id == operation_id, table.state == "running")
            .values(wish=sa.case((table.wish == "cancel", "cancel"), else_=wish))
        )
        with self._engine.begin() as connection:
            return bool(connection.execute(statement).rowcount)

    def wishes(self, operation_ids: Iterable[str]) -> Mapping[str, tuple[int, Wish]]:
        """Of each operation, its attempt and what is wished of it."""
        table = _TABLE.c
        query = sa.select(table.id, table.attempt, table.wish).where(table.id.in_(list(operation_ids)))
        with self._engine.connect() as connection:
            return {row.id: (row.attempt, row.wish) for row in connection.execute(query)}

    def read(self, operation_id: str) -> Row | None:
        """An operation; None when there is none."""
        return next(iter(self._rows(_TABLE.c.id == operation_id)), None)

    def running(self) -> list[Row]:
        """The operations that run or were interrupted."""
        return self._rows(_TABLE.c.state == "running")

    def delete(self, row: Row) -> bool:
        """Forget an operation, unless it has changed since it was read."""
        table = _TABLE.c
        statement = sa.delete(_TABLE).where(
            table.id == row.id, table.attempt == row.attempt, table.state == row.state
        )
        with self._engine.begin() as connection:
            return bool(connection.execute(statement).rowcount)

    def seconds_left(self, lease: Lease) -> float:
        """How long a lease of ours still lasts. :raises Lost: it is not ours."""
        table = _TABLE.c
        left = (table.expires - self.database.now()).label("left")
        query = sa.select(table.attempt, table.executor, table.state, left)
        with self._engine.connect() as connection:
            row = connection.execute(query.where(table.id == lease.operation_id)).one_or_none()
        if row is None or (row.attempt, row.executor) != (lease.attempt, self._owner.executor):
            raise Lost(ended=row is None or row.state not in ("running", "parked"))
        return float(row.left)

    def update_owned(self, lease: Lease, *, unless_cancelled: bool = False, **values: Any) -> bool:
        """Write to the row while the lease is ours; False when it is not."""
        table = _TABLE.c
        statement = (
            sa.update(_TABLE)
            .where(table.id == lease.operation_id, table.attempt == lease.attempt)
            .where(table.executor == self._owner.executor)
            .values(updated_at=self.database.now(), **values)
        )
        if unless_cancelled:
            statement = statement.where(table.wish != "cancel")
        with self._engine.begin() as connection:
            return bool(connection.execute(statement).rowcount)

    def _rows(self, condition: sa.ColumnElement[bool]) -> list[Row]:
        query = sa.select(_TABLE, self.database.now().label("read_at")).where(condition)
        with self._engine.connect() as connection:
            return [_row(found) for found in connection.execute(query)]


_NOBODY: Mapping[str, Any] = {"executor": "", "host": "", "pid": 0, "born": ""}


def _columns(owner: Owner) -> dict[str, Any]:
    return {"executor": owner.executor, "host": owner.host, "pid": owner.pid, "born": owner.born}


def _row(found: sa.Row[Any]) -> Row:
    return Row(
        id=found.id,
        kind=found.kind,
        payload=json.loads(found.payload),
        on_failure=found.on_failure,
        state=found.state,
        wish=found.wish,
        attempt=found.attempt,
        forgiven_until=found.forgiven_until,
        owner=Owner(found.executor, found.host, found.pid, found.born) if found.executor else None,
        expires=found.expires,
        progress=json.loads(found.progress),
        ended=json.loads(found.ended),
        created_at=found.created_at,
        updated_at=found.updated_at,
        read_at=found.read_at,
    )
