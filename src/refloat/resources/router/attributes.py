"""How faithfully routers come back."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from refloat.resources.attributes import Attribute, exact

ROUTER_FIELDS = (
    "name",
    "description",
    "admin_state_up",
    "availability_zone_hints",
    "tags",
    "routes",
    "distributed",
    "ha",
    "flavor_id",
    "enable_ndp_proxy",
)
"""What a section keeps of a router, under Neutron's own names."""


def _gateway(field: str) -> Any:
    def read(section: Mapping[str, Any]) -> Any:
        gateway = section["gateway"]
        return gateway[field] if gateway else None

    return read


def _interfaces(section: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Where the router is: by subnet, without what identifies the ports."""
    return [
        {"network_id": interface["network_id"], "subnet_id": fixed["subnet_id"]}
        for interface in section["interfaces"]
        for fixed in interface["fixed_ips"]
    ]


def _addresses(section: Mapping[str, Any]) -> list[str]:
    return [fixed["ip_address"] for interface in section["interfaces"] for fixed in interface["fixed_ips"]]


ATTRIBUTES = (
    Attribute("id", "mapped", "Neutron chooses ids"),
    *exact("name", "description", "admin_state_up", "availability_zone_hints", "tags"),
    Attribute("interfaces", "mapped", "on the restored networks", value=_interfaces),
    Attribute("interface_addresses", "exact", value=_addresses),
    Attribute(
        "interface_macs",
        "exact",
        "on networks of the project",
        value=lambda section: [interface["mac_address"] for interface in section["interfaces"]],
    ),
    Attribute("routes", "exact"),
    Attribute("gateway.network", "exact", value=_gateway("network_id")),
    Attribute(
        "gateway.address",
        "degraded",
        "Neutron chooses another one; only an administrator may ask for a given one",
        value=_gateway("addresses"),
    ),
    Attribute("gateway.enable_snat", "exact", value=_gateway("enable_snat")),
    Attribute("gateway.qos_policy_id", "lost", "set it again", value=_gateway("qos_policy_id")),
    Attribute("further_gateways", "lost", "only the first gateway is restored"),
    Attribute("distributed", "lost", "the cloud's default; only an administrator may see or choose it"),
    Attribute("ha", "lost", "the cloud's default; only an administrator may see or choose it"),
    Attribute("flavor_id", "lost", "the cloud's default kind of router"),
    Attribute("enable_ndp_proxy", "lost", "set it again"),
)
