"""Scheduled operations: what happens when a trigger fires."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

from refloat.api import schemas as s
from refloat.api import times
from refloat.api.request import Request
from refloat.api.route import PROJECT, Route, member, reader
from refloat.api.v1 import plans, triggers
from refloat.api.validation import same_form
from refloat.database import now
from refloat.errors import InvalidInput
from refloat.records.schedules import Firing, Schedule, Schedules
from refloat.schedule import definition
from refloat.schedule.scheduled_operations import What
from refloat.schedule.view import LAST_RUNS, ending

_DEFINITION: s.Schema = {
    "anyOf": [
        {
            "type": "object",
            "required": ["provider_id", "plan_id"],
            "properties": {"provider_id": s.STRING, "plan_id": s.STRING},
            "additionalProperties": {"type": ["boolean", "string", "integer", "null"]},
            "maxProperties": 64,
        },
        {"type": "string", "maxLength": 4096, "description": "key=value,key=value"},
    ]
}
NEW = s.reply(
    "description",
    name=s.NAME,
    description=s.DESCRIPTION,
    operation_type={"enum": list(definition.TYPES)},
    trigger_id=s.UUID,
    operation_definition=_DEFINITION,
)
CHANGE = s.obj(
    name=s.NAME,
    description=s.DESCRIPTION,
    enabled=s.BOOLEAN,
    operation_type={"enum": list(definition.TYPES)},
    trigger_id=s.UUID,
    operation_definition=_DEFINITION,
) | {"minProperties": 1}
ACTION = s.reply(run=s.ANY_OBJECT)
RUN = s.reply(
    id=s.UUID,
    due_at=s.WHEN,
    manual=s.BOOLEAN,
    state={"enum": ["waiting", "running", "cleaning", "succeeded", "failed", "dropped"]},
    reason=s.TEXT,
    operation_id=s.TEXT,
    checkpoint_id=s.TEXT,
    started_at=s.WHEN,
    ended_at=s.WHEN,
    deletions=s.array(
        s.reply(checkpoint_id=s.STRING, rule=s.STRING, state=s.STRING, reason=s.STRING, operation_id=s.STRING)
    ),
    kept=s.array(s.reply(checkpoint_id=s.STRING, rule=s.STRING)),
)
SCHEMA = s.reply(
    id=s.UUID,
    name=s.STRING,
    description=s.TEXT,
    operation_type=s.STRING,
    trigger_id=s.STRING,
    operation_definition=s.ANY_OBJECT,
    enabled=s.BOOLEAN,
    next_run_at=s.WHEN,
    status_reason={**s.TEXT, "description": "why it cannot run, as far as that is known, or soon cannot"},
    last_runs=s.array(RUN),
)
RETENTION = s.reply(
    "proves new_checkpoint",
    rules=s.ANY_OBJECT,
    checkpoints=s.array(s.reply(id=s.STRING, created_at=s.STRING, keep=s.BOOLEAN, rule=s.STRING)),
    proves={**s.TEXT, "description": "the checkpoint that has to be shown whole before anything is deleted"},
    new_checkpoint={
        **s.BOOLEAN,
        "description": "this is what comes after a checkpoint that the run makes, which is shown whole then",
    },
)


def listing(request: Request) -> dict[str, Any]:
    """A page of the scheduled operations."""
    found = Schedules(request.deployment.database, request.listed).page(
        request.page(),
        definition=request.query.get("operation_definition"),
        **request.filters("name", "operation_type", "trigger_id"),
    )
    runs = _runs(request, found)
    return request.listing("operations", found, lambda schedule: _view(schedule, runs))


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
    """Change a scheduled operation: its name, whether it is enabled, its trigger, or all that it is to do."""
    wanted = request.body["scheduled_operation"]
    schedule = _find(request)
    changes = {name: value for name, value in wanted.items() if value is not None}
    if "description" in wanted:
        changes["description"] = wanted["description"] or ""
    if not changes:
        raise InvalidInput("there is nothing to change")
    if trigger_id := changes.pop("trigger_id", None):
        changes["trigger"] = triggers.find(request, same_form(trigger_id))
    kind = changes.pop("operation_type", schedule.operation_type)
    given = changes.pop("operation_definition", None)
    if given is not None or kind != schedule.operation_type:
        found = definition.checked(kind, dict(schedule.definition) if given is None else given)
        changes["what"] = What(kind, found, plans.find(request, found["plan_id"]))
    return _answer(request, request.deployment.schedules.change(request.caller, schedule, **changes))


def delete(request: Request) -> None:
    """Forget a scheduled operation, and give back what it acted with."""
    request.deployment.schedules.delete(_find(request))


def act(request: Request) -> dict[str, Any]:
    """Run a scheduled operation now."""
    schedule = _find(request)
    request.deployment.schedules.run(schedule)
    return _answer(request, schedule)


def retention(request: Request) -> dict[str, Any]:
    """What a run would keep and delete now, and by which rule."""
    found = request.deployment.schedules.retention.preview(_find(request))
    checkpoints = [
        {**asdict(verdict), "created_at": times.of_trigger(verdict.created_at)} for verdict in found.verdicts
    ]
    more = {"rules": dict(found.rules), "proves": found.proves or None}
    return {"retention": {"checkpoints": checkpoints, **more, "new_checkpoint": found.upcoming}}


def _find(request: Request) -> Schedule:
    schedules = Schedules(request.deployment.database, request.scope)
    return schedules.get(request.path["scheduled_operation_id"])


def _answer(request: Request, schedule: Schedule) -> dict[str, Any]:
    return {"scheduled_operation": _view(schedule, _runs(request, [schedule]))}


def _runs(request: Request, schedules: Sequence[Schedule]) -> Mapping[str, Sequence[Firing]]:
    """The last runs of scheduled operations, by the ids of these."""
    known = Schedules(request.deployment.database, None)
    return known.last_firings([item.id for item in schedules], LAST_RUNS)


def _view(schedule: Schedule, runs: Mapping[str, Sequence[Firing]]) -> dict[str, Any]:
    return s.view(
        SCHEMA,
        schedule,
        operation_definition=dict(schedule.definition),
        next_run_at=times.of_trigger(schedule.next_due) if schedule.enabled else None,
        status_reason=schedule.reason or ending(schedule, now())[0] or None,
        last_runs=[_run(firing) for firing in runs.get(schedule.id, ())],
    )


def _run(firing: Firing) -> dict[str, Any]:
    return s.view(
        RUN,
        firing,
        due_at=times.of_trigger(firing.due_at),
        reason=firing.reason or None,
        operation_id=firing.operation_id or None,
        checkpoint_id=firing.checkpoint_id or None,
        started_at=times.of_trigger(firing.claimed_at),
        ended_at=times.of_trigger(firing.ended_at),
        deletions=[dict(item) for item in firing.deletions],
        kept=[dict(item) for item in firing.kept],
    )


_SCHEDULED = f"{PROJECT}/scheduled_operations"
_ONE = f"{_SCHEDULED}/{{scheduled_operation_id}}"
_one, _many = s.wrapped("scheduled_operation", SCHEMA), s.listed("operations", SCHEMA)
_new, _change = s.wrapped("scheduled_operation", NEW), s.wrapped("scheduled_operation", CHANGE)
_retention = s.wrapped("retention", RETENTION)
_QUERY = s.list_query("name", "operation_type", "trigger_id", "operation_definition")

ROUTES = (
    Route("GET", _SCHEDULED, listing, reader("scheduled_operation:list"), _many, query=_QUERY),
    Route("POST", _SCHEDULED, create, member("scheduled_operation:create"), _one, _new),
    Route("GET", _ONE, show, reader("scheduled_operation:get"), _one),
    Route("PUT", _ONE, change, member("scheduled_operation:update"), _one, _change),
    Route("DELETE", _ONE, delete, member("scheduled_operation:delete")),
    Route("POST", f"{_ONE}/action", act, member("scheduled_operation:run"), _one, ACTION),
    Route("GET", f"{_ONE}/retention", retention, reader("scheduled_operation:get"), _retention),
)
