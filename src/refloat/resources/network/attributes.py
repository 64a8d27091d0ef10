"""How faithfully networks and their subnets come back."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from refloat.resources.attributes import Attribute, exact

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
