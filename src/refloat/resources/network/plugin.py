"""Protects networks and their subnets by their settings."""

from __future__ import annotations

from typing import ClassVar

from refloat.resources.base import PlanContext, Planned, ProtectionPlugin, hooks
from refloat.resources.network.attributes import ATTRIBUTES, NETWORK_FIELDS
from refloat.resources.network.plan import plan
from refloat.resources.network.restore import restore
from refloat.resources.network.section import read
from refloat.resources.networking import NETWORK, RESTORE_OPTIONS
from refloat.resources.verifying import section_has


class NetworkPlugin(ProtectionPlugin):
    """Networks and their subnets, by their settings."""

    name = "network"
    resource_type = NETWORK
    description = "Keeps the settings of a network and its subnets and creates them again"
    attributes = ATTRIBUTES
    options: ClassVar = {"restore": RESTORE_OPTIONS}

    protect = hooks(on_main=read)
    restore = hooks(on_main=restore)
    verify = section_has("id", *NETWORK_FIELDS, "subnets")

    def plan_restore(self, context: PlanContext) -> Planned:
        return plan(context)
