"""``--existing repair`` on a real cloud: damage of many kinds, given back; taken away again when undone."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from refloat.graph import Resource
from refloat.resources.base import HookContext, hooks
from tests.fullstack.hookrig import Rig
from tests.fullstack.netbench import ADDRESS, GROUP, ROUTER
from tests.fullstack.restored import IMAGE, SERVER, VOLUME
from tests.fullstack.test_server import PREFIX, Bench, bench

__all__ = ["bench"]
pytestmark = pytest.mark.timeout(600)


def without_data(rig: Rig) -> None:
    """Data is not what this is about: of volumes and images there is no more than that they are there."""
    sections: Mapping[str, Any] = {VOLUME: {}, IMAGE: {"disks": {}, "data": None, "image": None}}
    for kind, section in sections.items():

        def protect(_context: HookContext, section: Any = section) -> Any:
            return section

        known = type(rig.plugins[kind])
        rig.plugins[kind] = type(known.__name__, (known,), {"protect": hooks(on_main=protect)})()


class Shop:
    """A server with a network card, two volumes and a floating IP behind a router."""

    def __init__(self, bench: Bench) -> None:
        self.bench, self.neutron = bench, bench.cloud.network
        self.net = bench.network("repair", "10.91.0.0/24")
        (self.subnet,) = self.neutron.subnets(network_id=self.net.id)
        self.public = next(iter(self.neutron.networks(is_router_external=True)))
        gateway = {"network_id": self.public.id}
        made = self.neutron.create_router(name=f"{PREFIX}-way", external_gateway_info=gateway)
        self.router = bench.keep("router", made)
        self.neutron.add_interface_to_router(self.router, subnet=self.subnet.id)
        self.routes = [{"destination": "10.92.0.0/16", "nexthop": "10.91.0.9"}]
        self.neutron.update_router(self.router, routes=self.routes)
        self.group = bench.keep("security_group", self.neutron.create_security_group(name=f"{PREFIX}-group"))
        self.rule(80)
        self.port = bench.port(self.net, security_group_ids=[self.group.id])
        self.second = bench.port(self.net)
        self.volumes = [bench.volume(name) for name in ("one", "two")]
        self.server = bench.server([self.port, self.second])
        for volume in self.volumes:
            bench.cloud.compute.create_volume_attachment(self.server.id, volume.id)
            bench.cloud.wait("volume", volume.id, ("in-use",), timeout=120).result()
        made = self.neutron.create_ip(floating_network_id=self.public.id, port_id=self.port.id)
        self.address = bench.keep("floating_ip", made)

    def rule(self, number: int) -> None:
        self.neutron.create_security_group_rule(
            security_group_id=self.group.id,
            direction="ingress",
            ethertype="IPv4",
            protocol="tcp",
            port_range_min=number,
            port_range_max=number,
        )

    def damage(self) -> None:
        """Everything is there, and has lost something."""
        cloud = self.bench.cloud
        self.neutron.update_ip(self.address.id, port_id=None)
        self.neutron.update_port(self.port.id, security_group_ids=[])
        (lost,) = (r for r in self.group_rules() if r["port_range_min"] == 80)
        self.neutron.delete_security_group_rule(lost["id"])
        self.rule(7777)  # somebody's own, to stay
        self.neutron.update_router(self.router, routes=[])
        self.neutron.remove_interface_from_router(self.router.id, subnet=self.subnet.id)
        self.neutron.update_router(self.router.id, external_gateway_info={})
        cloud.compute.delete_server_interface(self.second.id, server=self.server.id)
        cloud.compute.delete_volume_attachment(self.server.id, self.volumes[1].id)
        cloud.wait("volume", self.volumes[1].id, ("available",), timeout=120).result()
        cloud.wait_gone("server_port", f"{self.server.id}:{self.second.id}").result()

    def group_rules(self) -> list[dict[str, Any]]:
        return list(self.neutron.get_security_group(self.group.id).security_group_rules)

    def state(self) -> dict[str, Any]:
        """What it has, as far as it can lose it."""
        router = self.neutron.get_router(self.router.id)
        ports = list(self.neutron.ports(device_id=self.router.id))
        attached = self.bench.cloud.compute.volume_attachments(self.server.id)
        return {
            "gateway": (router.external_gateway_info or {}).get("network_id"),
            "routes": router.routes,
            "interfaces": sorted(
                ip["ip_address"]
                for port in ports
                for ip in port.fixed_ips
                if ip["subnet_id"] == self.subnet.id
            ),
            "rules": sorted(rule["port_range_min"] or 0 for rule in self.group_rules()),
            "groups": self.neutron.get_port(self.port.id).security_group_ids,
            "cards": sorted(port.id for port in self.neutron.ports(device_id=self.server.id)),
            "volumes": sorted(attachment.volume_id for attachment in attached),
            "address": self.neutron.get_ip(self.address.id).port_id,
        }


def test_what_is_lost_is_given_back_and_undo_takes_just_that_away(bench: Bench) -> None:
    """Cut off while things are given, and undone as a whole; what is not in the checkpoint stays."""
    shop = Shop(bench)
    before = shop.state()
    rig = bench.rig()
    without_data(rig)
    rig.protect(Resource(SERVER, shop.server.id, shop.server.name))
    whole = rig.plan(existing="repair")
    assert {planned.action for planned in whole.planned.values()} <= {"reuse", "keep", "skip"}
    shop.damage()
    damaged = shop.state()
    plan = rig.plan(existing="repair")
    told = {key.type: planned for key, planned in plan.planned.items() if planned.action == "repair"}
    assert set(told) == {SERVER, ROUTER, GROUP}
    assert [len(told[kind].conflicts) for kind in (SERVER, ROUTER, GROUP)] == [4, 3, 1]
    kept = {key.type for key, planned in plan.planned.items() if planned.action == "keep"}
    assert kept == {VOLUME, ADDRESS}

    restored = rig.restore(plan, cuts=(1, 4, 9, 14), hand_over=False)
    assert restored[ROUTER, shop.router.id]["status"] == "repaired"
    given = before | {"rules": sorted([*before["rules"], 7777])}
    assert shop.state() == given
    again = rig.plan(existing="repair")
    assert "repair" not in {planned.action for planned in again.planned.values()}
    assert bench.cloud.get("server", shop.server.id).status == "ACTIVE"
    rig.roll_back()
    assert shop.state() == damaged
