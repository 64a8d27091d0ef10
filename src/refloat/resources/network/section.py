"""A network and its subnets as a section."""

from __future__ import annotations

from collections.abc import Iterable
from ipaddress import ip_address, ip_network
from typing import Any

from refloat.cloud import explained
from refloat.resources.base import HookContext
from refloat.resources.network.attributes import NETWORK_FIELDS, SUBNET_FIELDS
from refloat.resources.networking import automatic, grants, picked, wire

SERVICE_OWNERS = frozenset({"network:distributed", "network:dhcp"})
"""What Neutron writes into the ports it makes in a network for itself."""


def network_section(network: Any, subnets: Iterable[Any], ports: Iterable[Any]) -> dict[str, Any]:
    """The section of a network.

    :param ports: those in the network, or more.
    """
    # Neutron keeps no order; this one is the same after a restore, which ids and dates are not.
    in_order = sorted(subnets, key=lambda subnet: (subnet.ip_version, ip_network(subnet.cidr)))
    section = picked(wire(network), NETWORK_FIELDS)
    section["id"] = str(network.id)
    # Absent, none and false all mean that the original is not special in these.
    section["dns_domain"] = section["dns_domain"] or ""
    for flag in ("vlan_transparent", "qinq", "shared", "router:external"):
        section[flag] = bool(section[flag])
    section["availability_zone_hints"] = list(section["availability_zone_hints"] or ())
    section["subnets"] = [_subnet(subnet) for subnet in in_order]
    section["service_addresses"] = service_addresses(in_order, ports)
    return section


def _subnet(subnet: Any) -> dict[str, Any]:
    """Neutron lists pools and routes in any order, and name servers in the order that counts."""
    saved = picked(wire(subnet), SUBNET_FIELDS)
    saved["allocation_pools"] = sorted(
        saved["allocation_pools"] or (), key=lambda pool: ip_address(pool["start"])
    )
    saved["host_routes"] = sorted(
        saved["host_routes"] or (), key=lambda route: (route["destination"], route["nexthop"])
    )
    return saved


def service_addresses(subnets: Iterable[Any], ports: Iterable[Any]) -> dict[str, list[str]]:
    """The addresses that Neutron's own ports have in subnets, as far as Neutron chose them."""
    taken: dict[str, list[str]] = {str(subnet.id): [] for subnet in subnets if not automatic(subnet)}
    for port in ports:
        if port.device_owner in SERVICE_OWNERS:
            for fixed in port.fixed_ips or ():
                if fixed["subnet_id"] in taken:
                    taken[fixed["subnet_id"]].append(fixed["ip_address"])
    return {subnet: sorted(addresses) for subnet, addresses in sorted(taken.items()) if addresses}


def read(context: HookContext) -> dict[str, Any]:
    cloud, identity = context.cloud, context.resource.id
    network = cloud.get("network", identity)
    with explained(f"list the subnets and ports of network {identity}", context.resource):
        subnets = list(cloud.network.subnets(network_id=identity))
        ports = list(cloud.network.ports(network_id=identity))
    section = network_section(network, subnets, ports)
    section["rbac_policies"] = grants(context, "network", identity)
    return section
