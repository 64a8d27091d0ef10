"""Protects routers by their settings."""

from __future__ import annotations

from typing import ClassVar

from refloat.resources.base import PlanContext, Planned, ProtectionPlugin, hooks
from refloat.resources.networking import RESTORE_OPTIONS
from refloat.resources.router.attributes import ATTRIBUTES, ROUTER_FIELDS
from refloat.resources.router.plan import plan
from refloat.resources.router.protectable import ROUTER
from refloat.resources.router.restore import RouterRestore
from refloat.resources.router.section import read
from refloat.resources.verifying import section_has


class RouterPlugin(ProtectionPlugin):
    """Routers, by their settings."""

    name = "router"
    resource_type = ROUTER
    description = "Keeps a router's settings, interfaces, gateway and routes and creates them again"
    attributes = ATTRIBUTES
    options: ClassVar = {"restore": RESTORE_OPTIONS}

    protect = hooks(on_main=read)
    restore = RouterRestore
    verify = section_has("id", *ROUTER_FIELDS, "interfaces", "gateway")

    def plan_restore(self, context: PlanContext) -> Planned:
        return plan(context)
