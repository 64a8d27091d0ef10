"""One application restored where nothing is called as it was: all that is gone has something in its place.

Finding: part 3 of a restore on the worst day. The flavor, the volume type and the external network are gone,
the network is given up for another, and the server gets a new name: each is proposed, mapped and told.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, suppress
from typing import Any

import pytest
from openstack.exceptions import NotFoundException

from demo.build import plug, wait_for_server
from demo.command import Command
from demo.waiting import wait_for
from tests.fullstack.restored import SERVER, VOLUME, created

pytestmark = pytest.mark.timeout(900)

FLAVOR, TYPE, EXTERNAL, NETWORK = "map-flavor", "map-type", "map-external", "map-net"


class Place:
    """Two of each: one that goes, and one that takes its place. Removes them in the end."""

    def __init__(self, member: Any, admin: Any) -> None:
        self.member, self.admin = member, admin
        self.end = ExitStack()

    def later(self, remove: Any, *which: Any) -> None:
        def removed() -> None:
            with suppress(NotFoundException):
                remove(*which, ignore_missing=False)

        self.end.callback(removed)

    def flavor(self, name: str, **specs: str) -> Any:
        made = self.admin.compute.create_flavor(name=name, ram=96, vcpus=1, disk=1)
        self.later(self.admin.compute.delete_flavor, made.id)
        if specs:
            self.admin.compute.create_flavor_extra_specs(made, specs)
        return made

    def volume_type(self, name: str) -> Any:
        made = self.admin.block_storage.create_type(name=name)
        self.later(self.admin.block_storage.delete_type, made.id)
        return made

    def external(self, name: str, cidr: str) -> Any:
        made = self.admin.network.create_network(name=name, is_router_external=True)
        self.later(self.admin.network.delete_network, made.id)
        self.admin.network.create_subnet(network_id=made.id, cidr=cidr, ip_version=4, is_dhcp_enabled=False)
        return made

    def network(self, name: str, cidr: str) -> tuple[Any, Any]:
        made = self.member.network.create_network(name=name)
        self.later(self.member.network.delete_network, made.id)
        return made, self.member.network.create_subnet(network_id=made.id, name=name, cidr=cidr, ip_version=4)

    def router(self, external: Any, subnet: Any) -> Any:
        made = self.member.network.create_router(
            name="map-router", external_gateway_info={"network_id": external.id}
        )
        self.member.network.add_interface_to_router(made.id, subnet=subnet.id)
        self.end.callback(self.lose_routers)
        return made

    def server(self, flavor: Any, network: Any, volume_type: Any) -> Any:
        cloud = self.member
        volume = cloud.block_storage.create_volume(name="map-data", size=1, volume_type=volume_type.name)
        made = cloud.compute.create_server(
            name="map-web",
            flavor_id=flavor.id,
            image_id=cloud.image.find_image("guest", ignore_missing=False).id,
            networks=[{"uuid": network.id}],
        )
        self.end.callback(self.lose_server)
        wait_for_server(cloud, made.id)
        plug(cloud, made.id, volume.id)
        return made

    def lose_server(self) -> None:
        cloud = self.member
        servers = [s.id for s in cloud.compute.servers() if s.name.startswith("map-")]
        for server in servers:
            cloud.compute.delete_server(server)
        wait_for("the servers to be gone", lambda: not _there(cloud.compute.servers(), servers), 120)
        volumes = [v.id for v in cloud.block_storage.volumes() if v.name.startswith("map-")]
        for volume in volumes:
            cloud.block_storage.delete_volume(volume)
        wait_for("the volumes to be gone", lambda: not _there(cloud.block_storage.volumes(), volumes), 120)
        for image in [i for i in cloud.image.images(owner=cloud.current_project_id) if "map-web" in i.name]:
            cloud.image.delete_image(image.id)

    def lose_routers(self) -> None:
        network = self.member.network
        for router in [r for r in network.routers() if r.name == "map-router"]:
            for port in list(network.ports(device_id=router.id)):
                network.remove_interface_from_router(router.id, port_id=port.id)
            network.delete_router(router.id)
        for net in [n for n in network.networks() if n.name.startswith(NETWORK)]:
            for port in list(network.ports(network_id=net.id)):
                if not port.device_owner:
                    network.delete_port(port.id)


def _there(things: Any, identities: list[str]) -> list[str]:
    return [thing.id for thing in things if thing.id in identities]


@pytest.fixture
def place(member: Any, admin: Any) -> Iterator[Place]:
    made = Place(member, admin)
    with made.end:
        yield made


def test_all_that_is_gone_has_something_in_its_place(place: Place, fresh: Command, member: Any) -> None:
    flavor, volume_type = place.flavor(FLAVOR), place.volume_type(TYPE)
    other_flavor = place.flavor(f"{FLAVOR}-2", **{"hw_rng:allowed": "true"})
    other_type = place.volume_type(f"{TYPE}-2")
    external, other_external = (
        place.external(name, cidr)
        for name, cidr in ((EXTERNAL, "172.29.1.0/24"), (f"{EXTERNAL}-2", "172.29.2.0/24"))
    )
    network, subnet = place.network(NETWORK, "10.41.0.0/24")
    other_network, _other_subnet = place.network(f"{NETWORK}-2", "10.42.0.0/24")
    place.router(external, subnet)
    server = place.server(flavor, network, volume_type)

    fresh.run("plan", "create", "app", "--resource", f"server={server.id}")
    checkpoint = fresh.json("protect", "app")["id"]
    place.lose_server()
    place.lose_routers()
    member.network.delete_network(network.id)
    for remove, what in (
        (place.admin.compute.delete_flavor, flavor),
        (place.admin.block_storage.delete_type, volume_type),
        (place.admin.network.delete_network, external),
    ):
        remove(what.id)

    unmapped = fresh.json("restore", checkpoint, "--dry-run")
    proposed = {
        (each["kind"], each["old"], each["new"]): each["why"]
        for item in unmapped["resources"]
        for each in item["proposals"]
    }
    assert any(kind == "flavor" and old == FLAVOR for kind, old, _new in proposed)
    (told_of,) = (item for item in unmapped["resources"] if item["source_id"] == server.id)
    assert any(
        "its extra specs differ: hw_rng:allowed true instead of unset" in said
        for said in told_of["conflicts"]
    )
    assert ("volume-type", TYPE, f"{TYPE}-2") in proposed
    assert {kind for kind, old, _new in proposed if old == EXTERNAL} == {"external-network"}

    maps = {
        "flavor": (FLAVOR, f"{FLAVOR}-2"),
        "volume-type": (TYPE, other_type.id),
        "external-network": (external.id, f"{EXTERNAL}-2"),
        "network": (NETWORK, other_network.id),
        "name": ("map-web", "map-web-2"),
    }
    options = [word for kind, (old, new) in maps.items() for word in ("--map", f"{kind}:{old}={new}")]
    wrong = fresh.answer("restore", checkpoint, *options, "--map", "keypair:none=none")
    assert (wrong.status, "nothing in the checkpoint is called 'none' as key pair" in wrong.stderr) == (
        2,
        True,
    )

    told = fresh.json("restore", checkpoint, "--dry-run", *options)
    assert told["possible"], told["problems"]
    outcomes = {
        (item["type"], outcome["name"]): outcome
        for item in told["resources"]
        for outcome in item["attributes"]
    }
    for key, was, now in (
        ((SERVER, "name"), "map-web", "map-web-2"),
        ((SERVER, "flavor"), FLAVOR, f"{FLAVOR}-2"),
        ((VOLUME, "type"), TYPE, f"{TYPE}-2"),
        (("OS::Neutron::Network", "name"), NETWORK, f"{NETWORK}-2"),
        (("OS::Neutron::Router", "gateway.network"), external.id, other_external.id),
    ):
        assert (outcomes[key]["source"], outcomes[key]["restored"]) == (was, now)
        assert outcomes[key]["fidelity"] == ("degraded" if key[1] == "flavor" else "mapped")

    answer = fresh.json("restore", checkpoint, *options)
    made = member.compute.get_server(created(answer, SERVER)[server.id])
    assert (made.name, made.flavor["original_name"], made.status) == ("map-web-2", f"{FLAVOR}-2", "ACTIVE")
    (port,) = member.network.ports(device_id=made.id)
    assert port.network_id == other_network.id
    assert port.fixed_ips[0]["ip_address"].startswith("10.42.0.")
    (volume,) = (member.block_storage.get_volume(i) for i in created(answer, VOLUME).values())
    assert (volume.name, volume.volume_type) == ("map-data", f"{TYPE}-2")
    (router,) = (r for r in member.network.routers() if r.name == "map-router")
    assert router.external_gateway_info["network_id"] == other_external.id
    served = {p.network_id: p.fixed_ips[0]["ip_address"] for p in member.network.ports(device_id=router.id)}
    assert served[other_network.id] == "10.42.0.1"
    assert NETWORK not in {n.name for n in member.network.networks(project_id=member.current_project_id)}
    assert other_flavor.name == made.flavor["original_name"]
    fresh.run("checkpoint", "delete", checkpoint)
