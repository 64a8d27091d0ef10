"""Upkeep of a provider's bank, for administrators. Repairing it and changing its keys is for the command."""

from __future__ import annotations

from typing import Any

from refloat.api.request import Request
from refloat.api.v1 import operations, providers
from refloat.control.grants import NOTHING


def act(request: Request) -> dict[str, Any]:
    """Start to look at a bank, to verify it, or to remove what no checkpoint needs."""
    provider = providers.find(request)
    ((action, given),) = request.body.items()
    wanted = given or {}
    payload: dict[str, Any] = {"parameters": {}, "plan": {}}
    if action == "verify":
        payload["depth"] = wanted.get("depth", "full")
        payload["sample"] = wanted.get("sample", 100)
        payload["of_project"] = wanted.get("project_id") or ""
    with request.deployment.database.session() as session:
        operation = request.deployment.orders.add(
            session, f"bank_{action}", "", request.project_id, provider, payload, NOTHING
        )
    request.deployment.wake()
    return {"operation": operations.view(request, operation)}
