"""The service's workers."""

from __future__ import annotations

from refloat.client.osc.arguments import Arg
from refloat.client.osc.base import List, Show

_SERVICE = Arg("service_id", "id of the worker")


ServiceList = List.of(
    "List the service's workers (administrators).",
    "services",
    Arg("--host", "on this host"),
    Arg("--binary", "of this kind"),
    columns=("Id", "Binary", "Host", "Status", "State", "Updated_at", "Disabled Reason"),
)
ServiceEnable = Show.of(
    "Have a worker take new operations again.", "update_service", _SERVICE, always={"status": "enabled"}
)
ServiceDisable = Show.of(
    "Have a worker take no new operations.",
    "update_service",
    _SERVICE,
    Arg("--reason", "why", "disabled_reason"),
    always={"status": "disabled"},
)
