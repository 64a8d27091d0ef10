"""Protects floating IPs by their settings."""

from __future__ import annotations

from typing import ClassVar

from refloat.resources.base import PlanContext, Planned, ProtectionPlugin, hooks
from refloat.resources.floatingip.attributes import ATTRIBUTES, FLOATING_IP_FIELDS
from refloat.resources.floatingip.plan import plan
from refloat.resources.floatingip.protectable import FLOATING_IP
from refloat.resources.floatingip.restore import restore
from refloat.resources.floatingip.section import read
from refloat.resources.networking import DUPLICATE
from refloat.resources.verifying import section_has


class FloatingIPPlugin(ProtectionPlugin):
    """Floating IPs, by their settings."""

    name = "floating-ip"
    resource_type = FLOATING_IP
    description = "Holds on to a floating IP that is still there; otherwise gets one"
    attributes = ATTRIBUTES
    options: ClassVar = {"restore": (DUPLICATE,)}

    protect = hooks(on_main=read)
    restore = hooks(on_main=restore)
    verify = section_has("id", *FLOATING_IP_FIELDS, "floating_network_name")

    def plan_restore(self, context: PlanContext) -> Planned:
        return plan(context)
