"""The service's workers."""

from __future__ import annotations

import argparse
from typing import Any

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


class ServiceEnable(Show):
    """Have a worker take new operations again."""

    verb = "update_service"
    args = (_SERVICE,)

    def sent(self, parsed_args: argparse.Namespace) -> dict[str, Any]:
        return {"status": "enabled"}


class ServiceDisable(Show):
    """Have a worker take no new operations."""

    verb = "update_service"
    args = (_SERVICE, Arg("--reason", "why", "disabled_reason"))

    def sent(self, parsed_args: argparse.Namespace) -> dict[str, Any]:
        return {"status": "disabled", **super().sent(parsed_args)}
