"""Triggers: when something is to happen."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from refloat.api.call import Call
from refloat.errors import InvalidInput
from refloat.records.checkpoints import now
from refloat.records.triggers import Trigger, Triggers
from refloat.schedule.timetable import TIME, Timetable


def listing(call: Call) -> dict[str, Any]:
    """A page of the triggers."""
    query = call.query
    found = Triggers(call.site.database, call.listed).page(
        call.page(), name=query.get("name"), kind=query.get("type"), properties=query.get("properties")
    )
    return call.listing("triggers", [view(item) for item in found], found[-1].id if found else None)


def create(call: Call) -> dict[str, Any]:
    """A new trigger."""
    wanted = call.body["trigger_info"]
    trigger = call.site.schedules.create_trigger(
        call.project_id, wanted["name"], wanted["type"], wanted["properties"]
    )
    return {"trigger_info": view(trigger)}


def show(call: Call) -> dict[str, Any]:
    """One trigger."""
    return {"trigger_info": view(find(call, call.path["trigger_id"]))}


def change(call: Call) -> dict[str, Any]:
    """Rename a trigger, or replace its properties; what it is used by goes on from now."""
    wanted = call.body["trigger_info"]
    if "name" not in wanted and not wanted.get("properties"):
        raise InvalidInput("there is nothing to change")
    trigger = call.site.schedules.change_trigger(
        call.scope, call.path["trigger_id"], wanted.get("name"), wanted.get("properties")
    )
    return {"trigger_info": view(trigger)}


def delete(call: Call) -> None:
    """Forget a trigger that no scheduled operation uses."""
    Triggers(call.site.database, call.scope).delete(call.path["trigger_id"])


def find(call: Call, identity: str) -> Trigger:
    """A trigger that the caller may see. :raises NotFound: there is none."""
    return Triggers(call.site.database, call.scope).get(identity)


def view(trigger: Trigger) -> dict[str, Any]:
    """A trigger as clients know it."""
    return {
        "id": trigger.id,
        "name": trigger.name,
        "type": trigger.type,
        "properties": dict(trigger.properties),
        "next_run_at": when(Timetable.from_json(trigger.properties).next_after(now())),
        "created_at": when(trigger.created_at),
    }


def when(moment: datetime | None) -> str | None:
    """A time as triggers have it."""
    return f"{moment:{TIME}}" if moment is not None else None
