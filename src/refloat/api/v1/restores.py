"""Restores of checkpoints."""

from __future__ import annotations

from typing import Any

from refloat.api.request import Request
from refloat.api.v1 import operations, runs
from refloat.records.operations import Operation


def list_restores(request: Request) -> dict[str, Any]:
    """A page of the restores."""
    return runs.listing(request, "restores", "restore", _view)


def create_restore(request: Request) -> dict[str, Any]:
    """Start to restore a checkpoint."""
    wanted = request.body["restore"]
    operation = request.deployment.desk.restore(
        request.caller,
        runs.checkpoint(request, wanted),
        runs.parameters(wanted),
        operations.elsewhere(wanted),
        only=wanted.get("only", ()),
        keep_on_failure=wanted.get("keep_on_failure", False),
    )
    request.deployment.wake()
    return {"restore": _view(request, operation)}


def show_restore(request: Request) -> dict[str, Any]:
    """One restore."""
    operation = runs.find(request, request.path["restore_id"], "Restore", "restore")
    return {"restore": _view(request, operation)}


def _view(request: Request, operation: Operation) -> dict[str, Any]:
    lines = runs.lines(operation)
    return {
        **runs.view(request, operation),
        "restore_target": operation.payload.get("restore_target"),
        "resources_status": {f"{line['type']}#{line['new_id']}": "available" for line in lines},
        "resources_reason": {
            f"{line['type']}#{line['new_id']}": line["reason"] for line in lines if line.get("reason")
        },
    }
