"""Writes down what has come of the service's operations, and what that means for their checkpoints."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

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
from refloat.records.operations import OPEN, Operation, ServiceOperations, write_begin, write_end


class Outcomes:
    """Writes down what has come of the service's operations.

    :param notices: whom to tell.
    """

    def __init__(self, database: Database, notices: Notices = NOBODY) -> None:
        self._database = database
        self._notices = notices
        self._checkpoints = CheckpointRecords(database)

    def ended(
        self,
        operation: Operation,
        state: str,
        result: Mapping[str, Any] | None,
        error: Mapping[str, str] | None,
        graph: Mapping[str, Any] | None = None,
    ) -> None:
        """Write down how an operation ended, and what that means for its checkpoint.

        :param graph: of the checkpoint, if it is in the bank now.
        """
        changes = self._changes(operation, state, error, graph)
        with self._database.session() as session:
            # At once: whoever sees the one sees the other.
            if not write_end(session, operation.id, state, result, error, before=OPEN):
                return  # another worker was quicker
            if changes is not None:
                before, values = changes
                self._checkpoints.move(session, subject(operation), before, **values)
            self._notices.ended(session, operation, state, result, error)

    def _changes(
        self,
        operation: Operation,
        state: str,
        error: Mapping[str, str] | None,
        graph: Mapping[str, Any] | None,
    ) -> tuple[Sequence[str], dict[str, Any]] | None:
        reason = _words(error)
        if operation.kind == "protect":
            if state == "succeeded":
                return [PROTECTING], {"status": AVAILABLE, "graph": graph, "reason": ""}
            return [PROTECTING], {"status": ERROR, "reason": reason or state}
        if operation.kind == "delete":
            if graph is None:
                return [DELETING], {"status": DELETED, "reason": ""}
            return [DELETING], {"status": ERROR_DELETING, "reason": reason or state}
        if operation.kind == "copy":
            if state == "succeeded" and graph is not None:
                return [WAIT_COPYING, COPYING], {"status": AVAILABLE, "graph": graph, "reason": ""}
            return [WAIT_COPYING, COPYING], {"status": ERROR, "reason": reason or state}
        return None

    def begins(self, operation: Operation) -> None:
        """Write down that a worker is about to begin with an operation. Fine when it has before."""
        with self._database.session() as session:
            if moment := write_begin(session, operation.id):
                self._notices.operation(session, operation, START, began_at=moment)

    def taken_over(self, operation_id: str, host: str) -> None:
        """Tell that a worker goes on with an operation whose worker has died."""
        operation = ServiceOperations(self._database).get(operation_id, None)
        with self._database.session() as session:
            self._notices.operation(session, operation, TAKE_OVER, host=host)

    def began(self, operation: Operation) -> None:
        """Write down that a worker has begun with an operation."""
        if operation.kind == "copy":
            with self._database.session() as session:
                self._checkpoints.move(session, subject(operation), [WAIT_COPYING], status=COPYING)

    def parked(self, operation: Operation, error: Mapping[str, str] | None) -> None:
        """Write down that an operation was stopped where it was, and stays so until it is resumed."""
        with self._database.session() as session:
            if write_end(session, operation.id, "parked", None, error, before=("running",)):
                self._notices.parked(session, operation, error)

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


def _words(error: Mapping[str, str] | None) -> str:
    if not error:
        return ""
    return str(RefloatError.from_json(dict(error)))


def subject(operation: Operation) -> str:
    """The checkpoint that an operation makes, or works on."""
    return str(operation.payload["copy_id"]) if operation.kind == "copy" else operation.checkpoint_id


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
