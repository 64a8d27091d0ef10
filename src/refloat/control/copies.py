"""Copies of checkpoints to the banks of other providers: an operation for each."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from refloat.bank import Bank
from refloat.control.grants import NOTHING
from refloat.control.payloads import short
from refloat.control.submit import Requester, Submitter, own
from refloat.errors import Conflict, InvalidInput
from refloat.operations.copyplan import copy_id
from refloat.providers.provider import Provider
from refloat.records.checkpoints import (
    DELETED,
    DELETING,
    ERROR,
    MISSING,
    UNVERIFIED,
    WAIT_COPYING,
    CheckpointRecord,
)
from refloat.records.operations import Operation

COPIED_AGAIN = (ERROR, DELETED, MISSING)
"""A copy of these statuses is made again, under the id that it had."""


@dataclass(frozen=True)
class CopyOrder:
    """How to copy.

    :param to: the provider to whose bank.
    :param bank_of: the open bank of a provider; may raise TimeoutError.
    :param allow_incomplete: copy although some of the data stays in the cloud.
    :param find_existing: have an operation find the copy that is there already, rather than leave it out.
    """

    to: Provider
    bank_of: Callable[[Provider], Bank]
    allow_incomplete: bool = False
    find_existing: bool = False


def copy(
    submitter: Submitter,
    by: Requester,
    checkpoints: Sequence[CheckpointRecord],
    order: CopyOrder,
    *,
    source: Bank | None = None,
    more: Mapping[str, Any] | None = None,
) -> list[Operation]:
    """Copy checkpoints of one provider to another's bank: an operation for each.

    Those whose copy is there, or being made, are left out.

    :param source: the bank that they are in, if not that of their provider.
    :raises InvalidInput: there is nothing to copy.
    :raises Conflict: both providers have one bank; or an existing one was to be found, and is being made.
    :raises OverQuota: the project has as many checkpoints as it may.
    :raises TimeoutError: a bank does not answer.
    """
    made: list[Operation] = []
    wanted = [
        _copy_of(checkpoint, order, source or order.bank_of(submitter.provider_of(checkpoint)))
        for checkpoint in checkpoints
    ]
    locks = sorted({f"checkpoint {each.id}" for each in (*checkpoints, *wanted)})
    with submitter.transaction(None, f"checkpoints {by.project_id}", *locks) as session:
        statuses = submitter.checkpoints.statuses(session, [copy.id for copy in wanted])
        for checkpoint, copy in zip(checkpoints, wanted, strict=True):
            status = statuses.get(copy.id)
            if status not in (None, *COPIED_AGAIN):
                if not order.find_existing:
                    continue
                if status == DELETING:
                    raise Conflict(
                        f"the copy {copy.id} is being deleted", advice="Copy again when it is gone"
                    )
                for user in submitter.operations.users_of(session, checkpoint.id):
                    if user.payload.get("copy_id") == copy.id:
                        raise _being_copied(user)
            own(by, checkpoint.project_id)
            submitter.check_available(session, checkpoint)
            if status is None:
                submitter.quotas.check(session, "checkpoints", by.project_id)
                submitter.checkpoints.add(session, copy)
            elif submitter.checkpoints.move(session, copy.id, COPIED_AGAIN, status=WAIT_COPYING, reason=""):
                submitter.quotas.check(session, "checkpoints", by.project_id)
            payload = _copy_payload(checkpoint, order) | {"copy_id": copy.id, **(more or {})}
            made.append(
                submitter.add(
                    session, by, "copy", checkpoint, submitter.provider_of(checkpoint), payload, NOTHING
                )
            )
        if not made:
            raise InvalidInput(
                "there is nothing to copy",
                reason=f"every available checkpoint is there, or on its way: provider {order.to.name}"
                if checkpoints
                else "the plan has no available checkpoint",
            )
    return made


def plan_copy(
    submitter: Submitter,
    by: Requester,
    checkpoint: CheckpointRecord,
    order: CopyOrder,
    *,
    more: Mapping[str, Any] | None = None,
) -> Operation:
    """Find out what a copy would do. :raises Conflict: the checkpoint is not available."""
    payload = {**_copy_payload(checkpoint, order), **(more or {})}
    return submitter.on_available(by, "copy_plan", "copy", checkpoint, {}, payload, acts=False)


def _being_copied(user: Operation) -> Conflict:
    return Conflict(
        f"the checkpoint is being copied there by operation {user.id}",
        advice=f"Follow it with: refloat operation watch {user.id}",
    )


def _copy_of(checkpoint: CheckpointRecord, order: CopyOrder, source: Bank) -> CheckpointRecord:
    """The copy of a checkpoint, as it will be at first."""
    target = order.bank_of(order.to)
    if source.id == target.id:
        raise Conflict(
            f"provider {order.to.name} has its checkpoints in the bank that this one is in",
            advice="Name a provider with a bank of its own",
        )
    known_origin = (checkpoint.copied_from or {}).get("origin")
    origin = known_origin or {"bank_id": source.id, "checkpoint_id": checkpoint.id}
    identity = copy_id(origin, target)
    if origin["bank_id"] == target.id:
        identity = origin["checkpoint_id"]  # it is the original that is there
    return replace(
        checkpoint,
        id=identity,
        provider_id=order.to.id,
        status=WAIT_COPYING,
        reason="",
        graph=None,
        **UNVERIFIED,
        copied_from={
            "checkpoint_id": checkpoint.id,
            "provider_id": checkpoint.provider_id,
            "origin": origin,
        },
    )


def _copy_payload(checkpoint: CheckpointRecord, order: CopyOrder) -> dict[str, Any]:
    return {
        "plan": short(checkpoint.plan),
        "parameters": {},
        "to": order.to.reference,
        "to_name": order.to.name,
        "allow_incomplete": order.allow_incomplete,
    }
