"""What restores, verifications and operation logs share: they are views of operations, in Karbor's words."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from refloat.api import schemas as s
from refloat.api.request import Request
from refloat.errors import NotFound, RefloatError
from refloat.records.operations import BAD, Operation, Outcome

_STATES: s.Schema = {"type": "object", "additionalProperties": s.STRING}
ATTRIBUTES: Mapping[str, s.Schema] = {
    "id": s.UUID,
    "project_id": s.STRING,
    "provider_id": s.STRING,
    "checkpoint_id": s.STRING,
    "parameters": s.ANY_OBJECT,
    "status": {"enum": ["in_progress", "success", "fail"]},
    "resources_status": _STATES,
    "resources_reason": _STATES,
    "error_info": s.TEXT,
}
"""Of a restore and of a verification."""

QUERY = s.list_query("status")

_OUTCOMES: Mapping[str, Outcome] = {
    "queued": "in_progress",
    "running": "in_progress",
    "parked": "in_progress",
    "succeeded": "success",
    "failed": "fail",
    "cancelled": "fail",
}
_RUNS: Mapping[Outcome, str] = {"in_progress": "in_progress", "success": "success", "fail": "fail"}
WORDS: Mapping[str, Mapping[Outcome, str]] = {
    "protect": {"in_progress": "protecting", "success": "available", "fail": "error"},
    "delete": {"in_progress": "deleting", "success": "deleted", "fail": "error-deleting"},
    "restore": _RUNS,
    "verify": _RUNS,
    "copy": {"in_progress": "copying", "success": "available", "fail": "error"},
    "reassign": {"in_progress": "in_progress", "success": "available", "fail": "error"},
}
"""What an operation log's status says: the words of checkpoints, restores and verifications."""


def listing(
    request: Request, name: str, kind: str, view: Callable[[Request, Operation], dict[str, Any]]
) -> dict[str, Any]:
    """A page of the restores, or of the verifications."""
    status = request.query.get("status")
    kinds, outcome = ((kind,), None) if status is None else meant(status, kind)
    found = request.deployment.operations.page(
        request.page(), request.listed, kinds, outcome=outcome, whole=True
    )
    return request.listing(name, found, lambda operation: view(request, operation))


def find(request: Request, identity: str, title: str, *kinds: str) -> Operation:
    """An operation that the caller may see. :raises NotFound: there is none of these kinds."""
    try:
        return request.deployment.operations.get(identity, request.scope, kinds)
    except NotFound:
        raise NotFound(f"{title} {identity} could not be found") from None


def parameters(wanted: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """The parameters in a body."""
    return {where: dict(given or {}) for where, given in (wanted.get("parameters") or {}).items()}


def view(request: Request, operation: Operation) -> dict[str, Any]:
    """What a restore and a verification have in common."""
    return {
        "id": operation.id,
        "project_id": operation.project_id,
        "provider_id": provider_id(request, operation),
        "checkpoint_id": operation.checkpoint_id,
        "parameters": operation.payload.get("parameters", {}),
        "status": outcome_of(operation),
        "error_info": error_info(operation),
    }


def provider_id(request: Request, operation: Operation) -> str:
    """The id of an operation's provider."""
    return request.deployment.providers.id_of(str(operation.payload.get("provider", "")))


def lines(operation: Operation) -> list[Mapping[str, Any]]:
    """What has become of each resource."""
    return list((operation.result or {}).get("resources", ()))


def error_info(operation: Operation) -> str | None:
    """Why an operation failed, in a sentence."""
    return str(RefloatError.from_json(dict(operation.error))) if operation.error else None


def outcome_of(operation: Operation) -> Outcome:
    """How an operation is: in progress, or how it has ended. A verification that found damage has failed."""
    if (operation.result or {}).get("status") == BAD:
        return "fail"
    return _OUTCOMES.get(operation.state, "fail")


def meant(status: str | None, kind: str = "") -> tuple[tuple[str, ...], Outcome | None]:
    """The kinds of operations, and their outcome, that a status says."""
    if status is None:
        return (), None
    for outcome in _RUNS:
        kinds = tuple(k for k, words in WORDS.items() if words[outcome] == status and kind in ("", k))
        if kinds:
            return kinds, outcome
    return ("none",), None
