"""Verifications of checkpoints."""

from __future__ import annotations

from typing import Any

from refloat.api.request import Request
from refloat.api.v1 import runs
from refloat.records.operations import Operation


def list_verifications(request: Request) -> dict[str, Any]:
    """A page of the verifications."""
    return runs.listing(request, "verifications", "verify", _view)


def create_verification(request: Request) -> dict[str, Any]:
    """Start to verify a checkpoint."""
    wanted = request.body["verification"]
    operation = request.deployment.desk.verify(
        request.caller, runs.checkpoint(request, wanted), runs.parameters(wanted)
    )
    request.deployment.wake()
    return {"verification": _view(request, operation)}


def show_verification(request: Request) -> dict[str, Any]:
    """One verification."""
    operation = runs.find(request, request.path["verification_id"], "Verification", "verify")
    return {"verification": _view(request, operation)}


def _view(request: Request, operation: Operation) -> dict[str, Any]:
    lines = runs.lines(operation)
    bad = [line for line in lines if line["status"] != "good"]
    return {
        **runs.view(request, operation),
        "resources_status": {
            f"{line['type']}#{line['id']}": "available" if line["status"] == "good" else "error"
            for line in lines
        },
        "resources_reason": {f"{line['type']}#{line['id']}": line["reason"] for line in bad},
    }
