"""Reads a server, its network cards and its disks: what a checkpoint remembers of it.

Only settings are read here. What is on the disks is protected by the plugins of volumes and images.
"""

from __future__ import annotations

from typing import Any

from refloat.cloud import Cloud, explained
from refloat.resources.attributes import plain
from refloat.resources.server.disks import in_device_order, root_of
from refloat.resources.server.nics import by_mac, nic_order
from refloat.resources.server.protectable import unfit

_PORT_FIELDS = (
    "name",
    "description",
    "network_id",
    "mac_address",
    "fixed_ips",
    "security_group_ids",
    "allowed_address_pairs",
    "is_port_security_enabled",
    "is_admin_state_up",
    "extra_dhcp_opts",
    "dns_name",
    "dns_domain",
    "qos_policy_id",
    "tags",
    "propagate_uplink_status",
)


def server_section(cloud: Cloud, server_id: str) -> dict[str, Any]:
    """The section of a server.

    :raises NotFound, Conflict: it is gone, or in a state that cannot be protected.
    """
    server = cloud.get("server", server_id)
    if problem := unfit(server):
        raise problem
    with explained("read the network cards and disks", f"server {server.name} ({server.id})"):
        interfaces = list(cloud.compute.server_interfaces(server))
        attachments = list(cloud.compute.volume_attachments(server))
        ports = list(cloud.network.ports(device_id=server.id))
    tags = {interface.port_id: interface.tag for interface in interfaces}
    ordered, certain = nic_order(server.addresses or {}, ports)
    if not certain and (told := by_mac(ports, _macs_in_order(cloud, server))):
        ordered, certain = told, True
    image_id = (server.image or {}).get("id") or ""
    # Nova shows some attributes together, by policy to administrators only; this one is never empty.
    sees_all = bool(server.root_device_name)
    return {
        "name": server.name,
        "description": server.description,
        "hostname": server.hostname,
        "user_id": server.user_id,
        "status": server.status,
        "flavor": _flavor(cloud, server),
        "availability_zone": server.availability_zone,
        "pinned_availability_zone": server.pinned_availability_zone,
        "knows_pinned": cloud_knows(cloud, "2.96"),
        "metadata": dict(server.metadata or {}),
        "tags": list(server.tags or ()),
        "config_drive": str(server.has_config_drive).lower() in {"true", "1"},
        "key_name": server.key_name or "",
        "user_data": server.user_data if sees_all else None,
        "user_data_readable": sees_all,
        "server_groups": list(server.server_groups or ()),
        "scheduler_hints": dict(server.scheduler_hints or {}),
        "locked": bool(server.is_locked),
        "locked_reason": server.locked_reason,
        "trusted_image_certificates": list(server.trusted_image_certificates or ()),
        "access_ipv4": server.access_ipv4 or "",
        "access_ipv6": server.access_ipv6 or "",
        "disk_config": server.disk_config,
        "image_id": image_id,
        "volumes": _volumes(attachments, bool(image_id), server.root_device_name),
        "ports": [_port(cloud, port, tags.get(port.id)) for port in ordered],
        "nic_order_certain": certain,
    }


def cloud_knows(cloud: Cloud, microversion: str) -> bool:
    """Whether this cloud's Nova is new enough for a microversion."""
    with explained("read the versions of the compute service"):
        data = cloud.compute.get_endpoint_data()
    wanted = tuple(int(part) for part in microversion.split("."))
    return bool(data and data.max_microversion and tuple(data.max_microversion) >= wanted)


def _macs_in_order(cloud: Cloud, server: Any) -> list[str]:
    """What only administrators may see: the cards of the running machine. Empty for anybody else."""
    with explained("read the diagnostics", f"server {server.name} ({server.id})"):
        response = cloud.compute.get(f"/servers/{server.id}/diagnostics", microversion="2.48")
    if not response.ok:
        return []
    return [str(card["mac_address"]) for card in response.json().get("nic_details", ())]


def _flavor(cloud: Cloud, server: Any) -> dict[str, Any]:
    """What the server was made with. Since 2.47 Nova embeds it without its id; before, it told only that."""
    flavor = server.flavor
    with explained("read the flavor", f"server {server.name} ({server.id})"):
        response = cloud.compute.get(f"/servers/{server.id}", microversion="2.46")
    identity = response.json()["server"]["flavor"]["id"] if response.ok else ""
    return {
        "id": identity,
        "name": flavor.original_name or flavor.name or "",
        "vcpus": flavor.vcpus,
        "ram": flavor.ram,
        "disk": flavor.disk,
        "ephemeral": flavor.ephemeral or 0,
        "swap": flavor.swap or 0,
        "extra_specs": dict(flavor.extra_specs or {}),
    }


def _volumes(attachments: list[Any], has_image: bool, root_device: str | None) -> list[dict[str, Any]]:
    ordered = in_device_order(attachments)
    root = root_of(ordered, has_image, root_device)
    return [
        {
            "id": attachment.volume_id,
            "device": attachment.device,
            "tag": attachment.tag,
            "delete_on_termination": bool(attachment.delete_on_termination),
            "root": attachment is root,
        }
        for attachment in ordered
    ]


def _port(cloud: Cloud, port: Any, tag: str | None) -> dict[str, Any]:
    section = {name: plain(getattr(port, name, None)) for name in _PORT_FIELDS}
    with explained(f"read the floating addresses of the port {port.id}"):
        floating = list(cloud.network.ips(port_id=port.id))
    section |= {
        "id": port.id,
        "vnic_type": port.binding_vnic_type or "normal",
        "tag": tag,
        "trunk": bool((port.trunk_details or {}).get("sub_ports")),
        "floating_ips": [
            {"id": ip.id, "address": ip.floating_ip_address, "fixed_address": ip.fixed_ip_address}
            for ip in floating
        ],
    }
    return section
