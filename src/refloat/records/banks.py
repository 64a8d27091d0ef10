"""Which bank is used where, and what was last seen of it. Once that is known, no other is opened there."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager

from sqlalchemy import select, update
from sqlalchemy.exc import DBAPIError
from sqlalchemy.orm import Session

from refloat.database import now
from refloat.records.database import Database
from refloat.records.tables import BankRow, OperationRow

_LOG = logging.getLogger(__name__)


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
        since = now()
        for user in users:
            self._session.merge(BankRow(used_by=user, bank_id=bank_id, since=since, head=None))

    def forget_head(self, bank_id: str) -> None:
        """From now on, an earlier state of the bank is taken for the present."""
        self._session.execute(update(BankRow).where(BankRow.bank_id == bank_id).values(head=None))

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

    def memory(self, bank_id: str, accept: str) -> SeenHead:
        """What is remembered of a bank's head. :param accept: see :class:`refloat.bank.HeadMemory`."""
        return SeenHead(BankHeads(self._database), bank_id, accept)


class BankHeads:
    """The last that was seen of each bank's head, its anchor (see :class:`refloat.bank.Freshness`).

    Whoever remembers it recognises an older state of the bank.
    """

    def __init__(self, database: Database) -> None:
        self._database = database

    def of(self, bank_id: str) -> str:
        """What is remembered; empty: nothing."""
        with self._database.session() as session:
            heads = session.scalars(select(BankRow.head).where(BankRow.bank_id == bank_id))
            return max((str(head["anchor"]) for head in heads if head), key=_number, default="")

    def remember(self, bank_id: str, anchor: str) -> None:
        """A later one replaces an earlier one, never the other way round."""
        known = self.of(bank_id)
        if not known or _number(known) < _number(anchor):
            rows = update(BankRow).where(BankRow.bank_id == bank_id)
            self._database.change(rows.values(head={"anchor": anchor}))


class SeenHead:
    """The head of a bank, as :class:`BankHeads` has it; if that cannot be asked, as this process knows it."""

    def __init__(self, heads: BankHeads, bank_id: str, accept: str) -> None:
        self.accept = accept
        self._heads, self._bank_id = heads, bank_id
        self._known = ""

    def last(self) -> str:
        try:
            self._known = self._heads.of(self._bank_id)
        except DBAPIError as exc:
            _LOG.warning("the head of bank %s is not asked for: the database is away: %s", self._bank_id, exc)
        return self._known

    def remember(self, anchor: str) -> None:
        """While the database is away, only here."""
        self._known = anchor
        try:
            self._heads.remember(self._bank_id, anchor)
        except DBAPIError as exc:
            _LOG.warning(
                "the head of bank %s is not written down: the database is away: %s", self._bank_id, exc
            )


def _number(anchor: str) -> int:
    return int(anchor.partition(":")[0])
