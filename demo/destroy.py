"""Deletes the application, all of it and nothing else: by the names that it has."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import partial
from typing import Any

from openstack.exceptions import ConflictException, NotFoundException

from demo.application import SERVERS, VOLUMES, Application
from demo.waiting import wait_for

GONE_SECONDS = 180
LET_GO_SECONDS = 60


def destroy(cloud: Any, app: Application, *, others: Iterable[Any] = (), images: Iterable[str] = ()) -> None:
    """Delete whatever is there of the application; what is missing is not missed.

    :param others: connections of further users who may own a key pair of it.
    :param images: ids of images to delete, too (the disks of servers that were restored).
    """
    nets = [net for short in ("app-net", "db-net") for net in cloud.network.networks(name=app.name(short))]
    _delete_addresses(cloud, nets)
    _delete_servers(cloud, app)
    volumes = _delete_volumes(cloud, app)
    _delete_networks(cloud, app, nets)
    _delete_groups(cloud, app)
    for group in list(cloud.compute.server_groups()):
        if group.name == app.name("app-group"):
            cloud.compute.delete_server_group(group.id)
    for connection in (cloud, *others):
        connection.compute.delete_keypair(app.name("app-key"))
    for identity in images:
        cloud.image.delete_image(identity)
    for volume in volumes:
        _gone(f"volume {volume.name}", cloud.block_storage.get_volume, volume.id)


def _delete_servers(cloud: Any, app: Application) -> None:
    names = {app.name(short) for short in SERVERS}
    servers = [server for server in cloud.compute.servers() if server.name in names]
    for server in servers:
        cloud.compute.delete_server(server.id)
    for server in servers:
        _gone(f"server {server.name}", cloud.compute.get_server, server.id)


def _delete_volumes(cloud: Any, app: Application) -> list[Any]:
    names = {app.name(spec.name) for spec in VOLUMES}
    volumes = [volume for volume in cloud.block_storage.volumes() if volume.name in names]
    for volume in volumes:
        cloud.block_storage.delete_volume(volume.id)
    return volumes


def _delete_networks(cloud: Any, app: Application, nets: Iterable[Any]) -> None:
    for router in list(cloud.network.routers(name=app.name("app-router"))):
        _delete_router(cloud, router)
    for net in nets:
        for port in cloud.network.ports(network_id=net.id):
            if not port.device_owner:
                cloud.network.delete_port(port.id)
        wait_for(
            f"network {net.name} to let go", partial(_delete_network, cloud.network, net.id), LET_GO_SECONDS
        )


def _delete_addresses(cloud: Any, nets: Iterable[Any]) -> None:
    ports = {port.id for net in nets for port in cloud.network.ports(network_id=net.id)}
    for address in cloud.network.ips(project_id=cloud.current_project_id):
        if address.port_id in ports or "demo" in (address.tags or []):
            cloud.network.delete_ip(address.id)


def _delete_router(cloud: Any, router: Any) -> None:
    if router.routes:
        cloud.network.update_router(router, routes=[])
    for port in cloud.network.ports(device_id=router.id, device_owner="network:router_interface"):
        cloud.network.remove_interface_from_router(router, port=port.id)
    cloud.network.delete_router(router.id)


def _delete_network(network: Any, identity: str) -> bool:
    try:
        network.delete_network(identity)
    except ConflictException:  # a port of a server that is gone is still being removed
        return False
    return True


def _delete_groups(cloud: Any, app: Application) -> None:
    groups = [g for short in ("web-sg", "db-sg") for g in cloud.network.security_groups(name=app.name(short))]
    for group in groups:
        for rule in group.security_group_rules:
            if rule["remote_group_id"]:
                cloud.network.delete_security_group_rule(rule["id"])
    for group in groups:
        cloud.network.delete_security_group(group.id)


def _gone(what: str, look: Callable[[str], Any], identity: str) -> None:
    def missing() -> bool:
        try:
            thing = look(identity)
        except NotFoundException:
            return True
        if str(thing.status).startswith("error"):
            raise RuntimeError(f"{what} cannot be deleted: it is in {thing.status}")
        return bool(thing.status == "DELETED")

    wait_for(f"{what} to be gone", missing, GONE_SECONDS)
