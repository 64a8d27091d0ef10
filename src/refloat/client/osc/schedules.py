"""Triggers and scheduled operations."""

from __future__ import annotations

import argparse
from typing import Any

from refloat.client.osc.base import (
    ALL,
    NAME,
    PAGE,
    PROJECT,
    Arg,
    Create,
    Delete,
    Find,
    List,
    Update,
    pairs,
    trigger_properties,
)

_FORM = "<key=value,key=value>"


TriggerList = List.of(
    "List triggers.",
    "triggers",
    ALL,
    NAME,
    Arg("--type", "of this type"),
    Arg("--properties", "whose properties contain this"),
    *PAGE,
    PROJECT,
    columns=("Id", "Name", "Type", "Properties"),
)
TriggerShow = Find.of("Show a trigger.", "find_trigger", Arg("trigger", "name or id"))
TriggerCreate = Create.of(
    "Create a trigger.",
    "create_trigger",
    Arg("name", "what to call it"),
    Arg("type", "time"),
    Arg(
        "properties",
        "format (calendar or crontab), pattern, start_time, end_time, window (seconds)",
        read=trigger_properties,
        metavar=_FORM,
    ),
)
TriggerUpdate = Update.of(
    "Change a trigger.",
    "update_trigger",
    Arg("trigger_id", "name or id"),
    Arg("--name", "a new name"),
    Arg("--properties", "new properties, in place of all", read=trigger_properties, metavar=_FORM),
    finder="find_trigger",
)
TriggerDelete = Delete.of(
    "Delete triggers that no operation uses.",
    "delete_trigger",
    Arg("trigger", "name or id", nargs="+"),
    finder="find_trigger",
)


_SCHEDULED = Arg("scheduledoperation", "name or id")


ScheduledList = List.of(
    "List scheduled operations.",
    "scheduled_operations",
    ALL,
    NAME,
    Arg("--operation_type", "of this type"),
    Arg("--trigger_id", "of this trigger"),
    Arg("--operation_definition", "whose definition contains this"),
    *PAGE,
    PROJECT,
    columns=("Id", "Name", "Operation Type", "Trigger Id", "Operation Definition"),
)
ScheduledShow = Find.of("Show a scheduled operation.", "find_scheduled_operation", _SCHEDULED)


class ScheduledCreate(Create):
    """Create a scheduled operation.

    As in: scheduledoperation create nightly protect TRIGGER provider_id=PROVIDER,plan_id=PLAN.
    """

    verb = "create_scheduled_operation"
    args = (
        Arg("name", "what to call it"),
        Arg("operation_type", "protect or retention_protect"),
        Arg("trigger_id", "id of the trigger"),
        Arg(
            "operation_definition",
            "provider_id and plan_id; for retention_protect max_backups or retention_duration (days)",
            read=pairs,
            metavar="<key=value,key=value>",
        ),
    )


class ScheduledUpdate(Update):
    """Rename, enable or disable a scheduled operation."""

    verb, finder = "update_scheduled_operation", "find_scheduled_operation"
    args = (
        _SCHEDULED,
        Arg("--name", "a new name"),
        Arg("--description", "a new description"),
        Arg("--enable", "let it run", None, dest="enabled", action="store_true", default=None),
        Arg("--disable", "do not let it run", None, dest="enabled", action="store_false", default=None),
    )

    def sent(self, parsed_args: argparse.Namespace) -> dict[str, Any]:
        found = super().sent(parsed_args)
        return found if parsed_args.enabled is None else {**found, "enabled": parsed_args.enabled}


class ScheduledRun(Find):
    """Run a scheduled operation now, besides its times."""

    verb = "find_scheduled_operation"
    args = (_SCHEDULED,)

    def call(self, parsed_args: argparse.Namespace) -> Any:
        found = super().call(parsed_args)
        self.service.run_scheduled_operation(found)
        return self.service.get_scheduled_operation(found.id)


class ScheduledRetention(List):
    """Say which checkpoints a scheduled operation would keep now, and by which rule. Changes nothing."""

    columns = ("Id", "Created at", "Keep", "Rule")
    args = (_SCHEDULED,)

    def call(self, parsed_args: argparse.Namespace) -> Any:
        service, name = self.service, parsed_args.scheduledoperation
        found = service.find_scheduled_operation(name, ignore_missing=False)
        return service.scheduled_operation_retention(found)["checkpoints"]


ScheduledDelete = Delete.of(
    "Delete scheduled operations.",
    "delete_scheduled_operation",
    Arg("scheduledoperation", "name or id", nargs="+"),
    finder="find_scheduled_operation",
)
