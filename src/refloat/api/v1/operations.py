"""Operations: how far they are, what they have come to; cancelling, parking, resuming; dry runs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from refloat.api import schemas as s
from refloat.api import times
from refloat.api.request import Request
from refloat.api.route import PROJECT, Route, member, reader
from refloat.api.v1 import checkpoints, copies, restores, runs
from refloat.control import progress
from refloat.control.copies import plan_copy
from refloat.engine.snapshot import Snapshot
from refloat.errors import InvalidInput, RefloatError
from refloat.operations.bank_jobs import BANK_JOBS
from refloat.operations.dry_runs import DRY_RUNS
from refloat.records.journal import SqlJournal
from refloat.records.operations import KINDS, OPEN, SERVICE, Operation

_PLAN = "_plan"
_MOST_EVENTS = 1000

_TYPES = ("protect", "restore", "verify", "copy", "delete", "bank_info", "bank_verify", "bank_collect")
_STATUSES = {
    "starting": "written down; a worker takes it up",
    "running": "",
    "stopping": "being parked",
    "cancelling": "being undone",
    "interrupted": "its worker is gone; another takes it up",
    "parked": "stopped where it was; can be resumed or cancelled",
    "succeeded": "",
    "failed": "what it had created is removed",
    "cancelled": "what it had created is removed",
}
_NULLABLE_KEY: s.Schema = {"type": ["string", "null"], "description": "TYPE#ID"}
_PROGRESS = s.reply(
    steps=s.COUNT,
    done=s.COUNT,
    failed=s.COUNT,
    skipped=s.COUNT,
    running=s.COUNT,
    bytes_done=s.COUNT,
    bytes_total={**s.COUNT, "description": "0: not known"},
    percent={"type": ["integer", "null"], "minimum": 0, "maximum": 100},
    eta={"type": ["integer", "null"], "minimum": 0, "description": "seconds to go, if it goes on like this"},
)
SCHEMA = s.reply(
    id=s.UUID,
    project_id=s.STRING,
    type={"enum": list(_TYPES)},
    dry_run={"type": "boolean", "description": "it only finds out what it would do: the result tells"},
    status={
        "enum": list(_STATUSES),
        "description": "; ".join(f"{word}: {text}" for word, text in _STATUSES.items() if text),
    },
    provider_id=s.STRING,
    checkpoint_id=s.TEXT,
    copy_id={**s.TEXT, "description": "of a copy: the id of the checkpoint that it makes"},
    copy_provider_id={**s.TEXT, "description": "of a copy: the provider it goes to"},
    plan_id=s.TEXT,
    plan_name=s.TEXT,
    restore_target=s.TEXT,
    created_at=s.TIME,
    updated_at=s.TIME,
    ended_at=s.TIME,
    attempt={**s.COUNT, "description": "one more each time it was taken up"},
    progress=_PROGRESS,
    error_info=s.TEXT,
)
_ERRORS = ("error", "message", "resource", "reason", "request_id", "left_behind", "advice")
DETAIL = s.reply(
    **SCHEMA["properties"],
    active=s.array(
        s.reply(
            step=s.STRING,
            resource=_NULLABLE_KEY,
            state={"enum": ["running", "waiting"]},
            text={"type": "string", "description": "what is waited for"},
            bytes_done=s.COUNT,
            bytes_total=s.COUNT,
        ),
        description="what runs or waits now",
    ),
    resources=s.array(
        s.reply(
            type=s.STRING,
            id=s.STRING,
            name=s.TEXT,
            status={
                "enum": [
                    *("pending", "running", "done", "failed", "skipped", "stopped"),
                    *("created", "reused", "repaired", "replaced", "kept", "removed"),
                    *("good", "bad", "complete", "incomplete"),
                ]
            },
            reason=s.TEXT,
            new_id={**s.TEXT, "description": "of what a restore made or re-used"},
        )
    ),
    created=s.array(
        s.reply(**dict.fromkeys(("kind", "id", "for", "role"), s.STRING)),
        description="what it has created in the cloud, and would remove if it were undone",
    ),
    result={"type": ["object", "null"], "description": "what it has come to; of a dry run: the plan"},
    error={"anyOf": [s.obj(("error", "message"), **dict.fromkeys(_ERRORS, s.STRING)), {"type": "null"}]},
)
EVENT = s.reply(
    number=s.COUNT,
    time=s.TIME,
    attempt=s.COUNT,
    step=s.STRING,
    resource=_NULLABLE_KEY,
    hook=s.TEXT,
    status={"enum": ["done", "failed", "skipped"]},
    reason=s.TEXT,
)
NEW: s.Schema = {
    **s.obj(
        ("type", "dry_run", "provider_id", "checkpoint_id"),
        type={"enum": ["restore", "copy", "delete"]},
        dry_run={"const": True, "description": "only dry runs are begun here"},
        provider_id=s.UUID,
        checkpoint_id=s.UUID,
        parameters={"type": ["object", "null"], "description": "those of a restore, or of a copy"},
        **restores.CHOICES,
    ),
    "allOf": [
        {
            "if": {"properties": {"type": {"const": "copy"}}},
            "then": {"required": ["parameters"], "properties": {"parameters": copies.PARAMETERS}},
        },
        {
            "if": {"properties": {"type": {"const": "restore"}}},
            "then": {"properties": {"parameters": {"anyOf": [s.PARAMETERS, {"type": "null"}]}}},
        },
    ],
}
_WITH_AUTH = s.obj(**{name: restores.CHOICES[name] for name in ("restore_auth", "restore_target")})
ACTION = s.obj(cancel={**_WITH_AUTH, "type": ["object", "null"]}, resume=s.NOTHING, park=s.NOTHING) | {
    "minProperties": 1,
    "maxProperties": 1,
}
_QUERY = s.list_query(
    type={"type": "string", "enum": list(_TYPES)},
    dry_run=s.BOOLEAN,
    status={
        "type": "string",
        "enum": ["running", "parked", "succeeded", "failed", "cancelled"],
        "description": "running: all that have not ended and are not parked",
    },
    checkpoint_id=s.FILTER,
    plan_id=s.FILTER,
)


def listing(request: Request) -> dict[str, Any]:
    """A page of the operations, of all kinds, dry runs included."""
    found = request.deployment.operations.page(
        request.page(),
        request.listed,
        _kinds(request),
        state=request.query.get("status"),
        **request.filters("checkpoint_id", "plan_id"),
    )
    return request.listing("operations", found, lambda operation: _view(request, operation))


def show(request: Request) -> dict[str, Any]:
    """One operation, with what runs now, what became of each resource, and its result."""
    operation = _find(request)
    read = request.deployment.reader.read(operation.id) if operation.runner == SERVICE else None
    snapshot, history = read[:2] if read else (None, None)
    journal = SqlJournal(request.deployment.database, operation.id)
    return {
        "operation": {
            **_head(request, operation, snapshot),
            "active": progress.active_steps(snapshot),
            "resources": progress.resources_of(operation, snapshot, history),
            "created": progress.created_lines(journal.entries()),
            "result": dict(operation.result) if operation.result is not None else None,
            "error": {name: str(operation.error.get(name, "")) for name in _ERRORS}
            if operation.error
            else None,
        }
    }


def events(request: Request) -> dict[str, Any]:
    """What an operation's steps have come to, oldest first."""
    operation = _find(request)
    read = request.deployment.reader.read(operation.id) if operation.runner == SERVICE else None
    records = read[2] if read else []
    begin = request.query.get("offset", 0)
    end = begin + min(request.query.get("limit", _MOST_EVENTS), request.deployment.max_limit)
    return {
        "events": [
            s.view(EVENT, record, **_event(number, record))
            for number, record in enumerate(records[begin:end], begin)
        ],
        "total": len(records),
    }


def _event(number: int, record: Any) -> Mapping[str, Any]:
    resource, hook = progress.place_of(record.step)
    return {
        "number": number,
        "time": times.of_operation(record.ended_at),
        "resource": resource,
        "hook": hook,
        "reason": str(RefloatError.from_json(dict(record.error))) if record.error else None,
    }


def create(request: Request) -> dict[str, Any]:
    """Start a dry run: its result tells what a restore, a copy or a deletion would do."""
    wanted = request.body["operation"]
    checkpoint = checkpoints.named(request, wanted)
    submitter, kind = request.deployment.submitter, wanted["type"]
    if kind != "restore":
        for name in restores.CHOICES:
            if wanted.get(name):
                raise InvalidInput(f"{name} is for restores")
    if kind == "restore":
        operation = submitter.restore(
            request.caller,
            checkpoint,
            restores.choices(wanted),
            restores.elsewhere(request, wanted),
            dry_run=True,
        )
    elif kind == "copy":
        order = copies.order(request, wanted["parameters"])
        operation = plan_copy(submitter, request.caller, checkpoint, order)
    else:
        if wanted.get("parameters"):
            raise InvalidInput("a deletion has no parameters")
        operation = submitter.plan_deletion(request.caller, checkpoint)
    return answer(request, operation)


def act(request: Request) -> dict[str, Any]:
    """Cancel, park or resume an operation."""
    ((action, wanted),) = request.body.items()
    operation, actions = _find(request), request.deployment.actions
    if action == "cancel":
        found = actions.cancel(request.caller, operation, restores.elsewhere(request, wanted or {}))
    elif action == "resume":
        found = actions.resume(request.caller, operation)
    else:
        found = actions.park(request.caller, operation)
    return answer(request, found)


def answer(request: Request, operation: Operation) -> dict[str, Any]:
    """An operation that was begun, or acted on."""
    return {"operation": _view(request, operation)}


def _find(request: Request) -> Operation:
    return runs.find(request, request.path["operation_id"], "Operation", *_visible(request))


def _visible(request: Request) -> tuple[str, ...]:
    # What is known of a whole bank is not for the other users of the administrator's project.
    return (*KINDS, *DRY_RUNS, *(BANK_JOBS if request.is_admin else ()))


def _kinds(request: Request) -> tuple[str, ...]:
    """The kinds of operations that a query wants and the caller may see."""
    wanted, dry = request.query.get("type"), request.query.get("dry_run")
    return tuple(
        kind
        for kind in _visible(request)
        if wanted in (None, kind.removesuffix(_PLAN)) and dry in (None, kind.endswith(_PLAN))
    ) or ("none",)


def _view(request: Request, operation: Operation) -> dict[str, Any]:
    going = operation.state in OPEN and operation.runner == SERVICE
    return _head(request, operation, request.deployment.reader.look(operation.id) if going else None)


def _head(request: Request, operation: Operation, snapshot: Snapshot | None) -> dict[str, Any]:
    payload = operation.payload
    to = payload.get("to")
    told_at = times.of_operation(snapshot.updated_at) if snapshot else None
    return s.view(
        SCHEMA,
        operation,
        type=operation.kind.removesuffix(_PLAN),
        dry_run=operation.kind in DRY_RUNS,
        status=progress.status_of(operation, snapshot),
        provider_id=runs.provider_id(request, operation),
        checkpoint_id=operation.checkpoint_id or None,
        copy_id=payload.get("copy_id") or None,
        copy_provider_id=request.deployment.providers.id_of(str(to)) if to else None,
        plan_id=operation.plan_id or None,
        plan_name=str(payload.get("plan", {}).get("name", "")) or None,
        restore_target=payload.get("restore_target"),
        updated_at=told_at or operation.ended_at or operation.created_at,
        ended_at=operation.ended_at or None,
        attempt=snapshot.attempt if snapshot else 0,
        progress=progress.progress_of(operation, snapshot),
        error_info=runs.error_info(operation),
    )


_OPERATIONS, _OPERATION = f"{PROJECT}/operations", f"{PROJECT}/operations/{{operation_id}}"
ONE = s.wrapped("operation", SCHEMA)
_many, _events = s.listed("operations", SCHEMA), s.reply(events=s.array(EVENT), total=s.COUNT)
_EVENTS_QUERY = s.obj(limit=s.PAGING["limit"], offset=s.PAGING["offset"])

ROUTES = (
    Route("GET", _OPERATIONS, listing, reader("operation:get_all"), _many, query=_QUERY),
    Route("POST", _OPERATIONS, create, member("operation:create"), ONE, s.wrapped("operation", NEW)),
    Route("GET", _OPERATION, show, reader("operation:get"), s.wrapped("operation", DETAIL)),
    Route("GET", f"{_OPERATION}/events", events, reader("operation:get"), _events, query=_EVENTS_QUERY),
    Route("POST", f"{_OPERATION}/action", act, member("operation:update"), ONE, ACTION),
)
