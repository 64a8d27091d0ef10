"""Small applications at random, of servers that are records only."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from random import Random
from typing import Any

from openstack.exceptions import NotFoundException, SDKException

SECONDS = 120
BUSY = (
    "creating",
    "deleting",
    "attaching",
    "detaching",
    "reserved",
    "backing-up",
    "restoring-backup",
    "queued",
)
SERVER, VOLUME, NETWORK = "OS::Nova::Server", "OS::Cinder::Volume", "OS::Neutron::Network"
ROUTER, GROUP, ADDRESS = "OS::Neutron::Router", "OS::Neutron::SecurityGroup", "OS::Neutron::FloatingIP"


def until(what: str, done: Callable[[], Any], seconds: float = SECONDS) -> Any:
    """Ask until there is an answer."""
    deadline = time.monotonic() + seconds
    while not (found := done()):
        assert time.monotonic() < deadline, f"{what}: not after {seconds} s"
        time.sleep(0.7)
    return found


def gone(look: Callable[[str], Any], identity: str) -> bool:
    try:
        return getattr(look(identity), "status", "") == "DELETED"
    except NotFoundException:
        return True


@dataclass
class App:
    """One application: what it has, by kind."""

    cloud: Any
    rng: Random
    name: str
    images: str
    public: str
    networks: list[Any] = field(default_factory=list)
    subnets: dict[str, list[Any]] = field(default_factory=dict)
    router: Any = None
    groups: list[Any] = field(default_factory=list)
    keypair: Any = None
    server_group: Any = None
    servers: list[Any] = field(default_factory=list)
    volumes: list[Any] = field(default_factory=list)
    attached: dict[str, str] = field(default_factory=dict)
    addresses: list[Any] = field(default_factory=list)
    cards: dict[str, list[Any]] = field(default_factory=dict)
    told: list[str] = field(default_factory=list)

    def some(self, chance: float) -> bool:
        return self.rng.random() < chance

    def build(self) -> None:
        """Make it; its volumes come into being meanwhile."""
        rng = self.rng
        for number in range(rng.choice((0, 0, 0, 0, 1, 2))):
            how = {"metadata": {"tier": f"t{number}"}} if self.some(0.5) else {}
            made = self.cloud.block_storage.create_volume(name=f"{self.name}-v{number}", size=1, **how)
            self.volumes.append(made)
        self._network()
        compute = self.cloud.compute
        if self.some(0.4):
            self.keypair = compute.create_keypair(name=f"{self.name}-key", public_key=PUBLIC_KEY)
        if self.some(0.3):
            policy = rng.choice(("affinity", "soft-affinity", "soft-anti-affinity"))
            self.server_group = compute.create_server_group(name=f"{self.name}-sg", policy=policy)
        for number in range(rng.choice((1, 1, 2, 3))):
            self._server(number)
        self._attach()
        self._lead()
        self.cards = {server.id: self.ports_of(server) for server in self.servers}

    def _network(self) -> None:
        net = self.cloud.network
        for number in range(self.rng.choice((1, 1, 2))):
            made = net.create_network(name=f"{self.name}-n{number}", description="a network")
            self.networks.append(made)
            self.subnets[made.id] = [
                net.create_subnet(
                    network_id=made.id,
                    name=f"{self.name}-n{number}-{part}",
                    ip_version=4,
                    cidr=f"10.{100 + number}.{part}.0/24",
                    **({"dns_nameservers": ["10.9.9.9"]} if self.some(0.4) else {}),
                )
                for part in range(1 + self.some(0.25))
            ]
        if self.some(0.6):
            gateway = {"external_gateway_info": {"network_id": self.public}} if self.some(0.8) else {}
            self.router = net.create_router(name=f"{self.name}-r", **gateway)
            for network in self.networks[: self.rng.randint(1, 2)]:
                net.add_interface_to_router(self.router, subnet=self.subnets[network.id][0].id)
            if self.some(0.3):
                routes = [{"destination": "10.200.0.0/16", "nexthop": "10.100.0.77"}]
                net.update_router(self.router.id, routes=routes)
        for number in range(self.rng.randint(0, 2)):
            made = net.create_security_group(name=f"{self.name}-g{number}", description="rules")
            self.groups.append(made)
            for port in self.rng.sample((22, 80, 443, 8080), self.rng.randint(1, 3)):
                self.rule(made.id, port)
            if self.some(0.4):
                other = self.rng.choice(self.groups)
                self.rule(made.id, 9000, remote_group_id=other.id)

    def rule(self, group: str, port: int, **how: Any) -> None:
        fields = {"direction": "ingress", "ethertype": "IPv4", "protocol": "tcp"}
        ports = {"port_range_min": port, "port_range_max": port}
        self.cloud.network.create_security_group_rule(security_group_id=group, **fields, **ports, **how)

    def _server(self, number: int) -> None:
        groups = [{"name": group.id} for group in self.groups if self.some(0.7)]
        networks = self.rng.sample(self.networks, self.rng.randint(1, len(self.networks)))
        body: dict[str, Any] = {
            "name": f"{self.name}-s{number}",
            "image_id": self.images,
            "flavor_id": self.cloud.compute.find_flavor(self.rng.choice(("fake", "fake2"))).id,
            "networks": [self._card(network, groups) for network in networks],
        }
        if groups:
            body["security_groups"] = groups
        if self.some(0.6):
            body["metadata"] = {"role": self.rng.choice(("web", "db")), "n": str(number)}
        if self.keypair is not None and self.some(0.8):
            body["key_name"] = self.keypair.name
        if self.server_group is not None and self.some(0.8):
            body["scheduler_hints"] = {"group": self.server_group.id}
        self.servers.append(self.cloud.compute.create_server(**body))

    def _card(self, network: Any, groups: list[dict[str, str]]) -> dict[str, str]:
        if self.some(0.6):
            return {"uuid": network.id}
        chosen = {"security_group_ids": [group["name"] for group in groups]} if groups else {}
        return {"port": self.cloud.network.create_port(network_id=network.id, name="card", **chosen).id}

    def _attach(self) -> None:
        compute, storage = self.cloud.compute, self.cloud.block_storage
        for server in self.servers:
            self.settled("server", compute.get_server, server.id, "ACTIVE")
        for volume in self.volumes:
            self.settled("volume", storage.get_volume, volume.id, "available")
            if self.some(0.7):
                server = self.rng.choice(self.servers)
                compute.create_volume_attachment(server.id, volume.id)
                self.attached[volume.id] = server.id
        for volume in self.attached:
            self.settled("volume", storage.get_volume, volume, "in-use")
        for server in self.servers:
            if self.some(0.15):
                compute.stop_server(server.id)
                self.settled("server", compute.get_server, server.id, "SHUTOFF")

    def _lead(self) -> None:
        net = self.cloud.network
        if self.router is None or not net.get_router(self.router.id).external_gateway_info:
            return
        inside = {port.network_id for port in net.ports(device_id=self.router.id)}
        for server in self.servers:
            ports = [port for port in net.ports(device_id=server.id) if port.network_id in inside]
            first = {self.subnets[each][0].id for each in inside if each in self.subnets}
            ports = [port for port in ports if port.fixed_ips[0]["subnet_id"] in first]
            if ports and self.some(0.4):
                made = net.create_ip(floating_network_id=self.public, port_id=ports[0].id)
                self.addresses.append(made)

    def settled(self, kind: str, look: Callable[[str], Any], identity: str, *wanted: str) -> None:
        def done() -> bool:
            status = look(identity).status
            assert status.lower() != "error", f"{kind} {identity} is {status}"
            return status in wanted

        until(f"{kind} {identity} to be {wanted}", done)

    def ports_of(self, server: Any) -> list[Any]:
        return sorted(self.cloud.network.ports(device_id=server.id), key=lambda port: str(port.id))

    def roots(self) -> list[tuple[str, str]]:
        """What its plan names."""
        apart = [v for v in self.volumes if v.id not in self.attached]
        named = [(SERVER, server.id) for server in self.servers] + [(VOLUME, volume.id) for volume in apart]
        if self.router is not None and self.some(0.5):
            named.append((ROUTER, self.router.id))
        return named


PUBLIC_KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIEEHweJodWp7qenAnV84HxSRZYvsxp0BSQKTSAM/44R+"


def clear(cloud: Any, keep: set[str]) -> None:
    """Remove all that the project holds but what is to be kept, as a user would."""
    clear_servers(cloud, keep)
    clear_network(cloud, keep)
    clear_data(cloud, keep)


def others(things: Any, keep: set[str]) -> list[Any]:
    return [thing for thing in things if str(thing.id) not in keep]


def clear_servers(cloud: Any, keep: set[str]) -> None:
    compute = cloud.compute
    servers = others(compute.servers(details=False), keep)
    for server in servers:
        compute.unlock_server(server.id)
        compute.delete_server(server.id)
    for keypair in others(compute.keypairs(), keep):
        compute.delete_keypair(keypair.name)
    for server in servers:
        until("server gone", lambda s=server: gone(compute.get_server, s.id))
    for group in others(compute.server_groups(), keep):
        compute.delete_server_group(group.id)


def clear_network(cloud: Any, keep: set[str]) -> None:
    net, scope = cloud.network, {"project_id": cloud.current_project_id}
    for address in others(net.ips(**scope), keep):
        net.delete_ip(address.id)
    for router in others(net.routers(**scope), keep):
        net.update_router(router.id, routes=[])
        for port in net.ports(device_id=router.id, device_owner="network:router_interface"):
            net.remove_interface_from_router(router.id, port_id=port.id)
        net.delete_router(router.id)
    for port in others(net.ports(**scope), keep):
        if not (port.device_owner or "").startswith("network:"):
            net.delete_port(port.id)
    for network in others(net.networks(**scope), keep):
        net.delete_network(network.id)
    for group in others(net.security_groups(**scope), keep):
        if group.name != "default":
            net.delete_security_group(group.id)


def clear_data(cloud: Any, keep: set[str]) -> None:
    storage = cloud.block_storage
    for image in others(cloud.image.images(owner=cloud.current_project_id), keep):
        cloud.image.delete_image(image.id)
    for backup in others(storage.backups(details=False), keep):
        storage.delete_backup(backup.id)
    for snapshot in others(storage.snapshots(details=False), keep):
        storage.delete_snapshot(snapshot.id)
    until("snapshots gone", lambda: not others(storage.snapshots(details=False), keep))
    for volume in others(storage.volumes(details=False), keep):
        _delete_volume(storage, volume.id)
    until("volumes gone", lambda: not others(storage.volumes(details=False), keep))
    until("backups gone", lambda: not others(storage.backups(details=False), keep))


def _delete_volume(storage: Any, identity: str) -> None:
    def done() -> bool:
        try:
            storage.delete_volume(identity)
        except NotFoundException:
            return True
        except SDKException:
            return False
        return True

    until(f"volume {identity} deleted", done)
