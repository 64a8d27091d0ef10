"""A floating IP as a section."""

from __future__ import annotations

from typing import Any

from refloat.resources.base import HookContext
from refloat.resources.floatingip.attributes import FLOATING_IP_FIELDS
from refloat.resources.networking import picked, wire


def floating_ip_section(address: Any, network_name: str) -> dict[str, Any]:
    """The section of a floating IP."""
    raw = wire(address)
    section = picked(raw, FLOATING_IP_FIELDS)
    section["id"] = str(address.id)
    section["floating_network_name"] = network_name
    section["dns_name"] = section["dns_name"] or ""
    section["dns_domain"] = section["dns_domain"] or ""
    section["port_forwardings"] = list(raw.get("port_forwardings") or ())
    return section


def read(context: HookContext) -> dict[str, Any]:
    """The section of a living floating IP."""
    address = context.cloud.get("floating_ip", context.resource.id)
    network = context.cloud.find("network", address.floating_network_id)
    return floating_ip_section(address, str(network.name) if network else "")
