"""Routers: their interfaces, gateways and static routes, protected by their settings."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from functools import cached_property

from refloat.cloud.kinds import KINDS
from refloat.graph import Resource
from refloat.resources.networking import INTERFACE_OWNERS, NeutronProtectable, neutron_kind
from refloat.resources.router.plan import plan
from refloat.resources.router.restore import RouterRestore
from refloat.resources.router.section import ATTRIBUTES, ROUTER_FIELDS, read
from refloat.resources.verifying import section_has

ROUTER = "OS::Neutron::Router"


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


ROUTERS = neutron_kind(
    type=ROUTER,
    name="router",
    description="Keeps a router's settings, interfaces, gateway and routes and creates them again",
    kind=KINDS["router"],
    finder=RouterProtectable,
    attributes=ATTRIBUTES,
    protect=read,
    restore=RouterRestore,
    verify=section_has("id", *ROUTER_FIELDS, "interfaces", "gateway"),
    plan=plan,
)
