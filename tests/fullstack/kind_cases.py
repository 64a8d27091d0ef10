"""The kinds that only a real cloud can hold: how an original is made and lost, and what there is of it."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from functools import cached_property
from typing import Any

from refloat.cloud import Cloud
from refloat.cloud.removal import removal
from refloat.graph import Resource
from refloat.resources.networking import wire
from refloat.resources.securitygroup import group_section
from refloat.resources.server.section import server_section
from refloat.resources.volume.section import describe
from tests.fullstack.hookrig import finish
from tests.fullstack.netbench import NetBench
from tests.fullstack.storagerig import Yard
from tests.kind_contract import Case


class CloudCase(Case):
    """A kind on a real cloud."""

    def clear(self) -> None:
        """Remove all that is left."""
        raise NotImplementedError


def without(section: Mapping[str, Any], *fields: str) -> dict[str, Any]:
    """A section without what is new in every restore."""
    return {name: value for name, value in section.items() if name not in {"id", *fields}}


class NetCase(CloudCase):
    """What Neutron holds."""

    @cached_property
    def bench(self) -> NetBench:
        return NetBench(self.cloud)

    def network(self, cidr: str) -> Any:
        neutron, name = self.bench.neutron, self.bench.name
        network = neutron.create_network(name=name, description="where it is", is_port_security_enabled=False)
        neutron.create_subnet(
            network_id=network.id, cidr=cidr, ip_version=4, name=name, dns_nameservers=["192.0.2.53"]
        )
        return network

    def networks(self) -> list[Any]:
        """What can be compared of the networks with their subnets."""
        fields = ("name", "description", "mtu", "port_security_enabled", "tags")
        of_subnet = ("name", "cidr", "gateway_ip", "allocation_pools", "dns_nameservers")
        subnets = self.cloud.list("subnet")
        return [
            (
                [wire(network)[field] for field in fields],
                [[wire(s)[field] for field in of_subnet] for s in subnets if s.network_id == network.id],
            )
            for network in self.bench.mine("network")
        ]

    def lose(self) -> None:
        self.bench.wipe()

    def clear(self) -> None:
        self.bench.wipe()


class NetworkCase(NetCase):
    plugin = "network"

    def make(self) -> Resource:
        network = self.network("10.91.0.0/24")
        self.bench.neutron.set_tags(network, ["a", "b"])
        return Resource(self.type, network.id, network.name)

    def living(self) -> list[Any]:
        return self.networks()


class RouterCase(NetCase):
    plugin = "router"

    def make(self) -> Resource:
        bench = self.bench
        network = self.network("10.92.0.0/24")
        router = bench.neutron.create_router(
            name=bench.name,
            description="the way out",
            external_gateway_info={"network_id": bench.public.id},
        )
        (subnet,) = bench.neutron.subnets(network_id=network.id)
        bench.neutron.add_interface_to_router(router, subnet=subnet.id)
        route = {"destination": "10.200.0.0/16", "nexthop": "10.92.0.9"}
        bench.neutron.add_extra_routes_to_router(router, {"router": {"routes": [route]}})
        return Resource(self.type, router.id, router.name)

    def living(self) -> list[Any]:
        routers = [
            (
                [wire(router)[field] for field in ("name", "description", "admin_state_up", "routes")],
                router.external_gateway_info["network_id"],
                sorted(
                    fixed["ip_address"]
                    for port in self.bench.neutron.ports(device_id=router.id)
                    if port.device_owner.startswith("network:router_interface")
                    for fixed in port.fixed_ips
                ),
            )
            for router in self.bench.mine("router")
        ]
        return [*routers, *self.networks()]


class SecurityGroupCase(NetCase):
    plugin = "security-group"

    def make(self) -> Resource:
        neutron = self.bench.neutron
        group = neutron.create_security_group(name=self.bench.name, description="who may come in")
        for fields in (
            {
                "protocol": "tcp",
                "port_range_min": 80,
                "port_range_max": 443,
                "remote_ip_prefix": "10.0.0.0/8",
            },
            {"protocol": "112", "description": "vrrp"},
        ):
            neutron.create_security_group_rule(
                security_group_id=group.id, direction="ingress", ether_type="IPv4", **fields
            )
        return Resource(self.type, group.id, group.name)

    def living(self) -> list[Any]:
        return [without(group_section(group)) for group in self.bench.mine("security_group")]


class FloatingIPCase(NetCase):
    """An ordinary user gets another address: that is said beforehand, and is not compared."""

    plugin = "floating-ip"

    def make(self) -> Resource:
        bench = self.bench
        address = bench.neutron.create_ip(floating_network_id=bench.public.id, description=bench.name)
        bench.neutron.set_tags(address, ["front"])
        return Resource(self.type, address.id, address.floating_ip_address)

    def _mine(self) -> Iterable[Any]:
        return [ip for ip in self.cloud.list("floating_ip") if ip.description == self.bench.name]

    def living(self) -> list[Any]:
        return [(address.floating_network_id, list(address.tags)) for address in self._mine()]

    def lose(self) -> None:
        for address in self._mine():
            self.bench.neutron.delete_ip(address)

    def clear(self) -> None:
        self.lose()


class StorageCase(CloudCase):
    """What Cinder and Glance hold; every restore moves data, so few are made."""

    steps = 3

    def __init__(self, cloud: Cloud) -> None:
        super().__init__(cloud)
        self._contents: dict[str, Any] = {}

    @cached_property
    def yard(self) -> Yard:
        return Yard(self.cloud)

    def mine(self, kind: str) -> list[Any]:
        return [thing for found, thing in self.yard.mine() if found == kind]

    def clear(self) -> None:
        self.yard.clear()


class ImageCase(StorageCase):
    plugin = "image-bank"

    def make(self) -> Resource:
        data = bytes(range(256)) * 4096 + os.urandom(300_001)
        image_id = self.yard.image(data, min_disk=3, tags=["golden"], hw_disk_bus="scsi", os_distro="debian")
        return Resource(self.type, image_id, self.yard.name)

    def lose(self) -> None:
        for image in self.mine("image"):
            self.cloud.remove("image", image.id)

    def living(self) -> list[Any]:
        items = ("name", "min_disk", "size", "hash_value", "visibility", "os_distro")
        return [[getattr(image, item) for item in items] + [image.tags] for image in self.mine("image")]


class VolumeCase(StorageCase):
    plugin = "volume-cinder-backup"
    kept_kind = "backup"

    def make(self) -> Resource:
        image_id = self.yard.image(os.urandom(1 << 20) + bytes(5 << 20) + os.urandom(1 << 20))
        made = self.yard.volume(image_id=image_id, description="what matters", metadata={"tier": "db"})
        self.cloud.remove("image", image_id)
        self._content(made.id)  # while it has no snapshot: not every driver of Cinder can read it then
        return Resource(self.type, made.id, made.name)

    def lose(self) -> None:
        for volume in self.mine("volume"):
            finish(removal(self.cloud, "volume", volume.id))

    def living(self) -> list[Any]:
        return [
            (without(describe(self.cloud, volume), "created_at", "snapshots"), self._content(volume.id))
            for volume in self.mine("volume")
        ]

    def _content(self, volume_id: str) -> Any:
        if volume_id not in self._contents:
            self._contents[volume_id] = self.yard.content(volume_id)
        return self._contents[volume_id]

    def kept(self) -> list[str]:
        return [thing.id for thing in self.mine(self.kept_kind)] if self.kept_kind else []


class VolumeBankCase(VolumeCase):
    plugin, kept_kind = "volume-bank", ""


class VolumeSnapshotCase(VolumeCase):
    """Cinder keeps a volume that has snapshots: the original is as good as lost when it has another name."""

    plugin, kept_kind = "volume-cinder-snapshot", "snapshot"

    def lose(self) -> None:
        for volume in self.mine("volume"):
            self.cloud.block_storage.update_volume(volume.id, name=f"lost {self.yard.name}")

    def mine(self, kind: str) -> list[Any]:
        return [thing for thing in super().mine(kind) if not str(thing.name).startswith("lost ")]


class ServerCase(NetCase):
    """A server booted from an image, on a network that stays."""

    plugin = "server"
    steps = 2

    @cached_property
    def yard(self) -> Yard:
        return Yard(self.cloud)

    def make(self) -> Resource:
        compute = self.cloud.compute
        image = next(image for image in self.cloud.image.images() if image.name == "guest")
        flavor = next(flavor for flavor in self.cloud.list("flavor") if flavor.name == "tiny")
        server = compute.create_server(
            name=self.yard.name,
            description="what serves",
            image_id=image.id,
            flavor_id=flavor.id,
            networks=[{"uuid": self.network("10.93.0.0/24").id}],
            metadata={"tier": "web"},
            tags=["gold"],
        )
        self.cloud.wait("server", server.id, ("ACTIVE",), timeout=280).result()
        return Resource(self.type, server.id, server.name)

    def _servers(self) -> list[Any]:
        listed = [server for server in self.cloud.list("server") if server.name == self.yard.name]
        # Nova lists one that it has just deleted for a moment longer.
        return [server for server in listed if self.cloud.find("server", server.id) is not None]

    def lose(self) -> None:
        for server in self._servers():
            finish(removal(self.cloud, "server", server.id))

    def living(self) -> list[Any]:
        found = [server_section(self.cloud, server.id) for server in self._servers()]
        items = ("name", "description", "status", "metadata", "tags", "flavor", "locked")
        return [
            (
                [section[item] for item in items],
                [
                    (port["mac_address"], port["fixed_ips"], port["security_group_ids"])
                    for port in section["ports"]
                ],
            )
            for section in found
        ]

    def clear(self) -> None:
        self.lose()
        self.yard.clear()
        self.bench.wipe()


NETWORK_CASES = (NetworkCase, RouterCase, SecurityGroupCase, FloatingIPCase, ServerCase)
STORAGE_CASES = (ImageCase, VolumeCase, VolumeSnapshotCase, VolumeBankCase)
CASES: tuple[type[CloudCase], ...] = (*NETWORK_CASES, *STORAGE_CASES)
