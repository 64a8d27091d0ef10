"""Workers: who there is, and who takes new operations."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from refloat.api.request import Request
from refloat.errors import InvalidInput, NotFound
from refloat.records.services import ServiceRecord

_LARGEST = 2**31 - 1


def listing(request: Request) -> dict[str, Any]:
    """All workers."""
    found = request.deployment.services.list(request.query.get("host", ""), request.query.get("binary", ""))
    return {"services": [_view(request, record) for record in found]}


def change(request: Request) -> dict[str, Any]:
    """Have a worker take no new operations, or take them again."""
    identity = request.path["service_id"]
    if not (identity.isascii() and identity.isdigit()) or int(identity) > _LARGEST:
        raise NotFound(f"Service {identity[:40]} could not be found")
    disabled = request.body["status"] == "disabled"
    reason = request.body.get("disabled_reason")
    if reason and not disabled:
        raise InvalidInput("disabled_reason goes with the status disabled")
    return {
        "service": _view(request, request.deployment.services.set_disabled(int(identity), disabled, reason))
    }


def _view(request: Request, record: ServiceRecord) -> dict[str, Any]:
    down_after = timedelta(seconds=request.deployment.conf.api.service_down_time)
    age = datetime.now(UTC).replace(tzinfo=None) - record.updated_at
    return {
        "id": record.id,
        "binary": record.binary,
        "host": record.host,
        "status": "disabled" if record.disabled else "enabled",
        "state": "up" if age < down_after else "down",
        "updated_at": record.updated_at.isoformat(timespec="microseconds"),
        "disabled_reason": record.disabled_reason,
    }
