"""Forgets operations that ended, and checkpoints that were deleted, long ago. Banks are not touched."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import delete, exists, or_, select

from refloat.engine.engine import Engine
from refloat.errors import Conflict
from refloat.records.checkpoints import DELETED
from refloat.records.database import Database
from refloat.records.outbox import Outbox
from refloat.records.tables import CheckpointRow, OperationRow


@dataclass(frozen=True, slots=True)
class Old:
    """What can be forgotten, by id."""

    operations: Sequence[str]
    checkpoints: Sequence[str]
    notices: Sequence[int] = ()
    """By number."""


def find(database: Database, before: datetime, told: Collection[str] | None = None) -> Old:
    """What ended, or was deleted, before a time.

    An operation goes when it has ended and given back what it acted with. A checkpoint goes when it is
    deleted and no operation on it stays. A notice goes when it was given up, or nobody is left to be told.

    :param before: UTC, without saying so.
    :param told: the destinations of notices; None: not known, and then only what was given up goes.
    """
    ended = (
        OperationRow.state.not_in(("running", "parked")),
        OperationRow.ended_at < before,
        OperationRow.authority.is_(None),
    )
    stays = or_(OperationRow.ended_at.is_(None), OperationRow.ended_at >= before)
    on_it = exists().where(OperationRow.checkpoint_id == CheckpointRow.id, stays)
    deleted = (CheckpointRow.status == DELETED, CheckpointRow.created_at < before, ~on_it)
    with database.session() as session:
        return Old(
            session.scalars(select(OperationRow.id).where(*ended)).all(),
            session.scalars(select(CheckpointRow.id).where(*deleted)).all(),
            Outbox(database).old(before, told),
        )


def forget(
    database: Database, engine: Engine, old: Old, say: Callable[[str], None] = lambda _sentence: None
) -> Old:
    """Delete it, the engine's part first, so that a purge that was cut off is simply made again.

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
        with database.session() as session:
            session.execute(delete(OperationRow).where(OperationRow.id == identity))
        gone.append(identity)
    with database.session() as session:
        for identity in old.checkpoints:
            session.execute(
                delete(CheckpointRow).where(CheckpointRow.id == identity, CheckpointRow.status == DELETED)
            )
    Outbox(database).forget(old.notices)
    return Old(gone, old.checkpoints, old.notices)
