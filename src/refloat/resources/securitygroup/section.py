"""A security group as a section."""

from __future__ import annotations

from typing import Any

from refloat.cloud import Cloud
from refloat.graph import Resource
from refloat.resources.networking import grants, picked, wire
from refloat.resources.securitygroup.attributes import GROUP_FIELDS
from refloat.resources.securitygroup.rules import saved_rules


def group_section(group: Any) -> dict[str, Any]:
    """The section of a group."""
    section = picked(wire(group), GROUP_FIELDS)
    section["id"] = str(group.id)
    section["rules"] = saved_rules(group.security_group_rules or ())
    return section


def read_section(cloud: Cloud, group_id: str, resource: Resource) -> dict[str, Any]:
    """The section of a living group."""
    section = group_section(cloud.get("security_group", group_id))
    section["rbac_policies"] = grants(cloud, "security_group", group_id, resource)
    return section
