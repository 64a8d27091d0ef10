"""Networks with their subnets, as far as the project owns them: protected by their settings."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from functools import cached_property

from refloat.cloud.kinds import KINDS
from refloat.graph import Resource
from refloat.resources.network.plan import plan
from refloat.resources.network.restore import restore
from refloat.resources.network.section import ATTRIBUTES, NETWORK_FIELDS, read
from refloat.resources.networking import (
    INTERFACE_OWNERS,
    NETWORK,
    SERVER,
    NeutronProtectable,
    neutron_kind,
)
from refloat.resources.verifying import section_has

ROUTER = "OS::Neutron::Router"


class NetworkProtectable(NeutronProtectable):
    """The networks of the project."""

    def needed_by(self, parent: Resource) -> Iterable[str]:
        """The networks that a server has ports on; those that a router serves or leads out to."""
        needed = dict.fromkeys(self._networks_of_device[parent.id])
        if parent.type == ROUTER:
            gateway = self.cloud.get("router", parent.id).external_gateway_info or {}
            needed.update(dict.fromkeys([gateway.get("network_id", "")]))
        return needed

    @cached_property
    def _networks_of_device(self) -> dict[str, list[str]]:
        networks: dict[str, list[str]] = defaultdict(list)
        for port in self.ports:
            if port.device_id and (
                port.device_owner in INTERFACE_OWNERS or str(port.device_owner).startswith("compute:")
            ):
                networks[port.device_id].append(str(port.network_id))
        return networks


NETWORKS = neutron_kind(
    type=NETWORK,
    name="network",
    description="Keeps the settings of a network and its subnets and creates them again",
    kind=KINDS["network"],
    finder=NetworkProtectable,
    parents={SERVER: None, ROUTER: None},
    attributes=ATTRIBUTES,
    protect=read,
    restore=restore,
    verify=section_has("id", *NETWORK_FIELDS, "subnets"),
    plan=plan,
)
