"""Legal holds, and the operator's shortest retention: what keeps a checkpoint from being deleted."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import delete, select
from sqlalchemy.orm import Session

from refloat.errors import Conflict, NotFound
from refloat.records.checkpoints import DELETED, DELETING, now
from refloat.records.database import Database
from refloat.records.schedule_tables import HoldRow
from refloat.records.tables import CheckpointRow


@dataclass(frozen=True, slots=True)
class Hold:
    """One hold. ``created_at`` is UTC."""

    checkpoint_id: str
    project_id: str
    user_id: str
    reason: str
    created_at: datetime


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
            row.reason = reason
            session.flush()
            return _hold(row)

    def get(self, checkpoint_id: str) -> Hold:
        """The hold on a checkpoint. :raises NotFound: there is none."""
        found = self.among([checkpoint_id])
        if checkpoint_id not in found:
            raise NotFound(f"the checkpoint {checkpoint_id} is not on hold")
        return found[checkpoint_id]

    def release(self, checkpoint_id: str) -> None:
        """End a hold. :raises NotFound: there is none."""
        self.get(checkpoint_id)
        with self._database.session() as session:
            session.execute(delete(HoldRow).where(HoldRow.checkpoint_id == checkpoint_id))

    def among(self, checkpoint_ids: Iterable[str]) -> Mapping[str, Hold]:
        wanted = set(checkpoint_ids)
        with self._database.session() as session:
            rows = session.scalars(select(HoldRow))
            return {row.checkpoint_id: _hold(row) for row in rows if row.checkpoint_id in wanted}


def refuse_held(session: Session, checkpoint_id: str) -> None:
    """:raises Conflict: the checkpoint is on hold."""
    row = session.get(HoldRow, checkpoint_id)
    if row is not None:
        raise Conflict(
            f"the checkpoint {checkpoint_id} is on legal hold and cannot be deleted",
            reason=row.reason,
            advice="Release it first",
        )


def refuse_young(checkpoint_id: str, created_at: datetime, minimum: timedelta, moment: datetime) -> None:
    """:raises Conflict: the operator does not let a checkpoint go that is so young."""
    if moment - created_at < minimum:
        raise Conflict(
            f"the checkpoint {checkpoint_id} cannot be deleted yet",
            reason=f"the operator keeps everything for {span_text(minimum)}",
        )


def span_text(span: timedelta) -> str:
    hours = span.total_seconds() / 3600
    return f"{hours / 24:g} days" if hours >= 48 else f"{hours:g} hours"


def _hold(row: HoldRow) -> Hold:
    return Hold(**{name: getattr(row, name) for name in Hold.__slots__})
