"""A security group as a section."""

from __future__ import annotations

from typing import Any

from refloat.resources.base import HookContext
from refloat.resources.networking import grants, picked, wire
from refloat.resources.securitygroup.attributes import GROUP_FIELDS
from refloat.resources.securitygroup.rules import saved_rules


def group_section(group: Any) -> dict[str, Any]:
    section = picked(wire(group), GROUP_FIELDS)
    section["id"] = str(group.id)
    section["rules"] = saved_rules(group.security_group_rules or ())
    return section


def read(context: HookContext) -> dict[str, Any]:
    section = group_section(context.cloud.get("security_group", context.resource.id))
    section["rbac_policies"] = grants(context, "security_group", context.resource.id)
    return section
