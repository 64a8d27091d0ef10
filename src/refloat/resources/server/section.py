"""Reads a server, its network cards and its disks: what a checkpoint remembers of it, and what comes back.

Only settings are read here. What is on the disks is protected by the plugins of volumes and images.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from refloat.cloud import Cloud, cloud_knows, explained
from refloat.resources.attributes import Attribute, exact, plain
from refloat.resources.server.order import by_mac, in_device_order, nic_order, root_of
from refloat.resources.server.protectable import unfit

_NOVA = "Nova chooses it"
_NOT_SHOWN = "Nova does not show it to anybody but administrators"
_PORTS_FIRST = "its ports are made before it, so that they have the same addresses"


def _of_ports(name: str) -> Callable[[Mapping[str, Any]], Any]:
    return lambda section: [port[name] for port in section["ports"]]


def _of_volumes(name: str) -> Callable[[Mapping[str, Any]], Any]:
    return lambda section: [volume[name] for volume in section["volumes"]]


def _root_volume(section: Mapping[str, Any]) -> Any:
    return next((volume["id"] for volume in section["volumes"] if volume["root"]), None)


def _addresses(section: Mapping[str, Any]) -> Any:
    return [[fixed["ip_address"] for fixed in port["fixed_ips"]] for port in section["ports"]]


def _floating(section: Mapping[str, Any]) -> Any:
    return [floating["address"] for port in section["ports"] for floating in port["floating_ips"]]


ATTRIBUTES = (
    # What it is
    Attribute("id", "mapped", _NOVA),
    *exact("name", "description", "hostname", "metadata", "tags", "access_ipv4", "access_ipv6"),
    Attribute("user_id", "mapped", "servers belong to the user who restores"),
    # What it runs on
    Attribute("flavor", "exact", value=lambda section: section["flavor"]["name"]),
    Attribute("availability_zone", "exact", "the same when one was asked for; else Nova chooses"),
    Attribute("server_groups", "mapped", "the same group, or the one restored for it"),
    Attribute("scheduler_hints", "degraded", "only the server group: other hints name hosts and servers"),
    Attribute("host", "lost", "only administrators may choose the host"),
    # What it was given to start with
    *exact("config_drive", "key_name"),
    Attribute(
        "user_data",
        "lost",
        "Nova shows it to administrators only (policy os_compute_api:os-extended-server-attributes): "
        "restored when the user who protects may read it; what it did to the disks is restored anyhow",
    ),
    Attribute("personality", "lost", "Nova does not inject files any more"),
    Attribute("admin_password", "lost", "Nova does not keep it"),
    Attribute(
        "trusted_image_certificates",
        "lost",
        "they prove the image that a server is first made from; the restored disk is not that image",
    ),
    # Disks
    Attribute("image_id", "mapped", "an image of the server's disk as it was when protected"),
    Attribute("boot_volume", "mapped", "the restored volume", _root_volume),
    Attribute("volumes", "mapped", "the restored volumes, in the same order", _of_volumes("id")),
    Attribute("volume_tags", "exact", value=_of_volumes("tag")),
    Attribute("delete_on_termination", "exact", value=_of_volumes("delete_on_termination")),
    Attribute(
        "device_names",
        "degraded",
        "Nova names devices one after the other: the order stays",
        _of_volumes("device"),
    ),
    Attribute("boot_order", "degraded", f"the first device; for the others {_NOT_SHOWN}"),
    Attribute(
        "disk_bus",
        "degraded",
        "from the image, as for any server; what was asked for at creation is shown to nobody",
    ),
    Attribute(
        "ephemeral_disks",
        "degraded",
        "made anew by the flavor, and empty",
        lambda section: section["flavor"]["ephemeral"],
    ),
    Attribute(
        "swap_disk",
        "degraded",
        "made anew by the flavor, and empty",
        lambda section: section["flavor"]["swap"],
    ),
    Attribute("disk_config", "exact"),
    Attribute("shares", "lost", "attach them again: what is in them is protected as shares"),
    # Network cards, in their order
    Attribute("nic_order", "exact", value=_of_ports("id")),
    Attribute("port_ids", "mapped", "Neutron chooses them, unless the port is still there", _of_ports("id")),
    Attribute("networks", "mapped", "the same network, or the one restored for it", _of_ports("network_id")),
    Attribute("mac_addresses", "exact", _PORTS_FIRST, _of_ports("mac_address")),
    Attribute("fixed_ips", "exact", _PORTS_FIRST, _addresses),
    Attribute(
        "security_groups",
        "mapped",
        "by id: the same, or those restored for them",
        _of_ports("security_group_ids"),
    ),
    Attribute("allowed_address_pairs", "exact", value=_of_ports("allowed_address_pairs")),
    Attribute("port_security", "exact", value=_of_ports("is_port_security_enabled")),
    Attribute("port_names", "exact", value=_of_ports("name")),
    Attribute("port_descriptions", "exact", value=_of_ports("description")),
    Attribute("port_tags", "exact", value=_of_ports("tags")),
    Attribute("port_admin_states", "exact", value=_of_ports("is_admin_state_up")),
    Attribute("vnic_types", "exact", value=_of_ports("vnic_type")),
    Attribute("extra_dhcp_opts", "exact", value=_of_ports("extra_dhcp_opts")),
    Attribute("dns_names", "exact", value=_of_ports("dns_name")),
    Attribute("qos_policies", "exact", value=_of_ports("qos_policy_id")),
    Attribute("nic_tags", "exact", value=_of_ports("tag")),
    Attribute("trunks", "lost", "trunk ports are not protected yet", _of_ports("trunk")),
    Attribute(
        "ports_deleted_with_server",
        "degraded",
        "a server's restored ports are made before it, to keep their addresses: they stay when it is deleted",
    ),
    Attribute("floating_ips", "exact", "through Neutron, to the same card and address", _floating),
    # How it is
    Attribute("status", "exact", "running or switched off"),
    *exact("locked", "locked_reason"),
    Attribute("memory", "lost", "only what is on disks can be protected"),
    Attribute("history", "lost", "dates and the list of actions begin anew"),
)


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
