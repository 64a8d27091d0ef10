"""Operation logs: operations as Karbor's users know them."""

from __future__ import annotations

import json
from contextlib import suppress
from typing import Any

from refloat.api import schemas as s
from refloat.api import times
from refloat.api.request import Request
from refloat.api.route import PROJECT, Route, reader
from refloat.api.tellable import words
from refloat.api.v1 import runs
from refloat.errors import NotFound
from refloat.records.checkpoints import WAIT_COPYING
from refloat.records.operations import LOGGED, Operation

SCHEMA = s.reply(
    "project_id verification_id",
    id=s.UUID,
    project_id=s.STRING,
    operation_type=s.STRING,
    checkpoint_id=s.TEXT,
    plan_id=s.TEXT,
    provider_id=s.TEXT,
    restore_id=s.TEXT,
    verification_id=s.TEXT,
    scheduled_operation_id=s.TEXT,
    status=s.STRING,
    started_at=s.TIME,
    ended_at=s.TIME,
    error_info=s.TEXT,
    extra_info=s.TEXT,
)


def list_logs(request: Request) -> dict[str, Any]:
    """A page of the operation logs."""
    kinds, outcome = runs.meant(request.query.get("status"))
    found = request.deployment.operations.page(
        request.page(),
        request.listed,
        kinds or LOGGED,
        outcome=outcome,
        identity=request.query.get("restore_id"),
        **request.filters("checkpoint_id", "plan_id"),
    )
    return request.listing("operation_logs", found, lambda operation: _view(request, operation))


def show_log(request: Request) -> dict[str, Any]:
    """One operation log."""
    operation = runs.find(request, request.path["operation_log_id"], "Operation log", *LOGGED)
    return {"operation_log": _view(request, operation)}


def _view(request: Request, operation: Operation) -> dict[str, Any]:
    kind, extra = operation.kind, {}
    if kind == "copy" and (copy_id := operation.payload.get("copy_id")):
        extra["checkpoint_copy_id"] = copy_id
    if reason := operation.payload.get("reason"):  # of what was done without being asked for here
        extra["reason"] = words(str(reason))
    return s.view(
        SCHEMA,
        operation,
        operation_type=kind,
        checkpoint_id=operation.checkpoint_id or None,
        plan_id=operation.plan_id or None,
        provider_id=runs.provider_id(request, operation),
        restore_id=operation.id if kind == "restore" else None,
        verification_id=operation.id if kind == "verify" else None,
        scheduled_operation_id=operation.scheduled_operation_id or None,
        status=_status(request, operation),
        started_at=times.of_log(operation.created_at),
        ended_at=times.of_log(operation.ended_at),
        error_info=runs.error_info(operation),
        extra_info=json.dumps(extra) if extra else None,
    )


def _status(request: Request, operation: Operation) -> str:
    outcome = runs.outcome_of(operation)
    if operation.kind == "copy" and outcome == "in_progress":
        copy_id = str(operation.payload.get("copy_id"))
        with suppress(NotFound):
            copy = request.deployment.checkpoints.get(copy_id, operation.project_id)
            if copy.status == WAIT_COPYING:
                return copy.status
    return runs.WORDS[operation.kind][outcome]


_LOGS = f"{PROJECT}/operation_logs"
_one, _many = s.wrapped("operation_log", SCHEMA), s.listed("operation_logs", SCHEMA)
_QUERY = s.list_query("checkpoint_id", "plan_id", "restore_id", "status")

ROUTES = (
    Route("GET", _LOGS, list_logs, reader("operation_log:list"), _many, query=_QUERY),
    Route("GET", f"{_LOGS}/{{operation_log_id}}", show_log, reader("operation_log:get"), _one),
)
