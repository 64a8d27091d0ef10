"""Triggers and scheduled operations on one machine: in the user's own database, with his own login."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from datetime import timedelta
from typing import Any

from refloat.cloud.authority import Caller, NamedCloud
from refloat.operations.app import Refloat
from refloat.operations.grants import Grants
from refloat.operations.worker import Worker
from refloat.records.quotas import DEFAULTS, UNLIMITED, Quotas
from refloat.records.schedules import Firing, Schedule, Schedules
from refloat.records.triggers import Trigger, Triggers
from refloat.schedule import definition
from refloat.schedule.desk import TIME_TRIGGER, ScheduleDesk
from refloat.schedule.runner import Runner
from refloat.schedule.starting import Starting

_PAUSE = 0.2
_LIFETIME = timedelta(days=1)
"""Of what is granted for an operation; an entry of clouds.yaml grants nothing."""


class LocalSchedules:
    """One user's triggers and scheduled operations.

    They act as the entry of ``clouds.yaml`` that they were made with. ``refloat serve`` and ``worker`` run
    them, when these act so too; else :meth:`run_due`.
    """

    def __init__(self, refloat: Refloat) -> None:
        self._refloat = refloat
        self._authority = NamedCloud(refloat.cloud.name)
        self._quotas = Quotas(refloat.database, dict.fromkeys(DEFAULTS, UNLIMITED))
        self._desk = ScheduleDesk(refloat.database, refloat.providers, self._authority, self._quotas)
        self.triggers = Triggers(refloat.database, refloat.cloud.project_id)
        self.schedules = Schedules(refloat.database, refloat.cloud.project_id)
        self.set_trigger = self._desk.change_trigger
        self.delete = self._desk.delete
        self.preview = self._desk.preview
        self.begin = self._desk.run

    @property
    def _caller(self) -> Caller:
        return Caller(self._refloat.cloud.user_id, self._refloat.cloud.project_id)

    def create_trigger(self, name: str, properties: Mapping[str, Any]) -> Trigger:
        """Make a trigger."""
        return self._desk.create_trigger(self._refloat.cloud.project_id, name, TIME_TRIGGER, properties)

    def create(
        self, name: str, trigger: str, plan: str, rules: Mapping[str, int] | None, description: str = ""
    ) -> Schedule:
        """Make a scheduled operation.

        :param rules: what retention keeps; None: it deletes nothing.
        """
        chosen = self._refloat.plans.find(plan)
        provider = self._refloat.providers.find(chosen.provider)
        kind = definition.PROTECT if rules is None else definition.RETENTION_PROTECT
        given = {"provider_id": provider.id, "plan_id": chosen.id, **(rules or {})}
        return self._desk.create(
            self._caller,
            name,
            description or None,
            kind,
            self.triggers.find(trigger),
            chosen,
            definition.checked(kind, given),
        )

    def change(self, schedule: Schedule, **changes: Any) -> Schedule:
        """Rename it, enable or disable it."""
        return self._desk.change(self._caller, schedule, **changes)

    def last_runs(self, schedules: list[Schedule], each: int) -> Mapping[str, Any]:
        """The last runs of some, by id."""
        return self.schedules.last_firings([item.id for item in schedules], each)

    def run_due(self, say: Callable[[Firing, Schedule], None]) -> int:
        """Run, here, what is due and what has begun, to its end; how many did not end well.

        :param say: told of each that has ended.
        """
        database, settings = self._refloat.database, self._refloat.settings
        grants = Grants(database, self._authority, _LIFETIME)
        worker = Worker(settings, database, self._refloat.providers, self._authority, grants)
        starting = Starting(database, self._refloat.providers, self._quotas)
        runner = Runner(database, self._desk, starting, self._authority)
        seen: dict[str, Schedule] = {}
        try:
            while True:
                runner.look()
                seen |= {firing.id: schedule for firing, schedule in self.schedules.open_firings()}
                if not self.schedules.open_firings(1):
                    break
                worker.work()
                time.sleep(_PAUSE)
        finally:
            worker.close()
        bad = 0
        for schedule in {item.id: item for item in seen.values()}.values():
            for firing in self.schedules.last_firings([schedule.id], len(seen))[schedule.id]:
                if firing.id in seen:
                    say(firing, schedule)
                    bad += firing.state == "failed"
        return bad
