"""Scheduled operations: what happens when a trigger fires."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from refloat.api.call import Call
from refloat.api.handlers import plans, triggers
from refloat.api.handlers.triggers import when
from refloat.api.validation import same_form
from refloat.errors import InvalidInput
from refloat.records.schedules import Firing, Schedule, Schedules
from refloat.schedule import definition
from refloat.schedule.view import LAST_RUNS


def listing(call: Call) -> dict[str, Any]:
    """A page of the scheduled operations."""
    query = call.query
    found = Schedules(call.site.database, call.listed).page(
        call.page(),
        name=query.get("name"),
        operation_type=query.get("operation_type"),
        trigger_id=query.get("trigger_id"),
        definition=query.get("operation_definition"),
    )
    return call.listing("operations", _views(call, found), found[-1].id if found else None)


def create(call: Call) -> dict[str, Any]:
    """A new scheduled operation; it acts with a trust of its own, from its maker."""
    wanted = call.body["scheduled_operation"]
    given = definition.checked(wanted["operation_type"], wanted["operation_definition"])
    schedule = call.site.schedules.create(
        call.caller,
        wanted["name"],
        wanted.get("description"),
        wanted["operation_type"],
        triggers.find(call, same_form(wanted["trigger_id"])),
        plans.find(call, given["plan_id"]),
        given,
    )
    return _answer(call, schedule)


def show(call: Call) -> dict[str, Any]:
    """One scheduled operation, with its last runs."""
    return _answer(call, _find(call))


def change(call: Call) -> dict[str, Any]:
    """Rename, enable or disable a scheduled operation."""
    wanted = call.body["scheduled_operation"]
    changes = {name: value for name, value in wanted.items() if value is not None}
    if "description" in wanted:
        changes["description"] = wanted["description"] or ""
    if not changes:
        raise InvalidInput("there is nothing to change")
    return _answer(call, call.site.schedules.change(call.caller, _find(call), **changes))


def delete(call: Call) -> None:
    """Forget a scheduled operation, and give back what it acted with."""
    call.site.schedules.delete(_find(call))


def act(call: Call) -> dict[str, Any]:
    """Run a scheduled operation now."""
    schedule = _find(call)
    call.site.schedules.run(schedule)
    call.site.wake()
    return _answer(call, schedule)


def retention(call: Call) -> dict[str, Any]:
    """What retention would delete now, and by which rule."""
    schedule = _find(call)
    rules, verdicts = call.site.schedules.preview(schedule)
    return {
        "retention": {
            "rules": rules.to_json(),
            "checkpoints": [
                {**asdict(verdict), "created_at": when(verdict.created_at)} for verdict in verdicts
            ],
        }
    }


def _find(call: Call) -> Schedule:
    return Schedules(call.site.database, call.scope).get(call.path["scheduled_operation_id"])


def _answer(call: Call, schedule: Schedule) -> dict[str, Any]:
    return {"scheduled_operation": _views(call, [schedule])[0]}


def _views(call: Call, schedules: Sequence[Schedule]) -> list[dict[str, Any]]:
    runs = Schedules(call.site.database, None).last_firings([item.id for item in schedules], LAST_RUNS)
    return [_view(item, runs.get(item.id, ())) for item in schedules]


def _view(schedule: Schedule, runs: Sequence[Firing]) -> dict[str, Any]:
    return {
        "id": schedule.id,
        "name": schedule.name,
        "description": schedule.description,
        "operation_type": schedule.operation_type,
        "trigger_id": schedule.trigger_id,
        "operation_definition": dict(schedule.definition),
        "enabled": schedule.enabled,
        "next_run_at": when(schedule.next_due) if schedule.enabled else None,
        "status_reason": schedule.reason or None,
        "last_runs": [_run(firing) for firing in runs],
    }


def _run(firing: Firing) -> dict[str, Any]:
    return {
        "id": firing.id,
        "due_at": when(firing.due_at),
        "manual": firing.manual,
        "state": firing.state,
        "reason": firing.reason or None,
        "operation_id": firing.operation_id or None,
        "checkpoint_id": firing.checkpoint_id or None,
        "started_at": when(firing.claimed_at),
        "ended_at": when(firing.ended_at),
        "deletions": [dict(item) for item in firing.deletions],
    }
