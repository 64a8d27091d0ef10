"""Deletes what a scheduled operation's retention says: one checkpoint after the other, dependants first.

Before the first goes, a verification shows that the last good one can be opened and lacks nothing. When
that cannot be shown, whyever, all stay.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from datetime import datetime
from typing import Any

from sqlalchemy.orm import Session

from refloat.errors import Conflict, RefloatError
from refloat.notify.events import NOTHING_DELETED, RETENTION
from refloat.records.database import Database
from refloat.records.schedule_tables import FiringRow
from refloat.records.schedules import CLEANING, FAILED, SUCCEEDED, Firing, Schedule, firing_of
from refloat.schedule.firings import Firings
from refloat.schedule.scheduled_operations import ScheduledOperations
from refloat.schedule.view import retained

_LOG = logging.getLogger(__name__)


class Cleaning:
    """Deletes what retention says."""

    def __init__(
        self,
        database: Database,
        scheduled: ScheduledOperations,
        firings: Firings,
        clock: Callable[[], datetime],
    ) -> None:
        self._database = database
        self._scheduled = scheduled
        self._firings = firings
        self._clock = clock

    def begin(self, firing: Firing, schedule: Schedule) -> None:
        found = self._scheduled.retention.judge(schedule)
        deletions = [
            {
                "checkpoint_id": verdict.id,
                "rule": verdict.rule,
                "state": "waiting",
                "reason": "",
                "operation_id": "",
            }
            for verdict in found.verdicts
            if not verdict.keep
        ]
        with self._database.one_at_a_time(f"schedule {schedule.id}") as session:
            row = session.get(FiringRow, firing.id, with_for_update=True)
            if row is None or row.state != firing.state:
                return
            if deletions:
                try:
                    self._firings.prove(session, firing, schedule, found.proves)
                except RefloatError as exc:
                    self._keep_all(session, schedule, deletions, exc)
            row.state, row.deletions = CLEANING, deletions
            row.kept = [
                {"checkpoint_id": verdict.id, "rule": verdict.rule}
                for verdict in found.verdicts
                if verdict.keep
            ]

    def go_on(self, firing: Firing, schedule: Schedule) -> None:
        """Do the next thing there is to do, unless another worker has."""
        with self._database.one_at_a_time(f"schedule {schedule.id}") as session:
            row = session.get(FiringRow, firing.id, with_for_update=True)
            if row is None or row.state != CLEANING:
                return
            deletions = [dict(item) for item in row.deletions]
            opened = [item for item in deletions if item["state"] in ("waiting", "running")]
            try:
                if opened and self._firings.proven(session, firing) is None:
                    return
            except Conflict as exc:
                self._keep_all(session, schedule, opened, exc)
                opened = [item for item in opened if item["state"] == "running"]
            # One at a time: Cinder must have removed what builds on a backup before the backup itself.
            done = all(self._settled(session, firing, schedule, item) for item in opened)
            row.deletions = deletions
            if done:
                row.state, row.reason = self._result(firing, deletions)
                row.ended_at = self._clock()
                self._tell(session, schedule, firing_of(row))

    def _tell(self, session: Session, schedule: Schedule, firing: Firing) -> None:
        """Say what the rules kept and deleted."""
        _LOG.info(
            "schedule %s (%s): %s",
            schedule.name,
            schedule.id,
            "; ".join(retained(firing.kept, firing.deletions)),
        )
        self._firings.notices.schedule(
            session,
            schedule,
            RETENTION,
            firing.reason,
            checkpoint_id=firing.checkpoint_id or None,
            kept=list(firing.kept),
            deletions=list(firing.deletions),
        )

    def _keep_all(
        self, session: Session, schedule: Schedule, items: list[dict[str, Any]], why: RefloatError
    ) -> None:
        waiting = [item for item in items if item["state"] == "waiting"]
        for item in waiting:
            item["state"], item["reason"] = "kept", str(why)
        if waiting:
            self._firings.notices.schedule(session, schedule, NOTHING_DELETED, str(why))

    def _settled(self, session: Session, firing: Firing, schedule: Schedule, item: dict[str, Any]) -> bool:
        """Whether one deletion has come to its end."""
        if item["state"] == "waiting":
            try:
                item["operation_id"] = self._firings.delete(session, firing, schedule, item["checkpoint_id"])
            except RefloatError as exc:
                item["state"], item["reason"] = "kept", str(exc)
                return True
            item["state"] = "running"
            return False
        ended = self._firings.ended(item["operation_id"])
        if ended is None:
            return False
        state, item["reason"], _kind = ended
        item["state"] = "deleted" if state == SUCCEEDED else "failed"
        # Such as when other backups build on what it would delete.
        if state != SUCCEEDED and self._firings.keep_after_all(session, item["operation_id"]):
            item["state"] = "kept"
        return True

    def _result(self, firing: Firing, deletions: list[dict[str, Any]]) -> tuple[str, str]:
        state, words, _kind = self._firings.ended(firing.operation_id) or (FAILED, "", "")
        left = [item for item in deletions if item["state"] in ("failed", "kept")]
        told = [f"checkpoint {item['checkpoint_id']} was not deleted: {item['reason']}" for item in left]
        return state, "; ".join([words, *told] if words else told)
