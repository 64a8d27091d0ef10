"""Operations: how far they are, what they have come to; cancelling, parking, resuming; dry runs."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from refloat.api.request import Request
from refloat.api.v1 import copies
from refloat.api.validation import same_form
from refloat.cloud.targets import given
from refloat.control.desk import Elsewhere
from refloat.engine.history import History
from refloat.engine.snapshot import Snapshot
from refloat.errors import InvalidInput, NotFound, RefloatError, cause
from refloat.operations.bank_jobs import BANK_JOBS
from refloat.operations.compile import step_of
from refloat.operations.dry_runs import DRY_RUNS
from refloat.records.operations import CANCELLING, KINDS, SERVICE, Operation, SqlJournal

_PLAN = "_plan"
_MOST_EVENTS = 1000
_ENOUGH_PART, _ENOUGH_SECONDS = 0.05, 5.0
"""Before so much is done, and so long has passed, nobody can tell how long it will take."""


def listing(request: Request) -> dict[str, Any]:
    """A page of the operations, of all kinds, dry runs included."""
    query = request.query
    found = request.deployment.operations.page(
        request.page(),
        request.listed,
        _kinds(request),
        state=query.get("status"),
        checkpoint_id=query.get("checkpoint_id"),
        plan_id=query.get("plan_id"),
    )
    items = [view(request, operation) for operation in found]
    return request.listing("operations", items, found[-1].id if found else None)


def show(request: Request) -> dict[str, Any]:
    """One operation, with what runs now, what became of each resource, and its result."""
    operation = find(request)
    read = request.deployment.reader.read(operation.id) if operation.runner == SERVICE else None
    snapshot, history = read[:2] if read else (None, None)
    created = SqlJournal(request.deployment.database, operation.id).entries()
    return {
        "operation": {
            **_head(request, operation, snapshot),
            "active": _active(snapshot),
            "resources": _resources(operation, snapshot, history),
            "created": [
                {"kind": item.kind, "id": item.id, "for": item.source, "role": item.role} for item in created
            ],
            "result": dict(operation.result) if operation.result is not None else None,
            "error": _error(operation),
        }
    }


def events(request: Request) -> dict[str, Any]:
    """What an operation's steps have come to, oldest first."""
    operation = find(request)
    read = request.deployment.reader.read(operation.id) if operation.runner == SERVICE else None
    records = read[2] if read else []
    begin = request.query.get("offset", 0)
    end = begin + min(request.query.get("limit", _MOST_EVENTS), request.deployment.max_limit)
    lines = []
    for number, record in enumerate(records[begin:end], begin):
        resource, hook = _where(record.step)
        error = RefloatError.from_json(dict(record.error)) if record.error else None
        lines.append(
            {
                "number": number,
                "time": _time(record.ended_at),
                "attempt": record.attempt,
                "step": record.step,
                "resource": resource,
                "hook": hook,
                "status": record.status,
                "reason": str(error) if error else None,
            }
        )
    return {"events": lines, "total": len(records)}


def create(request: Request) -> dict[str, Any]:
    """Start a dry run: its result tells what a restore, a copy or a deletion would do."""
    wanted = request.body["operation"]
    checkpoint = request.deployment.checkpoints.get(
        same_form(wanted["checkpoint_id"]), request.scope, same_form(wanted["provider_id"])
    )
    parameters = wanted.get("parameters") or {}
    desk = request.deployment.desk
    if wanted["type"] != "restore":
        for name in ("only", "restore_target", "restore_auth"):
            if wanted.get(name):
                raise InvalidInput(f"{name} is for restores")
    if wanted["type"] == "restore":
        operation = desk.restore(
            request.caller,
            checkpoint,
            {where: dict(settings or {}) for where, settings in parameters.items()},
            elsewhere(wanted),
            only=wanted.get("only", ()),
            dry_run=True,
        )
    elif wanted["type"] == "copy":
        operation = request.deployment.copies.plan(
            request.caller, checkpoint, copies.order(request, parameters)
        )
    else:
        if parameters:
            raise InvalidInput("a deletion has no parameters")
        operation = desk.plan_deletion(request.caller, checkpoint)
    request.deployment.wake()
    return {"operation": view(request, operation)}


def act(request: Request) -> dict[str, Any]:
    """Cancel, park or resume an operation."""
    ((action, wanted),) = request.body.items()
    operation, control = find(request), request.deployment.control
    if action == "cancel":
        found = control.cancel(request.caller, operation, elsewhere(wanted or {}))
    elif action == "resume":
        found = control.resume(request.caller, operation)
    else:
        found = control.park(request.caller, operation)
    request.deployment.wake()
    return {"operation": view(request, found)}


def find(request: Request) -> Operation:
    """The operation of the path, if the caller may see it. :raises NotFound: there is none."""
    identity = request.path["operation_id"]
    try:
        return request.deployment.operations.get(identity, request.scope, _visible(request))
    except NotFound:
        raise NotFound(f"Operation {identity} could not be found") from None


def elsewhere(wanted: Mapping[str, Any]) -> Elsewhere:
    """Where a request wants its restore to go.

    :raises InvalidInput: into another cloud, but not as whom.
    """
    target, auth = wanted.get("restore_target") or "", given(wanted.get("restore_auth"))
    if target and not auth:
        raise InvalidInput("restore_target needs restore_auth: how to log in there")
    return Elsewhere(target, auth)


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


def view(request: Request, operation: Operation) -> dict[str, Any]:
    """An operation in a list."""
    going = operation.state in ("running", "parked") and operation.runner == SERVICE
    return _head(request, operation, request.deployment.reader.look(operation.id) if going else None)


def _head(request: Request, operation: Operation, snapshot: Snapshot | None) -> dict[str, Any]:
    payload = operation.payload
    status = status_of(operation, snapshot)
    plan = payload.get("plan", {})
    to = payload.get("to")
    return {
        "id": operation.id,
        "project_id": operation.project_id,
        "type": operation.kind.removesuffix(_PLAN),
        "dry_run": operation.kind in DRY_RUNS,
        "status": status,
        "provider_id": provider_id(request, str(payload.get("provider", ""))),
        "checkpoint_id": operation.checkpoint_id or None,
        "copy_id": payload.get("copy_id") or None,
        "copy_provider_id": provider_id(request, str(to)) if to else None,
        "plan_id": operation.plan_id or None,
        "plan_name": str(plan.get("name", "")) or None,
        "restore_target": payload.get("restore_target"),
        "created_at": operation.created_at,
        "updated_at": _time(snapshot.updated_at) if snapshot else operation.ended_at or operation.created_at,
        "ended_at": operation.ended_at or None,
        "attempt": snapshot.attempt if snapshot else 0,
        "progress": _progress(operation, snapshot, status),
        "error_info": error_info(operation),
    }


def status_of(operation: Operation, snapshot: Snapshot | None) -> str:
    """How an operation is, in a word of the schema."""
    if operation.state not in ("running", "parked"):
        return operation.state
    wishes = {"cancel": CANCELLING, CANCELLING: CANCELLING, "park": "stopping", "resume": "starting"}
    if operation.state == "parked":
        return "parked" if operation.wish == "park" else wishes.get(operation.wish, "parked")
    if operation.wish in wishes:
        return wishes[operation.wish]
    if snapshot is None:
        return "starting"
    if snapshot.interrupted or (snapshot.ended is not None and snapshot.ended.state == "parked"):
        return "interrupted"
    return {"stop": "stopping", "cancel": "cancelling"}.get(snapshot.wish, "running")


def _progress(operation: Operation, snapshot: Snapshot | None, status: str) -> dict[str, Any]:
    names = ("steps", "done", "failed", "skipped", "running", "bytes_done", "bytes_total")
    found: dict[str, Any] = {name: getattr(snapshot, name) if snapshot else 0 for name in names}
    part = _part(found)
    if operation.state == "succeeded":
        part = 1.0
    eta = None
    if snapshot and part and status == "running":
        took = snapshot.updated_at - snapshot.created_at
        if part >= _ENOUGH_PART and took >= _ENOUGH_SECONDS:
            eta = round(took / part * (1 - part))
    return {**found, "percent": None if part is None else int(100 * part), "eta": eta}


def _part(found: Mapping[str, int]) -> float | None:
    """How much is done, between 0 and 1: of the steps, and of the bytes when they are known."""
    steps = found["done"] / found["steps"] if found["steps"] else None
    moved = min(1.0, found["bytes_done"] / found["bytes_total"]) if found["bytes_total"] else None
    known = [part for part in (steps, moved) if part is not None]
    return sum(known) / len(known) if known else None


def _active(snapshot: Snapshot | None) -> list[dict[str, Any]]:
    return [
        {
            "step": event.step,
            "resource": _where(event.step)[0],
            "state": "waiting" if event.state == "waiting" else "running",
            "text": event.text,
            "bytes_done": event.done,
            "bytes_total": event.total,
        }
        for event in (snapshot.active if snapshot else ())
    ]


def _resources(
    operation: Operation, snapshot: Snapshot | None, history: History | None
) -> list[dict[str, Any]]:
    """What has become of each resource: by the result, else by the steps so far."""
    told = (operation.result or {}).get("resources")
    if told is not None and operation.kind in KINDS:
        return [_told(line) for line in told]
    prepared = (history.prepared if history else None) or {}
    nodes = prepared.get("graph", {}).get("nodes", ()) if operation.kind in KINDS else ()
    if history is None or snapshot is None:
        return []
    by_resource: dict[str, dict[str, Any]] = {}
    for step, outcome in snapshot.outcomes.items():
        by_resource.setdefault(_where(step)[0] or "", {})[step] = outcome
    active = {_where(event.step)[0] for event in snapshot.active}
    lines = []
    for node in nodes:
        key = f"{node['type']}#{node['id']}"
        outcomes = by_resource.get(key, {})
        status, reason = _standing(operation, outcomes, key in active)
        restored = [
            item
            for outcome in outcomes.values()
            if outcome.status == "done" and isinstance(outcome.result, dict)
            for item in outcome.result.get("restored", ())
        ]
        for item in restored:
            undone = operation.state in ("failed", "cancelled") and item["status"] == "created"
            lines.append(_told({**item, "status": "removed"} if undone else item))
        if not restored:
            lines.append(
                {
                    "type": node["type"],
                    "id": node["id"],
                    "name": node.get("name"),
                    "status": status,
                    "reason": reason,
                    "new_id": None,
                }
            )
    return lines


def _standing(operation: Operation, outcomes: Mapping[str, Any], active: bool) -> tuple[str, str | None]:
    failed = [outcome for outcome in outcomes.values() if outcome.status == "failed"]
    if failed:
        return "failed", cause(failed[0].error or {})
    if operation.state == "succeeded":
        return "done", None
    if operation.state in ("failed", "cancelled"):
        skipped = any(outcome.status == "skipped" for outcome in outcomes.values())
        return ("skipped" if skipped or not outcomes else "stopped"), None
    return ("running" if active or outcomes else "pending"), None


def _told(line: Mapping[str, Any]) -> dict[str, Any]:
    """A line of a result."""
    return {
        "type": line["type"],
        "id": str(line.get("source_id") or line.get("id") or ""),
        "name": line.get("name"),
        "status": line.get("status", "done"),
        "reason": line.get("reason") or None,
        "new_id": line.get("new_id") or None,
    }


def error_info(operation: Operation) -> str | None:
    """Why an operation failed, in a sentence."""
    return str(RefloatError.from_json(dict(operation.error))) if operation.error else None


def _error(operation: Operation) -> dict[str, str] | None:
    if not operation.error:
        return None
    names = ("error", "message", "resource", "reason", "request_id", "left_behind", "advice")
    return {name: str(operation.error.get(name, "")) for name in names}


def _where(step: str) -> tuple[str | None, str | None]:
    """The resource and the hook of a step; None: it is of none."""
    if "#" not in step:
        return None, None
    key, hook = step_of(step)
    return str(key), hook


def _time(seconds: float | None) -> str | None:
    if not seconds:
        return None
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="seconds").replace("+00:00", "Z")


def provider_id(request: Request, reference: str) -> str:
    """The id of a provider that an operation names; what it is called, when it is not known any more."""
    try:
        return request.deployment.providers.find(reference).id
    except NotFound:
        return reference
