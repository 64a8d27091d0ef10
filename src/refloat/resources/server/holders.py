"""Who has which address on the networks of a project."""

from __future__ import annotations

from collections.abc import Iterable
from functools import cached_property
from typing import Any

from refloat.cloud import explained
from refloat.resources.base import PlanContext


class Holders:
    """Knows, for one restore plan, the ports of the project and what they have."""

    def __init__(self, context: PlanContext) -> None:
        self._context = context
        self._looked_at: set[str] = set()

    @cached_property
    def ports(self) -> dict[str, Any]:
        return {port.id: port for port in self._context.listing("port")}

    def of(self, network: Any, addresses: Iterable[str]) -> dict[str, str]:
        """Which of these addresses (IP and MAC) are taken on a network, and by whom, in words."""
        if network.is_shared and network.id not in self._looked_at:
            # Others may have ports on it, which are not among the project's.
            self._looked_at.add(network.id)
            with explained(f"list the ports of the network {network.name}"):
                for port in self._context.cloud.network.ports(network_id=network.id):
                    self._taken.update(_addresses_of(port))
        found = {address: self._taken.get((network.id, address)) for address in addresses}
        return {address: self.name(port) for address, port in found.items() if port is not None}

    def name(self, port: Any) -> str:
        if str(port.device_owner or "").startswith("compute:"):
            names = {server.id: server.name for server in self._context.listing("server")}
            name = names.get(port.device_id)
            return f"the server {name} ({port.device_id})" if name else f"the server {port.device_id}"
        what = {
            "network:dhcp": "the network's own DHCP port",
            "network:distributed": "the network's own port",
            "network:router_interface": f"the router {port.device_id}",
        }
        return what.get(port.device_owner, f"the port {port.name or port.id}")

    @cached_property
    def _taken(self) -> dict[tuple[str, str], Any]:
        return dict(pair for port in self.ports.values() for pair in _addresses_of(port))


def _addresses_of(port: Any) -> list[tuple[tuple[str, str], Any]]:
    addresses = [port.mac_address, *(fixed["ip_address"] for fixed in port.fixed_ips)]
    return [((port.network_id, address), port) for address in addresses]
