"""Triggers: when something is to happen."""

from __future__ import annotations

from typing import Any

from refloat.api import schemas as s
from refloat.api import times
from refloat.api.request import Request
from refloat.api.route import PROJECT, Route, member, reader
from refloat.errors import InvalidInput
from refloat.records.triggers import Trigger, Triggers
from refloat.schedule.patterns import FORMATS
from refloat.schedule.timetable import MISFIRES

_SENT = {
    "format": {"enum": list(FORMATS)},
    "pattern": {
        "type": "string",
        "maxLength": 4096,
        "description": "an iCalendar VEVENT with RRULE, or the five fields of a crontab",
    },
    "start_time": {**s.WHEN, "maxLength": 32},
    "end_time": {**s.WHEN, "maxLength": 32},
    "window": {"type": ["integer", "null"], "description": "seconds after its time that it may start"},
    "timezone": {"type": ["string", "null"], "maxLength": 64, "description": "as Europe/Berlin; else UTC"},
    "misfire": {
        "enum": [*MISFIRES, None],
        "description": "what becomes of firings that come too late; else run_once",
    },
}
NEW = s.reply(name=s.NAME, type={"enum": ["time"]}, properties=s.obj(("format", "pattern"), **_SENT))
CHANGE = s.obj(name=s.NAME, properties=s.obj(**_SENT)) | {"minProperties": 1}
SCHEMA = s.reply(
    id=s.UUID,
    name=s.STRING,
    type=s.STRING,
    properties=s.reply(
        "end_time",
        format=s.STRING,
        pattern=s.STRING,
        start_time=s.STRING,
        end_time=s.STRING,
        window={"type": "integer"},
        timezone=s.STRING,
        misfire=s.STRING,
    ),
    next_run_at=s.WHEN,
    created_at=s.WHEN,
)


def listing(request: Request) -> dict[str, Any]:
    """A page of the triggers."""
    found = _triggers(request, request.listed).page(
        request.page(), kind=request.query.get("type"), **request.filters("name", "properties")
    )
    return request.listing("triggers", found, _view)


def create(request: Request) -> dict[str, Any]:
    """A new trigger."""
    wanted = request.body["trigger_info"]
    return _answer(
        request.deployment.schedules.create_trigger(
            request.project_id, wanted["name"], wanted["type"], wanted["properties"]
        )
    )


def show(request: Request) -> dict[str, Any]:
    """One trigger."""
    return _answer(find(request, request.path["trigger_id"]))


def change(request: Request) -> dict[str, Any]:
    """Rename a trigger, or replace its properties; what it is used by goes on from now."""
    wanted = request.body["trigger_info"]
    if "name" not in wanted and not wanted.get("properties"):
        raise InvalidInput("there is nothing to change")
    return _answer(
        request.deployment.schedules.change_trigger(
            request.scope, request.path["trigger_id"], wanted.get("name"), wanted.get("properties")
        )
    )


def delete(request: Request) -> None:
    """Forget a trigger that no scheduled operation uses."""
    _triggers(request, request.scope).delete(request.path["trigger_id"])


def find(request: Request, identity: str) -> Trigger:
    """A trigger that the caller may see. :raises NotFound: there is none."""
    return _triggers(request, request.scope).get(identity)


def _triggers(request: Request, project_id: str | None) -> Triggers:
    return Triggers(request.deployment.database, project_id)


def _answer(trigger: Trigger) -> dict[str, Any]:
    return {"trigger_info": _view(trigger)}


def _view(trigger: Trigger) -> dict[str, Any]:
    return s.view(
        SCHEMA,
        trigger,
        next_run_at=times.of_trigger(trigger.next_run_at),
        created_at=times.of_trigger(trigger.created_at),
    )


_TRIGGERS, _TRIGGER = f"{PROJECT}/triggers", f"{PROJECT}/triggers/{{trigger_id}}"
_one, _many = s.wrapped("trigger_info", SCHEMA), s.listed("triggers", SCHEMA)
_QUERY = s.list_query("name", "type", "properties")

ROUTES = (
    Route("GET", _TRIGGERS, listing, reader("trigger:list"), _many, query=_QUERY),
    Route("POST", _TRIGGERS, create, member("trigger:create"), _one, s.wrapped("trigger_info", NEW)),
    Route("GET", _TRIGGER, show, reader("trigger:get"), _one),
    Route("PUT", _TRIGGER, change, member("trigger:update"), _one, s.wrapped("trigger_info", CHANGE)),
    Route("DELETE", _TRIGGER, delete, member("trigger:delete")),
)
