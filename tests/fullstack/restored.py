"""What a restore has made: finding it, and removing it again by its ids."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from openstack.exceptions import NotFoundException

from demo.waiting import wait_for

GONE_SECONDS = 180
Answer = Mapping[str, Any]

SERVER, VOLUME, IMAGE = "OS::Nova::Server", "OS::Cinder::Volume", "OS::Glance::Image"
NETWORK, ADDRESS = "OS::Neutron::Network", "OS::Neutron::FloatingIP"


def created(answer: Answer, type_name: str = "") -> dict[str, str]:
    """The new ids by the old ones, of what a restore created (of one type)."""
    return {
        item["source_id"]: item["new_id"]
        for item in answer["resources"]
        if item["status"] == "created" and item["type"].startswith(type_name)
    }


def reused(answer: Answer, type_name: str = "") -> dict[str, str]:
    """The same, of what a restore used again."""
    return {
        item["source_id"]: item["new_id"]
        for item in answer["resources"]
        if item["status"] == "reused" and item["type"].startswith(type_name)
    }


def remove(cloud: Any, answer: Answer) -> None:
    """Delete all that a restore created, as a user would."""
    servers = created(answer, SERVER).values()
    ports = [port.id for server in servers for port in cloud.network.ports(device_id=server)]
    for address in created(answer, ADDRESS).values():
        cloud.network.delete_ip(address)
    for server in servers:
        cloud.compute.delete_server(server)
    for server in servers:
        wait_for(
            f"server {server} to be gone", lambda s=server: _gone(cloud.compute.get_server, s), GONE_SECONDS
        )
    for port in ports:
        cloud.network.delete_port(port)
    volumes = created(answer, VOLUME).values()
    for volume in volumes:
        cloud.block_storage.delete_volume(volume)
    for volume in volumes:
        wait_for(
            f"volume {volume} to be gone",
            lambda v=volume: _gone(cloud.block_storage.get_volume, v),
            GONE_SECONDS,
        )
    for image in created(answer, IMAGE).values():
        cloud.image.delete_image(image)
    for network in created(answer, NETWORK).values():
        cloud.network.delete_network(network)


def _gone(look: Any, identity: str) -> bool:
    try:
        look(identity)
    except NotFoundException:
        return True
    return False
