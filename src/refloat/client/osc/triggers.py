"""Triggers."""

from __future__ import annotations

from refloat.client.osc import arguments as a
from refloat.client.osc.arguments import Arg
from refloat.client.osc.base import ALL, NAME, PAGE, PROJECT, Create, Delete, Find, List, Update

_FORM = "<key=value,key=value>"


class TriggerList(List):
    """List triggers."""

    verb = "triggers"
    columns = ("Id", "Name", "Type", "Properties")
    args = (
        ALL,
        NAME,
        Arg("--type", "of this type"),
        Arg("--properties", "whose properties contain this"),
        *PAGE,
        PROJECT,
    )


class TriggerShow(Find):
    """Show a trigger."""

    verb = "find_trigger"
    args = (Arg("trigger", "name or id"),)


class TriggerCreate(Create):
    """Create a trigger."""

    verb = "create_trigger"
    args = (
        Arg("name", "what to call it"),
        Arg("type", "time"),
        Arg(
            "properties",
            "format (calendar or crontab), pattern, start_time, end_time, window (seconds)",
            read=a.trigger_properties,
            metavar=_FORM,
        ),
    )


class TriggerUpdate(Update):
    """Change a trigger."""

    verb, finder = "update_trigger", "find_trigger"
    args = (
        Arg("trigger_id", "name or id"),
        Arg("--name", "a new name"),
        Arg("--properties", "new properties, in place of all", read=a.trigger_properties, metavar=_FORM),
    )


class TriggerDelete(Delete):
    """Delete triggers that no operation uses."""

    verb, finder = "delete_trigger", "find_trigger"
    args = (Arg("trigger", "name or id", nargs="+"),)
