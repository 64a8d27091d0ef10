"""Legal holds on checkpoints."""

from __future__ import annotations

from typing import Any

from refloat.api.request import Request
from refloat.api.v1 import checkpoints
from refloat.api.v1.triggers import when
from refloat.records.holds import Hold, Holds


def show(request: Request) -> dict[str, Any]:
    """The hold on a checkpoint."""
    return {"hold": _view(_holds(request).get(checkpoints.find(request).id))}


def place(request: Request) -> dict[str, Any]:
    """Put a checkpoint on hold: nobody can delete it then."""
    checkpoint = checkpoints.find(request)
    reason = request.body["hold"]["reason"]
    return {
        "hold": _view(
            _holds(request).place(checkpoint.id, checkpoint.project_id, request.caller.user_id, reason)
        )
    }


def release(request: Request) -> dict[str, Any]:
    """End a hold."""
    _holds(request).release(checkpoints.find(request).id)
    return {}


def _holds(request: Request) -> Holds:
    return Holds(request.deployment.database)


def _view(hold: Hold) -> dict[str, Any]:
    return {
        "checkpoint_id": hold.checkpoint_id,
        "reason": hold.reason,
        "user_id": hold.user_id,
        "created_at": when(hold.created_at),
    }
