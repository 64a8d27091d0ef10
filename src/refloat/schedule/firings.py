"""What a firing of a scheduled operation does: a protection, deletions, and how these ended."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any

from sqlalchemy.orm import Session

from refloat.control import deletions
from refloat.control.submit import StandingAuthority, Submitter
from refloat.database import now
from refloat.errors import Conflict, NotFound, RefloatError
from refloat.notify.events import NOBODY, Notices
from refloat.records.checkpoints import AVAILABLE, BAD, ERROR_DELETING, SCHEDULED, CheckpointRecords
from refloat.records.database import Database
from refloat.records.operations import OPEN, Operations, write_failure
from refloat.records.plans import Plans
from refloat.records.schedule_tables import FiringRow, ScheduleRow
from refloat.records.schedules import FAILED, RUNNING, SUCCEEDED, WAITING, Firing, Schedule

_PROOF = "proof"

CREATED_BY = "operation-engine"
"""What Karbor's checkpoints of scheduled operations say."""


class Firings:
    """Has the operations of firings begun, in the transaction that changes the firing."""

    def __init__(
        self,
        database: Database,
        submitter: Submitter,
        *,
        notices: Notices = NOBODY,
        clock: Callable[[], datetime] = now,
    ) -> None:
        self._clock = clock
        self.notices = notices
        self._database = database
        self._submitter = submitter
        self._operations = Operations(database)
        self._checkpoints = CheckpointRecords(database)

    def protect(self, firing: Firing, schedule: Schedule) -> None:
        """Have a firing's protection begun, unless another worker has.

        :raises RefloatError: it cannot be: the plan is gone, the quota used up...
        """
        plan = Plans(self._database, schedule.project_id).get(schedule.plan_id)
        with self._database.one_at_a_time(f"checkpoints {schedule.project_id}") as session:
            row = session.get(FiringRow, firing.id, with_for_update=True)
            owner = session.get(ScheduleRow, schedule.id)
            if row is None or row.state != WAITING or owner is None or owner.trigger_id is None:
                return
            record, operation = self._submitter.protect(
                _standing(owner),
                plan,
                {
                    "created_by": CREATED_BY,
                    "trigger_id": schedule.trigger_id,
                    SCHEDULED: schedule.id,
                },
                session=session,
                derived=lambda what: _derived(firing.id, what),
            )
            row.state, row.reason, row.checkpoint_id = RUNNING, "", record.id
            row.operation_id = operation.id

    def failed(self, firing: Firing, schedule: Schedule, error: RefloatError, *, final: bool) -> None:
        """Write down a protection that could not begin, so that the operation log tells why.

        :param final: the firing has ended with it; else what comes after a protection still does.
        """
        payload = {
            "plan": {"id": schedule.plan_id},
            "provider": schedule.definition["provider_id"],
            "project_id": schedule.project_id,
            "scheduled_operation_id": schedule.id,
        }
        identity = _derived(firing.id, "operation")
        with self._database.one_at_a_time(f"checkpoints {schedule.project_id}") as session:
            row = session.get(FiringRow, firing.id, with_for_update=True)
            if row is None or row.state != WAITING:
                return
            operation = self._operations.add(session, identity, "protect", schedule.project_id, payload, None)
            write_failure(session, identity, error.to_json())
            self.notices.ended(session, operation, "failed", None, error.to_json())
            row.operation_id, row.reason, row.state = identity, str(error), RUNNING
            if final:
                row.state, row.ended_at = FAILED, self._clock()

    def prove(self, session: Session, firing: Firing, schedule: Schedule, checkpoint_id: str) -> None:
        """Have it shown, in a session of the caller's, that a checkpoint can be opened and lacks nothing.

        :raises RefloatError: that cannot even be begun.
        """
        record = self._checkpoints.get(checkpoint_id, schedule.project_id)
        owner = session.get_one(ScheduleRow, schedule.id)
        self._submitter.verify(
            *(_standing(owner), record, {}),
            more={"depth": "existence"},
            session=session,
            operation_id=_derived(firing.id, _PROOF),
        )

    def proven(self, session: Session, firing: Firing) -> str | None:
        """Which checkpoint was shown to be whole, and still is as far as anybody knows; None: not yet.

        :raises Conflict: none; the reason.
        """
        identity = _derived(firing.id, _PROOF)
        ended = self.ended(identity)
        if ended is None:
            return None
        state, words, _kind = ended
        if state == SUCCEEDED:
            record = self._checkpoints.read(session, self._operations.get(identity).checkpoint_id)
            if record.status == AVAILABLE and record.verified != BAD:
                return record.id
            words = f"it is {record.status}" if record.status != AVAILABLE else "it was found bad"
        raise Conflict("it was not shown that the last good checkpoint is whole", reason=words)

    def delete(self, session: Session, firing: Firing, schedule: Schedule, checkpoint_id: str) -> str:
        """Have a checkpoint deleted, in a session of the caller's; the operation's id.

        :raises RefloatError: it cannot be: it is on hold, or in use. Nothing is changed then.
        """
        record = self._checkpoints.get(checkpoint_id, schedule.project_id)
        if record.status not in (AVAILABLE, ERROR_DELETING):
            raise Conflict("the checkpoint is not available any more")
        owner = session.get_one(ScheduleRow, schedule.id)
        identity = _derived(firing.id, checkpoint_id)
        deletions.delete(self._submitter, _standing(owner), record, session=session, operation_id=identity)
        return identity

    def keep_after_all(self, session: Session, operation_id: str) -> bool:
        """Whether a deletion was refused before anything went: the checkpoint is then available as before."""
        operation = self._operations.get(operation_id)
        error = operation.error or {}
        refused = error.get("error") == Conflict.__name__ and not error.get("left_behind")
        # Of what was not available, some may have gone before.
        if not refused or operation.payload.get("was") != AVAILABLE:
            return False
        self._checkpoints.move(
            session, operation.checkpoint_id, [ERROR_DELETING], status=AVAILABLE, reason=""
        )
        return True

    def is_of(self, firing: Firing, plan_id: str) -> bool:
        """Whether it is this plan that a firing has protected, or was to."""
        return self._operations.get(firing.operation_id).plan_id == plan_id

    def ended(self, operation_id: str) -> tuple[str, str, str] | None:
        """What an operation came to, why, and the kind of its error; None: it has not ended."""
        try:
            operation = self._operations.get(operation_id)
        except NotFound:
            return FAILED, "its operation is not remembered any more", ""
        if operation.state in OPEN:
            return None
        if operation.state == "succeeded" and (operation.result or {}).get("status") != BAD:
            return SUCCEEDED, "", ""
        if operation.state == "succeeded":
            return FAILED, f"operation {operation.id} found something bad", ""
        error: Mapping[str, Any] = operation.error or {}
        words = str(RefloatError.from_json(dict(error))) if error else f"the operation was {operation.state}"
        return FAILED, words, str(error.get("error", ""))


def _standing(owner: ScheduleRow) -> StandingAuthority:
    return StandingAuthority(owner.project_id, owner.id, owner.authority)


def _derived(firing_id: str, what: str) -> str:
    """The same for everybody who begins the same firing."""
    return str(uuid.uuid5(uuid.UUID(firing_id), what))
