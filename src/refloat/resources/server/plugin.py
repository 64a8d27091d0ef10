"""Protects a server by its settings; its disks, networks and keys are protected by their own plugins."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from refloat.graph import ResourceKey
from refloat.resources.base import RESTORE_NAME, Hooks, OperationKind, PlanContext, Planned, ProtectionPlugin
from refloat.resources.context import HookContext
from refloat.resources.options import Option
from refloat.resources.server.attributes import ATTRIBUTES
from refloat.resources.server.plan import plan_server
from refloat.resources.server.plan_disks import VOLUME
from refloat.resources.server.protectable import TYPE
from refloat.resources.server.restore import ServerRestore
from refloat.resources.server.section import capture

OPTIONS: Mapping[OperationKind, tuple[Option, ...]] = {
    "restore": (
        RESTORE_NAME,
        Option("restore_flavor_id", "Flavor of the restored server, id or name"),
        Option("restore_net_id", "Give the restored server one card, on this network, instead of its own"),
        Option(
            "power_state",
            "Whether it is running when restored",
            default="as_was",
            choices=("as_was", "on", "off"),
        ),
        Option("keep_addresses", "Keep MAC and IP addresses where they are free", type=bool, default=True),
    )
}


class ServerProtect(Hooks):
    """Reads the server before anything else is done to it or its disks."""

    def on_prepare_begin(self, context: HookContext) -> Mapping[str, Any]:
        """The section."""
        return capture(context.cloud, context.resource.id)


class ServerVerify(Hooks):
    """A server's section is all there is of it; what it refers to has to be in the checkpoint."""

    def on_main(self, context: HookContext) -> Mapping[str, Any]:
        """Whether the section is whole, and the checkpoint holds the server's volumes."""
        section = context.section
        missing = [name for name in ("name", "flavor", "ports", "volumes", "status") if name not in section]
        if missing:
            return {"ok": False, "reason": f"the section has no {' and no '.join(missing)}"}
        absent = [
            volume["id"]
            for volume in section["volumes"]
            if ResourceKey(VOLUME, volume["id"]) not in context.graph
        ]
        reason = f"the checkpoint does not hold its volumes {', '.join(absent)}" if absent else ""
        return {"ok": not absent, "reason": reason}


class ServerPlugin(ProtectionPlugin):
    """Servers, made anew through Nova with ports made before them."""

    name = "server"
    resource_type = TYPE
    description = "Keeps all settings of a server and makes it anew from its restored disks and networks"
    attributes = ATTRIBUTES
    options = OPTIONS

    protect = ServerProtect
    restore = ServerRestore
    verify = ServerVerify

    def plan_restore(self, context: PlanContext) -> Planned:
        """A new server, as the old one was as far as the cloud allows."""
        return plan_server(context)
