"""Legal holds on checkpoints."""

from __future__ import annotations

from typing import Any

from refloat.api import schemas as s
from refloat.api import times
from refloat.api.request import Request
from refloat.api.route import CHECKPOINTS, Route, manager, member, reader
from refloat.api.v1 import checkpoints
from refloat.records.holds import Hold, Holds

NEW = s.reply(reason=s.NAME)
SCHEMA = s.reply(checkpoint_id=s.STRING, reason=s.STRING, user_id=s.STRING, created_at=s.STRING)


def show(request: Request) -> dict[str, Any]:
    """The hold on a checkpoint."""
    return _answer(_holds(request).get(checkpoints.find(request).id))


def place(request: Request) -> dict[str, Any]:
    """Put a checkpoint on hold: nobody can delete it then."""
    checkpoint, reason = checkpoints.find(request), request.body["hold"]["reason"]
    return _answer(
        _holds(request).place(checkpoint.id, checkpoint.project_id, request.caller.user_id, reason)
    )


def release(request: Request) -> dict[str, Any]:
    """End a hold."""
    _holds(request).release(checkpoints.find(request).id)
    return {}


def _holds(request: Request) -> Holds:
    return Holds(request.deployment.database)


def _answer(hold: Hold) -> dict[str, Any]:
    return {"hold": s.view(SCHEMA, hold, created_at=times.of_trigger(hold.created_at))}


_HOLD = f"{CHECKPOINTS}/{{checkpoint_id}}/hold"
_one = s.wrapped("hold", SCHEMA)

ROUTES = (
    Route("GET", _HOLD, show, reader("provider:checkpoint_get"), _one),
    Route("PUT", _HOLD, place, member("provider:checkpoint_hold"), _one, s.wrapped("hold", NEW)),
    Route("DELETE", _HOLD, release, manager("provider:checkpoint_release"), s.obj()),
)
