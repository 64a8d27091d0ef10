"""Where triggers and scheduled operations are made, changed and taken away."""

from __future__ import annotations

import logging
import uuid
from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import func, select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from refloat.cloud.authority import Authority, Caller
from refloat.control.grants import Grant, Grants
from refloat.control.submit import own
from refloat.database import now
from refloat.errors import Conflict, InvalidInput, NotFound, RefloatError
from refloat.notify.events import AUTHORITY_BACK, NOBODY, Notices
from refloat.providers.provider import Providers
from refloat.records.database import Database
from refloat.records.plans import Plan, Plans, plan_lock
from refloat.records.quotas import Quotas
from refloat.records.schedule_tables import FiringRow, ScheduleRow, TriggerRow
from refloat.records.schedules import WAITING, Schedule, Schedules, schedule_of, works
from refloat.records.triggers import Trigger, Triggers
from refloat.schedule import timetable
from refloat.schedule.inventory import Retention
from refloat.schedule.timetable import Limits, Timetable
from refloat.schedule.view import NOTICE

_LOG = logging.getLogger(__name__)

TIME_TRIGGER = "time"


_RUNS_ASKED_FOR = 10
"""So many runs of one may be asked for before the first of them begins."""


@dataclass(frozen=True, slots=True)
class What:
    """What a scheduled operation is to do.

    :param definition: of :func:`refloat.schedule.definition.checked`.
    """

    operation_type: str
    definition: Mapping[str, Any]
    plan: Plan


@dataclass(frozen=True, slots=True)
class Terms:
    """What the operator says of schedules.

    :param minimum: no checkpoint that is younger is deleted.
    :param check_every: so often it is looked whether what a schedule acts with is still good.
    :param lifetime: what a schedule acts with ends by itself after that.
    """

    limits: Limits = field(default_factory=Limits)
    minimum: timedelta = timedelta()
    check_every: timedelta = timedelta(hours=1)
    lifetime: timedelta = timedelta(days=400)


class ScheduledOperations:
    """Makes, changes and takes away triggers and scheduled operations.

    :param authority: what scheduled operations act with.
    :param notices: whom to tell when one may act again.
    :param clock: the time, UTC without saying so.
    """

    def __init__(
        self,
        database: Database,
        providers: Providers,
        authority: Authority,
        quotas: Quotas,
        terms: Terms | None = None,
        *,
        notices: Notices = NOBODY,
        clock: Callable[[], datetime] = now,
    ) -> None:
        self._database = database
        self._providers = providers
        self._authority = authority
        self._quotas = quotas
        self._notices = notices
        self.terms = terms or Terms()
        self._grants = Grants(database, authority, self.terms.lifetime)
        self._clock = clock
        self.retention = Retention(database, quotas, self.terms.minimum, clock)

    # --- triggers

    def create_trigger(self, project_id: str, name: str, kind: str, properties: Mapping[str, Any]) -> Trigger:
        """Make a trigger.

        :raises InvalidInput: a property is wrong, or it would never fire, or too often.
        :raises OverQuota: the project has as many as it may.
        """
        if kind != TIME_TRIGGER:
            raise InvalidInput(f"type must be {TIME_TRIGGER}")
        moment = self._clock()
        table = timetable.checked(properties, moment, self.terms.limits)
        following = table.next_after(moment)
        triggers = Triggers(self._database, project_id)
        with self._database.one_at_a_time(f"triggers {project_id}") as session:
            self._quotas.check(session, "triggers", project_id)
            return triggers.create(session, name, kind, table.to_json(), following)

    def change_trigger(
        self, project_id: str | None, identity: str, name: str | None, properties: Mapping[str, Any] | None
    ) -> Trigger:
        """Change a trigger; schedules that use it go on from now.

        :param project_id: None: it may be of any.
        :param properties: all of them, with a ``start_time``; None or empty: as they are.
        :raises InvalidInput: as for :meth:`create_trigger`.
        :raises NotFound: there is none.
        """
        triggers = Triggers(self._database, project_id)
        moment = self._clock()
        if properties and not properties.get("start_time"):
            raise InvalidInput("new properties need a start_time")
        table = timetable.checked(properties, moment, self.terms.limits) if properties else None
        following = table.next_after(moment) if table is not None else None
        with self._database.one_at_a_time(f"trigger {identity}") as session:
            row = triggers.row(session, identity)
            if name is not None:
                row.name = name
            if table is not None:
                row.properties, row.next_run_at = table.to_json(), following
                users = select(ScheduleRow).where(ScheduleRow.trigger_id == row.id)
                for schedule in session.scalars(users.with_for_update()):
                    schedule.next_due = following
        return triggers.get(identity)

    def look_ahead(self) -> None:
        """Work out when triggers fire next whose time is over; whoever looks at them need not."""
        triggers, moment = Triggers(self._database, None), self._clock()
        for trigger in triggers.passed(moment):
            try:
                following = Timetable.from_json(trigger.properties).next_after(moment)
            except InvalidInput as exc:  # made when more was allowed
                _LOG.warning("the trigger %s will not fire again: %s", trigger.id, exc)
                following = None
            triggers.fires_next(trigger, following)

    def _ahead(self, trigger_id: str) -> tuple[Mapping[str, Any], datetime]:
        """The properties of a trigger and when it fires next: worked out before anything is locked.

        :raises InvalidInput: it never fires again.
        """
        with self._database.session() as session:
            properties = dict(_trigger(session, trigger_id).properties)
        following = Timetable.from_json(properties).next_after(self._clock())
        if following is None:
            raise InvalidInput(f"the trigger {trigger_id} never fires again", advice="Change it first")
        return properties, following

    # --- scheduled operations

    def create(
        self,
        caller: Caller,
        name: str,
        description: str | None,
        operation_type: str,
        trigger: Trigger,
        plan: Plan,
        given: Mapping[str, Any],
    ) -> Schedule:
        """Make a scheduled operation, and what it will act with.

        :param given: of :func:`refloat.schedule.definition.checked`.
        :raises InvalidInput: trigger or plan is of another project, the plan of another provider, or the
            trigger never fires again; or the caller may not delegate.
        :raises OverQuota: the project has as many as it may.
        """
        own(caller, trigger.project_id)
        self._check_plan(caller, plan, given)
        properties, following = self._ahead(trigger.id)
        row = ScheduleRow(
            id=str(uuid.uuid4()),
            project_id=caller.project_id,
            user_id=caller.user_id,
            name=name,
            description=description,
            operation_type=operation_type,
            trigger_id=trigger.id,
            plan_id=plan.id,
            definition=dict(given),
            enabled=True,
            next_due=following,
            retired=[],
            reason="",
            checked_at=self._clock(),
            created_at=self._clock(),
        )
        try:
            with self._grants.to(caller) as grant:
                locks = (
                    f"scheduled operations {caller.project_id}",
                    f"trigger {trigger.id}",
                    plan_lock(plan.id),
                )
                with self._database.one_at_a_time(*locks) as session:
                    Plans(self._database, caller.project_id).row(session, plan.id)
                    self._quotas.check(session, "scheduled_operations", caller.project_id)
                    _unchanged(session, trigger.id, properties)
                    row.authority = _standing(grant)
                    grant.settle(session, self._grants.intents)
                    session.add(row)
                    session.flush()
                    made = schedule_of(row)
                grant.keep()
        except IntegrityError:
            raise NotFound(f"Trigger {trigger.id} could not be found") from None
        return made

    def _check_plan(self, caller: Caller, plan: Plan, given: Mapping[str, Any]) -> None:
        own(caller, plan.project_id)
        provider = self._providers.find(plan.provider)
        if provider.id != given["provider_id"]:
            raise InvalidInput(
                f"the plan {plan.id} is not of provider {given['provider_id']}, but of {provider.id}"
            )

    def change(
        self,
        caller: Caller,
        schedule: Schedule,
        *,
        name: str | None = None,
        description: str | None = None,
        enabled: bool | None = None,
        trigger: Trigger | None = None,
        what: What | None = None,
    ) -> Schedule:
        """Change what is given. Enabling makes anew, as the caller, what it acts with; so does every other
        change by its owner, unless it is new anyway.

        What was missed while it was disabled is not made up for, nor what another trigger would have fired.

        :raises InvalidInput: as for :meth:`create`; or it is of another project, and is to be enabled or to
            have another trigger or plan.
        """
        values: dict[str, Any] = {"name": name, "description": description}
        if enabled or trigger is not None or what is not None:
            own(caller, schedule.project_id)
        if what is not None:
            self._check_plan(caller, what.plan, what.definition)
            values |= {"operation_type": what.operation_type, "definition": dict(what.definition)}
            values["plan_id"] = what.plan.id
        if trigger is not None:
            own(caller, trigger.project_id)
            values["trigger_id"] = trigger.id
        plan_id, trigger_id = (
            values.get("plan_id", schedule.plan_id),
            values.get("trigger_id", schedule.trigger_id),
        )
        ahead = self._ahead(trigger_id) if enabled or trigger is not None else None
        renews = enabled or (enabled is None and self._to_renew(schedule, caller))
        with self._grants.to(caller) if renews else nullcontext() as grant:
            locks = f"schedule {schedule.id}", f"trigger {trigger_id}", plan_lock(plan_id)
            with self._database.one_at_a_time(*locks) as session:
                row = Schedules(self._database, schedule.project_id).row(session, schedule.id)
                if enabled or plan_id != schedule.plan_id:
                    Plans(self._database, schedule.project_id).row(session, plan_id)
                if ahead is not None:
                    _unchanged(session, trigger_id, ahead[0])
                    values["next_due"] = ahead[1]
                _set(row, values | {"enabled": enabled})
                if grant is not None:
                    self._act_with(session, row, caller, grant)
                session.flush()
                changed = schedule_of(row)
            if grant is not None:
                grant.keep()
        self.give_back(changed)
        return Schedules(self._database, schedule.project_id).get(schedule.id)

    def _to_renew(self, schedule: Schedule, caller: Caller) -> bool:
        """Whether what a schedule acts with was granted by this caller, and is not new."""
        whose = schedule.user_id == caller.user_id and schedule.project_id == caller.project_id
        if not (whose and schedule.enabled and (schedule.authority or {}).get("kind") == "trust"):
            return False
        ends = schedule.authority_ends  # of older versions: none
        return ends is None or ends - self._clock() < self.terms.lifetime - NOTICE

    def _act_with(self, session: Session, row: ScheduleRow, caller: Caller, grant: Grant) -> None:
        was_lost = bool(row.reason)
        row.reason = ""
        row.retired = [*row.retired, row.authority] if row.authority else list(row.retired)
        row.authority, row.user_id, row.checked_at = _standing(grant), caller.user_id, self._clock()
        grant.settle(session, self._grants.intents)
        if was_lost:
            self._notices.schedule(session, schedule_of(row), AUTHORITY_BACK, "")

    def delete(self, schedule: Schedule) -> None:
        """Take a scheduled operation away. What it has begun comes to its end; then its trust goes too."""
        with self._database.one_at_a_time(f"schedule {schedule.id}") as session:
            row = session.get_one(ScheduleRow, schedule.id)
            row.retired = [*row.retired, row.authority] if row.authority else list(row.retired)
            row.authority, row.trigger_id, row.enabled, row.next_due = None, None, False, None
            session.flush()
            gone = schedule_of(row)
        self.give_back(gone)

    def run(self, schedule: Schedule) -> str:
        """Have it run now, also when it is disabled; the id of the firing.

        :raises Conflict: it was asked for often enough already, and has not begun.
        """
        with self._database.one_at_a_time(f"schedule {schedule.id}") as session:
            Schedules(self._database, schedule.project_id).row(session, schedule.id)
            waiting = select(func.count()).where(
                FiringRow.schedule_id == schedule.id, FiringRow.state == WAITING, FiringRow.manual
            )
            if (session.scalar(waiting) or 0) >= _RUNS_ASKED_FOR:
                raise Conflict(
                    f"scheduled operation {schedule.id} waits to be run {_RUNS_ASKED_FOR} times already",
                    advice="Wait until these have ended",
                )
            moment = self._clock()
            while session.scalar(
                select(FiringRow.id).where(FiringRow.schedule_id == schedule.id, FiringRow.due_at == moment)
            ):
                moment += timedelta(microseconds=1)
            row = new_firing(schedule.id, moment, moment, manual=True)
            session.add(row)
            return row.id

    # --- what is given back

    def give_back(self, schedule: Schedule) -> None:
        """Give back what a schedule does not act with any more, if nothing of it runs. Safe to repeat."""
        with self._database.session() as session:
            if works(session, schedule.id):
                return
        left = self._give_back(schedule.retired)
        with self._database.one_at_a_time(f"schedule {schedule.id}") as session:
            row = session.get(ScheduleRow, schedule.id)
            if row is None:
                return
            row.retired = [item for item in row.retired if item not in schedule.retired or item in left]
            if row.trigger_id is None and not row.retired and not works(session, row.id):
                session.delete(row)

    def _give_back(self, granted: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
        left: list[Mapping[str, Any]] = []
        for item in granted:
            try:
                self._authority.revoke(item)
            except RefloatError as exc:
                _LOG.warning("what a schedule acted with is not given back yet: %s", exc)
                left.append(item)
        return left


def new_firing(
    schedule_id: str, due_at: datetime, claimed_at: datetime, *, manual: bool = False
) -> FiringRow:
    """The row of a firing. Its id is made of what fires and when: nobody can make two."""
    return FiringRow(
        id=str(uuid.uuid5(uuid.UUID(schedule_id), f"{due_at:%Y-%m-%d %H:%M:%S.%f}")),
        schedule_id=schedule_id,
        due_at=due_at,
        claimed_at=claimed_at,
        manual=manual,
        state=WAITING,
        reason="",
        deletions=[],
    )


def _set(row: ScheduleRow, values: Mapping[str, Any]) -> None:
    """What is None stays as it is."""
    for name, value in values.items():
        if value is not None:
            setattr(row, name, value)


def _standing(grant: Grant) -> dict[str, Any] | None:
    """What a schedule acts with, and when that ends."""
    found = grant.authority
    if found is not None and found.get("kind") == "trust" and grant.until is not None:
        return {**found, "expires_at": grant.until.isoformat(timespec="seconds")}
    return found


def _trigger(session: Session, trigger_id: str) -> TriggerRow:
    row = session.get(TriggerRow, trigger_id)
    if row is None:
        raise NotFound(f"Trigger {trigger_id} could not be found")
    return row


def _unchanged(session: Session, trigger_id: str, properties: Mapping[str, Any]) -> None:
    """:raises Conflict: the trigger was changed, :raises NotFound: or deleted, since it was looked at."""
    if _trigger(session, trigger_id).properties != properties:
        raise Conflict(f"the trigger {trigger_id} was changed just now", advice="Try again")
