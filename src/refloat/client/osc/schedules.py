"""Triggers and scheduled operations."""

from __future__ import annotations

import argparse
from typing import Any

from refloat.client.osc import arguments as a
from refloat.client.osc.arguments import arg
from refloat.client.osc.base import ALL, PAGE, PROJECT, Change, Delete, Find, List, Show
from refloat.client.osc.common import NAME

# Triggers and scheduled operations


class TriggerList(List):
    """List triggers."""

    verb = "triggers"
    columns = ("Id", "Name", "Type", "Properties")
    args = (
        ALL,
        NAME,
        arg("--type", "of this type"),
        arg("--properties", "whose properties contain this"),
        *PAGE,
        PROJECT,
    )


class TriggerShow(Find):
    """Show a trigger."""

    verb, path = "find_trigger", ("trigger",)
    args = (arg("trigger", "name or id"),)


_TRIGGER_FORM = "<key=value,key=value>"


class TriggerCreate(Show):
    """Create a trigger."""

    verb = "create_trigger"
    args = (
        arg("name", "what to call it"),
        arg("type", "time"),
        arg(
            "properties",
            "format (calendar or crontab), pattern, start_time, end_time, window (seconds)",
            read=a.trigger_properties,
            metavar=_TRIGGER_FORM,
        ),
    )


class TriggerUpdate(Change):
    """Change a trigger."""

    verb, path, finder = "update_trigger", ("trigger_id",), "find_trigger"
    args = (
        arg("trigger_id", "name or id"),
        arg("--name", "a new name"),
        arg(
            "--properties",
            "new properties, in place of all",
            read=a.trigger_properties,
            metavar=_TRIGGER_FORM,
        ),
    )


class TriggerDelete(Delete):
    """Delete triggers that no operation uses."""

    verb, many, finder = "delete_trigger", "trigger", "find_trigger"
    args = (arg("trigger", "name or id", nargs="+"),)


class ScheduledList(List):
    """List scheduled operations."""

    verb = "scheduled_operations"
    columns = ("Id", "Name", "Operation Type", "Trigger Id", "Operation Definition")
    args = (
        ALL,
        NAME,
        arg("--operation_type", "of this type"),
        arg("--trigger_id", "of this trigger"),
        arg("--operation_definition", "whose definition contains this"),
        *PAGE,
        PROJECT,
    )


class ScheduledShow(Find):
    """Show a scheduled operation."""

    verb, path = "find_scheduled_operation", ("scheduledoperation",)
    args = (arg("scheduledoperation", "name or id"),)


class ScheduledCreate(Show):
    """Create a scheduled operation.

    As in: scheduledoperation create nightly protect TRIGGER provider_id=PROVIDER,plan_id=PLAN.
    """

    verb = "create_scheduled_operation"
    args = (
        arg("name", "what to call it"),
        arg("operation_type", "protect or retention_protect"),
        arg("trigger_id", "id of the trigger"),
        arg(
            "operation_definition",
            "provider_id and plan_id; for retention_protect max_backups or retention_duration (days)",
            read=a.pairs,
            metavar=_TRIGGER_FORM,
        ),
    )


class ScheduledUpdate(Change):
    """Rename, enable or disable a scheduled operation."""

    verb, path, finder = "update_scheduled_operation", ("scheduledoperation",), "find_scheduled_operation"
    args = (
        arg("scheduledoperation", "name or id"),
        arg("--name", "a new name"),
        arg("--description", "a new description"),
        arg("--enable", "let it run", None, dest="enabled", action="store_true", default=None),
        arg("--disable", "do not let it run", None, dest="enabled", action="store_false", default=None),
    )

    def sent(self, parsed_args: argparse.Namespace) -> dict[str, Any]:
        """Whether it is enabled, if that is said."""
        found = super().sent(parsed_args)
        return found if parsed_args.enabled is None else {**found, "enabled": parsed_args.enabled}


class ScheduledRun(Find):
    """Run a scheduled operation now, besides its times."""

    verb, path = "find_scheduled_operation", ("scheduledoperation",)
    args = (arg("scheduledoperation", "name or id"),)

    def call(self, parsed_args: argparse.Namespace) -> Any:
        """Have it run, show it."""
        found = super().call(parsed_args)
        self.service.run_scheduled_operation(found)
        return self.service.get_scheduled_operation(found.id)


class ScheduledRetention(List):
    """Say which checkpoints a scheduled operation would keep now, and by which rule. Changes nothing."""

    columns = ("Id", "Created at", "Keep", "Rule")
    args = (arg("scheduledoperation", "name or id", None),)

    def call(self, parsed_args: argparse.Namespace) -> Any:
        """Find it, ask for it."""
        service, name = self.service, parsed_args.scheduledoperation
        found = service.find_scheduled_operation(name, ignore_missing=False)
        return service.scheduled_operation_retention(found)["checkpoints"]


class ScheduledDelete(Delete):
    """Delete scheduled operations."""

    verb, many, finder = "delete_scheduled_operation", "scheduledoperation", "find_scheduled_operation"
    args = (arg("scheduledoperation", "name or id", nargs="+"),)
