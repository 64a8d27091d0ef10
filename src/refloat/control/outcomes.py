"""Writes down what has come of operations, and what that means for their checkpoints and for whom is told."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from sqlalchemy.orm import Session

from refloat.engine.program import Milestone
from refloat.errors import NotFound, RefloatError
from refloat.notify.events import NOBODY, START, TAKE_OVER, Notices
from refloat.records.checkpoints import (
    AVAILABLE,
    COPYING,
    DELETED,
    DELETING,
    ERROR,
    ERROR_DELETING,
    MANUAL,
    PROTECTING,
    WAIT_COPYING,
    CheckpointRecord,
    CheckpointRecords,
)
from refloat.records.database import Database
from refloat.records.operations import without_result


class Outcomes:
    """Writes down what has come of operations.

    :param notices: whom to tell.
    :param host: what this worker is called, where another's operations are taken over.
    """

    def __init__(self, database: Database, notices: Notices = NOBODY, host: str = "") -> None:
        self._database = database
        self._notices = notices
        self._host = host
        self._checkpoints = CheckpointRecords(database)

    def write(self, session: Session, milestone: Milestone) -> None:
        """Write what belongs to a milestone, in the transaction that writes the milestone itself.

        No bank is asked: whoever writes to the database waits for this.
        """
        operation = without_result(session, milestone.operation_id, milestone.payload)
        if milestone.what == "taken over":
            self._notices.operation(session, operation, TAKE_OVER, host=self._host)
        elif milestone.what == "began" and not milestone.undoing:
            if operation.kind == "copy":
                self._checkpoints.move(session, subject(milestone), [WAIT_COPYING], status=COPYING)
            self._notices.operation(session, operation, START)
        elif milestone.what == "ended" and milestone.state == "parked":
            self._notices.parked(session, operation, milestone.error)
        elif milestone.what == "ended":
            if (changes := _changes(milestone)) is not None:
                before, values = changes
                self._checkpoints.move(session, subject(milestone), before, **values)
            self._notices.ended(session, operation, milestone.state, milestone.result, milestone.error)

    def found(
        self, provider_id: str, info: Any, graph: Mapping[str, Any], id_of: Callable[[str], str]
    ) -> None:
        """Remember a checkpoint that was found in a bank.

        :param id_of: the id of a provider that a bank names.
        """
        made = datetime.fromisoformat(info.created_at)
        record = CheckpointRecord(
            id=info.id,
            project_id=info.project_id,
            provider_id=provider_id,
            plan_id=str(info.plan.get("id", "")),
            plan=info.plan,
            status=AVAILABLE,
            reason="",
            extra_info=dict(info.extra.get("extra_info") or MANUAL),
            graph=graph,
            created_at=made.astimezone(UTC).replace(tzinfo=None) if made.tzinfo else made,
            copied_from=_copied(info, id_of),
            plugins=dict(info.extra.get("plugins") or {}) or None,
        )
        with self._database.one_at_a_time(f"checkpoint {info.id}") as session:
            try:
                self._checkpoints.get(info.id, None)
            except NotFound:
                self._checkpoints.add(session, record)

    def vanished(self, identity: str) -> None:
        """Write down that a checkpoint is not in any bank any more."""
        with self._database.session() as session:
            self._checkpoints.move(session, identity, [AVAILABLE], status=DELETED)


def _changes(ended: Milestone) -> tuple[Sequence[str], dict[str, Any]] | None:
    """What the end of an operation means for its checkpoint: from which statuses it goes to what."""
    succeeded = ended.state == "succeeded"
    reason = str(RefloatError.from_json(dict(ended.error))) if ended.error else ended.state
    if ended.kind == "delete":
        # What is only half deleted may still be in the bank.
        return [DELETING], {"status": DELETED, "reason": ""} if succeeded else {
            "status": ERROR_DELETING,
            "reason": reason,
        }
    if ended.kind not in ("protect", "copy"):
        return None
    before = [PROTECTING] if ended.kind == "protect" else [WAIT_COPYING, COPYING]
    prepared = ended.prepared or {}
    # A copy may have found another one there.
    if succeeded and prepared.get("there", "") in ("", subject(ended)):
        return before, {"status": AVAILABLE, "graph": prepared["graph"], "reason": ""}
    return before, {"status": ERROR, "reason": reason}


def subject(operation: Milestone) -> str:
    """The checkpoint that an operation makes, or works on."""
    return str(operation.payload["copy_id" if operation.kind == "copy" else "checkpoint_id"])


def _copied(info: Any, id_of: Callable[[str], str]) -> dict[str, Any] | None:
    """What a checkpoint in a bank is a copy of; None: it is no copy."""
    found = info.extra.get("copied_from")
    if not found:
        return None
    return {
        "checkpoint_id": str(found.get("checkpoint_id", "")),
        "provider_id": id_of(str(found.get("provider", ""))),
        "origin": dict(found.get("origin") or {}),
    }
