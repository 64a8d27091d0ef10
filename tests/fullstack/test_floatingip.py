"""Floating IPs on a real cloud: held, released, in use."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from hookrig import Rig
from netbench import ADDRESS, NetBench

from refloat.cloud import Cloud
from refloat.graph import Resource, ResourceKey


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
