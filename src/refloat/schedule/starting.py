"""Writes down the operations of scheduled operations, for the workers: with the schedule's authority."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any

from sqlalchemy.orm import Session

from refloat.control.desk import known_parameters
from refloat.errors import Conflict, NotFound, RefloatError
from refloat.notify.events import NOBODY, Notices
from refloat.providers.provider import Provider, Providers
from refloat.records.checkpoints import (
    AVAILABLE,
    DELETING,
    ERROR_DELETING,
    PROTECTING,
    CheckpointRecord,
    CheckpointRecords,
    now,
)
from refloat.records.database import Database
from refloat.records.holds import refuse_held
from refloat.records.operations import ServiceOperations, write_end
from refloat.records.plans import Plans
from refloat.records.quotas import Quotas
from refloat.records.schedule_tables import FiringRow, ScheduleRow
from refloat.records.schedules import FAILED, RUNNING, SUCCEEDED, WAITING, Firing, Schedule

CREATED_BY = "operation-engine"
"""What Karbor's checkpoints of scheduled operations say."""


class Starting:
    """Begins what scheduled operations do, and sees how it ended."""

    def __init__(
        self,
        database: Database,
        providers: Providers,
        quotas: Quotas,
        *,
        notices: Notices = NOBODY,
        clock: Callable[[], datetime] = now,
    ) -> None:
        self._clock = clock
        self.notices = notices
        self._database = database
        self._providers = providers
        self._quotas = quotas
        self._operations = ServiceOperations(database)
        self._checkpoints = CheckpointRecords(database)

    def protect(self, firing: Firing, schedule: Schedule) -> None:
        """Write down a firing's protection, unless another worker has.

        :raises RefloatError: it cannot be: the plan is gone, the quota used up...
        """
        plan = Plans(self._database, schedule.project_id).get(schedule.plan_id)
        provider = self._providers.find(plan.provider)
        origin = {"trigger_id": schedule.trigger_id, "scheduled_operation_id": schedule.id}
        record = CheckpointRecord(
            id=_derived(firing.id, "checkpoint"),
            project_id=schedule.project_id,
            provider_id=provider.id,
            plan_id=plan.id,
            plan={"id": plan.id, "name": plan.name, "resources": [dict(item) for item in plan.resources]},
            status=PROTECTING,
            reason="",
            extra_info={"created_by": CREATED_BY, **origin},
            graph=None,
            created_at=self._clock(),
        )
        payload = {
            "plan": dict(record.plan),
            "parameters": known_parameters(provider, plan.parameters),
            "extra_info": dict(record.extra_info),
        }
        with self._database.one_at_a_time(f"checkpoints {schedule.project_id}") as session:
            row = session.get(FiringRow, firing.id, with_for_update=True)
            owner = session.get(ScheduleRow, schedule.id)
            if row is None or row.state != WAITING or owner is None or owner.trigger_id is None:
                return
            self._quotas.check(session, "checkpoints", schedule.project_id)
            self._checkpoints.add(session, record)
            row.state, row.reason, row.checkpoint_id = RUNNING, "", record.id
            row.operation_id = _derived(firing.id, "operation")
            self._add(session, row.operation_id, "protect", owner, provider, record.id, payload)

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
            write_end(session, identity, "failed", None, error.to_json())
            self.notices.ended(session, operation, "failed", None, error.to_json())
            row.operation_id, row.reason, row.state = identity, str(error), RUNNING
            if final:
                row.state, row.ended_at = FAILED, self._clock()

    def delete(self, session: Session, firing: Firing, schedule: Schedule, checkpoint_id: str) -> str:
        """Write down that a checkpoint is to be deleted, in a session of the caller's; the operation's id.

        :raises RefloatError: it cannot be: it is on hold, or in use. Nothing is changed then.
        """
        record = self._checkpoints.get(checkpoint_id, schedule.project_id)
        provider = self._providers.find(record.provider_id)
        refuse_held(session, checkpoint_id)
        for user in self._operations.users_of(session, checkpoint_id):
            raise Conflict(f"the checkpoint is in use by a {user.kind} operation")
        before = (AVAILABLE, ERROR_DELETING)
        if not self._checkpoints.move(session, checkpoint_id, before, status=DELETING, reason=""):
            raise Conflict("the checkpoint is not available any more")
        owner = session.get_one(ScheduleRow, schedule.id)
        payload = {"plan": {"id": record.plan_id, "name": str(record.plan.get("name", ""))}, "parameters": {}}
        identity = _derived(firing.id, checkpoint_id)
        self._add(session, identity, "delete", owner, provider, checkpoint_id, payload)
        return identity

    def keep_after_all(self, session: Session, checkpoint_id: str) -> None:
        """Nothing of a checkpoint was deleted: it is available as before."""
        self._checkpoints.move(session, checkpoint_id, [ERROR_DELETING], status=AVAILABLE, reason="")

    def ended(self, operation_id: str) -> tuple[str, str, str] | None:
        """What an operation came to, why, and the kind of its error; None: it has not ended."""
        try:
            operation = self._operations.get(operation_id, None)
        except NotFound:
            return FAILED, "its operation is not remembered any more", ""
        if operation.state in ("running", "parked"):
            return None
        if operation.state == "succeeded":
            return SUCCEEDED, "", ""
        error: Mapping[str, Any] = operation.error or {}
        words = str(RefloatError.from_json(dict(error))) if error else f"the operation was {operation.state}"
        return FAILED, words, str(error.get("error", ""))

    def _add(
        self,
        session: Session,
        identity: str,
        kind: str,
        owner: ScheduleRow,
        provider: Provider,
        checkpoint_id: str,
        payload: Mapping[str, Any],
    ) -> None:
        whole = {
            **payload,
            "provider": provider.reference,
            "provider_name": provider.name,
            "checkpoint_id": checkpoint_id,
            "project_id": owner.project_id,
            "authority": owner.authority,
            "scheduled_operation_id": owner.id,
        }
        # Its authority is the schedule's: not given back when this operation ends.
        self._operations.add(session, identity, kind, owner.project_id, whole, None)


def _derived(firing_id: str, what: str) -> str:
    """The same for everybody who begins the same firing."""
    return str(uuid.uuid5(uuid.UUID(firing_id), what))
