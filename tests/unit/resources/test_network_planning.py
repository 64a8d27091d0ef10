"""How networks and their subnets will come back."""

from functools import partial
from types import SimpleNamespace
from typing import Any

from refloat.graph import Resource
from refloat.resources.context import HookContext
from refloat.resources.network import NETWORKS
from refloat.resources.network.restore import restore
from refloat.resources.network.section import network_section
from refloat.resources.network.serviceports import moves
from refloat.resources.networking import NETWORK
from refloat.resources.planned import Action, Planned
from tests.unit.support.neutron_fakes import FakeCloud, fidelity, plan, thing

PLUGIN = NETWORKS.plugin()


def subnet(identity: str = "s1", **fields: Any) -> Any:
    body = {
        "id": identity,
        "name": identity,
        "network_id": "n1",
        "ip_version": 4,
        "cidr": "10.0.0.0/24",
        "gateway_ip": "10.0.0.1",
        "allocation_pools": [],
        "enable_dhcp": True,
        "created_at": identity,
    }
    return thing("subnet", **(body | fields))


def network(**fields: Any) -> Any:
    body = {"id": "n1", "name": "net", "admin_state_up": True, "mtu": 1442, "subnets": ["s1"]}
    return thing("network", **(body | fields))


def section(*subnets: Any, **fields: Any) -> dict[str, Any]:
    return network_section(network(**fields), subnets or (subnet(),), ()) | {"rbac_policies": []}


def planned(saved: dict[str, Any], cloud: FakeCloud, **parameters: object) -> Any:
    return plan(PLUGIN, Resource(NETWORK, "n1", "net"), saved, cloud, **parameters)


def test_what_is_gone_is_created_with_all_its_settings() -> None:
    saved = section(port_security_enabled=False, dns_domain="a.org.", vlan_transparent=True)
    answer = planned(saved, FakeCloud())
    assert answer.action == "create"
    assert answer.decisions["body"] == {
        "name": "net",
        "admin_state_up": True,
        "mtu": 1442,
        "port_security_enabled": False,
        "dns_domain": "a.org.",
        "vlan_transparent": True,
    }
    assert fidelity(answer) == {"id": "mapped", "subnets.id": "mapped"}
    assert answer.needs == {"networks": 1, "subnets": 1, "ports": 1}


def test_no_gateway_is_said_in_so_many_words() -> None:
    """Left out, Neutron would take the first address."""
    body = planned(section(subnet(gateway_ip=None)), FakeCloud()).decisions["subnets"][0]["body"]
    assert "gateway_ip" in body
    assert body["gateway_ip"] is None


def test_what_is_there_is_used_as_it_is_and_the_difference_is_told() -> None:
    cloud = FakeCloud(network=[network(name="other", mtu=1300)], subnet=[subnet()])
    answer = planned(section(), cloud)
    assert (answer.action, answer.new_id, answer.name) == ("reuse", "n1", "other")
    assert answer.reason == "it is still there, and left as it is though changed since: name, mtu"
    assert answer.needs == {}
    assert {o.name: o.restored for o in answer.attributes if o.fidelity == "degraded"} == {
        "name": "other",
        "mtu": 1300,
    }


def test_a_name_or_a_wish_makes_a_new_one_beside_it() -> None:
    cloud = FakeCloud(network=[network()], subnet=[subnet()])
    named = planned(section(), cloud, restore_name="{name}-2")
    assert (named.action, named.name, named.decisions["body"]["name"]) == ("create", "net-2", "net-2")
    assert fidelity(named)["name"] == "mapped"
    assert planned(section(), cloud, duplicate="true").action == "create"


def test_a_network_of_the_same_name_is_another_network() -> None:
    assert planned(section(), FakeCloud(network=[network(id="n2")])).action == "create"


def test_zones_that_are_gone_are_left_out() -> None:
    answer = planned(section(availability_zone_hints=["az1", "az9"]), FakeCloud())
    assert answer.decisions["body"]["availability_zone_hints"] == ["az1"]
    assert fidelity(answer)["availability_zone_hints"] == "degraded"


def test_only_an_administrator_shares_with_everybody() -> None:
    saved = section(shared=True)
    assert fidelity(planned(saved, FakeCloud()))["shared"] == "lost"
    by_admin = planned(saved, FakeCloud(roles=["admin", "member"]))
    assert "shared" not in fidelity(by_admin)
    assert by_admin.decisions["body"]["shared"] is True


def test_a_qos_policy_is_used_again_while_there_is_one() -> None:
    saved = section(qos_policy_id="q1")
    assert planned(saved, FakeCloud(known=["q1"])).decisions["body"]["qos_policy_id"] == "q1"
    gone = planned(saved, FakeCloud())
    assert "qos_policy_id" not in gone.decisions["body"]
    assert fidelity(gone)["qos_policy_id"] == "lost"


def test_a_subnet_pool_is_used_for_all_subnets_of_a_version_or_none() -> None:
    pooled = section(
        subnet("s1", subnetpool_id="p1"),
        subnet("s2", cidr="10.0.1.0/24", subnetpool_id="p1", gateway_ip=None),
    )
    free = planned(pooled, FakeCloud(known=["p1"]))
    assert [item["body"].get("subnetpool_id") for item in free.decisions["subnets"]] == ["p1", "p1"]
    taken = subnet("s9", network_id="n9", cidr="10.0.1.0/24", subnetpool_id="p1")
    answer = planned(pooled, FakeCloud(known=["p1"], subnet=[taken]))
    assert [item["body"].get("subnetpool_id") for item in answer.decisions["subnets"]] == [None, None]
    assert fidelity(answer)["subnets.subnetpool_id"] == "degraded"
    assert "10.0.1.0/24" in answer.conflicts[0]


def test_neutrons_own_ports_go_back_to_where_they_were() -> None:
    ports = {
        "meta": [{"subnet_id": "a", "ip_address": "10.0.0.2"}, {"subnet_id": "six", "ip_address": "fd::9"}]
    }
    assert moves(ports, {"a": ["10.0.0.2"]}, {"six"}) == {}
    assert moves(ports, {}, set()) == {}
    assert moves(ports, {"a": ["10.0.0.50"]}, {"six"}) == {
        "meta": [{"subnet_id": "a", "ip_address": "10.0.0.50"}, {"subnet_id": "six"}]
    }


def test_two_dhcp_ports_do_not_fight_for_one_address() -> None:
    ports = {
        "one": [{"subnet_id": "a", "ip_address": "10.0.0.4"}],
        "two": [{"subnet_id": "a", "ip_address": "10.0.0.2"}],
    }
    assert moves(ports, {"a": ["10.0.0.2", "10.0.0.3"]}, set()) == {
        "one": [{"subnet_id": "a", "ip_address": "10.0.0.3"}]
    }


def test_a_network_that_is_repaired_is_said_to_be() -> None:
    """Its result is what its plan said: it was said to be reused."""
    subnet = {"source": "s1", "id": "s1", "name": "front-v4", "reason": ""}
    cases: list[tuple[Action, str]] = [("repair", "repaired"), ("reuse", "reused")]
    for action, status in cases:
        context: Any = SimpleNamespace(
            planned=Planned(action, "front", new_id="n1", decisions={"subnets": [subnet]}),
            resource=Resource(NETWORK, "n1", "front"),
            cloud=SimpleNamespace(get=lambda _kind, identity: SimpleNamespace(id=identity)),
        )
        context.restored = partial(HookContext.restored, context)
        network, part = restore(context)["restored"]
        assert (network["status"], part["status"]) == (status, "reused")
