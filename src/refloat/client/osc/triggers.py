"""Triggers."""

from __future__ import annotations

from refloat.client.osc import arguments as a
from refloat.client.osc.arguments import Arg
from refloat.client.osc.base import ALL, NAME, PAGE, PROJECT, Create, Delete, Find, List, Update

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
        read=a.trigger_properties,
        metavar=_FORM,
    ),
)
TriggerUpdate = Update.of(
    "Change a trigger.",
    "update_trigger",
    Arg("trigger_id", "name or id"),
    Arg("--name", "a new name"),
    Arg("--properties", "new properties, in place of all", read=a.trigger_properties, metavar=_FORM),
    finder="find_trigger",
)
TriggerDelete = Delete.of(
    "Delete triggers that no operation uses.",
    "delete_trigger",
    Arg("trigger", "name or id", nargs="+"),
    finder="find_trigger",
)
