"""Finds security groups, and which groups they refer to in their rules."""

from __future__ import annotations

from collections.abc import Iterable

from refloat.graph import Resource
from refloat.resources.base import PROJECT
from refloat.resources.networking import SERVER, NeutronProtectable

SECURITY_GROUP = "OS::Neutron::SecurityGroup"


class SecurityGroupProtectable(NeutronProtectable):
    """The security groups of the project."""

    type = SECURITY_GROUP
    parents = frozenset({SERVER, PROJECT})
    kind, noun = "security_group", "security group"

    def needed_by(self, parent: Resource) -> Iterable[str]:
        ports = (port for port in self.ports if port.device_id == parent.id)
        return dict.fromkeys(group for port in ports for group in port.security_group_ids or ())

    def references(self, resource: Resource) -> Iterable[Resource]:
        """The groups of the project that the rules of one let in or out."""
        group = self.by_id.get(resource.id) or self.cloud.get(self.kind, resource.id)
        named = dict.fromkeys(rule.get("remote_group_id") for rule in group.security_group_rules or ())
        return [self.node(self.by_id[identity]) for identity in named if identity in self.by_id]
