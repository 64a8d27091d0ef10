"""What restores, verifications and operation logs share: they are views of operations, in Karbor's words."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from refloat.api.request import Request
from refloat.api.v1 import operations
from refloat.api.validation import same_form
from refloat.errors import NotFound
from refloat.records.operations import BAD, Operation, Outcome

_OUTCOMES: Mapping[str, Outcome] = {
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
}
"""What an operation log's status says: the words of checkpoints, restores and verifications."""


def listing(
    request: Request, name: str, kind: str, view: Callable[[Request, Operation], dict[str, Any]]
) -> dict[str, Any]:
    """A page of the restores, or of the verifications."""
    status = request.query.get("status")
    kinds, outcome = ((kind,), None) if status is None else meant(status, kind)
    found = request.deployment.operations.page(request.page(), request.listed, kinds, outcome=outcome)
    return request.listing(name, [view(request, item) for item in found], found[-1].id if found else None)


def find(request: Request, identity: str, title: str, *kinds: str) -> Operation:
    """An operation that the caller may see. :raises NotFound: there is none of these kinds."""
    try:
        return request.deployment.operations.get(identity, request.scope, kinds)
    except NotFound:
        raise NotFound(f"{title} {identity} could not be found") from None


def checkpoint(request: Request, wanted: Mapping[str, Any]) -> Any:
    """The checkpoint that a body names."""
    return request.deployment.checkpoints.get(
        same_form(wanted["checkpoint_id"]), request.scope, same_form(wanted["provider_id"])
    )


def parameters(wanted: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """The parameters in a body."""
    return {where: dict(given or {}) for where, given in wanted.get("parameters", {}).items()}


def view(request: Request, operation: Operation) -> dict[str, Any]:
    """What a restore and a verification have in common."""
    return {
        "id": operation.id,
        "project_id": operation.project_id,
        "provider_id": operations.provider_id(request, str(operation.payload.get("provider", ""))),
        "checkpoint_id": operation.checkpoint_id,
        "parameters": operation.payload.get("parameters", {}),
        "status": outcome_of(operation),
        "resources_status": {},
        "resources_reason": {},
        "error_info": operations.error_info(operation),
    }


def lines(operation: Operation) -> list[Mapping[str, Any]]:
    """What has become of each resource."""
    return list((operation.result or {}).get("resources", ()))


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
