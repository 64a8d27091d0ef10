"""Operation logs: operations as Karbor's users know them."""

from __future__ import annotations

import json
from contextlib import suppress
from typing import Any

from refloat.api.request import Request
from refloat.api.v1 import operations, runs
from refloat.errors import NotFound
from refloat.records.checkpoints import WAIT_COPYING
from refloat.records.operations import KINDS, Operation


def list_logs(request: Request) -> dict[str, Any]:
    """A page of the operation logs."""
    query = request.query
    kinds, outcome = runs.meant(query.get("status"))
    found = request.deployment.operations.page(
        request.page(),
        request.listed,
        kinds or KINDS,
        outcome=outcome,
        checkpoint_id=query.get("checkpoint_id"),
        plan_id=query.get("plan_id"),
        identity=query.get("restore_id"),
    )
    items = [_view(request, operation) for operation in found]
    return request.listing("operation_logs", items, found[-1].id if found else None)


def show_log(request: Request) -> dict[str, Any]:
    """One operation log."""
    operation = runs.find(request, request.path["operation_log_id"], "Operation log", *KINDS)
    return {"operation_log": _view(request, operation)}


def _view(request: Request, operation: Operation) -> dict[str, Any]:
    kind = operation.kind
    return {
        "id": operation.id,
        "project_id": operation.project_id,
        "operation_type": kind,
        "checkpoint_id": operation.checkpoint_id or None,
        "plan_id": operation.plan_id or None,
        "provider_id": operations.provider_id(request, str(operation.payload.get("provider", ""))),
        "restore_id": operation.id if kind == "restore" else None,
        "verification_id": operation.id if kind == "verify" else None,
        "scheduled_operation_id": operation.scheduled_operation_id or None,
        "status": _status(request, operation),
        "started_at": _time(operation.created_at),
        "ended_at": _time(operation.ended_at),
        "error_info": operations.error_info(operation),
        "extra_info": json.dumps({"checkpoint_copy_id": operation.payload["copy_id"]})
        if kind == "copy" and "copy_id" in operation.payload
        else None,
    }


def _status(request: Request, operation: Operation) -> str:
    outcome = runs.outcome_of(operation)
    if operation.kind == "copy" and outcome == "in_progress":
        with suppress(NotFound):
            copy = request.deployment.checkpoints.get(
                str(operation.payload.get("copy_id")), operation.project_id
            )
            if copy.status == WAIT_COPYING:
                return copy.status
    return runs.WORDS[operation.kind][outcome]


def _time(text: str) -> str | None:
    """As Karbor wrote times: with microseconds, UTC without saying so."""
    return f"{text.removesuffix('Z')}.000000" if text else None
