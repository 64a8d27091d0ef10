"""Workers: who there is, and who takes new operations."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from refloat.api.call import Call
from refloat.errors import InvalidInput, NotFound
from refloat.records.services import ServiceRecord

_LARGEST = 2**31 - 1


def listing(call: Call) -> dict[str, Any]:
    """All workers."""
    found = call.site.services.list(call.query.get("host", ""), call.query.get("binary", ""))
    return {"services": [_view(call, record) for record in found]}


def change(call: Call) -> dict[str, Any]:
    """Have a worker take no new operations, or take them again."""
    identity = call.path["service_id"]
    if not (identity.isascii() and identity.isdigit()) or int(identity) > _LARGEST:
        raise NotFound(f"Service {identity[:40]} could not be found")
    disabled = call.body["status"] == "disabled"
    reason = call.body.get("disabled_reason")
    if reason and not disabled:
        raise InvalidInput("disabled_reason goes with the status disabled")
    return {"service": _view(call, call.site.services.set_disabled(int(identity), disabled, reason))}


def _view(call: Call, record: ServiceRecord) -> dict[str, Any]:
    down_after = timedelta(seconds=call.site.conf.api.service_down_time)
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
