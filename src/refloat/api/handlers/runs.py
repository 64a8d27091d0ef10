"""Restores, verifications and operation logs: three views of the same operations."""

from __future__ import annotations

import json
from collections.abc import Mapping
from contextlib import suppress
from typing import Any

from refloat.api.call import Call
from refloat.api.handlers import operations
from refloat.api.validation import same_form
from refloat.errors import NotFound, RefloatError
from refloat.records.checkpoints import WAIT_COPYING
from refloat.records.operations import BAD, KINDS, Operation, Outcome

_OUTCOMES: Mapping[str, Outcome] = {
    "running": "in_progress",
    "parked": "in_progress",
    "succeeded": "success",
    "failed": "fail",
    "cancelled": "fail",
}
_RUNS: Mapping[Outcome, str] = {"in_progress": "in_progress", "success": "success", "fail": "fail"}
_WORDS: Mapping[str, Mapping[Outcome, str]] = {
    "protect": {"in_progress": "protecting", "success": "available", "fail": "error"},
    "delete": {"in_progress": "deleting", "success": "deleted", "fail": "error-deleting"},
    "restore": _RUNS,
    "verify": _RUNS,
    "copy": {"in_progress": "copying", "success": "available", "fail": "error"},
}
"""What an operation log's status says: the words of checkpoints, restores and verifications."""


# Restores


def list_restores(call: Call) -> dict[str, Any]:
    """A page of the restores."""
    return _listing(call, "restores", "restore")


def create_restore(call: Call) -> dict[str, Any]:
    """Start to restore a checkpoint."""
    wanted = call.body["restore"]
    operation = call.site.desk.restore(
        call.caller,
        _checkpoint(call, wanted),
        _parameters(wanted),
        operations.elsewhere(wanted),
        only=wanted.get("only", ()),
        keep_on_failure=wanted.get("keep_on_failure", False),
    )
    call.site.wake()
    return {"restore": _restore(call, operation)}


def show_restore(call: Call) -> dict[str, Any]:
    """One restore."""
    return {"restore": _restore(call, _find(call, call.path["restore_id"], "Restore", "restore"))}


# Verifications


def list_verifications(call: Call) -> dict[str, Any]:
    """A page of the verifications."""
    return _listing(call, "verifications", "verify")


def create_verification(call: Call) -> dict[str, Any]:
    """Start to verify a checkpoint."""
    wanted = call.body["verification"]
    operation = call.site.desk.verify(call.caller, _checkpoint(call, wanted), _parameters(wanted))
    call.site.wake()
    return {"verification": _verification(call, operation)}


def show_verification(call: Call) -> dict[str, Any]:
    """One verification."""
    operation = _find(call, call.path["verification_id"], "Verification", "verify")
    return {"verification": _verification(call, operation)}


# Operation logs


def list_logs(call: Call) -> dict[str, Any]:
    """A page of the operation logs."""
    query = call.query
    kinds, outcome = _meant(query.get("status"))
    found = call.site.operations.page(
        call.page(),
        call.listed,
        kinds or KINDS,
        outcome=outcome,
        checkpoint_id=query.get("checkpoint_id"),
        plan_id=query.get("plan_id"),
        identity=query.get("restore_id"),
    )
    items = [_log(call, operation) for operation in found]
    return call.listing("operation_logs", items, found[-1].id if found else None)


def show_log(call: Call) -> dict[str, Any]:
    """One operation log."""
    return {"operation_log": _log(call, _find(call, call.path["operation_log_id"], "Operation log", *KINDS))}


# What they share


def _listing(call: Call, name: str, kind: str) -> dict[str, Any]:
    status = call.query.get("status")
    kinds, outcome = ((kind,), None) if status is None else _meant(status, kind)
    found = call.site.operations.page(call.page(), call.listed, kinds, outcome=outcome)
    view = _restore if kind == "restore" else _verification
    return call.listing(name, [view(call, item) for item in found], found[-1].id if found else None)


def _find(call: Call, identity: str, title: str, *kinds: str) -> Operation:
    try:
        return call.site.operations.get(identity, call.scope, kinds)
    except NotFound:
        raise NotFound(f"{title} {identity} could not be found") from None


def _checkpoint(call: Call, wanted: Mapping[str, Any]) -> Any:
    return call.site.checkpoints.get(
        same_form(wanted["checkpoint_id"]), call.scope, same_form(wanted["provider_id"])
    )


def _parameters(wanted: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    return {where: dict(given or {}) for where, given in wanted.get("parameters", {}).items()}


def _run(call: Call, operation: Operation) -> dict[str, Any]:
    return {
        "id": operation.id,
        "project_id": operation.project_id,
        "provider_id": operations.provider_id(call, str(operation.payload.get("provider", ""))),
        "checkpoint_id": operation.checkpoint_id,
        "parameters": operation.payload.get("parameters", {}),
        "status": _outcome(operation),
        "resources_status": {},
        "resources_reason": {},
        "error_info": _error(operation),
    }


def _restore(call: Call, operation: Operation) -> dict[str, Any]:
    lines = _lines(operation)
    return {
        **_run(call, operation),
        "restore_target": operation.payload.get("restore_target"),
        "resources_status": {f"{line['type']}#{line['new_id']}": "available" for line in lines},
        "resources_reason": {
            f"{line['type']}#{line['new_id']}": line["reason"] for line in lines if line.get("reason")
        },
    }


def _verification(call: Call, operation: Operation) -> dict[str, Any]:
    lines = _lines(operation)
    bad = [line for line in lines if line["status"] != "good"]
    return {
        **_run(call, operation),
        "resources_status": {
            f"{line['type']}#{line['id']}": "available" if line["status"] == "good" else "error"
            for line in lines
        },
        "resources_reason": {f"{line['type']}#{line['id']}": line["reason"] for line in bad},
    }


def _lines(operation: Operation) -> list[Mapping[str, Any]]:
    return list((operation.result or {}).get("resources", ()))


def _log(call: Call, operation: Operation) -> dict[str, Any]:
    kind = operation.kind
    return {
        "id": operation.id,
        "project_id": operation.project_id,
        "operation_type": kind,
        "checkpoint_id": operation.checkpoint_id or None,
        "plan_id": operation.plan_id or None,
        "provider_id": operations.provider_id(call, str(operation.payload.get("provider", ""))),
        "restore_id": operation.id if kind == "restore" else None,
        "verification_id": operation.id if kind == "verify" else None,
        "scheduled_operation_id": operation.scheduled_operation_id or None,
        "status": _log_status(call, operation),
        "started_at": _time(operation.created_at),
        "ended_at": _time(operation.ended_at),
        "error_info": _error(operation),
        "extra_info": json.dumps({"checkpoint_copy_id": operation.payload["copy_id"]})
        if kind == "copy" and "copy_id" in operation.payload
        else None,
    }


def _log_status(call: Call, operation: Operation) -> str:
    outcome = _outcome(operation)
    if operation.kind == "copy" and outcome == "in_progress":
        with suppress(NotFound):
            copy = call.site.checkpoints.get(str(operation.payload.get("copy_id")), operation.project_id)
            if copy.status == WAIT_COPYING:
                return copy.status
    return _WORDS[operation.kind][outcome]


def _time(text: str) -> str | None:
    """As Karbor wrote times: with microseconds, UTC without saying so."""
    return f"{text.removesuffix('Z')}.000000" if text else None


def _outcome(operation: Operation) -> Outcome:
    if (operation.result or {}).get("status") == BAD:
        return "fail"
    return _OUTCOMES.get(operation.state, "fail")


def _meant(status: str | None, kind: str = "") -> tuple[tuple[str, ...], Outcome | None]:
    """The kinds of operations, and their outcome, that a status says."""
    if status is None:
        return (), None
    for outcome in _RUNS:
        kinds = tuple(k for k, words in _WORDS.items() if words[outcome] == status and kind in ("", k))
        if kinds:
            return kinds, outcome
    return ("none",), None


def _error(operation: Operation) -> str | None:
    return str(RefloatError.from_json(dict(operation.error))) if operation.error else None
