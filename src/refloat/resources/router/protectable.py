"""Finds routers. A server needs those that serve a network it is on: its way out, and back in."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from functools import cached_property

from refloat.graph import Resource
from refloat.resources.networking import INTERFACE_OWNERS, NeutronProtectable


class RouterProtectable(NeutronProtectable):
    """The routers of the project."""

    def needed_by(self, parent: Resource) -> Iterable[str]:
        networks = dict.fromkeys(p.network_id for p in self.ports if p.device_id == parent.id)
        return dict.fromkeys(router for network in networks for router in self._routers_of_network[network])

    @cached_property
    def _routers_of_network(self) -> dict[str, list[str]]:
        routers: dict[str, list[str]] = defaultdict(list)
        for port in self.ports:
            if port.device_owner in INTERFACE_OWNERS:
                routers[port.network_id].append(str(port.device_id))
        return routers
