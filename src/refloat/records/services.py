"""Workers: who there is, and whether they live."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial

from sqlalchemy import delete, func, select
from sqlalchemy.exc import IntegrityError

from refloat.database import now
from refloat.errors import NotFound
from refloat.records.database import Database, of_row
from refloat.records.tables import ServiceRow


@dataclass(frozen=True, slots=True)
class ServiceRecord:
    """A worker.

    :param updated_at: its last sign of life, UTC.
    """

    id: int
    binary: str
    host: str
    updated_at: datetime
    disabled: bool
    disabled_reason: str | None


class ServiceRecords:
    """All workers there have been."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def alive(self, binary: str, host: str) -> ServiceRecord:
        """A worker's sign of life; what is known of it."""
        for _attempt in range(2):
            try:
                with self._database.session() as session:
                    query = select(ServiceRow).where(ServiceRow.binary == binary, ServiceRow.host == host)
                    row = session.scalars(query).one_or_none()
                    if row is None:
                        row = ServiceRow(binary=binary, host=host)
                        session.add(row)
                    row.updated_at = now()
                    session.flush()
                    return _record(row)
            except IntegrityError:  # another of the same name came first
                continue
        raise RuntimeError(f"cannot register {binary} on {host}")

    def list(self, host: str = "", binary: str = "") -> Sequence[ServiceRecord]:
        query = select(ServiceRow).order_by(ServiceRow.id)
        if host:
            query = query.where(ServiceRow.host == host)
        if binary:
            query = query.where(ServiceRow.binary == binary)
        return self._database.read(query, _record)

    def up(self, binary: str, age: timedelta) -> int:
        """How many have been heard of in that time, and may take new operations."""
        query = select(func.count()).where(
            ServiceRow.binary == binary, ServiceRow.updated_at >= now() - age, ServiceRow.disabled.is_(False)
        )
        with self._database.session() as session:
            return session.scalar(query) or 0

    def forget_dead(self, age: timedelta) -> None:
        """Forget those that have been silent for that long, unless somebody has disabled them."""
        silent = ServiceRow.updated_at < now() - age
        self._database.change(delete(ServiceRow).where(silent, ServiceRow.disabled.is_(False)))

    def set_disabled(self, identity: int, disabled: bool, reason: str | None) -> ServiceRecord:
        """Have a worker take no new operations, or take them again. :raises NotFound: it is not known."""
        with self._database.session() as session:
            row = session.get(ServiceRow, identity)
            if row is None:
                raise NotFound(f"there is no service {identity}")
            row.disabled, row.disabled_reason = disabled, reason
            session.flush()
            return _record(row)


_record = partial(of_row, ServiceRecord)
