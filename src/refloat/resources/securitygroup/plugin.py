"""Protects security groups by their settings and rules."""

from __future__ import annotations

from typing import ClassVar

from refloat.resources.base import PlanContext, Planned, ProtectionPlugin, hooks
from refloat.resources.networking import RESTORE_OPTIONS
from refloat.resources.securitygroup.attributes import ATTRIBUTES, GROUP_FIELDS
from refloat.resources.securitygroup.plan import plan
from refloat.resources.securitygroup.protectable import SECURITY_GROUP
from refloat.resources.securitygroup.restore import SecurityGroupRestore
from refloat.resources.securitygroup.section import read
from refloat.resources.verifying import section_has


class SecurityGroupPlugin(ProtectionPlugin):
    """Security groups, by their settings and rules."""

    name = "security-group"
    resource_type = SECURITY_GROUP
    description = "Keeps a security group and its rules and creates them again"
    attributes = ATTRIBUTES
    options: ClassVar = {"restore": RESTORE_OPTIONS}

    protect = hooks(on_main=read)
    restore = SecurityGroupRestore
    verify = section_has("id", *GROUP_FIELDS, "rules")

    def plan_restore(self, context: PlanContext) -> Planned:
        return plan(context)
