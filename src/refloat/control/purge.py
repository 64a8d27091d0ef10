"""Forgets operations and firings that ended, and checkpoints that were deleted, long ago.

Banks are not touched.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import and_, delete, exists, or_, select
from sqlalchemy.orm import aliased

from refloat.engine.engine import Engine
from refloat.errors import Conflict
from refloat.records import operations
from refloat.records.checkpoints import DELETED
from refloat.records.database import Database
from refloat.records.outbox import Outbox
from refloat.records.schedule_tables import FiringRow
from refloat.records.schedules import OPEN
from refloat.records.tables import CheckpointRow, OperationRow

TELLING = ("protect", "verify")
"""Kinds of operations whose results tell of a checkpoint as long as it is there: what it builds on, and
whether it is any good. Retention decides by them."""


@dataclass(frozen=True, slots=True)
class Old:
    """What can be forgotten, by id."""

    operations: Sequence[str]
    checkpoints: Sequence[str]
    firings: Sequence[str]
    notices: Sequence[int] = ()
    """By number."""


def find(database: Database, before: datetime, told: Collection[str] | None = None) -> Old:
    """What ended, or was deleted, before a time.

    An operation goes when it has ended and given back what it acted with, and does not tell of a checkpoint
    that is there. A checkpoint goes when it is deleted and no operation on it stays. Firings go but for
    the last of each scheduled operation. A notice goes when it was given up, or nobody is left to be told.

    :param before: UTC, without saying so.
    :param told: the destinations of notices; None: not known, and then only what was given up goes.
    """
    there = exists().where(CheckpointRow.id == OperationRow.checkpoint_id, CheckpointRow.status != DELETED)
    tells = and_(OperationRow.kind.in_(TELLING), OperationRow.state == "succeeded", there)
    ended = (
        OperationRow.state.not_in(operations.OPEN),
        OperationRow.ended_at < before,
        OperationRow.authority.is_(None),
        ~tells,
    )
    stays = or_(OperationRow.ended_at.is_(None), OperationRow.ended_at >= before)
    on_it = exists().where(OperationRow.checkpoint_id == CheckpointRow.id, stays)
    deleted = (CheckpointRow.status == DELETED, CheckpointRow.created_at < before, ~on_it)
    later = aliased(FiringRow)
    is_last = ~exists().where(later.schedule_id == FiringRow.schedule_id, later.due_at > FiringRow.due_at)
    fired = (FiringRow.state.not_in(OPEN), FiringRow.ended_at < before, ~is_last)
    with database.session() as session:
        return Old(
            session.scalars(select(OperationRow.id).where(*ended)).all(),
            session.scalars(select(CheckpointRow.id).where(*deleted)).all(),
            session.scalars(select(FiringRow.id).where(*fired)).all(),
            Outbox(database).old(before, told),
        )


def forget(
    database: Database, engine: Engine, old: Old, say: Callable[[str], None] = lambda _sentence: None
) -> Old:
    """Delete it. A purge that was cut off is simply made again.

    :param say: told of what has to stay, and why.
    :return: what was forgotten.
    """
    gone: list[str] = []
    for identity in old.operations:
        try:
            engine.forget(identity)
        except Conflict as exc:  # the engine has the last word
            say(str(exc))
            continue
        gone.append(identity)
    with database.session() as session:
        for identity in old.checkpoints:
            session.execute(
                delete(CheckpointRow).where(CheckpointRow.id == identity, CheckpointRow.status == DELETED)
            )
        for identity in old.firings:
            session.execute(delete(FiringRow).where(FiringRow.id == identity))
    Outbox(database).forget(old.notices)
    return Old(gone, old.checkpoints, old.firings, old.notices)
