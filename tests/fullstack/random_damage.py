"""What may befall an application: parts of it are gone, changed, renamed, half there, or somebody else's."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Any

from openstack.exceptions import BadRequestException, ConflictException, NotFoundException

from tests.fullstack.random_applications import App, gone, until

OTHER_KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAINrFBIQ/PPZhEZ7WDHJMZzG/pRy3Euw+AmFGNmL/QlnI"


class FragileApp(App):
    """An application, and what may befall it."""

    def damages(self) -> Iterator[tuple[str, Callable[[], None]]]:
        """All that may befall it, in an order in which the services allow it."""
        cloud = self.cloud
        for address in self.addresses:
            yield "address gone", lambda a=address: cloud.network.delete_ip(a.id)
            yield "address leads elsewhere", lambda a=address: self.lead_elsewhere(a)
            yield "address leads nowhere", lambda a=address: cloud.network.update_ip(a.id, port_id=None)
        for volume in self.volumes:
            yield "volume detached", lambda v=volume: self.detach(v)
            yield "volume lent", lambda v=volume: self.lend(v)
            yield "volume renamed", lambda v=volume: cloud.block_storage.update_volume(v.id, name="other")
            yield "volume changed", lambda v=volume: cloud.block_storage.set_volume_metadata(v.id, x="y")
        for server in self.servers:
            yield "server gone", lambda s=server: self.lose_server(s)
            yield "server renamed", lambda s=server: cloud.compute.update_server(s.id, name="other")
            yield "server changed", lambda s=server: cloud.compute.set_server_metadata(s.id, role="other")
            yield "server's addresses taken", lambda s=server: self.take_addresses(s)
            yield "server's card gone", lambda s=server: self.unplug(s)
            yield "server's groups gone", lambda s=server: self.leave(s)
            yield "server switched", lambda s=server: self.switch(s)
            yield "server paused", lambda s=server: self.pause(s)
            yield "server locked", lambda s=server: cloud.compute.lock_server(s.id)
        for volume in self.volumes:
            yield "volume has a snapshot", lambda v=volume: self.cut(v)
            yield "volume gone", lambda v=volume: self.lose_volume(v)
        for group in self.groups:
            yield "rules gone", lambda g=group: self.lose_rules(g)
            yield "rule added", lambda g=group: self.rule(g.id, 7777)
            yield "group renamed", lambda g=group: cloud.network.update_security_group(g.id, name="other")
            yield (
                "group gone",
                lambda g=group: cloud.network.delete_security_group(g.id, ignore_missing=False),
            )
            yield "group's namesake", lambda g=group: cloud.network.create_security_group(name=g.name)
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
            yield "subnet gone", lambda n=network: self.lose_subnet(n)
            yield "subnet in its place", lambda n=network: self.lose_subnet(n, again=True)
            yield "network gone", lambda n=network: self.lose_network(n)
        if self.keypair is not None:
            yield "key pair gone", self.lose_keypair
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
                except (BadRequestException, ConflictException, NotFoundException, StopIteration) as refused:
                    self.told.append(f"({what}: {str(refused)[-60:]})")
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

    def unplug(self, server: Any) -> None:
        port = next(iter(self.ports_of(server)))
        self.cloud.compute.delete_server_interface(port.id, server=server.id, ignore_missing=False)

        def out() -> bool:
            return port.id not in {p.id for p in self.cloud.network.ports(device_id=server.id)}

        until("card unplugged", out)
        until("server told", lambda: port.id not in self.plugged(server))

    def plugged(self, server: Any) -> set[str]:
        return {card.port_id for card in self.cloud.compute.server_interfaces(server.id)}

    def take_addresses(self, server: Any) -> None:
        """Somebody else has got the addresses of one that is gone."""
        for card in self.cards[server.id]:
            fixed = [{"ip_address": ip["ip_address"]} for ip in card.fixed_ips]
            self.cloud.network.create_port(network_id=card.network_id, name="squatter", fixed_ips=fixed)

    def lead_elsewhere(self, address: Any) -> None:
        others = [card for cards in self.cards.values() for card in cards if card.id != address.port_id]
        self.cloud.network.update_ip(address.id, port_id=next(iter(others)).id)

    def lend(self, volume: Any) -> None:
        """Another server has it now."""
        storage = self.cloud.block_storage
        other = next(server for server in self.servers if server.id != self.attached.get(volume.id))
        if storage.get_volume(volume.id).status == "in-use":
            self.detach(volume)
        self.cloud.compute.create_volume_attachment(other.id, volume.id)
        self.settled("volume", storage.get_volume, volume.id, "in-use")

    def cut(self, volume: Any) -> None:
        storage = self.cloud.block_storage
        if storage.get_volume(volume.id).status != "available":
            next(iter(()))
        made = storage.create_snapshot(volume_id=volume.id, name="somebody's")
        self.settled("snapshot", storage.get_snapshot, made.id, "available")

    def pause(self, server: Any) -> None:
        self.cloud.compute.pause_server(server.id)
        self.settled("server", self.cloud.compute.get_server, server.id, "PAUSED")

    def lose_keypair(self) -> None:
        compute, name = self.cloud.compute, self.keypair.name
        compute.delete_keypair(name, ignore_missing=False)
        if self.some(0.4):
            compute.create_keypair(name=name, public_key=OTHER_KEY)

    def lose_subnet(self, network: Any, *, again: bool = False) -> None:
        net, subnet = self.cloud.network, self.subnets[network.id][-1]
        net.delete_subnet(subnet.id, ignore_missing=False)
        if again:
            cidr = self.rng.choice((subnet.cidr, subnet.cidr.replace("/24", "/25")))
            net.create_subnet(network_id=network.id, name="another", ip_version=4, cidr=cidr)

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
