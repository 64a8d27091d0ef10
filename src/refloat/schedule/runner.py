"""Runs scheduled operations when they are due: with any number of workers each firing once, none lost.

A firing goes through the database alone. *Claimed*: one transaction writes its row, which there can be one
of, and moves the schedule on to the next. *Begun*: one transaction writes the protect operation, the
checkpoint and that the firing runs; what a dead worker has only claimed, another begins. Then it waits until
the operation has ended; when that has protected something, it deletes what retention says, one checkpoint
after the other, the newest first: what is built on others goes before these.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from refloat.cloud.authority import Authority, AuthorityGone
from refloat.database import now as utc_now
from refloat.errors import CloudError, InvalidInput, RefloatError
from refloat.log_context import about
from refloat.notify.events import AUTHORITY_BACK, AUTHORITY_ENDING, AUTHORITY_LOST
from refloat.records.database import Database
from refloat.records.quotas import OverQuota
from refloat.records.schedule_tables import FiringRow, ScheduleRow, TriggerRow
from refloat.records.schedules import (
    DROPPED,
    FAILED,
    RUNNING,
    WAITING,
    Firing,
    Schedule,
    Schedules,
    firing_of,
)
from refloat.schedule.cleaning import Cleaning
from refloat.schedule.definition import RETENTION_PROTECT
from refloat.schedule.firings import Firings
from refloat.schedule.scheduled_operations import ScheduledOperations, new_firing
from refloat.schedule.timetable import Decision, Timetable, decide
from refloat.schedule.view import ending

_LOG = logging.getLogger(__name__)

_SOON = timedelta(minutes=5)
"""So long it takes until an authority is looked at again of which nobody could tell whether it is good."""


class Runner:
    """Looks once a second at what is due. There may be any number.

    :param clock: the time, UTC without saying so.
    :param wake: called when there is a new operation for a worker.
    """

    def __init__(
        self,
        database: Database,
        scheduled: ScheduledOperations,
        firings: Firings,
        authority: Authority,
        *,
        tick: float = 1.0,
        clock: Callable[[], datetime] = utc_now,
        wake: Callable[[], None] = lambda: None,
    ) -> None:
        self._database = database
        self._scheduled = scheduled
        self._firings = firings
        self._authority = authority
        self._cleaning = Cleaning(database, scheduled, firings, clock)
        self._schedules = Schedules(database, None)
        self._tick = tick
        self._clock = clock
        self._wake = wake
        self._closing = threading.Event()
        self._asked = threading.Event()
        self._thread = threading.Thread(target=self._run, name="schedules", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def wake(self) -> None:
        self._asked.set()

    def close(self) -> None:
        self._closing.set()
        self._asked.set()
        if self._thread.is_alive():
            self._thread.join()

    def _run(self) -> None:
        while not self._closing.is_set():
            try:
                self.look()
            except Exception:
                # The database may be away for a while; the schedules must outlive that.
                _LOG.exception("could not look at the schedules")
            self._asked.wait(self._tick)
            self._asked.clear()

    def look(self) -> None:
        self._scheduled.look_ahead()
        for schedule in self._schedules.due(self._clock()):
            self._each(schedule, self._claim, schedule)
        opened = self._schedules.open_firings()
        busy = {schedule.id for firing, schedule in opened if firing.state != WAITING}
        latest = {schedule.id: firing for firing, schedule in opened if not firing.manual}
        for firing, schedule in opened:
            self._each(schedule, self._attend, firing, schedule, busy, latest.get(schedule.id))
        for schedule in self._schedules.with_retired():
            self._each(schedule, self._scheduled.give_back, schedule)
        for schedule in self._schedules.unchecked(self._clock() - self._scheduled.terms.check_every):
            self._each(schedule, self._check, schedule)

    def _each(self, schedule: Schedule, work: Callable[..., None], *given: Any) -> None:
        if self._closing.is_set():
            return
        with about(project_id=schedule.project_id):
            try:
                work(*given)
            except Exception:
                # The others must not wait for it.
                _LOG.exception("scheduled operation %s", schedule.id)

    # --- claiming

    def _claim(self, schedule: Schedule) -> None:
        """Take up what is due of a schedule, unless another worker has."""
        with self._database.session() as session:
            properties = _properties(session, schedule.trigger_id)
        if properties is None or schedule.next_due is None:
            return
        moment = self._clock()
        try:
            decision = decide(Timetable.from_json(properties), schedule.next_due, moment)
        except InvalidInput as exc:
            self._disable(schedule, f"its trigger cannot be worked out: {exc.message}: {exc.reason}")
            return
        with self._database.one_at_a_time(f"schedule {schedule.id}") as session:
            row = session.get(ScheduleRow, schedule.id, with_for_update=True)
            if row is None or not row.enabled or row.next_due != schedule.next_due:
                return  # another was quicker
            if _properties(session, schedule.trigger_id) != properties:
                return  # changed just now: in the next round
            self._write_claims(session, schedule, decision, moment)
            row.next_due = decision.following

    def _disable(self, schedule: Schedule, reason: str) -> None:
        """Its trigger was made when more was allowed. Its owner sees why, can change that and enable it."""
        _LOG.warning("scheduled operation %s (%s) is disabled: %s", schedule.name, schedule.id, reason)
        with self._database.one_at_a_time(f"schedule {schedule.id}") as session:
            row = session.get(ScheduleRow, schedule.id, with_for_update=True)
            if row is not None and row.next_due == schedule.next_due:
                row.enabled, row.next_due = False, None
                row.reason = f"{reason}. Change the trigger, then enable this again"

    def _write_claims(
        self, session: Session, schedule: Schedule, decision: Decision, moment: datetime
    ) -> None:
        known = set(
            session.scalars(
                select(FiringRow.due_at).where(
                    FiringRow.schedule_id == schedule.id, FiringRow.due_at >= schedule.next_due
                )
            )
        )  # when a trigger was changed and changed back, or a clock set back
        for due in decision.runs:
            if due not in known:
                session.add(new_firing(schedule.id, due, moment))
        for due, words in decision.drops:
            if due not in known:
                row = new_firing(schedule.id, due, moment)
                row.state, row.reason, row.ended_at = DROPPED, words, moment
                session.add(row)

    # --- beginning, and following

    def _attend(self, firing: Firing, schedule: Schedule, busy: set[str], latest: Firing | None) -> None:
        if firing.state == WAITING:
            self._begin(firing, schedule, busy, latest)
            busy.add(schedule.id)
        elif firing.state == RUNNING:
            self._follow(firing, schedule)
        else:
            self._cleaning.go_on(firing, schedule)
            self._wake()

    def _begin(self, firing: Firing, schedule: Schedule, busy: set[str], latest: Firing | None) -> None:
        if not schedule.trigger_id:
            self._end(firing, DROPPED, "the scheduled operation was deleted")
            return
        with self._database.session() as session:
            table = Timetable.from_json(_properties(session, schedule.trigger_id) or {})
        words = self._superfluous(firing, table, schedule.id in busy, latest)
        if words:
            self._end(firing, DROPPED, words)
        elif schedule.id not in busy and self._may_act(firing, schedule):
            try:
                self._firings.protect(firing, schedule)
            except RefloatError as exc:
                self._firings.failed(firing, schedule, exc, final=False)
            self._wake()

    def _superfluous(self, firing: Firing, table: Timetable, busy: bool, latest: Firing | None) -> str:
        """Why a firing is not begun any more; empty: it is, now or later."""
        if firing.manual or table.misfire == "run_all":
            return ""
        if latest is not None and latest.due_at > firing.due_at:
            return f"not begun before the next one was due: {firing.reason or 'no worker began it'}"
        if busy:
            return "the run before it had not ended"
        late = (self._clock() - firing.due_at).total_seconds() > table.window
        if late and table.misfire == "skip":
            return f"not begun within {table.window} seconds: {firing.reason or 'no worker began it'}"
        return ""

    def _may_act(self, firing: Firing, schedule: Schedule) -> bool:
        """Whether a schedule's authority is good; if it is gone, that is what the firing comes to."""
        try:
            self._authority.check(schedule.authority or {})
        except AuthorityGone as exc:
            self._tell(schedule, str(exc))
            self._firings.failed(firing, schedule, exc, final=True)
            return False
        except CloudError as exc:  # nobody knows: later
            self._change(firing, WAITING, reason=str(exc))
            return False
        self._tell(schedule, "")
        return True

    def _follow(self, firing: Firing, schedule: Schedule) -> None:
        ended = self._firings.ended(firing.operation_id)
        if ended is None:
            return
        state, words, kind = ended
        plain = schedule.operation_type != RETENTION_PROTECT
        if not schedule.trigger_id or (plain and (state == FAILED or self._keeps_all(schedule))):
            self._end(firing, state, words)
            return
        # A full quota says nothing of the application, and only deleting helps.
        if state == FAILED and kind != OverQuota.__name__:
            self._end(firing, state, f"{words}; nothing was deleted, for nothing was protected")
            return
        if not self._firings.is_of(firing, schedule.plan_id):
            why = "nothing was deleted, for the schedule has got another plan meanwhile"
            self._end(firing, state, f"{words}; {why}" if words else why)
            return
        try:
            self._authority.check(schedule.authority or {})
        except AuthorityGone as exc:
            self._tell(schedule, str(exc))
            self._end(firing, FAILED, words or str(exc))
        else:
            self._cleaning.begin(firing, schedule)

    def _keeps_all(self, schedule: Schedule) -> bool:
        """Without rules only what has expired goes."""
        return all(verdict.keep for verdict in self._scheduled.retention.judge(schedule).verdicts)

    def _end(self, firing: Firing, state: str, reason: str) -> None:
        self._change(firing, state, reason=reason, ended_at=self._clock())

    def _change(self, firing: Firing, state: str, **values: Any) -> None:
        """Change a firing that still is as it was seen."""
        with self._database.one_at_a_time(f"schedule {firing.schedule_id}") as session:
            row = session.get(FiringRow, firing.id, with_for_update=True)
            if row is None or firing_of(row) != firing:
                return
            row.state = state
            for name, value in values.items():
                setattr(row, name, value)

    # --- authority

    def _check(self, schedule: Schedule) -> None:
        """See whether a schedule may still act, before its next run is due."""
        try:
            self._authority.check(schedule.authority or {})
        except AuthorityGone as exc:
            self._tell(schedule, str(exc))
        except CloudError as exc:
            _LOG.warning("could not see whether scheduled operation %s may act: %s", schedule.id, exc)
            self._look_again(schedule)
        else:
            self._tell(schedule, "")

    def _look_again(self, schedule: Schedule) -> None:
        """Soon, but not at once: those behind it have their turn first."""
        with self._database.one_at_a_time(f"schedule {schedule.id}") as session:
            row = session.get(ScheduleRow, schedule.id)
            if row is not None and row.authority == schedule.authority:
                row.checked_at = self._clock() - self._scheduled.terms.check_every + _SOON

    def _tell(self, schedule: Schedule, reason: str) -> None:
        if reason and not schedule.reason:
            _LOG.warning("scheduled operation %s (%s) cannot run: %s", schedule.name, schedule.id, reason)
        with self._database.one_at_a_time(f"schedule {schedule.id}") as session:
            row = session.get(ScheduleRow, schedule.id)
            if row is None or row.authority != schedule.authority:
                return
            if bool(row.reason) != bool(reason):
                what = AUTHORITY_LOST if reason else AUTHORITY_BACK
                self._firings.notices.schedule(session, schedule, what, reason)
            words, since = ending(schedule, self._clock())
            if words and not reason and row.checked_at < since:
                _LOG.warning("scheduled operation %s (%s): %s", schedule.name, schedule.id, words)
                self._firings.notices.schedule(session, schedule, AUTHORITY_ENDING, words)
            row.reason, row.checked_at = reason, self._clock()


def _properties(session: Session, trigger_id: str) -> Mapping[str, Any] | None:
    row = session.get(TriggerRow, trigger_id)
    return dict(row.properties) if row is not None else None
