"""Workers: who there is, and who takes new operations."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from refloat.api import schemas as s
from refloat.api.request import Request
from refloat.api.route import PROJECT, Route, admin
from refloat.errors import InvalidInput, NotFound
from refloat.records.services import ServiceRecord

_STATUS: s.Schema = {"enum": ["enabled", "disabled"]}
SCHEMA = s.reply(
    id={"type": "integer"},
    binary=s.STRING,
    host=s.STRING,
    status=_STATUS,
    state={"enum": ["up", "down"]},
    updated_at=s.STRING,
    disabled_reason=s.TEXT,
)
CHANGE = s.reply("disabled_reason", status=_STATUS, disabled_reason={**s.TEXT, "maxLength": 255})


def listing(request: Request) -> dict[str, Any]:
    """All workers."""
    found = request.deployment.services.list(request.query.get("host", ""), request.query.get("binary", ""))
    return {"services": [_view(request, record) for record in found]}


def change(request: Request) -> dict[str, Any]:
    """Have a worker take no new operations, or take them again."""
    identity = request.path["service_id"]
    if not (identity.isascii() and identity.isdigit()) or int(identity) > s.LARGEST:
        raise NotFound(f"Service {identity[:40]} could not be found")
    disabled = request.body["status"] == "disabled"
    reason = request.body.get("disabled_reason")
    if reason and not disabled:
        raise InvalidInput("disabled_reason goes with the status disabled")
    changed = request.deployment.services.set_disabled(int(identity), disabled, reason)
    return {"service": _view(request, changed)}


def _view(request: Request, record: ServiceRecord) -> dict[str, Any]:
    down_after = timedelta(seconds=request.deployment.conf.api.service_down_time)
    age = datetime.now(UTC).replace(tzinfo=None) - record.updated_at
    return s.view(
        SCHEMA,
        record,
        status="disabled" if record.disabled else "enabled",
        state="up" if age < down_after else "down",
        updated_at=record.updated_at.isoformat(timespec="microseconds"),
    )


_SERVICES = f"{PROJECT}/os-services"
_one, _many = s.wrapped("service", SCHEMA), s.reply(services=s.array(SCHEMA))
_QUERY = s.obj(host=s.FILTER, binary=s.FILTER)

ROUTES = (
    Route("GET", _SERVICES, listing, admin("service:get_all"), _many, query=_QUERY),
    Route("PUT", f"{_SERVICES}/{{service_id}}", change, admin("service:update"), _one, CHANGE),
)
