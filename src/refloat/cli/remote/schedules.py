"""Triggers and scheduled operations at the service."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any

from refloat.cli.remote.plans import RemotePlans
from refloat.cli.remote.session import OLDEST_FIRST, find
from refloat.cli.remote.views import firing_of, moment_of, schedule_of, trigger_of
from refloat.client.errors import told
from refloat.errors import Conflict, InvalidInput
from refloat.records.schedules import OPEN, WAITING, Firing, Schedule
from refloat.records.triggers import Trigger
from refloat.schedule.definition import PROTECT, RETENTION_PROTECT, changed
from refloat.schedule.retention import Judgement, Verdict
from refloat.schedule.view import ScheduleView

_TICK = 0.5
_PATIENCE = 600.0
"""Seconds that a run has to begin."""
_LEAVE_TO_WORKERS = "The service's workers run what is due"


class RemoteSchedules:
    """The project's triggers and scheduled operations.

    :param service: where they are.
    """

    def __init__(self, service: RemotePlans) -> None:
        self._service = service

    @property
    def _api(self) -> Any:
        return self._service.api

    # --- triggers

    def list_triggers(self) -> list[Trigger]:
        with told("list the triggers"):
            return [trigger_of(item) for item in self._api.triggers(sort=OLDEST_FIRST)]

    def find_trigger(self, name_or_id: str) -> Trigger:
        api = self._api
        return trigger_of(find("trigger", name_or_id, api.get_trigger, api.triggers, "trigger list"))

    def create_trigger(self, name: str, properties: Mapping[str, Any]) -> Trigger:
        with told("create the trigger", name):
            return trigger_of(self._api.create_trigger(name=name, type="time", properties=dict(properties)))

    def change_trigger(
        self, trigger: Trigger, name: str | None, properties: Mapping[str, Any] | None
    ) -> Trigger:
        wanted = {"name": name, "properties": dict(properties) if properties else None}
        changes = {key: value for key, value in wanted.items() if value is not None}
        if not changes:
            return trigger
        with told("change the trigger", trigger.name):
            return trigger_of(self._api.update_trigger(trigger.id, **changes))

    def delete_trigger(self, trigger: Trigger) -> None:
        try:
            with told("delete the trigger", trigger.name):
                self._api.delete_trigger(trigger.id, ignore_missing=False)
        except Conflict as exc:
            raise Conflict(exc.message, request_id=exc.request_id, advice="Delete these first") from exc

    # --- scheduled operations

    def list(self) -> list[ScheduleView]:
        with told("list the schedules"):
            found = list(self._api.scheduled_operations(sort=OLDEST_FIRST))
        names = {trigger.id: trigger.name for trigger in self.list_triggers()} if found else {}
        return [self._view(item, names) for item in found]

    def find(self, name_or_id: str) -> ScheduleView:
        api = self._api
        return self._view(
            find(
                "schedule",
                name_or_id,
                api.get_scheduled_operation,
                api.scheduled_operations,
                "schedule list",
            )
        )

    def create(
        self, name: str, trigger: str, plan: str, rules: Mapping[str, int] | None, description: str = ""
    ) -> ScheduleView:
        chosen, found = self._service.find_plan(plan), self.find_trigger(trigger)
        with told("create the schedule", name):
            made = self._api.create_scheduled_operation(
                name=name,
                description=description or None,
                operation_type=PROTECT if rules is None else RETENTION_PROTECT,
                trigger_id=found.id,
                operation_definition={
                    "provider_id": chosen.provider,
                    "plan_id": chosen.id,
                    **(rules or {}),
                },
            )
        return self._view(made, {found.id: found.name})

    def change(
        self,
        schedule: Schedule,
        *,
        trigger: str = "",
        plan: str = "",
        rules: Mapping[str, int] | None = None,
        **changes: Any,
    ) -> ScheduleView:
        if trigger:
            changes["trigger_id"] = self.find_trigger(trigger).id
        if plan or rules:
            wanted: dict[str, Any] = dict(rules or {})
            if plan:
                chosen = self._service.find_plan(plan)
                wanted |= {"provider_id": chosen.provider, "plan_id": chosen.id}
            kind, given = changed(schedule.definition, wanted)
            changes |= {"operation_type": kind, "operation_definition": given}
        if not changes:
            return self.find(schedule.id)
        with told("change the schedule", schedule.name):
            return self._view(self._api.update_scheduled_operation(schedule.id, **changes))

    def delete(self, schedule: Schedule) -> None:
        with told("delete the schedule", schedule.name):
            self._api.delete_scheduled_operation(schedule.id, ignore_missing=False)

    def preview(self, schedule: Schedule) -> Judgement:
        with told("find out what the schedule would delete", schedule.name):
            found = self._api.scheduled_operation_retention(schedule.id)
        verdicts = [
            Verdict(item["id"], moment_of(item["created_at"]) or datetime.min, item["keep"], item["rule"])
            for item in found["checkpoints"]
        ]
        upcoming = bool(found.get("new_checkpoint"))
        return Judgement(found["rules"], verdicts, found.get("proves") or "", upcoming)

    def run(self, schedule: Schedule, say: Callable[[Firing, Schedule], None]) -> int:
        """Have a worker run it now, and wait for that.

        :raises Conflict: no worker has begun with it for long; one may still.
        """
        with told("run the schedule", schedule.name):
            firing_id = self._api.run_scheduled_operation(schedule.id)
            deadline = time.monotonic() + _PATIENCE
            while (firing := self._firing(schedule.id, firing_id)).state in OPEN:
                if firing.state == WAITING and time.monotonic() > deadline:
                    raise Conflict(
                        "no worker of the service has begun the run yet; it begins when one does",
                        advice=f"See: refloat schedule show {schedule.id}",
                    )
                time.sleep(_TICK)
        say(firing, schedule)
        return int(firing.state == "failed")

    def _firing(self, schedule_id: str, firing_id: str) -> Firing:
        found = self._api.get_scheduled_operation(schedule_id)
        for item in found.last_runs:
            if item["id"] == firing_id:
                return firing_of(schedule_id, item)
        raise Conflict(
            "the service does not show the run any more", advice=f"See: refloat schedule show {schedule_id}"
        )

    def run_due(self, say: Callable[[Firing, Schedule], None]) -> int:
        """:raises InvalidInput: that is the workers' business."""
        raise InvalidInput(
            "what is due is run here only of this machine's own schedules", advice=_LEAVE_TO_WORKERS
        )

    def _view(self, item: Any, names: Mapping[str, str] | None = None) -> ScheduleView:
        known = names or {}
        name = known.get(item.trigger_id) or self.find_trigger(item.trigger_id).name
        runs = [firing_of(item.id, run) for run in item.last_runs or ()]
        return ScheduleView(schedule_of(item), name, runs, "the service's workers")
