"""Which bank is used where. Once that is known, no other bank is opened there."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime

from sqlalchemy import select
from sqlalchemy.orm import Session

from refloat.records.database import Database
from refloat.records.tables import BankRow, OperationRow


class KnownBanks:
    """The ids of banks by their users: providers of a service, or the URLs that the command uses."""

    def __init__(self, session: Session) -> None:
        self._session = session

    def of(self, users: Sequence[str]) -> Mapping[str, str]:
        rows = self._session.execute(
            select(BankRow.used_by, BankRow.bank_id).where(BankRow.used_by.in_(users))
        )
        return {row.used_by: row.bank_id for row in rows}

    def write(self, users: Sequence[str], bank_id: str) -> None:
        since = datetime.now(UTC).replace(tzinfo=None)
        for user in users:
            self._session.merge(BankRow(used_by=user, bank_id=bank_id, since=since, head=None))

    def from_before(self) -> bool:
        """Whether something was protected before banks were known by their ids."""
        made = OperationRow.kind == "protect", OperationRow.state == "succeeded"
        banks = self._session.scalar(select(BankRow.used_by).limit(1))
        return (
            banks is None and self._session.scalar(select(OperationRow.id).where(*made).limit(1)) is not None
        )


class BankRecords:
    """The same, in a database."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def of(self, users: Sequence[str]) -> Mapping[str, str]:
        with self._database.session() as session:
            return KnownBanks(session).of(users)

    @contextmanager
    def changing(self) -> Iterator[KnownBanks]:
        """One process at a time makes banks, or writes down which they are."""
        with self._database.one_at_a_time("banks") as session:
            yield KnownBanks(session)
