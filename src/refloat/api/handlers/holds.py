"""Legal holds on checkpoints."""

from __future__ import annotations

from typing import Any

from refloat.api.call import Call
from refloat.api.handlers import checkpoints
from refloat.api.handlers.triggers import when
from refloat.records.holds import Hold, Holds


def show(call: Call) -> dict[str, Any]:
    """The hold on a checkpoint."""
    return {"hold": _view(_holds(call).get(checkpoints.find(call).id))}


def place(call: Call) -> dict[str, Any]:
    """Put a checkpoint on hold: nobody can delete it then."""
    checkpoint = checkpoints.find(call)
    reason = call.body["hold"]["reason"]
    return {
        "hold": _view(_holds(call).place(checkpoint.id, checkpoint.project_id, call.caller.user_id, reason))
    }


def release(call: Call) -> dict[str, Any]:
    """End a hold."""
    _holds(call).release(checkpoints.find(call).id)
    return {}


def _holds(call: Call) -> Holds:
    return Holds(call.site.database)


def _view(hold: Hold) -> dict[str, Any]:
    return {
        "checkpoint_id": hold.checkpoint_id,
        "reason": hold.reason,
        "user_id": hold.user_id,
        "created_at": when(hold.created_at),
    }
