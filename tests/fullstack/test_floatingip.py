"""Floating IPs on a real cloud: held, released, in use."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from refloat.cloud import Cloud
from refloat.graph import Resource, ResourceKey
from refloat.operations.discovery import Discovery
from refloat.resources.base import PlanContext, Planned
from refloat.resources.networking import SERVER
from tests.fullstack.hookrig import Rig
from tests.fullstack.netbench import ADDRESS, GROUP, NETWORK, ROUTER, NetBench


@pytest.fixture
def bench(cloud: Cloud) -> Iterator[NetBench]:
    bench = NetBench(cloud)
    yield bench
    for address in cloud.list("floating_ip"):
        if str(address.description).startswith(bench.name):
            bench.neutron.delete_ip(address)
    bench.wipe()


@pytest.fixture
def rig(cloud: Cloud) -> Iterator[Rig]:
    rig = Rig(cloud)
    yield rig
    rig.undo()


def held(bench: NetBench) -> Any:
    address = bench.neutron.create_ip(floating_network_id=bench.public.id, description=f"{bench.name} www")
    bench.neutron.set_tags(address, ["front"])
    return address


def test_an_address_that_is_still_held_is_used(bench: NetBench, rig: Rig) -> None:
    address = held(bench)
    rig.protect(Resource(ADDRESS, address.id))
    bench.neutron.update_ip(address, description=f"{bench.name} changed")
    restored = rig.restore()[ADDRESS, address.id]
    assert restored["status"] == "reused"
    assert restored["new_id"] == address.id
    assert restored["name"] == address.floating_ip_address
    assert restored["reason"].endswith("left as it is though changed since: description")


def test_a_released_address_is_replaced_by_another_and_that_is_said(bench: NetBench, rig: Rig) -> None:
    address = held(bench)
    rig.protect(Resource(ADDRESS, address.id))
    bench.neutron.delete_ip(address)
    plan = rig.plan()
    told = plan.planned[ResourceKey(ADDRESS, address.id)]
    manager = not rig.cloud.roles.isdisjoint({"manager", "admin"})
    assert bool(told.conflicts) is not manager
    restored = rig.restore(plan, cuts=[1])[ADDRESS, address.id]
    new = bench.neutron.get_ip(restored["new_id"])
    assert new.description == address.description
    assert new.tags == ["front"]
    assert restored["name"] == new.floating_ip_address
    assert (new.floating_ip_address == address.floating_ip_address) is manager


def test_the_same_address_under_another_id_is_used(bench: NetBench, rig: Rig) -> None:
    address = held(bench)
    rig.protect(Resource(ADDRESS, address.id))
    # As if it had been released and come back by chance.
    moved = ResourceKey(ADDRESS, "00000000-0000-0000-0000-000000000000")
    section = rig.sections.pop(ResourceKey(ADDRESS, address.id))
    rig.sections[moved] = section
    rig.graph = type(rig.graph)()
    rig.graph.add(Resource(*moved))
    assert rig.plan().planned[moved].new_id == address.id


@pytest.mark.timeout(600)
def test_an_address_is_left_to_a_living_server_and_taken_from_a_lost_one(bench: NetBench, rig: Rig) -> None:
    neutron, cloud = bench.neutron, rig.cloud
    network = neutron.create_network(name=bench.name)
    subnet = neutron.create_subnet(network_id=network.id, cidr="10.79.0.0/24", ip_version=4)
    router = neutron.create_router(name=bench.name, external_gateway_info={"network_id": bench.public.id})
    neutron.add_interface_to_router(router, subnet=subnet.id)
    port = neutron.create_port(network_id=network.id)
    address = neutron.create_ip(floating_network_id=bench.public.id, port_id=port.id, description=bench.name)
    image = next(image for image in cloud.image.images() if image.name == "guest")
    flavor = next(flavor for flavor in cloud.compute.flavors() if flavor.name == "tiny")
    server = cloud.compute.create_server(
        name=bench.name, flavor_id=flavor.id, image_id=image.id, networks=[{"port": port.id}]
    )
    try:
        cloud.wait("server", server.id, ("active",), timeout=300).result()
        graph = Discovery(cloud).graph([Resource(SERVER, server.id, server.name)])
        key = ResourceKey(ADDRESS, address.id)
        assert {node.type for node in graph.children(ResourceKey(SERVER, server.id))} >= {
            ADDRESS,
            NETWORK,
            ROUTER,
            GROUP,
        }
        rig.protect(graph[key])
        rig.graph = graph.only([key, ResourceKey(SERVER, server.id)])

        def planned() -> Planned:
            context = PlanContext(
                graph[key], rig.sections[key], graph, {}, cloud, lambda _key: None, cloud.list
            )
            return rig.plugins[ADDRESS].plan_restore(context)

        beside = planned()
        assert beside.action == "create"
        assert f"in use by server {bench.name}" in beside.conflicts[0]
    finally:
        cloud.compute.delete_server(server)
        cloud.wait_gone("server", server.id, timeout=300).result()
    # The port outlives its server when it was made by hand, and still holds the address.
    assert planned().action == "reuse"
    neutron.delete_port(port)
    assert planned().action == "reuse"
