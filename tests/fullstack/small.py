"""A small application: one server from an image, one volume, one network; built, listened to and lost."""

from __future__ import annotations

import base64
from dataclasses import dataclass
from typing import Any

from openstack.exceptions import NotFoundException

from demo.application import Application
from demo.build import find_server, hear, plug, wait_for_server
from demo.guests import user_data
from demo.waiting import wait_for

# The guest and its disk are those of the demo's server web.
SHORT, DISK, SIZE = "web", "vdb", 1


@dataclass(frozen=True)
class Small:
    """An application of one server, and how to lose it.

    :param volume: whether there is a volume.
    """

    cloud: Any
    app: Application
    volume: bool = True

    def build(self) -> None:
        """One server from an image, one volume, one network."""
        name, cloud = self.app.name, self.cloud
        if self.volume:
            kept = {"kept": "yes"}
            volume = cloud.block_storage.create_volume(name=name("data"), size=SIZE, metadata=kept)
        net = cloud.network.create_network(name=name("net"))
        cloud.network.create_subnet(network_id=net.id, name=name("subnet"), cidr="10.31.0.0/24", ip_version=4)
        group = cloud.network.create_security_group(name=name("sg"))
        server = cloud.compute.create_server(
            name=name(SHORT),
            flavor_id=cloud.compute.find_flavor("tiny", ignore_missing=False).id,
            image_id=cloud.image.find_image("guest", ignore_missing=False).id,
            networks=[{"uuid": net.id}],
            security_groups=[{"name": group.id}],
            user_data=base64.b64encode(
                user_data(SHORT, {DISK: SIZE * 1024} if self.volume else {}).encode()
            ).decode(),
        )
        wait_for_server(cloud, server.id)
        if self.volume:
            plug(cloud, server.id, volume.id)

    def contents(self) -> dict[str, dict[str, str]]:
        """What the guest finds on its disks."""
        identity = find_server(self.cloud, self.app.name(SHORT)).id
        disks = hear(self.cloud, self.app, SHORT, identity).disks
        return {disk: dict(places) for disk, places in disks.items()}

    def lose_server(self) -> None:
        """Delete the server."""
        name, cloud = self.app.name, self.cloud
        servers = [server.id for server in cloud.compute.servers() if server.name == name(SHORT)]
        for server in servers:
            cloud.compute.delete_server(server)
        for server in servers:
            wait_for("the server to be gone", lambda s=server: _gone(cloud.compute.get_server, s), 120)

    def lose(self, images: tuple[str, ...] = ()) -> None:
        """Delete it."""
        self.lose_server()
        name, cloud = self.app.name, self.cloud
        volumes = [volume.id for volume in cloud.block_storage.volumes() if volume.name == name("data")]
        for volume in volumes:
            cloud.block_storage.delete_volume(volume)
        for net in list(cloud.network.networks(name=name("net"))):
            for port in cloud.network.ports(network_id=net.id):
                if not port.device_owner:
                    cloud.network.delete_port(port.id)
            cloud.network.delete_network(net.id)
        for group in list(cloud.network.security_groups(name=name("sg"))):
            cloud.network.delete_security_group(group.id)
        for image in images:
            cloud.image.delete_image(image)
        for volume in volumes:
            wait_for("the volume to be gone", lambda v=volume: _gone(cloud.block_storage.get_volume, v), 120)


def _gone(look: Any, identity: str) -> bool:
    try:
        look(identity)
    except NotFoundException:
        return True
    return False
