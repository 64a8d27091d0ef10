"""Verifications of checkpoints."""

from __future__ import annotations

from typing import Any

from refloat.api import schemas as s
from refloat.api.request import Request
from refloat.api.route import PROJECT, Route, member, reader
from refloat.api.v1 import checkpoints, runs
from refloat.records.operations import Operation

NEW = s.obj(
    ("provider_id", "checkpoint_id"), provider_id=s.UUID, checkpoint_id=s.UUID, parameters=s.PARAMETERS
)
SCHEMA = s.reply("error_info", **runs.ATTRIBUTES)


def list_verifications(request: Request) -> dict[str, Any]:
    """A page of the verifications."""
    return runs.listing(request, "verifications", "verify", _view)


def create_verification(request: Request) -> dict[str, Any]:
    """Start to verify a checkpoint."""
    wanted = request.body["verification"]
    operation = request.deployment.submitter.verify(
        request.caller, checkpoints.named(request, wanted), runs.parameters(wanted)
    )
    return {"verification": _view(request, operation)}


def show_verification(request: Request) -> dict[str, Any]:
    """One verification."""
    operation = runs.find(request, request.path["verification_id"], "Verification", "verify")
    return {"verification": _view(request, operation)}


def _view(request: Request, operation: Operation) -> dict[str, Any]:
    lines = {f"{line['type']}#{line['id']}": line for line in runs.lines(operation)}
    bad = {key: line for key, line in lines.items() if line["status"] != "good"}
    return {
        **runs.view(request, operation),
        "resources_status": {key: "error" if key in bad else "available" for key in lines},
        "resources_reason": {key: line["reason"] for key, line in bad.items()},
    }


_VERIFICATIONS = f"{PROJECT}/verifications"
_VERIFICATION = f"{_VERIFICATIONS}/{{verification_id}}"
_one, _many = s.wrapped("verification", SCHEMA), s.listed("verifications", SCHEMA)
_new = s.wrapped("verification", NEW)

ROUTES = (
    Route("GET", _VERIFICATIONS, list_verifications, reader("verification:get_all"), _many, query=runs.QUERY),
    Route("POST", _VERIFICATIONS, create_verification, member("verification:create"), _one, _new),
    Route("GET", _VERIFICATION, show_verification, reader("verification:get"), _one),
)
