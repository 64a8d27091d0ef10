"""A router with its interfaces and gateway as a section, and how faithfully routers come back."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from refloat.cloud import explained
from refloat.resources.attributes import Attribute, exact
from refloat.resources.base import HookContext
from refloat.resources.networking import INTERFACE_OWNERS, automatic, picked, wire

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


def _of_gateway(field: str) -> Any:
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
    Attribute("gateway.network", "exact", value=_of_gateway("network_id")),
    Attribute(
        "gateway.address",
        "degraded",
        "Neutron chooses another one; only an administrator may ask for a given one",
        value=_of_gateway("addresses"),
    ),
    Attribute("gateway.enable_snat", "exact", value=_of_gateway("enable_snat")),
    Attribute("gateway.qos_policy_id", "lost", "set it again", value=_of_gateway("qos_policy_id")),
    Attribute("further_gateways", "lost", "only the first gateway is restored"),
    Attribute("distributed", "lost", "the cloud's default; only an administrator may see or choose it"),
    Attribute("ha", "lost", "the cloud's default; only an administrator may see or choose it"),
    Attribute("flavor_id", "lost", "the cloud's default kind of router"),
    Attribute("enable_ndp_proxy", "lost", "set it again"),
)


def router_section(
    router: Any, ports: Iterable[Any], subnets: Mapping[str, Any], names: Mapping[str, str]
) -> dict[str, Any]:
    """The section of a router.

    :param ports: its ports, or more.
    :param subnets: subnets by id, as far as known.
    :param names: names of networks by id, as far as known.
    """
    mine = [p for p in ports if p.device_id == router.id and p.device_owner in INTERFACE_OWNERS]
    # Neutron keeps no order; this one is the same after a restore, which ids and dates are not.
    mine.sort(key=lambda port: sorted(fixed["ip_address"] for fixed in port.fixed_ips))
    section = picked(wire(router), ROUTER_FIELDS)
    section["id"] = str(router.id)
    section["availability_zone_hints"] = list(section["availability_zone_hints"] or ())
    section["routes"] = sorted(section["routes"] or (), key=lambda r: (r["destination"], r["nexthop"]))
    section["interfaces"] = [
        {
            "port_id": str(port.id),
            "name": port.name or "",
            "description": port.description or "",
            "network_id": str(port.network_id),
            "network_name": names.get(port.network_id, ""),
            "mac_address": port.mac_address,
            "port_security_enabled": port.is_port_security_enabled,
            "automatic_network": any(
                automatic(subnet) for subnet in subnets.values() if subnet.network_id == port.network_id
            ),
            "fixed_ips": [
                {**fixed, **_told_of(subnets.get(fixed["subnet_id"]), fixed["ip_address"])}
                for fixed in port.fixed_ips
            ],
        }
        for port in mine
    ]
    section["gateway"] = _gateway(router.external_gateway_info, names)
    # The first of these is the gateway itself, on clouds whose routers may have several.
    section["further_gateways"] = list(wire(router).get("external_gateways") or ())[1:]
    return section


def _told_of(subnet: Any | None, address: str) -> dict[str, Any]:
    """What matters of a subnet that an interface is in."""
    if subnet is None:
        return {"cidr": "", "gateway": False, "automatic": False}
    gateway = address == subnet.gateway_ip
    return {"cidr": str(subnet.cidr), "gateway": gateway, "automatic": automatic(subnet)}


def _gateway(info: Mapping[str, Any] | None, names: Mapping[str, str]) -> dict[str, Any] | None:
    if not info:
        return None
    return {
        "network_id": info["network_id"],
        "network_name": names.get(info["network_id"], ""),
        "enable_snat": info.get("enable_snat", True),
        "qos_policy_id": info.get("qos_policy_id"),
        "addresses": [fixed["ip_address"] for fixed in info.get("external_fixed_ips") or ()],
    }


def read(context: HookContext) -> dict[str, Any]:
    cloud, router_id, resource = context.cloud, context.resource.id, context.resource
    router = cloud.get("router", router_id)
    with explained(f"list the interfaces of router {router_id}", resource):
        ports = list(cloud.network.ports(device_id=router_id))
    networks = {port.network_id for port in ports if port.device_owner in INTERFACE_OWNERS}
    with explained(f"list the subnets of router {router_id}", resource):
        subnets = {s.id: s for network in networks for s in cloud.network.subnets(network_id=network)}
    if router.external_gateway_info:
        networks.add(router.external_gateway_info["network_id"])
    found = {network: cloud.find("network", network) for network in networks}
    names = {network: thing.name for network, thing in found.items() if thing is not None}
    return router_section(router, ports, subnets, names)
