"""Triggers and scheduled operations in the user's own database, with his own login."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from refloat.cli.embedded.session import EmbeddedSession
from refloat.cli.installation import Installation
from refloat.control.bank_looks import BankLooks
from refloat.control.worker import BINARY, UP, Worker
from refloat.records.schedules import Firing, Schedule, Schedules
from refloat.records.services import ServiceRecords
from refloat.records.triggers import Trigger, Triggers
from refloat.schedule import definition
from refloat.schedule.firings import Firings
from refloat.schedule.retention import Judgement
from refloat.schedule.runner import Runner
from refloat.schedule.scheduled_operations import TIME_TRIGGER, ScheduledOperations, What
from refloat.schedule.view import LAST_RUNS, ScheduleView

_PAUSE = 0.2


class EmbeddedSchedules:
    """One user's triggers and scheduled operations.

    They act as the entry of ``clouds.yaml`` that they were made with. ``refloat serve`` and ``worker`` run
    them, when these act so too; else :meth:`run_due`.
    """

    def __init__(self, refloat: EmbeddedSession) -> None:
        self._refloat = refloat
        self._scheduled = ScheduledOperations(
            refloat.database, refloat.providers, refloat.authority, refloat.quotas, notices=refloat.notices
        )
        self._triggers = Triggers(refloat.database, refloat.cloud.project_id)
        self._schedules = Schedules(refloat.database, refloat.cloud.project_id)
        self.delete = self._scheduled.delete

    def list_triggers(self) -> Sequence[Trigger]:
        self._scheduled.look_ahead()
        return self._triggers.list()

    def find_trigger(self, name_or_id: str) -> Trigger:
        self._scheduled.look_ahead()
        return self._triggers.find(name_or_id)

    def create_trigger(self, name: str, properties: Mapping[str, Any]) -> Trigger:
        return self._scheduled.create_trigger(self._refloat.cloud.project_id, name, TIME_TRIGGER, properties)

    def change_trigger(
        self, trigger: Trigger, name: str | None, properties: Mapping[str, Any] | None
    ) -> Trigger:
        return self._scheduled.change_trigger(trigger.project_id, trigger.id, name, properties)

    def delete_trigger(self, trigger: Trigger) -> None:
        self._triggers.delete(trigger.id)

    def list(self) -> Sequence[ScheduleView]:
        return self._views(self._schedules.list())

    def find(self, name_or_id: str) -> ScheduleView:
        return self._views([self._schedules.find(name_or_id)])[0]

    def _views(self, schedules: Sequence[Schedule]) -> Sequence[ScheduleView]:
        names = {trigger.id: trigger.name for trigger in self._triggers.list()}
        runs = self._schedules.last_firings([item.id for item in schedules], LAST_RUNS)
        by = self._run_by() if schedules else ""
        return [ScheduleView(item, names[item.trigger_id], runs.get(item.id, ()), by) for item in schedules]

    def _run_by(self) -> str:
        if ServiceRecords(self._refloat.database).up(BINARY, UP):
            return "a worker on this database"
        return Installation(self._refloat.cloud.name).place

    def create(
        self, name: str, trigger: str, plan: str, rules: Mapping[str, int] | None, description: str = ""
    ) -> ScheduleView:
        """Make a scheduled operation.

        :param rules: what retention keeps; None: it deletes nothing.
        """
        chosen = self._refloat.plans.find(plan)
        provider = self._refloat.providers.find(chosen.provider)
        kind = definition.PROTECT if rules is None else definition.RETENTION_PROTECT
        given = {"provider_id": provider.id, "plan_id": chosen.id, **(rules or {})}
        made = self._scheduled.create(
            self._refloat.caller,
            name,
            description or None,
            kind,
            self._triggers.find(trigger),
            chosen,
            definition.checked(kind, given),
        )
        return self._views([made])[0]

    def change(
        self,
        schedule: Schedule,
        *,
        trigger: str = "",
        plan: str = "",
        rules: Mapping[str, int] | None = None,
        **changes: Any,
    ) -> ScheduleView:
        """Change what is given. A rule that is 0 or -1 is taken away."""
        if trigger:
            changes["trigger"] = self._triggers.find(trigger)
        if plan or rules:
            chosen = self._refloat.plans.find(plan or schedule.plan_id)
            provider = self._refloat.providers.find(chosen.provider)
            ids = {"provider_id": provider.id, "plan_id": chosen.id}
            kind, given = definition.changed(schedule.definition, {**(rules or {}), **ids})
            changes["what"] = What(kind, definition.checked(kind, given), chosen)
        return self._views([self._scheduled.change(self._refloat.caller, schedule, **changes)])[0]

    def preview(self, schedule: Schedule) -> Judgement:
        self._look_into_banks()
        return self._scheduled.retention.preview(schedule)

    def _look_into_banks(self) -> None:
        """Learn of what came into the banks without these records: retention is for that, too."""
        refloat = self._refloat
        known = refloat.database, refloat.providers, refloat.banks, refloat.settings.bank, refloat.notices
        BankLooks(*known).look()

    def run(self, schedule: Schedule, say: Callable[[Firing, Schedule], None]) -> int:
        self._scheduled.run(schedule)
        return self.run_due(say)

    def run_due(self, say: Callable[[Firing, Schedule], None]) -> int:
        """Run, here, what is due and what has begun, to its end; how many did not end well.

        :param say: told of each that has ended.
        """
        refloat = self._refloat
        worker = Worker(
            refloat.settings,
            refloat.database,
            refloat.providers,
            refloat.authority,
            refloat.grants,
            notices=refloat.notices,
            banks=refloat.banks,
        )
        firings = Firings(refloat.database, refloat.submitter(scheduled=True), notices=refloat.notices)
        runner = Runner(refloat.database, self._scheduled, firings, refloat.authority)
        seen: dict[str, Schedule] = {}
        try:
            while True:
                runner.look()
                seen |= {firing.id: schedule for firing, schedule in self._schedules.open_firings()}
                if not self._schedules.open_firings(1):
                    break
                worker.work()
                time.sleep(_PAUSE)
        finally:
            worker.close()
        bad = 0
        for schedule in {item.id: item for item in seen.values()}.values():
            for firing in self._schedules.last_firings([schedule.id], len(seen))[schedule.id]:
                if firing.id in seen:
                    say(firing, schedule)
                    bad += firing.state == "failed"
        return bad
