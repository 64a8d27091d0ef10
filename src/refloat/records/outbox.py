"""What is to be told to others: written down with what has happened, kept until it is told.

A notice is put in the transaction that changes the records, so that one is never without the other. For each
destination there is a row of its own. Of one subject (an operation), a destination is told in order.
"""

from __future__ import annotations

import uuid
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import ColumnElement, and_, delete, exists, func, or_, select, update
from sqlalchemy.orm import Session, aliased

from refloat.database import changed, now
from refloat.records.database import Database, of_row
from refloat.records.tables import NoticeRow


@dataclass(frozen=True, slots=True)
class Notice:
    """Something that is to be told to one destination. Times are UTC.

    :param number: grows with each notice, so of one subject the higher number is the later.
    :param id: of what happened; the same for all destinations, and each time it is tried.
    :param tries: how often it was tried.
    :param given_up_at: since when nobody tries any more.
    :param reason: why it could not be told.
    """

    number: int
    id: str
    destination: str
    event_type: str
    subject: str
    data: Mapping[str, Any]
    created_at: datetime
    tries: int
    due_at: datetime
    given_up_at: datetime | None
    reason: str


@dataclass(frozen=True, slots=True)
class Backlog:
    """What one destination has not been told.

    :param oldest: when the first of what waits happened; None: nothing waits.
    """

    waiting: int
    given_up: int
    oldest: datetime | None


class Outbox:
    """All that is to be told."""

    def __init__(self, database: Database) -> None:
        self._database = database

    @staticmethod
    def put(
        session: Session,
        destinations: Iterable[str],
        event_type: str,
        subject: str,
        data: Mapping[str, Any],
    ) -> None:
        """Have something told, in a session of the caller's."""
        identity, moment = str(uuid.uuid4()), now()
        for destination in destinations:
            row = NoticeRow(
                id=identity,
                destination=destination,
                event_type=event_type,
                subject=subject,
                data=dict(data),
                created_at=moment,
                tries=0,
                due_at=moment,
                reason="",
            )
            session.add(row)
        # So that numbers are given in the order of the calls.
        session.flush()

    def take(self, destination: str, lease: timedelta) -> Notice | None:
        """The next that a destination is to be told, for the caller alone; None: nothing is due.

        What waits for something earlier of its subject is not next.

        :param lease: if nobody says by then what came of it, it is due again.
        """
        moment = now()
        earlier = aliased(NoticeRow)
        query = (
            select(NoticeRow)
            .where(
                NoticeRow.destination == destination,
                NoticeRow.given_up_at.is_(None),
                NoticeRow.due_at <= moment,
                ~exists().where(
                    earlier.destination == destination,
                    earlier.subject == NoticeRow.subject,
                    earlier.given_up_at.is_(None),
                    earlier.number < NoticeRow.number,
                ),
            )
            .order_by(NoticeRow.number)
            .limit(10)
        )
        for notice in self._database.read(query, _notice):  # others may be after the same
            taken = self._change(notice, due_at=moment + lease, tries=notice.tries + 1)
            if taken:
                return taken
        return None

    def told(self, notice: Notice) -> None:
        self._database.change(delete(NoticeRow).where(NoticeRow.number == notice.number))

    def later(self, notice: Notice, pause: timedelta, reason: str) -> None:
        self._change(notice, due_at=now() + pause, reason=reason)

    def give_up(self, notice: Notice, reason: str) -> None:
        """Have one not tried any more; it stays until it is purged. What is behind it goes on."""
        self._change(notice, given_up_at=now(), reason=reason)

    def _change(self, notice: Notice, **values: Any) -> Notice | None:
        """Change one that still is as it was seen; None: it is not."""
        statement = (
            update(NoticeRow)
            .where(
                NoticeRow.number == notice.number,
                NoticeRow.due_at == notice.due_at,
                NoticeRow.tries == notice.tries,
                NoticeRow.given_up_at.is_(None),
            )
            .values(**values)
        )
        with self._database.session() as session:
            if not changed(session, statement):
                return None
            return _notice(session.get_one(NoticeRow, notice.number))

    def left(self) -> Sequence[Notice]:
        """All that is not told, the oldest first."""
        return self._database.read(select(NoticeRow).order_by(NoticeRow.number), _notice)

    def backlogs(self) -> Mapping[str, Backlog]:
        waits = NoticeRow.given_up_at.is_(None)
        query = select(
            NoticeRow.destination,
            func.count().filter(waits),
            func.count().filter(~waits),
            func.min(NoticeRow.created_at).filter(waits),
        ).group_by(NoticeRow.destination)
        with self._database.session() as session:
            return {
                name: Backlog(waiting, given_up, oldest)
                for name, waiting, given_up, oldest in session.execute(query)
            }

    def try_again(self, destination: str | None = None) -> int:
        """Have what was given up, or waits to be tried again, be tried now; how many.

        :param destination: None: of all.
        """
        conditions: list[ColumnElement[bool]] = [NoticeRow.tries > 0]
        if destination is not None:
            conditions.append(NoticeRow.destination == destination)
        statement = update(NoticeRow).where(*conditions).values(given_up_at=None, due_at=now(), tries=0)
        return self._database.change(statement)

    def old(self, before: datetime, destinations: Collection[str] | None) -> Sequence[int]:
        """The numbers of those that can be forgotten.

        :param before: what was given up before that; or happened before, when nobody tells it any more.
        :param destinations: who is told; None: nobody knows.
        """
        conditions: list[ColumnElement[bool]] = [NoticeRow.given_up_at < before]
        if destinations is not None:
            nobody = NoticeRow.destination.not_in(destinations)
            conditions.append(and_(nobody, NoticeRow.created_at < before))
        with self._database.session() as session:
            return session.scalars(select(NoticeRow.number).where(or_(*conditions))).all()

    def forget(self, numbers: Iterable[int]) -> None:
        with self._database.session() as session:
            for number in numbers:
                session.execute(delete(NoticeRow).where(NoticeRow.number == number))


def _notice(row: NoticeRow) -> Notice:
    return of_row(Notice, row)
