"""Legal holds, and the operator's shortest retention: what keeps a checkpoint from being deleted."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from functools import partial

from sqlalchemy import delete, select, update
from sqlalchemy.orm import Session

from refloat.database import now
from refloat.errors import Conflict, Held, NotFound
from refloat.records.checkpoints import DELETED, DELETING
from refloat.records.database import Database, of_row
from refloat.records.schedule_tables import HoldRow
from refloat.records.tables import CheckpointRow


@dataclass(frozen=True, slots=True)
class Hold:
    """One hold. Times are UTC.

    :param in_bank: it is also written down in the bank.
    :param released_at: it has ended, but the bank does not know that yet.
    """

    checkpoint_id: str
    project_id: str
    user_id: str
    reason: str
    created_at: datetime
    in_bank: bool = False
    released_at: datetime | None = None


class Holds:
    """The holds of all projects."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def place(self, checkpoint_id: str, project_id: str, user_id: str, reason: str) -> Hold:
        """Put a checkpoint on hold; one that is already gets the new reason.

        :raises Conflict: it is being deleted, or is deleted.
        """
        with self._database.one_at_a_time(f"checkpoint {checkpoint_id}") as session:
            status = session.scalar(select(CheckpointRow.status).where(CheckpointRow.id == checkpoint_id))
            if status in (DELETING, DELETED):
                raise Conflict(f"the checkpoint {checkpoint_id} can not be put on hold: it is {status}")
            row = session.get(HoldRow, checkpoint_id)
            if row is None:
                row = HoldRow(
                    checkpoint_id=checkpoint_id,
                    project_id=project_id,
                    user_id=user_id,
                    reason=reason,
                    created_at=now(),
                )
                session.add(row)
            if row.released_at is not None:
                row.created_at, row.released_at = now(), None
            row.reason, row.in_bank = reason, False
            session.flush()
            return of_row(Hold, row)

    def get(self, checkpoint_id: str) -> Hold:
        """The hold on a checkpoint. :raises NotFound: there is none."""
        found = self.among([checkpoint_id])
        if checkpoint_id not in found:
            raise NotFound(f"the checkpoint {checkpoint_id} is not on hold")
        return found[checkpoint_id]

    def refuse(self, checkpoint_id: str) -> None:
        """:raises Held: the checkpoint is on hold."""
        with self._database.session() as session:
            refuse_held(session, checkpoint_id)

    def release(self, checkpoint_id: str) -> None:
        """End a hold. :raises NotFound: there is none."""
        self.get(checkpoint_id)
        one = update(HoldRow).where(HoldRow.checkpoint_id == checkpoint_id)
        self._database.change(one.values(released_at=now()))

    def among(self, checkpoint_ids: Iterable[str]) -> Mapping[str, Hold]:
        wanted = set(checkpoint_ids)
        found = (hold for hold in self.all() if hold.checkpoint_id in wanted)
        return {hold.checkpoint_id: hold for hold in found if hold.released_at is None}

    # What those need who write holds into the bank

    def all(self) -> list[Hold]:
        """Also those that are released, but may be in the bank still."""
        return self._database.read(select(HoldRow), partial(of_row, Hold))

    def kept(self, checkpoint_id: str, created_at: datetime) -> None:
        """It is in the bank."""
        one = update(HoldRow).where(HoldRow.checkpoint_id == checkpoint_id)
        self._database.change(one.where(HoldRow.created_at == created_at).values(in_bank=True))

    def take_up(self, hold: Hold) -> None:
        """Write down a hold that only the bank knew."""
        with self._database.one_at_a_time(f"checkpoint {hold.checkpoint_id}") as session:
            if session.get(HoldRow, hold.checkpoint_id) is None:
                session.add(HoldRow(**{**asdict(hold), "reason": hold.reason[:255]}))

    def forget(self, checkpoint_id: str, released_at: datetime | None = None) -> None:
        """It is nowhere any more.

        :param released_at: only when it was released then: it may have been placed anew.
        """
        one = delete(HoldRow).where(HoldRow.checkpoint_id == checkpoint_id)
        if released_at is not None:
            one = one.where(HoldRow.released_at == released_at)
        self._database.change(one)


def refuse_held(session: Session, checkpoint_id: str) -> None:
    """:raises Held: the checkpoint is on hold."""
    row = session.get(HoldRow, checkpoint_id)
    if row is not None and row.released_at is None:
        raise Held(
            f"the checkpoint {checkpoint_id} is on legal hold and cannot be deleted",
            reason=row.reason,
            advice="Release it first",
        )


def refuse_young(checkpoint_id: str, created_at: datetime, minimum: timedelta, moment: datetime) -> None:
    """:raises Held: the operator does not let a checkpoint go that is so young."""
    if moment - created_at < minimum:
        raise Held(
            f"the checkpoint {checkpoint_id} cannot be deleted yet",
            reason=f"the operator keeps everything for {span_text(minimum)}",
        )


def span_text(span: timedelta) -> str:
    hours = span.total_seconds() / 3600
    return f"{hours / 24:g} days" if hours >= 48 else f"{hours:g} hours"
