"""Triggers and scheduled operations."""

from __future__ import annotations

import argparse
from typing import Any

from refloat.client.osc import base as o

_FORM = "<key=value,key=value>"


TriggerList = o.List.of(
    "List triggers.",
    "triggers",
    o.ALL,
    o.NAME,
    o.Arg("--type", "of this type"),
    o.Arg("--properties", "whose properties contain this"),
    *o.PAGE,
    o.PROJECT,
    columns=("Id", "Name", "Type", "Properties"),
)
TriggerShow = o.Find.of("Show a trigger.", "find_trigger", o.Arg("trigger", "name or id"))
TriggerCreate = o.Create.of(
    "Create a trigger.",
    "create_trigger",
    o.Arg("name", "what to call it"),
    o.Arg("type", "time"),
    o.Arg(
        "properties",
        "format (calendar or crontab), pattern, start_time, end_time, window (seconds)",
        read=o.trigger_properties,
        metavar=_FORM,
    ),
)
TriggerUpdate = o.Update.of(
    "Change a trigger.",
    "update_trigger",
    o.Arg("trigger_id", "name or id"),
    o.Arg("--name", "a new name"),
    o.Arg("--properties", "new properties, in place of all", read=o.trigger_properties, metavar=_FORM),
    finder="find_trigger",
)
TriggerDelete = o.Delete.of(
    "Delete triggers that no operation uses.",
    "delete_trigger",
    o.Arg("trigger", "name or id", nargs="+"),
    finder="find_trigger",
)


_SCHEDULED = o.Arg("scheduledoperation", "name or id")


ScheduledList = o.List.of(
    "List scheduled operations.",
    "scheduled_operations",
    o.ALL,
    o.NAME,
    o.Arg("--operation_type", "of this type"),
    o.Arg("--trigger_id", "of this trigger"),
    o.Arg("--operation_definition", "whose definition contains this"),
    *o.PAGE,
    o.PROJECT,
    columns=("Id", "Name", "Operation Type", "Trigger Id", "Operation Definition"),
)
ScheduledShow = o.Find.of("Show a scheduled operation.", "find_scheduled_operation", _SCHEDULED)


class ScheduledCreate(o.Create):
    """Create a scheduled operation.

    As in: scheduledoperation create nightly protect TRIGGER provider_id=PROVIDER,plan_id=PLAN.
    """

    verb = "create_scheduled_operation"
    args = (
        o.Arg("name", "what to call it"),
        o.Arg("operation_type", "protect or retention_protect"),
        o.Arg("trigger_id", "id of the trigger"),
        o.Arg(
            "operation_definition",
            "provider_id and plan_id; for retention_protect max_backups or retention_duration (days)",
            read=o.pairs,
            metavar="<key=value,key=value>",
        ),
    )


class ScheduledUpdate(o.Update):
    """Change a scheduled operation. A new operation_definition takes the place of all of it."""

    verb, finder = "update_scheduled_operation", "find_scheduled_operation"
    args = (
        _SCHEDULED,
        o.Arg("--name", "a new name"),
        o.Arg("--description", "a new description"),
        o.Arg("--operation_type", "protect or retention_protect"),
        o.Arg("--trigger_id", "id of another trigger"),
        o.Arg(
            "--operation_definition",
            "as for scheduledoperation create; include_manual=true: also what was made by hand",
            read=o.pairs,
            metavar="<key=value,key=value>",
        ),
        o.Arg("--enable", "let it run", None, dest="enabled", action="store_true", default=None),
        o.Arg("--disable", "do not let it run", None, dest="enabled", action="store_false", default=None),
    )

    def sent(self, parsed_args: argparse.Namespace) -> dict[str, Any]:
        found = super().sent(parsed_args)
        return found if parsed_args.enabled is None else {**found, "enabled": parsed_args.enabled}


class ScheduledRun(o.Find):
    """Run a scheduled operation now, besides its times."""

    verb = "find_scheduled_operation"
    args = (_SCHEDULED,)

    def call(self, parsed_args: argparse.Namespace) -> Any:
        found = super().call(parsed_args)
        self.service.run_scheduled_operation(found)
        return self.service.get_scheduled_operation(found.id)


class ScheduledRetention(o.List):
    """Say which checkpoints a scheduled operation would keep now, and by which rule. Changes nothing."""

    columns = ("Id", "Created at", "Keep", "Rule")
    args = (_SCHEDULED,)

    def call(self, parsed_args: argparse.Namespace) -> Any:
        service, name = self.service, parsed_args.scheduledoperation
        found = service.find_scheduled_operation(name, ignore_missing=False)
        return service.scheduled_operation_retention(found)["checkpoints"]


ScheduledDelete = o.Delete.of(
    "Delete scheduled operations.",
    "delete_scheduled_operation",
    o.Arg("scheduledoperation", "name or id", nargs="+"),
    finder="find_scheduled_operation",
)
