"""How faithfully servers come back: what is restored, and what is lost and why."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from refloat.resources.attributes import Attribute, exact

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
