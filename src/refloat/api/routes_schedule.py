"""The routes of triggers, scheduled operations and legal holds."""

from __future__ import annotations

from refloat.api import schemas as s
from refloat.api import schemas_schedule as t
from refloat.api.route import CHECKPOINTS, PROJECT, Route
from refloat.api.v1 import holds, scheduled_operations, triggers

_TRIGGERS = f"{PROJECT}/triggers"
_TRIGGER = f"{_TRIGGERS}/{{trigger_id}}"
_SCHEDULED = f"{PROJECT}/scheduled_operations"
_ONE = f"{_SCHEDULED}/{{scheduled_operation_id}}"
_HOLD = f"{CHECKPOINTS}/{{checkpoint_id}}/hold"

_trigger = s.wrapped("trigger_info", t.TRIGGER)
_scheduled = s.wrapped("scheduled_operation", t.SCHEDULED)
_hold = s.wrapped("hold", t.HOLD)

SCHEDULE_ROUTES: tuple[Route, ...] = (
    Route(
        "GET",
        _TRIGGERS,
        triggers.listing,
        "trigger:list",
        s.listed("triggers", t.TRIGGER),
        query=s.list_query("name", "type", "properties"),
    ),
    Route("POST", _TRIGGERS, triggers.create, "trigger:create", _trigger, t.TRIGGER_NEW),
    Route("GET", _TRIGGER, triggers.show, "trigger:get", _trigger),
    Route("PUT", _TRIGGER, triggers.change, "trigger:update", _trigger, t.TRIGGER_CHANGE),
    Route("DELETE", _TRIGGER, triggers.delete, "trigger:delete"),
    Route(
        "GET",
        _SCHEDULED,
        scheduled_operations.listing,
        "scheduled_operation:list",
        s.listed("operations", t.SCHEDULED),
        query=s.list_query("name", "operation_type", "trigger_id", "operation_definition"),
    ),
    Route(
        "POST",
        _SCHEDULED,
        scheduled_operations.create,
        "scheduled_operation:create",
        _scheduled,
        t.SCHEDULED_NEW,
    ),
    Route("GET", _ONE, scheduled_operations.show, "scheduled_operation:get", _scheduled),
    Route(
        "PUT", _ONE, scheduled_operations.change, "scheduled_operation:update", _scheduled, t.SCHEDULED_CHANGE
    ),
    Route("DELETE", _ONE, scheduled_operations.delete, "scheduled_operation:delete"),
    Route(
        "POST",
        f"{_ONE}/action",
        scheduled_operations.act,
        "scheduled_operation:run",
        _scheduled,
        t.SCHEDULED_ACTION,
    ),
    Route("GET", f"{_ONE}/retention", scheduled_operations.retention, "scheduled_operation:get", t.RETENTION),
    Route("GET", _HOLD, holds.show, "provider:checkpoint_get", _hold),
    Route("PUT", _HOLD, holds.place, "provider:checkpoint_hold", _hold, t.HOLD_NEW),
    Route("DELETE", _HOLD, holds.release, "provider:checkpoint_release", s.obj()),
)
