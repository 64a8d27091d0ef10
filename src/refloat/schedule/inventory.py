"""What retention looks at: a plan's checkpoints, as the records know them."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import select
from sqlalchemy.orm import Session

from refloat.records.checkpoints import AVAILABLE, BAD, ERROR_DELETING, MISSING
from refloat.records.database import Database
from refloat.records.schedule_tables import HoldRow
from refloat.records.schedules import Schedule
from refloat.records.tables import CheckpointRow, OperationRow
from refloat.schedule.retention import Kept

CHAIN = "chain"
"""In the result of a protection: pairs of what it keeps in the cloud, and what that builds on."""


def kept(database: Database, schedule: Schedule) -> list[Kept]:
    """The checkpoints of a schedule's plan and provider: available, missing, or not wholly deleted."""
    query = select(
        CheckpointRow.id, CheckpointRow.created_at, CheckpointRow.status, CheckpointRow.verified
    ).where(
        CheckpointRow.project_id == schedule.project_id,
        CheckpointRow.plan_id == schedule.plan_id,
        CheckpointRow.provider_id == schedule.definition["provider_id"],
        CheckpointRow.status.in_((AVAILABLE, ERROR_DELETING, MISSING)),
    )
    with database.session() as session:
        rows = session.execute(query).all()
        held = {row.checkpoint_id: row.reason for row in session.scalars(select(HoldRow))}
        needs = _needs(session, schedule)
    return [
        Kept(
            row.id,
            row.created_at,
            bad=row.verified == BAD,
            unfinished=row.status == ERROR_DELETING,
            held=held.get(row.id),
            needs=needs.get(row.id, frozenset()),
            missing=row.status == MISSING,
        )
        for row in rows
    ]


def _needs(session: Session, schedule: Schedule) -> dict[str, frozenset[str]]:
    """The checkpoints without which others cannot be restored."""
    query = select(OperationRow.checkpoint_id, OperationRow.result[CHAIN]).where(
        OperationRow.project_id == schedule.project_id,
        OperationRow.plan_id == schedule.plan_id,
        OperationRow.kind == "protect",
        OperationRow.state == "succeeded",
    )
    chains: dict[str, Sequence[Sequence[str]]] = {row[0]: row[1] for row in session.execute(query) if row[1]}
    owners = {own: identity for identity, pairs in chains.items() for own, _parent in pairs}
    return {
        identity: frozenset(owners[parent] for _own, parent in pairs if parent in owners) - {identity}
        for identity, pairs in chains.items()
    }
