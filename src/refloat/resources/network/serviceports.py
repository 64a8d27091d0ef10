"""Keeps Neutron's own ports, for metadata and DHCP, off the addresses that servers had.

Neutron takes the first free addresses for them as soon as a subnet is there: in a restored network these
need not be those of the original.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence

from refloat.cloud import explained
from refloat.errors import CloudError
from refloat.resources.context import HookContext
from refloat.resources.network.section import SERVICE_OWNERS
from refloat.resources.networking import AUTOMATIC_MODES

FixedIps = list[dict[str, str]]


def settle_service_ports(context: HookContext, network_id: str, subnets: Mapping[str, str]) -> list[str]:
    """Move Neutron's own ports to the addresses they had; returns what did not succeed, in words.

    :param subnets: new ids by old ones.
    """
    section = context.section
    saved = {
        subnets[source]: addresses
        for source, addresses in section["service_addresses"].items()
        if source in subnets
    }
    automatic = {
        subnets[subnet["id"]]
        for subnet in section["subnets"]
        if AUTOMATIC_MODES & {subnet["ipv6_address_mode"], subnet["ipv6_ra_mode"]}
    }
    with explained(f"list the ports of network {network_id}", context.resource):
        ports = list(context.cloud.network.ports(network_id=network_id))
    mine = {str(port.id): port.fixed_ips for port in ports if port.device_owner in SERVICE_OWNERS}
    notes = []
    for port_id, fixed_ips in moves(mine, saved, automatic).items():
        try:
            with explained(f"set the addresses of Neutron's own port {port_id}", context.resource):
                context.cloud.network.update_port(port_id, fixed_ips=fixed_ips)
        except CloudError as exc:
            # A cloud may keep these ports to itself; it matters only if a server had the address.
            notes.append(f"Neutron's own port {port_id} did not get the address it had: {exc.reason}")
    return notes


def moves(
    ports: Mapping[str, Iterable[Mapping[str, str]]],
    saved: Mapping[str, Sequence[str]],
    automatic: Collection[str],
) -> dict[str, FixedIps]:
    """The new addresses of the ports that do not have theirs. Pure.

    :param ports: the addresses of Neutron's own ports, by port.
    :param saved: the addresses that such ports had, by subnet.
    :param automatic: subnets where addresses follow from MAC addresses and must not be asked for.
    """
    held = {fixed["ip_address"] for fixed_ips in ports.values() for fixed in fixed_ips}
    free = {subnet: [a for a in addresses if a not in held] for subnet, addresses in saved.items()}
    moved: dict[str, FixedIps] = {}
    for port_id, fixed_ips in ports.items():
        wanted: FixedIps = []
        moving = False
        for fixed in fixed_ips:
            subnet, address = fixed["subnet_id"], fixed["ip_address"]
            if subnet in automatic:
                wanted.append({"subnet_id": subnet})
                continue
            if address not in saved.get(subnet, ()) and free.get(subnet):
                address = free[subnet].pop(0)
                moving = True
            wanted.append({"subnet_id": subnet, "ip_address": address})
        if moving:
            moved[port_id] = wanted
    return moved
