"""Small applications at random, of servers that are records only, and what may befall them."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from random import Random
from typing import Any

from openstack.exceptions import ConflictException, NotFoundException, SDKException

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
    """One application: what it has, by kind, and how it came to be as it is."""

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
    told: list[str] = field(default_factory=list)

    def some(self, chance: float) -> bool:
        return self.rng.random() < chance

    # --- made

    def build(self) -> None:
        """Make it; its volumes come into being meanwhile."""
        rng = self.rng
        for number in range(rng.choice((0, 0, 0, 1, 1, 2))):
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
        for number in range(rng.randint(1, 3)):
            self._server(number)
        self._attach()
        self._lead()

    def _network(self) -> None:
        net = self.cloud.network
        for number in range(self.rng.randint(1, 2)):
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

    def roots(self) -> list[tuple[str, str]]:
        """What its plan names."""
        apart = [v for v in self.volumes if v.id not in self.attached]
        named = [(SERVER, server.id) for server in self.servers] + [(VOLUME, volume.id) for volume in apart]
        if self.router is not None and self.some(0.5):
            named.append((ROUTER, self.router.id))
        return named

    # --- damaged

    def damages(self) -> Iterator[tuple[str, Callable[[], None]]]:
        """All that may befall it, in an order in which the services allow it."""
        cloud = self.cloud
        for address in self.addresses:
            yield "address gone", lambda a=address: cloud.network.delete_ip(a.id)
            yield "address leads nowhere", lambda a=address: cloud.network.update_ip(a.id, port_id=None)
        for volume in self.volumes:
            yield "volume detached", lambda v=volume: self.detach(v)
            yield "volume renamed", lambda v=volume: cloud.block_storage.update_volume(v.id, name="other")
            yield "volume changed", lambda v=volume: cloud.block_storage.set_volume_metadata(v.id, x="y")
        for server in self.servers:
            yield "server gone", lambda s=server: self.lose_server(s)
            yield "server renamed", lambda s=server: cloud.compute.update_server(s.id, name="other")
            yield "server changed", lambda s=server: cloud.compute.set_server_metadata(s.id, role="other")
            yield "server's card gone", lambda s=server: self.unplug(s)
            yield "server's groups gone", lambda s=server: self.leave(s)
            yield "server switched", lambda s=server: self.switch(s)
        for volume in self.volumes:
            yield "volume gone", lambda v=volume: self.lose_volume(v)
        for group in self.groups:
            yield "rules gone", lambda g=group: self.lose_rules(g)
            yield "rule added", lambda g=group: self.rule(g.id, 7777)
            yield "group renamed", lambda g=group: cloud.network.update_security_group(g.id, name="other")
            yield "group gone", lambda g=group: cloud.network.delete_security_group(g.id)
        if self.router is not None:
            router = self.router.id
            yield "gateway gone", lambda: cloud.network.update_router(router, external_gateway_info={})
            yield "routes gone", lambda: cloud.network.update_router(router, routes=[])
            yield "router renamed", lambda: cloud.network.update_router(router, name="other")
            yield "interface gone", self.lose_interface
            yield "router gone", self.lose_router
        for network in self.networks:
            yield "network renamed", lambda n=network: cloud.network.update_network(n.id, name="other")
            yield "subnet changed", lambda n=network: self.change_subnet(n)
            yield "subnet gone", lambda n=network: cloud.network.delete_subnet(self.subnets[n.id][-1].id)
            yield "network gone", lambda n=network: self.lose_network(n)
        if self.keypair is not None:
            yield "key pair gone", lambda: cloud.compute.delete_keypair(self.keypair.name)
        if self.server_group is not None:
            yield "server group gone", lambda: cloud.compute.delete_server_group(self.server_group.id)

    def damage(self) -> None:
        """Some of that, at random; what the services refuse does not happen."""
        self.told = []
        everything = self.some(0.2)
        chance = 0.0 if everything else self.rng.choice((0.05, 0.15, 0.35))
        for what, strike in list(self.damages()):
            hit = self.some(0.8 if everything and what.endswith("gone") else chance)
            if hit:
                try:
                    strike()
                except (ConflictException, NotFoundException, StopIteration) as refused:
                    self.told.append(f"({what}: {type(refused).__name__})")
                else:
                    self.told.append(what)

    def detach(self, volume: Any) -> None:
        server = self.attached[volume.id] if volume.id in self.attached else next(iter(()))
        self.cloud.compute.delete_volume_attachment(server, volume.id, ignore_missing=False)
        self.settled("volume", self.cloud.block_storage.get_volume, volume.id, "available")

    def lose_server(self, server: Any) -> None:
        self.cloud.compute.delete_server(server.id, ignore_missing=False)
        until("server gone", lambda: gone(self.cloud.compute.get_server, server.id))
        for volume, owner in self.attached.items():
            if owner == server.id:
                with suppress(NotFoundException):
                    self.settled("volume", self.cloud.block_storage.get_volume, volume, "available", "in-use")
        if self.some(0.5):
            for port in self.cloud.network.ports(name="card", device_id=""):
                self.cloud.network.delete_port(port.id)

    def lose_volume(self, volume: Any) -> None:
        status = self.cloud.block_storage.get_volume(volume.id).status
        if status != "available":
            next(iter(()))
        self.cloud.block_storage.delete_volume(volume.id)
        until("volume gone", lambda: gone(self.cloud.block_storage.get_volume, volume.id))

    def ports_of(self, server: Any) -> list[Any]:
        return sorted(self.cloud.network.ports(device_id=server.id), key=lambda port: str(port.id))

    def unplug(self, server: Any) -> None:
        port = next(iter(self.ports_of(server)))
        self.cloud.compute.delete_server_interface(port.id, server=server.id, ignore_missing=False)

        def out() -> bool:
            return port.id not in {p.id for p in self.cloud.network.ports(device_id=server.id)}

        until("card unplugged", out)
        until("server told", lambda: port.id not in self.cards(server))

    def cards(self, server: Any) -> set[str]:
        return {card.port_id for card in self.cloud.compute.server_interfaces(server.id)}

    def leave(self, server: Any) -> None:
        port = next(iter(self.ports_of(server)))
        self.cloud.network.update_port(port.id, security_group_ids=[])

    def switch(self, server: Any) -> None:
        compute = self.cloud.compute
        if compute.get_server(server.id).status == "ACTIVE":
            compute.stop_server(server.id)
            self.settled("server", compute.get_server, server.id, "SHUTOFF")
        else:
            compute.start_server(server.id)
            self.settled("server", compute.get_server, server.id, "ACTIVE")

    def lose_rules(self, group: Any) -> None:
        found = self.cloud.network.get_security_group(group.id)
        for rule in found.security_group_rules:
            if rule["direction"] == "ingress" and self.some(0.7):
                self.cloud.network.delete_security_group_rule(rule["id"])

    def lose_interface(self) -> None:
        ports = self.cloud.network.ports(device_id=self.router.id, device_owner="network:router_interface")
        port = next(iter(ports))
        self.cloud.network.remove_interface_from_router(self.router.id, port_id=port.id)

    def lose_router(self) -> None:
        net = self.cloud.network
        net.get_router(self.router.id)
        with suppress(ConflictException):
            net.update_router(self.router.id, routes=[])
        for port in net.ports(device_id=self.router.id, device_owner="network:router_interface"):
            net.remove_interface_from_router(self.router.id, port_id=port.id)
        net.delete_router(self.router.id, ignore_missing=False)

    def change_subnet(self, network: Any) -> None:
        subnet = self.subnets[network.id][0]
        self.cloud.network.update_subnet(subnet.id, name="other", dns_nameservers=["10.8.8.8"])

    def lose_network(self, network: Any) -> None:
        self.cloud.network.delete_network(network.id, ignore_missing=False)


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
