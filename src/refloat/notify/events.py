"""What is told to others of operations and schedules, and in which words: the table of docs/notifications.md.

A notice is written down in the transaction that changes the records (:mod:`refloat.records.outbox`), so it
tells of just what became of an operation, once, whichever workers had it. Deliveries carry it away later.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from fnmatch import fnmatchcase
from typing import Any

from sqlalchemy.orm import Session

from refloat.database import now
from refloat.records.checkpoints import CheckpointRecord
from refloat.records.database import shown
from refloat.records.operations import BAD, KINDS, Operation
from refloat.records.outbox import Outbox
from refloat.records.schedules import Schedule

PREFIX = "data_protect"
ALL = ("*",)

START, TAKE_OVER, PARKED = "start", "take_over", "parked"
END, ERROR, CANCELLED = "end", "error", "cancelled"
AUTHORITY_LOST, AUTHORITY_BACK = "authority_lost", "authority_back"
NOTHING_DELETED, RETENTION = "nothing_deleted", "retention"
AUTHORITY_ENDING = "authority_ending"
MISSING, FOUND = "missing", "found"
ALTERED = "altered"

EVENT_TYPES = (
    *(
        f"{PREFIX}.{kind}.{what}"
        for kind in KINDS
        for what in (START, TAKE_OVER, PARKED, END, ERROR, CANCELLED)
    ),
    *(
        f"{PREFIX}.schedule.{what}"
        for what in (AUTHORITY_LOST, AUTHORITY_BACK, AUTHORITY_ENDING, NOTHING_DELETED, RETENTION)
    ),
    *(f"{PREFIX}.checkpoint.{what}" for what in (MISSING, FOUND)),
    f"{PREFIX}.bank.{ALTERED}",
)
"""All there are."""

Json = dict[str, Any]


class Notices:
    """Writes down what is to be told.

    :param destinations: who is told, and of what: patterns of event types, as those of file names.
    """

    def __init__(self, destinations: Mapping[str, Sequence[str]]) -> None:
        self._who = {
            event_type: [
                name
                for name, patterns in destinations.items()
                if any(fnmatchcase(event_type, pattern) for pattern in patterns)
            ]
            for event_type in EVENT_TYPES
        }

    def operation(self, session: Session, operation: Operation, what: str, **more: Any) -> None:
        """Tell what has happened to an operation, in a session of the caller's. Looks are not told of."""
        if operation.kind in KINDS:
            self._put(session, f"{operation.kind}.{what}", operation.id, operation_data(operation) | more)

    def ended(
        self,
        session: Session,
        operation: Operation,
        state: str,
        result: Mapping[str, Any] | None,
        error: Mapping[str, str] | None,
    ) -> None:
        """Tell how an operation has ended. A verification that found something bad has failed."""
        bad = (result or {}).get("status") == BAD
        what = {"succeeded": ERROR if bad else END, "cancelled": CANCELLED}.get(state, ERROR)
        told = _error(error) or (_found_bad(result or {}) if bad else None)
        more = {"lacks": list(result["lacks"])} if result and result.get("lacks") else {}
        self.operation(session, operation, what, state=state, error=told, ended_at=shown(now()), **more)

    def parked(self, session: Session, operation: Operation, error: Mapping[str, str] | None) -> None:
        """Tell that an operation stays where it is until somebody resumes or cancels it."""
        self.operation(session, operation, PARKED, state="parked", error=_error(error))

    def schedule(self, session: Session, schedule: Schedule, what: str, reason: str, **more: Any) -> None:
        """Tell what has happened to a scheduled operation, in a session of the caller's."""
        data = {
            "scheduled_operation_id": schedule.id,
            "scheduled_operation_name": schedule.name,
            "project_id": schedule.project_id,
            "user_id": schedule.user_id,
            "plan_id": schedule.plan_id,
            "trigger_id": schedule.trigger_id,
            "next_run_at": shown(schedule.next_due) or None,
            "reason": reason,
        }
        self._put(session, f"schedule.{what}", schedule.id, data | more)

    def checkpoint(self, session: Session, checkpoint: CheckpointRecord, what: str) -> None:
        """Tell that a checkpoint is not found in its bank, or is seen there again."""
        data = {
            "checkpoint_id": checkpoint.id,
            "project_id": checkpoint.project_id,
            "plan_id": checkpoint.plan_id or None,
            "plan_name": checkpoint.plan.get("name") or None,
            "provider": checkpoint.provider_id,
            "status": checkpoint.status,
            "reason": checkpoint.reason or None,
            "created_at": shown(checkpoint.created_at),
        }
        self._put(session, f"checkpoint.{what}", checkpoint.id, data)

    def bank(self, session: Session, bank_id: str, reason: str) -> None:
        """Tell that something of a bank is not as Refloat left it."""
        self._put(session, f"bank.{ALTERED}", bank_id, {"bank_id": bank_id, "reason": reason})

    def _put(self, session: Session, what: str, subject: str, data: Json) -> None:
        event_type = f"{PREFIX}.{what}"
        Outbox.put(session, self._who[event_type], event_type, subject, data)


NOBODY = Notices({})
"""Nobody wants to know."""


def operation_data(operation: Operation) -> Json:
    payload = operation.payload
    return {
        "operation_id": operation.id,
        "operation_type": operation.kind,
        "state": "running",
        "project_id": operation.project_id,
        "plan_id": operation.plan_id or None,
        "plan_name": (payload.get("plan") or {}).get("name") or None,
        "provider": payload.get("provider") or None,
        "checkpoint_id": operation.checkpoint_id or None,
        "copy_id": payload.get("copy_id") or None,
        "scheduled_operation_id": operation.scheduled_operation_id or None,
        "request_id": payload.get("request_id") or None,
        "created_at": operation.created_at,
        "began_at": operation.began_at or None,
        "ended_at": None,
        "error": None,
    }


_TOLD = ("message", "resource", "reason", "request_id", "left_behind", "advice")


def _error(error: Mapping[str, str] | None) -> Json | None:
    return {name: str(error[name]) for name in _TOLD if error.get(name)} if error else None


def _found_bad(result: Mapping[str, Any]) -> Json:
    return {"message": "the verification found something bad", "advice": "See the operation's result"}
