"""What a restore plan decides where something is asked for in the place of what a section names.

What is decided is what services are asked for. Finding: part 3 of a restore on the worst day.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import SimpleNamespace
from typing import Any, cast

import pytest

from refloat.cloud import Cloud
from refloat.graph import Graph, Resource
from refloat.mappings import Mapped, address_id
from refloat.resources.base import PlanContext, Planned
from refloat.resources.database import plan as plan_database
from refloat.resources.network.section import SUBNET_FIELDS
from refloat.resources.registry import plugins
from tests.unit.resources.test_server_planning import flavor, network, saved_port
from tests.unit.resources.test_server_planning import section as server_section
from tests.unit.support.neutron_fakes import PROJECT, FakeCloud, thing

SERVER, VOLUME, NETWORK = "OS::Nova::Server", "OS::Cinder::Volume", "OS::Neutron::Network"
ROUTER, FLOATING_IP = "OS::Neutron::Router", "OS::Neutron::FloatingIP"
BLUE = thing("network", id="blue", name="blue", subnets=["blue-4"])
BLUE_4 = thing("subnet", id="blue-4", name="blue-4", network_id="blue", cidr="10.20.0.0/24", ip_version=4)
THEIRS = thing("network", id="theirs", name="theirs", project_id="other", subnets=["blue-4"])


def cloud_of(*, roles: tuple[str, ...] = ("member",), quotas: Any = None, **lists: Any) -> Any:
    cloud: Any = FakeCloud(roles=roles, **lists)
    cloud.user_id = "me"
    cloud.compute = SimpleNamespace(
        get_endpoint_data=lambda: SimpleNamespace(max_microversion=(2, 104)),
        availability_zones=lambda: [
            SimpleNamespace(name=n, state={"available": True}) for n in ("nova", "az2")
        ],
    )
    answer = SimpleNamespace(
        status_code=200, content=b"x", headers={}, json=lambda: {"quota_set": quotas or {}}
    )
    cloud.block_storage = SimpleNamespace(get=lambda *_path, **_how: answer)
    return cloud


def plan(
    kind: str,
    saved: Mapping[str, Any],
    cloud: Any,
    asked: Mapping[tuple[str, str], Any] | None = None,
    *others: Resource,
    identity: str = "x",
) -> Planned:
    """:param asked: by kind and id of an old one: the new thing, or text."""
    mapped = {}
    for (what, old), new in (asked or {}).items():
        name = new if isinstance(new, str) else str(new.name)
        by_name = isinstance(new, str) or what in ("keypair", "zone")
        mapped[what, old] = Mapped(what, name if by_name else str(new.id), name, f"{name} is asked for", new)
    graph = Graph()
    node = Resource(kind, identity, str(saved.get("name", "")))
    for each in (node, *others):
        graph.add(each)
    usual = {"OS::Cinder::Volume": "volume-bank"}
    name = usual.get(kind) or next(n for n, each in plugins().items() if each.resource_type == kind)
    plugin = plugins()[name]()
    context = PlanContext(
        *(node, saved, graph, {}, cast(Cloud, cloud), lambda _key: None, cloud.list),
        mapped=lambda what, old, called: mapped.get((what, old or called)),
    )
    return Planned.from_json(plugin.plan_restore(context).to_json())


def outcome(planned: Planned, name: str) -> Any:
    return next(item for item in planned.attributes if item.name == name)


def server(
    asked: Mapping[tuple[str, str], Any], port: Mapping[str, Any] | None = None, **more: Any
) -> Planned:
    lists: dict[str, list[Any]] = {
        "flavor": [flavor("f1", "small"), flavor("f2", "large", 4)],
        "network": [thing("network", id="net", name="front", subnets=["sub"]), BLUE],
        "subnet": [thing("subnet", id="sub", network_id="net", cidr="10.0.0.0/24", ip_version=4), BLUE_4],
    }
    others: list[tuple[str, Any]] = more.pop("others", [])
    cloud = cloud_of(roles=more.pop("roles", ("member",)), **(lists | more.pop("lists", {})))
    cloud.others = others
    saved = server_section(image_id="", ports=[saved_port(**(port or {}))], **more)
    return plan(SERVER, saved, cloud, asked)


def card(planned: Planned) -> Any:
    return planned.decisions["ports"][0]


def test_a_server_with_all_that_is_asked_for() -> None:
    planned = server(
        {
            ("flavor", "f1"): flavor("f2", "large", 4),
            ("zone", "nova"): SimpleNamespace(name="az2"),
            ("keypair", "old"): SimpleNamespace(name="new"),
            ("network", "net"): BLUE,
            ("security-group", "open"): SimpleNamespace(id="closed", name="closed"),
            ("address", address_id("net", "10.0.0.5")): "10.20.0.9",
            ("address", address_id("net", "fa:16:3e:00:00:01")): "fa:16:3e:00:00:09",
        },
        {"security_group_ids": ["open"]},
        key_name="old",
    )
    assert (planned.action, planned.conflicts) == ("create", ())
    decided = planned.decisions
    assert (decided["flavor"], decided["availability_zone"], decided["key_name"]) == ("f2", "az2", "new")
    port = card(planned)
    assert (port["network"], port["security_groups"]) == ("blue", ["closed"])
    assert port["fixed_ips"] == [{"subnet": "blue-4", "ip_address": "10.20.0.9"}]
    assert port["mac_address"] == "fa:16:3e:00:00:09"
    for name, now in {
        "flavor": "large",
        "availability_zone": "az2",
        "key_name": "new",
        "networks": ["blue"],
        "fixed_ips": [["10.20.0.9"]],
        "mac_addresses": ["fa:16:3e:00:00:09"],
    }.items():
        assert (outcome(planned, name).fidelity, outcome(planned, name).restored) == ("mapped", now)


def test_an_address_outside_the_other_network_becomes_another() -> None:
    planned = server({("network", "net"): BLUE})
    assert card(planned)["fixed_ips"] == [{"subnet": "blue-4", "ip_address": ""}]
    assert "10.0.0.5 is not in the subnet blue-4 (10.20.0.0/24)" in planned.conflicts[0]


def test_a_subnet_of_another_network_needs_that_network() -> None:
    asked = {("subnet", "sub"): BLUE_4}
    refused = server(asked)
    assert refused.action == "impossible"
    assert "map the network to that one, too" in refused.reason
    assert server({**asked, ("network", "net"): BLUE}).action == "create"


@pytest.mark.parametrize(
    ("wanted", "more", "said"),
    [
        ("10.9.0.1", {}, "10.9.0.1 is asked for, and is not in the subnet 10.0.0.0/24"),
        (
            "10.0.0.7",
            {
                "lists": {
                    "port": [
                        SimpleNamespace(
                            id="p",
                            name="busy",
                            network_id="net",
                            mac_address="m",
                            device_id="",
                            device_owner="",
                            fixed_ips=[{"subnet_id": "sub", "ip_address": "10.0.0.7"}],
                        )
                    ]
                }
            },
            "10.0.0.7 is asked for, and taken by the port busy",
        ),
        (
            "10.0.0.7",
            {"lists": {"network": []}, "others": [("network", network(project="other", shared=False))]},
            "only the owner of the network may choose addresses on it",
        ),
    ],
)
def test_an_address_that_cannot_be_had_is_refused_beforehand(wanted: str, more: Any, said: str) -> None:
    planned = server({("address", address_id("net", "10.0.0.5")): wanted}, **more)
    assert planned.action == "impossible"
    assert said in planned.reason


def test_flavors_that_differ_in_extra_specs_are_said_to_differ() -> None:
    numa = flavor("f3", "numa")
    numa.extra_specs = {"hw:numa_nodes": "2"}
    planned = server({("flavor", "f1"): numa})
    assert outcome(planned, "flavor").fidelity == "degraded"
    assert "its extra specs differ: hw:numa_nodes 2 instead of unset" in planned.conflicts[0]
    smaller = server({("flavor", "f1"): flavor("f4", "less", 1)})
    assert outcome(smaller, "flavor").fidelity == "degraded"
    size = "MiB of memory and a disk of 5 GiB"
    assert f"it has 1 vCPU, 512 {size} instead of 2 vCPU, 512 {size}" in smaller.conflicts[0]
    same = flavor("f1", "small")
    same.extra_specs = {"hw:rng": "on"}
    changed = server({}, lists={"flavor": [same]})
    assert outcome(changed, "flavor").fidelity == "degraded"


def test_of_the_same_size_the_flavor_with_the_same_extra_specs_is_chosen() -> None:
    one, other = flavor("f5", "one"), flavor("f6", "other")
    one.extra_specs, other.extra_specs = {"a": "b"}, {}
    planned = server({}, lists={"flavor": [one, other]})
    assert (planned.decisions["flavor"], outcome(planned, "flavor").fidelity) == ("f6", "mapped")
    assert [each["new"] for each in planned.proposals] == ["other", "one"]


def test_flavors_that_fit_are_proposed_the_nearest_first() -> None:
    there = [flavor("f7", "huge", 16), flavor("f8", "near", 3), flavor("f9", "tiny", 1)]
    there[1].extra_specs = {}
    planned = server({}, lists={"flavor": there})
    assert planned.action == "impossible"
    told = [(each["kind"], each["old"], each["new"]) for each in planned.proposals]
    assert told == [("flavor", "small", "near"), ("flavor", "small", "huge")]
    assert "3 vCPU" in planned.proposals[0]["why"]


def test_zones_key_pairs_networks_and_groups_are_proposed() -> None:
    planned = server(
        {},
        {"network_id": "gone", "security_group_ids": ["lost"]},
        pinned_availability_zone="west",
        key_name="lost",
        lists={
            "keypair": [SimpleNamespace(name="mine")],
            "security_group": [SimpleNamespace(id="g", name="open")],
            "any_network": [THEIRS, BLUE],
        },
    )
    told = {(each["kind"], each["old"]): each["new"] for each in reversed(planned.proposals)}
    assert told[("zone", "west")] == "az2"
    assert told[("keypair", "lost")] == "mine"
    assert told[("network", "gone")] == "blue"  # the project's own first
    there = server(
        {}, {"security_group_ids": ["lost"]}, lists={"security_group": [SimpleNamespace(id="g", name="open")]}
    )
    assert [each["new"] for each in there.proposals] == ["open"]


def volume(asked: Mapping[tuple[str, str], Any], quotas: Any = None, **changes: Any) -> Planned:
    saved = {
        "id": "x",
        "name": "data",
        "description": None,
        "size": 5,
        "type": {"id": "t1", "name": "lvm"},
        "availability_zone": "nova",
        "multiattach": False,
        "encrypted": False,
        "group_id": "",
        "snapshots": [],
        "attachments": [],
    } | changes
    types = [SimpleNamespace(id=f"id-{n}", name=n, extra_specs={}) for n in ("ceph", "full", "ssd")]
    zones = [SimpleNamespace(name=n, state={"available": True}) for n in ("nova", "az2")]
    return plan(VOLUME, saved, cloud_of(quotas=quotas, volume_type=types, volume_zone=zones), asked)


def test_a_volume_of_another_type_in_another_zone() -> None:
    ceph = SimpleNamespace(id="id-ceph", name="ceph", extra_specs={})
    planned = volume({("volume-type", "t1"): ceph, ("zone", "nova"): SimpleNamespace(name="az2")})
    assert (planned.decisions["type"], planned.decisions["availability_zone"]) == ("id-ceph", "az2")
    assert (outcome(planned, "type").restored, outcome(planned, "type").fidelity) == ("ceph", "mapped")
    assert planned.conflicts == ()
    encrypted = volume({("volume-type", "t1"): ceph}, encrypted=True)
    assert encrypted.action == "impossible"
    several = volume({("volume-type", "t1"): ceph}, multiattach=True)
    assert outcome(several, "multiattach").fidelity == "degraded"


def test_a_zone_that_only_another_service_has_changes_nothing_here() -> None:
    planned = volume({("zone", "nova"): SimpleNamespace(name="compute-1")})
    assert planned.decisions["availability_zone"] == "nova"


def test_types_with_room_are_proposed() -> None:
    """Whose quota has no room is left out; what is left is said."""
    quotas = {
        "id": PROJECT,
        "gigabytes_full": {"limit": 10, "in_use": 8, "reserved": 0},
        "gigabytes_ssd": {"limit": 100, "in_use": 40, "reserved": 10},
        "gigabytes_ceph": {"limit": -1, "in_use": 4, "reserved": 0},
    }
    planned = volume({}, quotas)
    assert planned.decisions["type"] == ""
    assert [(each["new"], each["why"]) for each in planned.proposals] == [
        ("ceph", ""),
        ("ssd", "50 GiB are free"),
    ]


NET: dict[str, Any] = {
    "id": "x",
    "name": "front",
    "availability_zone_hints": ["az1"],
    "subnets": [
        {
            "id": "sub",
            "name": "front-4",
            "cidr": "10.0.0.0/24",
            "ip_version": 4,
            "subnetpool_id": None,
            "gateway_ip": None,
            "dns_publish_fixed_ip": False,
        }
    ],
    "rbac_policies": [{"action": "access_as_shared", "target_project_id": "p1"}],
    "qos_policy_id": None,
    "shared": False,
    "router:external": False,
    "dns_domain": "",
    "vlan_transparent": False,
    "qinq": False,
    "service_addresses": {},
    "description": "",
    "tags": [],
    "admin_state_up": True,
    "mtu": 1500,
    "port_security_enabled": True,
}


def saved_network() -> Mapping[str, Any]:
    blank = dict.fromkeys(SUBNET_FIELDS)
    return {**NET, "subnets": [{**blank, **subnet} for subnet in NET["subnets"]]}


def test_another_network_is_used_as_it_is_in_the_place_of_one() -> None:
    planned = plan(
        NETWORK, saved_network(), cloud_of(network=[BLUE], subnet=[BLUE_4]), {("network", "x"): BLUE}
    )
    assert (planned.action, planned.new_id, planned.name) == ("reuse", "blue", "blue")
    (subnet,) = planned.decisions["subnets"]
    assert (subnet["source"], subnet["id"]) == ("sub", "blue-4")
    assert (outcome(planned, "name").source, outcome(planned, "name").restored) == ("front", "blue")
    assert outcome(planned, "name").fidelity == "mapped"
    assert planned.needs == {}


def test_a_network_that_is_made_is_shared_with_others_in_another_zone() -> None:
    asked = {("project", "p1"): "p2", ("zone", "az1"): SimpleNamespace(name="az1")}
    planned = plan(NETWORK, saved_network(), cloud_of(), asked)
    assert planned.decisions["projects"] == {"p1": "p2"}
    assert outcome(planned, "rbac_policies").restored == ["p2"]
    other = {**saved_network(), "availability_zone_hints": ["gone"]}
    moved = plan(NETWORK, other, cloud_of(), {("zone", "gone"): SimpleNamespace(name="az1")})
    assert moved.decisions["zones"] == ["az1"]
    assert outcome(moved, "availability_zone_hints").fidelity == "mapped"
    misplaced = plan(NETWORK, saved_network(), cloud_of(subnet=[BLUE_4]), {("subnet", "sub"): BLUE_4})
    assert misplaced.action == "impossible"


def router(asked: Mapping[tuple[str, str], Any], **lists: list[Any]) -> Planned:
    saved: dict[str, Any] = dict.fromkeys(
        ("distributed", "ha", "flavor_id", "enable_ndp_proxy", "further_gateways")
    ) | {
        "name": "way",
        "description": "",
        "admin_state_up": True,
        "availability_zone_hints": [],
        "tags": [],
        "routes": [],
        "gateway": {
            "network_id": "ext",
            "network_name": "public",
            "addresses": ["172.24.4.2"],
            "enable_snat": True,
            "qos_policy_id": None,
        },
        "interfaces": [
            {
                "port_id": "port",
                "network_id": "net",
                "network_name": "front",
                "name": "",
                "description": "",
                "mac_address": "fa:16:3e:00:00:07",
                "automatic_network": False,
                "port_security_enabled": False,
                "fixed_ips": [
                    {
                        "subnet_id": "sub",
                        "ip_address": "10.0.0.1",
                        "cidr": "10.0.0.0/24",
                        "gateway": True,
                        "automatic": False,
                    }
                ],
            }
        ],
    }
    cloud = cloud_of(
        network=[BLUE],
        subnet=[
            thing(
                "subnet",
                id="blue-4",
                name="blue-4",
                network_id="blue",
                cidr="10.20.0.0/24",
                ip_version=4,
                gateway_ip="10.20.0.1",
            )
        ],
        **lists,
    )
    return plan(ROUTER, saved, cloud, asked)


def test_a_router_leads_out_to_another_network_and_serves_another() -> None:
    internet = thing("network", id="inet", name="internet")
    planned = router({("external-network", "ext"): internet, ("network", "net"): BLUE})
    assert planned.decisions["gateway"]["network"]["id"] == "inet"
    assert (outcome(planned, "gateway.network").restored, outcome(planned, "gateway.network").fidelity) == (
        "inet",
        "mapped",
    )
    (interface,) = planned.decisions["interfaces"]
    assert interface["network"]["id"] == "blue"
    (fixed,) = interface["fixed_ips"]
    assert (fixed["subnet_id"], fixed["ip_address"], fixed["cidr"]) == ("blue-4", "10.20.0.1", "10.20.0.0/24")


def test_what_has_a_router_or_is_of_others_gets_none() -> None:
    served = SimpleNamespace(
        network_id="blue",
        device_owner="network:router_interface",
        device_id="r",
        fixed_ips=[],
        mac_address="",
    )
    planned = router({("network", "net"): BLUE}, port=[served])
    assert planned.decisions["interfaces"] == []
    assert any("which has a router" in said for said in planned.conflicts)
    foreign = router({("network", "net"): THEIRS})
    assert any("belongs to another project" in said for said in foreign.conflicts)


def test_external_networks_are_proposed() -> None:
    there = [
        thing("network", id="e", name="internet", subnets=["s"]),
        thing("network", id="e2", name="empty"),
    ]
    planned = router({("network", "net"): BLUE}, external_network=there)
    assert planned.decisions["gateway"] is None
    assert planned.proposals == ({"kind": "external-network", "old": "public", "new": "internet", "why": ""},)


def floating(
    asked: Mapping[tuple[str, str], Any], roles: tuple[str, ...] = ("member",), **lists: list[Any]
) -> Planned:
    saved: dict[str, Any] = {
        "id": "x",
        "floating_ip_address": "172.24.4.9",
        "floating_network_id": "ext",
        "floating_network_name": "public",
        "description": "",
        "tags": [],
        "dns_name": "",
        "dns_domain": "",
        "qos_policy_id": None,
        "port_id": None,
        "fixed_ip_address": None,
        "port_forwardings": [],
    }
    return plan(FLOATING_IP, saved, cloud_of(roles=roles, **lists), asked)


def test_a_floating_ip_of_another_network() -> None:
    internet = thing("network", id="inet", name="internet")
    planned = floating({("external-network", "ext"): internet})
    assert planned.decisions["body"]["floating_network_id"] == "inet"
    assert (planned.action, planned.decisions["address"]) == ("create", "")
    assert outcome(planned, "floating_network_id").fidelity == "mapped"
    lost = floating({}, external_network=[thing("network", id="inet", name="internet", subnets=["s"])])
    assert lost.action == "impossible"
    assert [each["new"] for each in lost.proposals] == ["internet"]


def test_a_floating_ip_that_is_asked_for() -> None:
    asked = {("address", "172.24.4.9"): "203.0.113.5"}
    internet = {("external-network", "ext"): thing("network", id="inet", name="internet")}
    held = thing("floating_ip", id="f", floating_ip_address="203.0.113.5", floating_network_id="inet")
    used = floating(asked, floating_ip=[held])
    assert (used.action, used.new_id) == ("reuse", "f")
    assert outcome(used, "floating_ip_address").fidelity == "mapped"
    refused = floating({**asked, **internet})
    assert (refused.action, "does not hold it" in refused.reason) == ("impossible", True)
    given = floating({**asked, **internet}, roles=("member", "manager"))
    assert (given.decisions["address"], given.decisions["body"]["floating_network_id"]) == (
        "203.0.113.5",
        "inet",
    )


def test_key_pairs_groups_and_projects_in_the_place_of_others() -> None:
    pair = SimpleNamespace(name="new", type="ssh", public_key="k2", fingerprint="f2", user_id="me")
    saved = {"name": "old", "type": "ssh", "public_key": "k", "fingerprint": "f", "user_id": "me"}
    key = plan("OS::Nova::KeyPair", saved, cloud_of(), {("keypair", "old"): pair}, identity="old")
    assert (key.action, key.new_id) == ("reuse", "new")
    assert outcome(key, "fingerprint").fidelity == "mapped"

    closed = thing("security_group", id="closed", name="closed", security_group_rules=[])
    group: dict[str, Any] = dict.fromkeys(("description", "stateful", "tags")) | {
        "name": "open",
        "rules": [],
        "rbac_policies": [],
    }
    used = plan("OS::Neutron::SecurityGroup", group, cloud_of(), {("security-group", "x"): closed})
    assert (used.action, used.new_id, used.decisions["rules"]) == ("reuse", "closed", [])
    rule = {
        "remote_group_id": "lost",
        "remote_address_group_id": None,
        "direction": "ingress",
        "ethertype": "IPv4",
    }
    named = plan(
        "OS::Neutron::SecurityGroup",
        {**group, "rules": [rule], "description": "", "tags": []},
        cloud_of(),
        {("security-group", "lost"): closed},
    )
    assert named.decisions["rules"][0]["remote_group_id"] == "closed"

    project = {"id": "p0", "name": "theirs"}
    for target, action in ((PROJECT, "reuse"), ("p9", "impossible")):
        planned = plan(
            "OS::Keystone::Project", project, cloud_of(), {("project", "p0"): target}, identity="p0"
        )
        assert planned.action == action


DATABASE = "OS::Trove::Instance"


def test_a_database_instance_with_another_flavor_on_another_network() -> None:
    saved = {
        "id": "x",
        "name": "orders",
        "flavor": "d2",
        "volume_size": 1,
        "datastore": {},
        "configuration": {},
        "access": {},
        "networks": ["net"],
        "addresses": [],
        "replica_of": "",
        "replicas": [],
        "created": "",
        "backup": {"id": "b"},
    }
    cloud = cloud_of(database_flavor=[SimpleNamespace(id="d4", name="medium")])
    cloud.has = lambda _service: True
    cloud.others = [("database_backup", SimpleNamespace(id="b", status="COMPLETED"))]
    flavor_4 = SimpleNamespace(id="d4", name="medium")
    asked = {
        ("flavor", "d2"): Mapped("flavor", "d4", "medium", "asked", flavor_4),
        ("network", "net"): Mapped("network", "blue", "blue", "asked", BLUE),
    }
    node, graph = Resource(DATABASE, "x", "orders"), Graph()
    graph.add(node)
    planned = plan_database(
        PlanContext(
            *(node, saved, graph, {}, cast(Cloud, cloud), lambda _key: None, cloud.list),
            mapped=lambda kind, old, _name: asked.get((kind, old)),
        )
    )
    assert (planned.decisions["flavor"], planned.decisions["networks"]) == ("d4", ["blue"])
    assert outcome(planned, "flavor").fidelity == "mapped"
    unmapped = plan_database(
        PlanContext(node, saved, graph, {}, cast(Cloud, cloud), lambda _key: None, cloud.list)
    )
    assert [each["new"] for each in unmapped.proposals] == ["d4"]
