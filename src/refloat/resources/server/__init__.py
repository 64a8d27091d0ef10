"""Servers, by their settings; their disks, networks and keys are protected by their own plugins."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from refloat.cloud.kinds import KINDS
from refloat.graph import LEFT_OUT, ResourceKey
from refloat.resources.base import RESTORE_NAME, HookContext, hooks
from refloat.resources.declared import Declared
from refloat.resources.options import Option
from refloat.resources.server.plan import VOLUME, plan_server
from refloat.resources.server.protectable import TYPE, ServerProtectable
from refloat.resources.server.replace import let_go
from refloat.resources.server.restore import restore
from refloat.resources.server.section import ATTRIBUTES, server_section
from refloat.resources.verifying import checked, lacking


def _protect(context: HookContext) -> Mapping[str, Any]:
    """Its settings; of volumes that the plan excludes they say so."""
    section = server_section(context.cloud, context.resource.id)
    for volume in section["volumes"]:
        if volume["id"] in context.resource.extra.get(LEFT_OUT, ()):
            volume["excluded"] = True
    return section


def _verify(context: HookContext) -> Mapping[str, Any]:
    """Whether the section is whole, and the checkpoint holds the server's volumes."""
    section = context.section
    if problem := lacking(section, "name", "flavor", "ports", "volumes", "status"):
        return checked(problem)
    kept = (volume for volume in section["volumes"] if not volume.get("excluded"))
    keys = [ResourceKey(VOLUME, volume["id"]) for volume in kept]
    absent = [key.id for key in keys if key not in context.graph]
    return checked(f"the checkpoint does not hold its volumes {', '.join(absent)}" if absent else "")


SERVERS = Declared(
    type=TYPE,
    name="server",
    description="Keeps all settings of a server and makes it anew from its restored disks and networks",
    kind=KINDS["server"],
    finder=ServerProtectable,
    selectors=("tag", "metadata"),
    attributes=ATTRIBUTES,
    doubles=True,
    repairs=True,
    replaces=True,
    options=(
        RESTORE_NAME,
        Option("restore_flavor_id", "Flavor of the restored server, id or name"),
        Option("restore_net_id", "Give the restored server one card, on this network, instead of its own"),
        Option(
            "power_state",
            "Whether it is running when restored",
            default="as_was",
            choices=("as_was", "on", "off"),
        ),
        Option(
            "keep_image",
            "Keep the image of its own disk, which rebuild, rescue and evacuation need",
            type=bool,
            default=True,
        ),
        Option("keep_addresses", "Keep MAC and IP addresses where they are free", type=bool, default=True),
    ),
    # Before anything else is done to the server or its disks.
    protect=hooks(on_prepare_begin=_protect),
    restore=hooks(on_prepare_begin=let_go, on_complete=restore),
    verify=hooks(on_main=_verify),
    plan=plan_server,
)
