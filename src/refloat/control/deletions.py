"""The only place that begins a deletion."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sqlalchemy.orm import Session

from refloat.control.payloads import short
from refloat.control.submit import Requester, Submitter, own
from refloat.errors import Conflict
from refloat.records.checkpoints import (
    AVAILABLE,
    DELETED,
    DELETING,
    ERROR,
    ERROR_DELETING,
    MISSING,
    CheckpointRecord,
)
from refloat.records.holds import refuse_held, refuse_young
from refloat.records.incarnation import brought_back_since
from refloat.records.operations import Operation
from refloat.records.terms import OperatorTerms

DELETABLE = (AVAILABLE, ERROR, ERROR_DELETING, MISSING)


def delete(
    submitter: Submitter,
    by: Requester,
    checkpoint: CheckpointRecord,
    *,
    administrator: bool = False,
    session: Session | None = None,
    operation_id: str = "",
    more: Mapping[str, Any] | None = None,
) -> Operation | None:
    """Delete a checkpoint; None: nothing of it was ever kept, and it is forgotten at once.

    Under the checkpoint's lock it looks at its status, at holds, at the operator's shortest retention and at
    who uses it.

    :param administrator: the operator's shortest retention does not hold for this caller.
    :param session: a transaction of the caller's to do it in.
    :raises Conflict: its status does not allow it, it is on hold, too young, or in use.
    """
    own(by, checkpoint.project_id)
    provider = submitter.provider_of(checkpoint)
    payload = {"plan": short(checkpoint.plan), "parameters": {}, "young": administrator, **(more or {})}
    payload["was"] = checkpoint.status
    lock = f"checkpoint {checkpoint.id}"
    if checkpoint.graph is None and checkpoint.status == ERROR:
        with submitter.transaction(session, lock) as writing:
            # What a database that was brought back does not know of may have been made since.
            if not brought_back_since(writing, checkpoint.created_at):
                submitter.checkpoints.move(writing, checkpoint.id, [ERROR], status=DELETED)
                return None
    if checkpoint.status not in DELETABLE:
        raise not_deletable(checkpoint.id, checkpoint.status)
    with submitter.granted(by) as grant:
        with submitter.transaction(session, lock) as writing:
            refuse_held(writing, checkpoint.id)
            if not administrator:
                minimum = OperatorTerms.read(writing).minimum
                refuse_young(checkpoint.id, checkpoint.created_at, minimum, submitter.clock())
            for user in submitter.operations.users_of(writing, checkpoint.id):
                raise in_use(checkpoint.id, user)
            if not submitter.checkpoints.move(writing, checkpoint.id, DELETABLE, status=DELETING, reason=""):
                found = submitter.checkpoints.statuses(writing, [checkpoint.id])
                raise not_deletable(checkpoint.id, found.get(checkpoint.id, DELETED))
            operation = submitter.add(
                writing, by, "delete", checkpoint, provider, payload, grant, operation_id
            )
        grant.keep()
    return operation


def not_deletable(checkpoint_id: str, status: str) -> Conflict:
    """The refusal to delete a checkpoint of such a status."""
    return Conflict(f"the checkpoint {checkpoint_id} can not be deleted: it is {status}")


def in_use(checkpoint_id: str, user: Operation) -> Conflict:
    return Conflict(
        f"the checkpoint {checkpoint_id} is in use by a {user.kind} operation",
        reason=f"operation {user.id}",
        advice="Wait for it, or cancel it",
    )
