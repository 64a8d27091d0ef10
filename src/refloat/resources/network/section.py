"""A network and its subnets as a section, and how faithfully they come back."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from ipaddress import ip_address, ip_network
from typing import Any

from refloat.cloud import explained
from refloat.resources.attributes import Attribute, exact
from refloat.resources.base import HookContext
from refloat.resources.networking import automatic, grants, picked, wire

_NETWORK_EXACT = (
    "name",
    "description",
    "admin_state_up",
    "mtu",
    "port_security_enabled",
    "dns_domain",
    "availability_zone_hints",
    "tags",
    "vlan_transparent",
    "qinq",
)
_SUBNET_EXACT = (
    "name",
    "description",
    "ip_version",
    "cidr",
    "gateway_ip",
    "allocation_pools",
    "enable_dhcp",
    "dns_nameservers",
    "host_routes",
    "ipv6_address_mode",
    "ipv6_ra_mode",
    "subnetpool_id",
    "dns_publish_fixed_ip",
    "tags",
)

NETWORK_FIELDS = (*_NETWORK_EXACT, "qos_policy_id", "shared", "router:external")
"""What a section keeps of a network, under Neutron's own names."""

SUBNET_FIELDS = ("id", *_SUBNET_EXACT, "service_types", "segment_id")
"""What a section keeps of each subnet."""


def _of_subnets(field: str) -> Callable[[Mapping[str, Any]], Any]:
    return lambda section: [subnet[field] for subnet in section["subnets"]]


def _restricted(field: str) -> Callable[[Mapping[str, Any]], Any]:
    """For what few subnets have: nothing rather than a list of nothings."""
    return lambda section: [subnet[field] for subnet in section["subnets"] if subnet[field]]


ATTRIBUTES = (
    Attribute("id", "mapped", "Neutron chooses ids"),
    *exact(*_NETWORK_EXACT),
    Attribute("qos_policy_id", "exact", "the policy itself is not protected, only named"),
    Attribute("shared", "lost", "only an administrator may share a network with every project"),
    Attribute("router:external", "lost", "only an administrator may make a network external"),
    Attribute("provider", "lost", "Neutron chooses type, physical network and segment; an administrator may"),
    Attribute("rbac_policies", "exact", "which other projects may use the network"),
    *(Attribute(f"subnets.{field}", "exact", value=_of_subnets(field)) for field in _SUBNET_EXACT),
    Attribute("subnets.id", "mapped", "Neutron chooses ids", value=_of_subnets("id")),
    Attribute(
        "subnets.service_types",
        "lost",
        "only an administrator may set it",
        value=_restricted("service_types"),
    ),
    Attribute(
        "subnets.segment_id", "lost", "only an administrator may set it", value=_restricted("segment_id")
    ),
    Attribute(
        "service_addresses",
        "exact",
        "the addresses of Neutron's own metadata and DHCP ports, so that they do not take those of servers",
    ),
)


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
