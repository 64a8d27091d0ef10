"""Finds floating IPs: those that lead to a server's ports, or all of a project."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from functools import cached_property
from typing import Any

from refloat.graph import Resource
from refloat.resources.base import PROJECT
from refloat.resources.networking import SERVER, NeutronProtectable

FLOATING_IP = "OS::Neutron::FloatingIP"


class FloatingIPProtectable(NeutronProtectable):
    """The floating IPs of the project; their addresses are their names."""

    type = FLOATING_IP
    parents = frozenset({SERVER, PROJECT})
    kind, noun = "floating_ip", "floating IP"

    def needed_by(self, parent: Resource) -> Iterable[str]:
        """The floating IPs that lead to a server."""
        return self._of_server[parent.id]

    def node(self, thing: Any) -> Resource:
        """The node for a floating IP."""
        return Resource(self.type, str(thing.id), str(thing.floating_ip_address))

    @cached_property
    def _of_server(self) -> dict[str, list[str]]:
        servers = {port.id: str(port.device_id) for port in self.ports}
        found: dict[str, list[str]] = defaultdict(list)
        for identity, address in self.by_id.items():
            if address.port_id in servers:
                found[servers[address.port_id]].append(identity)
        return found
