"""Triggers: when something is to happen."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from refloat.api.request import Request
from refloat.errors import InvalidInput
from refloat.records.checkpoints import now
from refloat.records.triggers import Trigger, Triggers
from refloat.schedule.timetable import TIME, Timetable


def listing(request: Request) -> dict[str, Any]:
    """A page of the triggers."""
    query = request.query
    found = Triggers(request.deployment.database, request.listed).page(
        request.page(), name=query.get("name"), kind=query.get("type"), properties=query.get("properties")
    )
    return request.listing("triggers", [view(item) for item in found], found[-1].id if found else None)


def create(request: Request) -> dict[str, Any]:
    """A new trigger."""
    wanted = request.body["trigger_info"]
    trigger = request.deployment.schedules.create_trigger(
        request.project_id, wanted["name"], wanted["type"], wanted["properties"]
    )
    return {"trigger_info": view(trigger)}


def show(request: Request) -> dict[str, Any]:
    """One trigger."""
    return {"trigger_info": view(find(request, request.path["trigger_id"]))}


def change(request: Request) -> dict[str, Any]:
    """Rename a trigger, or replace its properties; what it is used by goes on from now."""
    wanted = request.body["trigger_info"]
    if "name" not in wanted and not wanted.get("properties"):
        raise InvalidInput("there is nothing to change")
    trigger = request.deployment.schedules.change_trigger(
        request.scope, request.path["trigger_id"], wanted.get("name"), wanted.get("properties")
    )
    return {"trigger_info": view(trigger)}


def delete(request: Request) -> None:
    """Forget a trigger that no scheduled operation uses."""
    Triggers(request.deployment.database, request.scope).delete(request.path["trigger_id"])


def find(request: Request, identity: str) -> Trigger:
    """A trigger that the caller may see. :raises NotFound: there is none."""
    return Triggers(request.deployment.database, request.scope).get(identity)


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
