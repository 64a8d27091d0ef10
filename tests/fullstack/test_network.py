"""Networks and routers on a real cloud: protected, lost, restored, compared."""

from __future__ import annotations

from collections.abc import Iterator
from copy import deepcopy
from typing import Any

import pytest

from refloat.cloud import Cloud
from refloat.errors import Impossible
from refloat.graph import Resource, ResourceKey
from tests.fullstack.hookrig import Rig
from tests.fullstack.netbench import NETWORK, ROUTER, SUBNET, NetBench, again, different


@pytest.fixture
def bench(cloud: Cloud) -> Iterator[NetBench]:
    bench = NetBench(cloud)
    yield bench
    bench.wipe()


@pytest.fixture
def rig(cloud: Cloud) -> Iterator[Rig]:
    rig = Rig(cloud)
    yield rig
    rig.undo()


def build(bench: NetBench) -> tuple[Any, Any, Any]:
    """Two networks of the same name and a router between them and the world."""
    neutron = bench.neutron
    front = neutron.create_network(name=bench.name, description="front", mtu=1300)
    neutron.set_tags(front, ["tier-2", "tier-1"])
    pools = [{"start": "10.71.0.120", "end": "10.71.0.130"}, {"start": "10.71.0.10", "end": "10.71.0.99"}]
    subnet = neutron.create_subnet(
        network_id=front.id,
        name="s",
        description="first",
        cidr="10.71.0.0/24",
        ip_version=4,
        gateway_ip="10.71.0.254",
        allocation_pools=pools,
        dns_nameservers=["9.9.9.9", "1.1.1.1"],
        host_routes=[{"destination": "10.99.0.0/16", "nexthop": "10.71.0.5"}],
    )
    neutron.set_tags(subnet, ["of-subnet"])
    neutron.create_subnet(
        network_id=front.id, cidr="10.72.0.0/24", ip_version=4, gateway_ip=None, enable_dhcp=False
    )
    slaac = neutron.create_subnet(
        network_id=front.id,
        name="six",
        cidr="fd00:71::/64",
        ip_version=6,
        ipv6_address_mode="slaac",
        ipv6_ra_mode="slaac",
    )
    back = neutron.create_network(
        name=bench.name, description="back", port_security_enabled=False, admin_state_up=False
    )
    inner = neutron.create_subnet(network_id=back.id, name="s", cidr="10.73.0.0/24", ip_version=4)
    neutron.update_network(back, admin_state_up=True)
    router = neutron.create_router(
        name=bench.name, description="between", external_gateway_info={"network_id": bench.public.id}
    )
    neutron.set_tags(router, ["way-out"])
    neutron.add_interface_to_router(router, subnet=subnet.id)
    neutron.add_interface_to_router(router, subnet=slaac.id)
    port = neutron.create_port(
        network_id=back.id,
        name=f"{bench.name}-leg",
        description="leg",
        fixed_ips=[{"subnet_id": inner.id, "ip_address": "10.73.0.77"}],
    )
    neutron.add_interface_to_router(router, port=port.id)
    routes = [
        {"destination": "10.200.0.0/16", "nexthop": "10.73.0.9"},
        {"destination": "10.201.0.0/16", "nexthop": "10.71.0.11"},
    ]
    return front, back, neutron.update_router(router, routes=routes)


def unchosen(section: dict[str, Any]) -> dict[str, Any]:
    """A router's section without what Neutron chooses, as the restore plan says."""
    section = deepcopy(section)
    section["gateway"]["addresses"] = []
    for interface in section["interfaces"]:
        interface["port_id"] = ""
        if interface["automatic_network"]:
            interface["mac_address"] = ""
    return section


@pytest.mark.timeout(900)
def test_lost_networks_and_their_router_come_back_the_same_though_cut_off_on_the_way(
    bench: NetBench, rig: Rig
) -> None:
    front, back, router = build(bench)
    rig.protect(Resource(ROUTER, router.id, router.name))
    assert {key.id for key in rig.sections} == {front.id, back.id, router.id}
    assert all(answer == {"ok": True, "reason": ""} for answer in rig.verify().values())
    living = rig.plan()
    assert {planned.action for planned in living.planned.values()} == {"reuse"}
    assert living.needs == {}

    before = bench.inventory()
    bench.wipe()
    plan = rig.plan()
    assert plan.needs == {"networks": 2, "subnets": 4, "ports": 5, "routers": 1}
    degraded = {
        outcome.name
        for outcome in plan.planned[ResourceKey(ROUTER, router.id)].attributes
        if outcome.fidelity in ("degraded", "lost")
    }
    assert degraded == {"gateway.address", "interface_macs"}
    restored = rig.restore(plan, cuts=[1, 4, 9, 14, 17])

    assert bench.inventory() == before
    now = again(rig, restored)
    for key, section in rig.sections.items():
        if key.type == ROUTER:
            section, now[key] = unchosen(section), unchosen(now[key])
        assert different(section, now[key]) == {}, key
    assert len([key for key in restored if key[0] == SUBNET]) == 4
    assert all(line["status"] == "created" and not line["reason"] for line in restored.values())

    rig.undo()
    assert set(bench.inventory().values()) == {0}


@pytest.mark.timeout(600)
def test_beside_the_living_originals_everything_is_made_anew(bench: NetBench, rig: Rig) -> None:
    _front, back, router = build(bench)
    rig.protect(Resource(ROUTER, router.id, router.name))
    before = bench.inventory()
    parameters = {NETWORK: {"restore_name": "{name}-2"}}
    plan = rig.plan(parameters)
    planned = plan.planned[ResourceKey(ROUTER, router.id)]
    # Not asked for, but one router cannot serve the same addresses twice.
    assert planned.action == "create"
    assert "anew" in planned.reason
    restored = rig.restore(plan)
    assert bench.inventory() == {kind: 2 * count for kind, count in before.items()}
    assert {line["name"] for (kind, _), line in restored.items() if kind == NETWORK} == {f"{bench.name}-2"}
    new_back = bench.neutron.get_network(restored[NETWORK, back.id]["new_id"])
    assert new_back.id != back.id
    assert new_back.is_port_security_enabled is False
    rig.undo()
    assert bench.inventory() == before


@pytest.mark.timeout(600)
def test_what_is_still_there_is_used_and_what_it_lacks_is_made(bench: NetBench, rig: Rig) -> None:
    front, back, router = build(bench)
    rig.protect(Resource(ROUTER, router.id, router.name))
    neutron = bench.neutron
    # The back network goes, with the router's leg and route there; the front one loses a subnet.
    neutron.update_router(router, routes=[], description="changed")
    leg = next(iter(neutron.ports(device_id=router.id, network_id=back.id)))
    neutron.remove_interface_from_router(router, port=leg.id)
    neutron.delete_network(back)
    lost = next(s for s in neutron.subnets(network_id=front.id) if s.cidr == "10.72.0.0/24")
    neutron.delete_subnet(lost)

    plan = rig.plan()
    actions = {key.id: planned.action for key, planned in plan.planned.items()}
    assert actions == {front.id: "reuse", back.id: "create", router.id: "reuse"}
    assert plan.needs == {"networks": 1, "subnets": 2, "ports": 2}
    assert "10.72.0.0/24) is gone" in plan.planned[ResourceKey(NETWORK, front.id)].conflicts[0]
    reason = plan.planned[ResourceKey(ROUTER, router.id)].reason
    assert reason.startswith("it is still there, and left as it is though changed since: description")

    restored = rig.restore(plan, cuts=[3, 6])
    now = bench.neutron.get_router(router.id)
    assert now.description == "changed"
    assert now.routes == [{"destination": "10.200.0.0/16", "nexthop": "10.73.0.9"}]
    legs = list(neutron.ports(device_id=router.id, network_id=restored[NETWORK, back.id]["new_id"]))
    assert [port.fixed_ips[0]["ip_address"] for port in legs] == ["10.73.0.77"]
    assert restored[SUBNET, lost.id]["status"] == "created"
    assert restored[ROUTER, router.id]["status"] == "reused"

    rig.undo()
    assert not bench.neutron.get_router(router.id).routes
    assert bench.inventory()["networks"] == 1


def test_a_subnet_in_the_way_is_said_beforehand(bench: NetBench, rig: Rig) -> None:
    neutron = bench.neutron
    network = neutron.create_network(name=bench.name)
    subnet = neutron.create_subnet(network_id=network.id, cidr="10.74.0.0/24", ip_version=4)
    rig.protect(Resource(NETWORK, network.id, network.name))
    neutron.delete_subnet(subnet)
    neutron.create_subnet(network_id=network.id, cidr="10.74.0.0/16", ip_version=4)
    with pytest.raises(Impossible, match="overlaps"):
        rig.restore()
    assert rig.plan({NETWORK: {"duplicate": True}}).problems == ()


def test_grants_and_pools_come_back_and_a_smaller_mtu_is_told(bench: NetBench, rig: Rig) -> None:
    neutron = bench.neutron
    pool = neutron.create_subnet_pool(name=bench.name, prefixes=["10.77.0.0/16"], default_prefix_length=24)
    try:
        network = neutron.create_network(name=bench.name)
        neutron.create_subnet(network_id=network.id, subnetpool_id=pool.id, ip_version=4)
        grant = {"action": "access_as_shared", "target_project_id": "0" * 32}
        neutron.create_rbac_policy(
            object_type="network",
            object_id=network.id,
            action=grant["action"],
            target_tenant=grant["target_project_id"],
        )
        rig.protect(Resource(NETWORK, network.id, network.name))
        beside = rig.plan({NETWORK: {"duplicate": True}}).planned[ResourceKey(NETWORK, network.id)]
        assert "without the pool" in beside.conflicts[0]
        neutron.delete_network(network)
        # As if it came from a cloud with larger frames.
        rig.sections[ResourceKey(NETWORK, network.id)]["mtu"] = 60000
        restored = rig.restore()
        told = restored[NETWORK, network.id]["reason"]
        assert told.startswith("this cloud's networks allow an MTU of")
        now = again(rig, restored)[ResourceKey(NETWORK, network.id)]
        assert now["rbac_policies"] == [grant]
        assert now["subnets"][0]["subnetpool_id"] == pool.id
        rig.undo()
    finally:
        bench.wipe()
        neutron.delete_subnet_pool(pool)
