"""The application of the benchmark of restores: what it is, how it is lost, how it is compared."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, replace
from typing import Any

from openstack import exceptions

NAME = "restore-benchmark"
CIDR = "10.77.0.0/16"
EXTERNAL = "public"
FLAVOR = "tiny0"
DISKS = ("root", "data")
RULES = (("tcp", 22), ("tcp", 443))
LIMIT = 1800.0
"""Seconds that anything may take."""
THREADS = 4


@dataclass(frozen=True)
class Disk:
    """A volume of a server; ``snapshot``: what it is made from; empty: nothing."""

    name: str
    snapshot: str = ""


@dataclass(frozen=True)
class Server:
    """A server with its port and its disks, the first of which it boots from."""

    name: str
    address: str
    mac: str
    disks: tuple[Disk, ...]


@dataclass(frozen=True)
class App:
    """Servers on one network behind a router, with one security group.

    :param flavor, external: ids of what the cloud has.
    """

    flavor: str
    external: str
    servers: tuple[Server, ...]

    @classmethod
    def of(cls, cloud: Any, count: int) -> App:
        """One with so many servers, made from nothing."""
        servers = tuple(
            Server(
                f"{NAME}-{number:03}",
                f"10.77.1.{number}",
                f"fa:16:3e:77:01:{number:02x}",
                tuple(Disk(f"{NAME}-{number:03}-{disk}") for disk in DISKS),
            )
            for number in range(1, count + 1)
        )
        flavor = cloud.compute.find_flavor(FLAVOR, ignore_missing=False)
        external = cloud.network.find_network(EXTERNAL, ignore_missing=False)
        return cls(str(flavor.id), str(external.id), servers)

    def from_snapshots(self, cloud: Any) -> App:
        """The same, with its disks made from the snapshots that there are of them."""
        names = {volume.id: volume.name for volume in cloud.block_storage.volumes()}
        found = {names[snapshot.volume_id]: str(snapshot.id) for snapshot in cloud.block_storage.snapshots()}
        return replace(
            self,
            servers=tuple(
                replace(server, disks=tuple(Disk(disk.name, found[disk.name]) for disk in server.disks))
                for server in self.servers
            ),
        )

    def to_json(self) -> dict[str, Any]:
        """As JSON; the inverse is :meth:`from_json`."""
        return asdict(self)

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> App:
        """The inverse of :meth:`to_json`."""
        servers = tuple(
            Server(**{**server, "disks": tuple(Disk(**disk) for disk in server["disks"])})
            for server in data["servers"]
        )
        return cls(data["flavor"], data["external"], servers)


def describe(cloud: Any) -> dict[str, Any]:
    """What there is of the application, without ids: the same for everybody who restored it rightly."""
    volumes = {volume.id: volume for volume in cloud.block_storage.volumes()}
    network = cloud.network.find_network(NAME, ignore_missing=False)
    groups = list(cloud.network.security_groups(name=NAME, project_id=cloud.current_project_id))
    names = {group.id: group.name for group in groups}
    ports = {port.device_id: port for port in cloud.network.ports(network_id=network.id)}
    found: dict[str, Any] = {
        "subnets": [
            [subnet.name, subnet.cidr, subnet.gateway_ip, subnet.is_dhcp_enabled]
            for subnet in cloud.network.subnets(network_id=network.id)
        ],
        "routers": [
            [
                router.name,
                router.external_gateway_info["network_id"],
                ports[router.id].fixed_ips[0]["ip_address"],
            ]
            for router in cloud.network.routers(name=NAME)
        ],
        "rules": sorted(
            [rule["direction"], rule["ethertype"], str(rule["protocol"]), str(rule["port_range_min"])]
            for group in groups
            for rule in group.security_group_rules
        ),
    }
    for server in cloud.compute.servers(details=True):
        port = ports[server.id]
        disks = sorted(
            (attachment.device, volumes[attachment.volume_id])
            for attachment in cloud.compute.volume_attachments(server)
        )
        found[server.name] = {
            "status": server.status,
            "flavor": server.flavor["name"] or server.flavor["original_name"],
            "description": server.description or server.name,
            "port": [port.name, port.mac_address, port.fixed_ips[0]["ip_address"], port.description],
            "groups": [names[group] for group in port.security_group_ids],
            "disks": [
                [device, volume.name, volume.size, volume.status, volume.volume_type, volume.is_bootable]
                for device, volume in disks
            ],
        }
    return found


def lose(cloud: Any, *, volumes: bool) -> None:
    """Remove all of it from the project. Volumes that snapshots depend on cannot be: they stay.

    :param volumes: those without snapshots, too.
    """
    with ThreadPoolExecutor(THREADS) as pool:
        _all(
            pool, cloud.compute.delete_server, [server.id for server in cloud.compute.servers(details=False)]
        )
        _until(lambda: not list(cloud.compute.servers(details=False)), "the servers to be gone")
        if volumes:
            kept = {snapshot.volume_id for snapshot in cloud.block_storage.snapshots()}
            there = {volume.id for volume in cloud.block_storage.volumes(details=False)}
            _all(pool, cloud.block_storage.delete_volume, there - kept)
        for network in list(cloud.network.networks(name=NAME)):
            ports = list(cloud.network.ports(network_id=network.id))
            _all(pool, cloud.network.delete_port, [port.id for port in ports if not port.device_owner])
            for port in ports:
                if port.device_owner == "network:router_interface":
                    cloud.network.remove_interface_from_router(port.device_id, port_id=port.id)
        for router in list(cloud.network.routers(name=NAME)):
            cloud.network.delete_router(router.id)
        for network in list(cloud.network.networks(name=NAME)):
            cloud.network.delete_network(network.id)
        for group in list(cloud.network.security_groups(name=NAME)):
            cloud.network.delete_security_group(group.id)
        if volumes:
            _until(
                lambda: {volume.id for volume in cloud.block_storage.volumes(details=False)} <= kept,
                "the volumes to be gone",
            )


def forget(cloud: Any) -> None:
    """Remove the snapshots and what they were made from."""
    storage = cloud.block_storage
    with ThreadPoolExecutor(THREADS) as pool:
        _all(pool, storage.delete_snapshot, [snapshot.id for snapshot in storage.snapshots(details=False)])
        _until(lambda: not list(storage.snapshots(details=False)), "the snapshots to be gone")
        _all(pool, storage.delete_volume, [volume.id for volume in storage.volumes(details=False)])
        _until(lambda: not list(storage.volumes(details=False)), "the volumes to be gone")


def _all(pool: ThreadPoolExecutor, act: Callable[[str], Any], ids: Iterable[str]) -> None:
    def one(identity: str) -> None:
        try:
            act(identity)
        except exceptions.NotFoundException:
            return

    list(pool.map(one, ids))


def _until(done: Callable[[], bool], what: str) -> None:
    deadline = time.monotonic() + LIMIT
    while not done():
        if time.monotonic() > deadline:
            raise TimeoutError(f"waited {LIMIT:.0f} s for {what}")
        time.sleep(1.0)
