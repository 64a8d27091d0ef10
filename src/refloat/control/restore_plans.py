"""Restore plans that are kept: made, changed, approved, run.

One is what was chosen, and what an operation that only looks has found a restore of that would do. To run it
is to plan again from the same choices: where that decides otherwise, nothing is done, and it is stale.
"""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from sqlalchemy.orm import Session

from refloat.cloud.authority import Caller
from refloat.control.submit import Submitter, own
from refloat.database import now
from refloat.errors import Conflict, InvalidInput, NotFound
from refloat.operations.choices import Choices
from refloat.records.checkpoints import CheckpointRecord
from refloat.records.database import Database
from refloat.records.operations import Operation
from refloat.records.quotas import OverQuota
from refloat.records.restore_plans import (
    PLANNING,
    READY,
    RUNNING,
    KeptPlan,
    RestorePlanRow,
    RestorePlans,
    former,
)
from refloat.records.terms import OperatorTerms

MOST = 100
"""So many restore plans may a project have: each is as large as what it restores."""

_BUSY = (PLANNING, RUNNING)


class KeptPlans:
    """What may be done about the restore plans of all projects.

    :param submitter: begins the operations.
    """

    def __init__(self, database: Database, submitter: Submitter) -> None:
        self._database, self._submitter = database, submitter
        self._records = RestorePlans(database, None)

    def of(self, project_id: str | None) -> RestorePlans:
        """Those of a project; None: of all."""
        return RestorePlans(self._database, project_id)

    def create(
        self,
        by: Caller,
        checkpoint: CheckpointRecord,
        choices: Choices,
        *,
        name: str = "",
        approval: bool = False,
        more: Mapping[str, Any] | None = None,
    ) -> tuple[KeptPlan, Operation]:
        """A new one, and the operation that makes it.

        :param approval: it is run only when somebody else has approved it.
        :param more: as for :meth:`Submitter.restore`.
        """
        identity = str(uuid.uuid4())
        called = (
            name or f"{checkpoint.plan.get('name') or 'checkpoint'} of {checkpoint.created_at:%Y-%m-%d %H:%M}"
        )

        def write(session: Session, operation: Operation) -> None:
            if self._records.count(session, by.project_id) >= MOST:
                raise OverQuota(
                    f"the project has {MOST} restore plans, and may not have more",
                    advice="Delete some: refloat restore plan delete",
                )
            self._records.add(
                session,
                id=identity,
                project_id=by.project_id,
                user_id=by.user_id,
                name=called[:255],
                provider_id=checkpoint.provider_id,
                checkpoint_id=checkpoint.id,
                choices=choices.to_json(),
                operation_id=operation.id,
                approval=approval,
            )

        operation = self._plan(by, checkpoint, choices, identity, write, more)
        return self._records.get(identity), operation

    def change(
        self,
        by: Caller,
        plan: KeptPlan,
        checkpoint: CheckpointRecord,
        choices: Choices,
        *,
        name: str | None = None,
        approval: bool | None = None,
        more: Mapping[str, Any] | None = None,
    ) -> tuple[KeptPlan, Operation]:
        """Make it again, from other choices or the same, as the cloud is now. Nobody has approved it then.

        When it cannot be made, it is again what it was.
        """

        def write(session: Session, operation: Operation) -> None:
            row = self._idle(session, plan.id)
            if (row.status, row.approved_by) != (plan.status, plan.approved_by):
                raise Conflict(f"the restore plan {plan.id} has just been changed: look at it again")
            given = {"name": name, "approval": approval}
            self._records.change(
                session,
                plan.id,
                **{key: value for key, value in given.items() if value is not None},
                choices=choices.to_json(),
                operation_id=operation.id,
                user_id=by.user_id,
                status=PLANNING,
                reason="",
                approved_by="",
                approved_at=None,
                updated_at=now(),
            )

        payload = {**(more or {}), "was": former(plan)}
        operation = self._plan(by, checkpoint, choices, plan.id, write, payload)
        return self._records.get(plan.id), operation

    def _plan(
        self,
        by: Caller,
        checkpoint: CheckpointRecord,
        choices: Choices,
        identity: str,
        write: Any,
        more: Mapping[str, Any] | None,
    ) -> Operation:
        own(by, checkpoint.project_id)
        choices.check_settings(checkpoint.graph)
        payload = {**(more or {}), "restore_plan_id": identity}
        return self._submitter.restore(by, checkpoint, choices, dry_run=True, more=payload, also=write)

    def approve(self, by: Caller, plan: KeptPlan) -> KeptPlan:
        """Say that it may be run.

        :raises Conflict: it is not ready, or needs somebody else for that.
        """
        own(by, plan.project_id)
        with self._changing(plan) as session:
            row = self._idle(session, plan.id)
            if row.status != READY or not (row.content or {}).get("possible"):
                raise Conflict(f"the restore plan {plan.id} cannot be approved: it is {_words(row)}")
            if self._needs_approval(session, row) and row.user_id == by.user_id:
                raise Conflict("a restore plan is approved by somebody else than who made or changed it last")
            self._records.change(session, plan.id, approved_by=by.user_id, approved_at=now())
        return self._records.get(plan.id)

    def run(
        self,
        by: Caller,
        plan: KeptPlan,
        checkpoint: CheckpointRecord,
        *,
        keep_on_failure: bool = False,
        more: Mapping[str, Any] | None = None,
    ) -> Operation:
        """Restore what it says.

        :raises Conflict: it is not ready, not possible, or not approved.
        """

        def write(session: Session, operation: Operation) -> None:
            row = self._idle(session, plan.id)
            if row.status != READY or not (row.content or {}).get("possible"):
                raise Conflict(
                    f"the restore plan {plan.id} cannot be run: it is {_words(row)}",
                    reason=row.reason,
                    advice=f"Have it made again: refloat restore plan set {plan.id}",
                )
            if self._needs_approval(session, row) and not row.approved_by:
                raise Conflict(
                    f"the restore plan {plan.id} is not approved",
                    advice=f"Somebody else approves it: refloat restore plan approve {plan.id}",
                )
            self._records.change(session, plan.id, status=RUNNING, reason="", operation_id=operation.id)

        payload = {**(more or {}), "restore_plan_id": plan.id}
        choices = Choices.of(plan.choices)
        return self._submitter.restore(
            by, checkpoint, choices, keep_on_failure=keep_on_failure, more=payload, also=write
        )

    def delete(self, by: Caller, plan: KeptPlan) -> None:
        """Forget it. :raises Conflict: it is being made, or run."""
        own(by, plan.project_id)
        with self._changing(plan) as session:
            self._idle(session, plan.id)
            self._records.delete(session, plan.id)

    def _changing(self, plan: KeptPlan) -> Any:
        return self._submitter.transaction(None, f"checkpoint {plan.checkpoint_id}")

    def _idle(self, session: Session, identity: str) -> RestorePlanRow:
        row = self._records.row(session, identity)
        if row.status in _BUSY:
            raise Conflict(
                f"the restore plan {identity} is {_words(row)}",
                advice=f"Wait for operation {row.operation_id}, or cancel it",
            )
        return row

    def _needs_approval(self, session: Session, row: RestorePlanRow) -> bool:
        return row.approval or OperatorTerms.read(session).approval


def _words(row: RestorePlanRow) -> str:
    words = {PLANNING: "being made", RUNNING: "being restored", READY: "ready"}
    if row.status == READY and row.content is not None and not row.content.get("possible"):
        return "not possible"
    return words.get(row.status, row.status)


def newest(checkpoints: Mapping[str, datetime], at: datetime | None = None) -> str:
    """The id of the newest of some available checkpoints, by their times (UTC).

    :param at: of those that there were at that time.
    :raises NotFound: there is none.
    """
    fits = {made: identity for identity, made in checkpoints.items() if at is None or made <= at}
    if not fits:
        until = f" of {at:%Y-%m-%d %H:%M} UTC or before" if at else ""
        raise NotFound(f"the plan has no available checkpoint{until}", advice="See: refloat checkpoint list")
    return fits[max(fits)]


def time_of(text: str) -> datetime:
    """A moment in UTC, without its zone. :raises InvalidInput: it is not ISO 8601."""
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        raise InvalidInput(f"'{text}' is no time in ISO 8601", advice="As in 2026-11-29T02:30") from None
    return found.astimezone(UTC).replace(tzinfo=None) if found.tzinfo else found
