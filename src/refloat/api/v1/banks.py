"""Upkeep of a provider's bank, for administrators. Repairing it and changing its keys is for the command."""

from __future__ import annotations

from typing import Any

from refloat.api import schemas as s
from refloat.api.request import Request
from refloat.api.route import PROJECT, Route, admin
from refloat.api.v1 import operations, providers

ACTION = s.obj(
    info=s.NOTHING,
    verify=s.obj(
        depth={"enum": ["manifests", "existence", "full"], "default": "full"},
        sample={
            "type": "number",
            "exclusiveMinimum": 0,
            "maximum": 100,
            "default": 100,
            "description": "percent of the data to read back, chosen at random",
        },
        project_id={"type": ["string", "null"], "maxLength": 64, "description": "only of this project"},
    )
    | {"type": ["object", "null"]},
    collect=s.NOTHING,
) | {"minProperties": 1, "maxProperties": 1}


def act(request: Request) -> dict[str, Any]:
    """Start to look at a bank, to verify it, or to remove what no checkpoint needs."""
    provider, deployment = providers.find(request), request.deployment
    ((action, given),) = request.body.items()
    wanted = given or {}
    payload: dict[str, Any] = {}
    if action == "verify":
        payload["depth"] = wanted.get("depth", "full")
        payload["sample"] = wanted.get("sample", 100)
        payload["of_project"] = wanted.get("project_id") or ""
    operation = deployment.submitter.bank_job(request.caller, f"bank_{action}", provider, payload)
    return operations.answer(request, operation)


_ACTION = f"{PROJECT}/providers/{{provider_id}}/bank/action"

ROUTES = (Route("POST", _ACTION, act, admin("bank:maintain"), operations.ONE, ACTION),)
