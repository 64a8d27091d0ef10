"""Upkeep of a provider's bank, for administrators. Repairing it and changing its keys is for the command."""

from __future__ import annotations

from typing import Any

from refloat.api.call import Call
from refloat.api.handlers import operations, providers
from refloat.control.grants import NOTHING


def act(call: Call) -> dict[str, Any]:
    """Start to look at a bank, to verify it, or to remove what no checkpoint needs."""
    provider = providers.find(call)
    ((action, given),) = call.body.items()
    wanted = given or {}
    payload: dict[str, Any] = {"parameters": {}, "plan": {}}
    if action == "verify":
        payload["depth"] = wanted.get("depth", "full")
        payload["sample"] = wanted.get("sample", 100)
        payload["of_project"] = wanted.get("project_id") or ""
    with call.site.database.session() as session:
        operation = call.site.orders.add(
            session, f"bank_{action}", "", call.project_id, provider, payload, NOTHING
        )
    call.site.wake()
    return {"operation": operations.view(call, operation)}
