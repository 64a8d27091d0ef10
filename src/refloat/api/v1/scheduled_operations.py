"""Scheduled operations: what happens when a trigger fires."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from refloat.api.request import Request
from refloat.api.v1 import plans, triggers
from refloat.api.v1.triggers import when
from refloat.api.validation import same_form
from refloat.errors import InvalidInput
from refloat.records.schedules import Firing, Schedule, Schedules
from refloat.schedule import definition
from refloat.schedule.view import LAST_RUNS


def listing(request: Request) -> dict[str, Any]:
    """A page of the scheduled operations."""
    query = request.query
    found = Schedules(request.deployment.database, request.listed).page(
        request.page(),
        name=query.get("name"),
        operation_type=query.get("operation_type"),
        trigger_id=query.get("trigger_id"),
        definition=query.get("operation_definition"),
    )
    return request.listing("operations", _views(request, found), found[-1].id if found else None)


def create(request: Request) -> dict[str, Any]:
    """A new scheduled operation; it acts with a trust of its own, from its maker."""
    wanted = request.body["scheduled_operation"]
    given = definition.checked(wanted["operation_type"], wanted["operation_definition"])
    schedule = request.deployment.schedules.create(
        request.caller,
        wanted["name"],
        wanted.get("description"),
        wanted["operation_type"],
        triggers.find(request, same_form(wanted["trigger_id"])),
        plans.find(request, given["plan_id"]),
        given,
    )
    return _answer(request, schedule)


def show(request: Request) -> dict[str, Any]:
    """One scheduled operation, with its last runs."""
    return _answer(request, _find(request))


def change(request: Request) -> dict[str, Any]:
    """Rename, enable or disable a scheduled operation."""
    wanted = request.body["scheduled_operation"]
    changes = {name: value for name, value in wanted.items() if value is not None}
    if "description" in wanted:
        changes["description"] = wanted["description"] or ""
    if not changes:
        raise InvalidInput("there is nothing to change")
    return _answer(request, request.deployment.schedules.change(request.caller, _find(request), **changes))


def delete(request: Request) -> None:
    """Forget a scheduled operation, and give back what it acted with."""
    request.deployment.schedules.delete(_find(request))


def act(request: Request) -> dict[str, Any]:
    """Run a scheduled operation now."""
    schedule = _find(request)
    request.deployment.schedules.run(schedule)
    request.deployment.wake()
    return _answer(request, schedule)


def retention(request: Request) -> dict[str, Any]:
    """What retention would delete now, and by which rule."""
    schedule = _find(request)
    rules, verdicts = request.deployment.schedules.preview(schedule)
    return {
        "retention": {
            "rules": rules.to_json(),
            "checkpoints": [
                {**asdict(verdict), "created_at": when(verdict.created_at)} for verdict in verdicts
            ],
        }
    }


def _find(request: Request) -> Schedule:
    return Schedules(request.deployment.database, request.scope).get(request.path["scheduled_operation_id"])


def _answer(request: Request, schedule: Schedule) -> dict[str, Any]:
    return {"scheduled_operation": _views(request, [schedule])[0]}


def _views(request: Request, schedules: Sequence[Schedule]) -> list[dict[str, Any]]:
    runs = Schedules(request.deployment.database, None).last_firings(
        [item.id for item in schedules], LAST_RUNS
    )
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
