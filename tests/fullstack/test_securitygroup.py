"""Security groups on a real cloud: groups that name each other, the default group, lost partners."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from refloat.cloud import Cloud
from refloat.graph import Resource, ResourceKey
from tests.fullstack.hookrig import Rig
from tests.fullstack.netbench import GROUP, NetBench, again, different


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


def build(bench: NetBench) -> tuple[Any, Any]:
    """Two groups of one name that let each other in; one without Neutron's own rules."""
    neutron = bench.neutron

    def rule(group: Any, direction: str, ether_type: str = "IPv4", **fields: Any) -> None:
        neutron.create_security_group_rule(
            security_group_id=group.id, direction=direction, ether_type=ether_type, **fields
        )

    web = neutron.create_security_group(name=bench.name, description="web")
    neutron.set_tags(web, ["b", "a"])
    db = neutron.create_security_group(name=bench.name, description="db", stateful=False)
    for old in db.security_group_rules:
        neutron.delete_security_group_rule(old["id"])
    tcp = {"protocol": "tcp"}
    rule(web, "ingress", **tcp, port_range_min=80, port_range_max=443, remote_ip_prefix="10.0.0.0/8")
    rule(web, "ingress", **tcp, port_range_min=22, port_range_max=22, remote_group_id=web.id)
    rule(web, "egress", protocol="udp", remote_group_id=db.id)
    rule(web, "ingress", "IPv6", protocol="ipv6-icmp", port_range_min=128, port_range_max=0)
    rule(db, "ingress", **tcp, port_range_min=3306, port_range_max=3306, remote_group_id=web.id)
    rule(db, "ingress", protocol="112", description="vrrp")
    rule(db, "ingress", protocol="icmp", remote_group_id=bench.default.id)
    rule(db, "egress", remote_ip_prefix="0.0.0.0/0", description="what Neutron's own would do")
    rule(bench.default, "ingress", **tcp, port_range_min=7777, port_range_max=7777, description=bench.name)
    return web, db


@pytest.mark.timeout(600)
def test_groups_that_name_each_other_come_back_the_same_though_cut_off(bench: NetBench, rig: Rig) -> None:
    web, db = build(bench)
    rig.protect(Resource(GROUP, web.id, web.name))
    assert {key.id for key in rig.sections} == {web.id, db.id, bench.default.id}
    assert {planned.action for planned in rig.plan().planned.values()} == {"reuse"}
    assert rig.plan().needs == {}

    before = bench.inventory()
    bench.wipe()
    plan = rig.plan()
    told = plan.planned[ResourceKey(GROUP, bench.default.id)]
    assert told.action == "reuse"
    assert told.conflicts == (
        "the rule 'ingress IPv4 tcp 7777-7777' is added to the project's default security group",
    )
    restored = rig.restore(plan, cuts=[1, 3, 4, 5])
    assert bench.inventory() == before
    assert restored[GROUP, web.id]["new_id"] != restored[GROUP, db.id]["new_id"]
    now = again(rig, restored)
    for key, section in rig.sections.items():
        for one in (section, now[key]):
            one["rules"].sort(key=lambda rule: sorted(map(str, rule.items())))
        assert different(section, now[key]) == {}, key

    rig.undo()
    assert set(bench.inventory().values()) == {0}
    default = bench.neutron.get_security_group(bench.default.id)
    assert {rule["id"] for rule in default.security_group_rules} == bench.rules_before


def test_a_living_group_gets_back_the_rule_that_went_with_its_partner(bench: NetBench, rig: Rig) -> None:
    web, db = build(bench)
    rig.protect(Resource(GROUP, web.id, web.name))
    neutron = bench.neutron
    for rule in neutron.get_security_group(web.id).security_group_rules:
        if rule["remote_group_id"] == db.id:
            neutron.delete_security_group_rule(rule["id"])
    neutron.delete_security_group(db)

    plan = rig.plan()
    told = plan.planned[ResourceKey(GROUP, web.id)]
    assert told.action == "reuse"
    assert told.needs == {"security_group_rules": 1}
    assert told.conflicts[0].startswith("the rule 'egress IPv4 udp to")
    restored = rig.restore(plan, cuts=[3])
    new = restored[GROUP, db.id]["new_id"]
    remotes = [r["remote_group_id"] for r in neutron.get_security_group(web.id).security_group_rules]
    assert remotes.count(new) == 1


def test_a_rule_that_names_a_lost_group_outside_the_restore_is_said_beforehand(
    bench: NetBench, rig: Rig
) -> None:
    web, db = build(bench)
    rig.protect(Resource(GROUP, web.id, web.name))
    bench.wipe()
    alone = rig.graph.only([ResourceKey(GROUP, db.id)])
    rig.graph = alone
    plan = rig.plan()
    told = plan.planned[ResourceKey(GROUP, db.id)]
    assert len(told.conflicts) == 1
    assert "that security group is gone and not restored" in told.conflicts[0]
    assert {o.name for o in told.attributes if o.fidelity == "degraded"} == {"rules"}
    restored = rig.restore(plan)
    rules = bench.neutron.get_security_group(restored[GROUP, db.id]["new_id"]).security_group_rules
    assert len(rules) == len(rig.sections[ResourceKey(GROUP, db.id)]["rules"]) - 1


def test_beside_the_living_originals_the_new_groups_name_each_other(bench: NetBench, rig: Rig) -> None:
    web, db = build(bench)
    rig.protect(Resource(GROUP, web.id, web.name))
    restored = rig.restore(parameters={GROUP: {"duplicate": True}})
    assert restored[GROUP, bench.default.id]["new_id"] == bench.default.id
    new_web, new_db = restored[GROUP, web.id]["new_id"], restored[GROUP, db.id]["new_id"]
    rules = bench.neutron.get_security_group(new_web).security_group_rules
    assert {rule["remote_group_id"] for rule in rules} == {None, new_web, new_db}
