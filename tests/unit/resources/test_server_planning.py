"""What a restore plan decides about a server, and says beforehand."""

from collections.abc import Mapping
from types import SimpleNamespace
from typing import Any

import pytest

from refloat.graph import Graph, Resource, ResourceKey
from refloat.resources.base import PlanContext, Planned
from refloat.resources.draft import Draft
from refloat.resources.server.plan import plan_server, power_restore
from refloat.resources.server.plan_ports import _from_mac
from refloat.resources.server.repair import _plan_ports as plan_ports
from refloat.resources.server.repair import lost_volumes
from refloat.resources.server.section import ATTRIBUTES

SERVER = Resource("OS::Nova::Server", "server", "web")
FLAVOR = {
    "id": "f1",
    "name": "small",
    "vcpus": 2,
    "ram": 512,
    "disk": 5,
    "ephemeral": 0,
    "swap": 0,
    "extra_specs": {},
}


def flavor(identity: str, name: str, vcpus: int = 2, ram: int = 512, disk: int = 5) -> Any:
    return SimpleNamespace(id=identity, name=name, vcpus=vcpus, ram=ram, disk=disk, ephemeral=0, swap=0)


def network(identity: str = "net", project: str = "mine", shared: bool = False) -> Any:
    return SimpleNamespace(
        id=identity, name="front", project_id=project, is_shared=shared, subnet_ids=["sub"], status="ACTIVE"
    )


def live_port(identity: str, address: str, mac: str, device: str = "", owner: str = "") -> Any:
    return SimpleNamespace(
        id=identity,
        name="",
        network_id="net",
        mac_address=mac,
        device_id=device,
        device_owner=owner,
        fixed_ips=[{"subnet_id": "sub", "ip_address": address}],
    )


def saved_port(**changes: Any) -> dict[str, Any]:
    return {
        "id": "port",
        "name": "",
        "description": "",
        "network_id": "net",
        "mac_address": "fa:16:3e:00:00:01",
        "fixed_ips": [{"subnet_id": "sub", "ip_address": "10.0.0.5"}],
        "security_group_ids": [],
        "allowed_address_pairs": [],
        "is_port_security_enabled": True,
        "is_admin_state_up": True,
        "extra_dhcp_opts": [],
        "dns_name": None,
        "dns_domain": None,
        "qos_policy_id": None,
        "tags": [],
        "vnic_type": "normal",
        "tag": None,
        "trunk": False,
        "floating_ips": [],
    } | changes


def section(**changes: Any) -> dict[str, Any]:
    return {
        "name": "web",
        "description": None,
        "hostname": "web",
        "user_id": "me",
        "status": "ACTIVE",
        "flavor": FLAVOR,
        "availability_zone": "nova",
        "pinned_availability_zone": None,
        "knows_pinned": True,
        "metadata": {},
        "tags": [],
        "config_drive": False,
        "key_name": "",
        "user_data": None,
        "user_data_readable": False,
        "server_groups": [],
        "scheduler_hints": {},
        "locked": False,
        "locked_reason": None,
        "trusted_image_certificates": [],
        "access_ipv4": "",
        "access_ipv6": "",
        "disk_config": "AUTO",
        "image_id": "image",
        "volumes": [],
        "ports": [saved_port()],
        "nic_order_certain": True,
    } | changes


class FakeCloud:
    """Answers from lists; nothing in it is under test."""

    project_id, user_id, roles = "mine", "me", frozenset({"member"})

    def __init__(self, things: Mapping[str, list[Any]], zones: tuple[str, ...] = ("nova",)) -> None:
        self.things = things
        self.compute = SimpleNamespace(
            get_endpoint_data=lambda: SimpleNamespace(max_microversion=(2, 104)),
            availability_zones=lambda: [
                SimpleNamespace(name=zone, state={"available": True}) for zone in zones
            ],
        )

    def find(self, kind: str, identity: str) -> Any | None:
        return next((thing for thing in self.things.get(kind, ()) if thing.id == identity), None)


def plan(
    saved: Mapping[str, Any] | None = None,
    parameters: Mapping[str, Any] | None = None,
    planned: Mapping[ResourceKey, Planned] | None = None,
    existing: Mapping[ResourceKey, str] | None = None,
    **things: list[Any],
) -> Planned:
    known = {
        "flavor": [flavor("f1", "small")],
        "network": [network()],
        "image": [SimpleNamespace(id="image")],
    } | things
    cloud: Any = FakeCloud(known)
    graph = Graph()
    graph.add(SERVER)
    for key in {**(planned or {}), **(existing or {})}:
        graph.add(Resource(key.type, key.id))
    return plan_server(
        PlanContext(
            SERVER,
            saved or section(),
            graph,
            parameters or {},
            cloud,
            (planned or {}).get,
            lambda kind: known.get(kind, []),
            lambda key: (existing or {}).get(key, ""),
            "{name} (as of 2026-11-29)",
        )
    )


def outcome(planned: Planned, name: str) -> Any:
    return next(item for item in planned.attributes if item.name == name)


def test_nothing_in_the_way() -> None:
    planned = plan(planned={ResourceKey("OS::Glance::Image", "image"): Planned("create")})
    assert (planned.action, planned.conflicts, planned.reason) == ("create", (), "")
    assert planned.needs == {"servers": 1, "cores": 2, "ram": 512, "ports": 1}
    assert planned.decisions["ports"][0]["mac_address"] == "fa:16:3e:00:00:01"
    assert outcome(planned, "fixed_ips").restored == [["10.0.0.5"]]
    assert {item.name for item in planned.attributes} == {attribute.name for attribute in ATTRIBUTES}


def test_every_attribute_that_is_not_exact_says_why() -> None:
    assert [a.name for a in ATTRIBUTES if a.fidelity != "exact" and not a.how] == []
    assert len({attribute.name for attribute in ATTRIBUTES}) == len(ATTRIBUTES)


def test_taken_addresses_become_new_ones_and_the_conflict_names_who_has_them() -> None:
    holder = live_port("other", "10.0.0.5", "fa:16:3e:00:00:01", "server-2", "compute:nova")
    planned = plan(port=[holder], server=[SimpleNamespace(id="server-2", name="db")])
    assert planned.conflicts[0] == (
        "10.0.0.5 and fa:16:3e:00:00:01 on the network front are taken by the server db (server-2): "
        "new ones will be used"
    )
    decision = planned.decisions["ports"][0]
    assert decision["mac_address"] is None
    assert decision["fixed_ips"] == [{"subnet": "sub", "ip_address": ""}]
    assert outcome(planned, "fixed_ips").fidelity == "degraded"
    assert outcome(planned, "fixed_ips").restored == [[None]]


def test_only_the_taken_address_changes() -> None:
    planned = plan(
        port=[live_port("other", "10.0.0.5", "fa:16:3e:99:99:99", "r", "network:router_interface")]
    )
    assert "10.0.0.5 on the network front is taken by the router r: a new one" in planned.conflicts[0]
    assert planned.decisions["ports"][0]["mac_address"] == "fa:16:3e:00:00:01"
    assert outcome(planned, "mac_addresses").fidelity == "exact"


def test_a_port_that_is_still_there_and_free_is_used_again() -> None:
    planned = plan(port=[live_port("port", "10.0.0.5", "fa:16:3e:00:00:01")])
    assert planned.decisions["ports"][0]["reuse"] == "port"
    assert "ports" not in planned.needs
    moved = plan(port=[live_port("port", "10.0.0.77", "fa:16:3e:00:00:01")])
    assert any("10.0.0.77" in sentence for sentence in moved.conflicts)


def test_in_a_new_network_nothing_is_taken() -> None:
    fresh = Planned("create", decisions={"subnets": [{"source": "sub"}]})
    holder = live_port("other", "10.0.0.5", "fa:16:3e:00:00:01", "server-2", "compute:nova")
    planned = plan(planned={ResourceKey("OS::Neutron::Network", "net"): fresh}, port=[holder])
    assert planned.decisions["ports"][0]["fixed_ips"] == [{"subnet": "sub", "ip_address": "10.0.0.5"}]
    assert planned.decisions["ports"][0]["network"] == ""


def test_on_a_network_of_another_project_neutron_chooses() -> None:
    planned = plan(network=[network(project="other", shared=True)])
    decision = planned.decisions["ports"][0]
    assert (decision["mac_address"], decision["fixed_ips"]) == (None, [{"subnet": "sub", "ip_address": ""}])
    assert any("belongs to another project" in sentence for sentence in planned.conflicts)


def test_addresses_can_be_given_up() -> None:
    planned = plan(parameters={"keep_addresses": False})
    assert planned.decisions["ports"][0]["mac_address"] is None
    assert outcome(planned, "fixed_ips").reason == "keep_addresses is off: new addresses"


def test_a_lost_network_is_impossible_unless_another_is_given() -> None:
    planned = plan(network=[network("spare")])
    assert planned.action == "impossible"
    assert "restore_net_id" in planned.reason
    two = section(ports=[saved_port(), saved_port(id="port-2")])
    given = plan(two, {"restore_net_id": "spare"}, network=[network("spare")])
    assert given.action == "create"
    assert [decision["network"] for decision in given.decisions["ports"]] == ["spare"]
    assert any("1 other cards are left out" in sentence for sentence in given.conflicts)


def test_a_lost_security_group_is_done_without() -> None:
    planned = plan(
        section(ports=[saved_port(security_group_ids=["gone", "there"])]),
        security_group=[SimpleNamespace(id="there")],
    )
    assert planned.decisions["ports"][0]["security_groups"] == ["there"]
    assert any("security group gone" in sentence for sentence in planned.conflicts)


def test_a_floating_ip_in_use_is_not_taken_away() -> None:
    saved = section(
        ports=[saved_port(floating_ips=[{"id": "fip", "address": "172.24.4.9", "fixed_address": "10.0.0.5"}])]
    )
    ways = leading_out()

    def floating(port_id: str | None) -> Any:
        return SimpleNamespace(id="fip", port_id=port_id, floating_network_id="ext")

    free = plan(saved, floating_ip=[floating(None)], **ways)
    assert len(free.decisions["ports"][0]["floating_ips"]) == 1
    holder = live_port("other", "10.0.0.6", "fa:16:3e:00:00:06", "server-2", "compute:nova")
    used = plan(saved, floating_ip=[floating("other")], port=[holder, *ways["port"]], router=ways["router"])
    assert used.decisions["ports"][0]["floating_ips"] == []
    assert any("172.24.4.9 still leads to the server server-2" in sentence for sentence in used.conflicts)
    key = ResourceKey("OS::Neutron::FloatingIP", "fip")
    new = plan(saved, planned={key: Planned("create")}, port=[holder])
    assert len(new.decisions["ports"][0]["floating_ips"]) == 1


def leading_out(gateway: str = "ext") -> dict[str, list[Any]]:
    """A router that connects the subnet with an external network."""
    info = {"network_id": gateway} if gateway else None
    interface = live_port("way", "10.0.0.1", "fa:16:3e:00:00:09", "router", "network:router_interface")
    return {"router": [SimpleNamespace(id="router", external_gateway_info=info)], "port": [interface]}


def lacking(status: str, locked: bool, role: str = "member") -> tuple[dict[str, Any], list[str]]:
    """What a server that has lost a volume and a card gets again, and what is said of it."""
    volume = {"id": "v", "device": "/dev/vdb", "root": False}
    saved = section(volumes=[volume])
    key = ResourceKey("OS::Cinder::Volume", "v")
    free = SimpleNamespace(id="v", status="available", is_multiattach=False)
    known = {"network": [network()], "volume": [free]}
    cloud: Any = FakeCloud(known)
    cloud.roles = frozenset({role})
    planned = {key: Planned("keep", "data")}
    context = PlanContext(*(SERVER, saved, Graph(), {}, cloud, planned.get, lambda kind: known.get(kind, [])))
    now = {**saved, "volumes": [], "ports": [], "status": status, "locked": locked}
    draft = Draft(context, ATTRIBUTES)
    draft.decisions = {"volumes": list(lost_volumes(context, draft, now)), "ports": []}
    plan_ports(context, draft, now)
    return draft.decisions, draft.conflicts


@pytest.mark.parametrize(
    ("status", "locked", "role", "volumes", "cards"),
    [
        ("ACTIVE", False, "member", 1, 1),
        ("PAUSED", False, "member", 1, 1),
        ("ACTIVE", True, "member", 0, 0),
        ("ACTIVE", True, "admin", 1, 1),
        ("SUSPENDED", False, "member", 0, 0),
        ("SHELVED_OFFLOADED", False, "member", 1, 0),
    ],
)
def test_nothing_is_given_back_to_a_server_that_takes_nothing(
    status: str, locked: bool, role: str, volumes: int, cards: int
) -> None:
    """Nova refuses what is locked, and some states: the plan says it, and the restore does not fail of it."""
    decisions, said = lacking(status, locked, role)
    assert (len(decisions["volumes"]), len(decisions["ports"])) == (volumes, cards)
    assert sum("it is locked" in each or f"in state {status}" in each for each in said) == 2 - volumes - cards


def test_a_floating_ip_that_no_router_leads_to_is_foretold_not_to_be_led_there() -> None:
    saved = section(
        ports=[saved_port(floating_ips=[{"id": "fip", "address": "172.24.4.9", "fixed_address": "10.0.0.5"}])]
    )
    there = [SimpleNamespace(id="fip", port_id=None, floating_network_id="ext")]
    key = ResourceKey("OS::Neutron::Router", "router")
    interface = {"fixed_ips": [{"source": "sub", "subnet_id": "sub"}]}
    gateway = {"network": {"source": "ext", "id": "ext"}}
    both = Planned("create", decisions={"interfaces": [interface], "gateway": gateway})
    given = Planned("repair", new_id="router", decisions={"interfaces": [], "gateway": gateway})
    cases: list[tuple[dict[str, list[Any]], dict[ResourceKey, Planned], bool]] = [
        ({}, {}, False),
        (leading_out(""), {}, False),
        (leading_out("another"), {}, False),
        ({"port": leading_out()["port"]}, {}, True),  # another project's router: nobody knows
        (leading_out(""), {key: given}, True),
        ({}, {key: both}, True),
        ({}, {key: Planned("create", decisions={"interfaces": [interface], "gateway": None})}, False),
    ]
    for things, planned, leads in cases:
        answer = plan(saved, planned=planned, floating_ip=there, **things)
        assert bool(answer.decisions["ports"][0]["floating_ips"]) is leads, (things, planned)
        assert any("no router connects" in sentence for sentence in answer.conflicts) is not leads


@pytest.mark.parametrize(
    ("flavors", "wanted", "chosen", "said"),
    [
        ([flavor("f1", "renamed")], "", "f1", ""),
        ([flavor("f2", "small", ram=1024)], "", "f2", "another of the same name is used, which now has"),
        ([flavor("f3", "other")], "", "f3", "other, which has the same size, is used"),
        ([flavor("f1", "small"), flavor("f4", "big", 4)], "big", "f4", "restore_flavor_id asks for"),
        ([flavor("f3", "other", 1)], "", None, "choose one with restore_flavor_id"),
        ([flavor("f2", "small", disk=1)], "", None, "is smaller than the server's"),
        ([flavor("f1", "small")], "none", None, "there is no flavor 'none'"),
    ],
)
def test_flavors(flavors: list[Any], wanted: str, chosen: str | None, said: str) -> None:
    planned = plan(parameters={"restore_flavor_id": wanted} if wanted else {}, flavor=flavors)
    assert planned.decisions.get("flavor") == chosen
    assert (planned.action == "impossible") is (chosen is None)
    assert said in " ".join([planned.reason, outcome(planned, "flavor").reason])


def test_zones() -> None:
    assert plan().decisions["availability_zone"] is None
    assert plan(section(pinned_availability_zone="nova")).decisions["availability_zone"] == "nova"
    assert plan(section(knows_pinned=False)).decisions["availability_zone"] == "nova"
    gone = plan(section(pinned_availability_zone="west"))
    assert gone.decisions["availability_zone"] is None
    assert any("west is gone" in sentence for sentence in gone.conflicts)


def test_key_pairs() -> None:
    key = ResourceKey("OS::Nova::KeyPair", "k")
    renamed = plan(section(key_name="k"), planned={key: Planned("create", name="k-2", conflicts=("taken",))})
    assert renamed.decisions["key_name"] == "k"
    assert outcome(renamed, "key_name").restored == "k-2"
    assert plan(section(key_name="k"), keypair=[SimpleNamespace(name="k")]).decisions["key_name"] == "k"
    lost = plan(section(key_name="k", user_id="somebody"), keypair=[SimpleNamespace(name="k")])
    assert lost.decisions["key_name"] is None
    assert any("belongs to another user" in sentence for sentence in lost.conflicts)
    assert outcome(lost, "key_name").fidelity == "lost"


def test_groups() -> None:
    live = plan(section(server_groups=["g"]), server_group=[SimpleNamespace(id="g")])
    assert live.decisions["server_group"] == "g"
    lost = plan(section(server_groups=["g"]))
    assert lost.decisions["server_group"] is None
    assert outcome(lost, "server_groups").fidelity == "lost"


def test_user_data_is_lost_with_a_reason_unless_it_could_be_read() -> None:
    assert "administrators" in outcome(plan(), "user_data").reason
    assert outcome(plan(section(user_data="aGk=", user_data_readable=True)), "user_data").fidelity == "exact"


def volume(root: bool = False, **changes: Any) -> dict[str, Any]:
    return {
        "id": "vol",
        "device": "/dev/vdb",
        "tag": None,
        "delete_on_termination": False,
        "root": root,
    } | changes


def live_volume(status: str, multiattach: bool = False) -> Any:
    return SimpleNamespace(id="vol", name="data", status=status, is_multiattach=multiattach)


def test_volumes_that_are_not_part_of_the_restore() -> None:
    saved = section(volumes=[volume()])
    assert len(plan(saved, volume=[live_volume("available")]).decisions["volumes"]) == 1
    assert len(plan(saved, volume=[live_volume("in-use", True)]).decisions["volumes"]) == 1
    busy = plan(saved, volume=[live_volume("in-use")])
    assert (busy.action, busy.decisions["volumes"]) == ("create", [])
    assert any("data (/dev/vdb) is in-use" in sentence for sentence in busy.conflicts)
    gone = plan(section(image_id="", volumes=[volume(root=True)]))
    assert gone.action == "impossible"
    assert "boots from is gone" in gone.reason


def test_an_image_that_is_not_part_of_the_restore() -> None:
    assert any("without what was on its own disk" in sentence for sentence in plan().conflicts)
    assert plan(image=[]).action == "impossible"


@pytest.mark.parametrize(
    ("was", "wanted", "state", "why"),
    [
        ("ACTIVE", "as_was", "ACTIVE", ""),
        ("SHUTOFF", "as_was", "SHUTOFF", ""),
        ("PAUSED", "as_was", "SHUTOFF", "memory"),
        ("SUSPENDED", "as_was", "SHUTOFF", "memory"),
        ("SHELVED_OFFLOADED", "as_was", "SHUTOFF", "shelved"),
        ("REBOOT", "as_was", "ACTIVE", ""),
        ("SHUTOFF", "on", "ACTIVE", "power_state=on"),
        ("ACTIVE", "off", "SHUTOFF", "power_state=off"),
        ("ACTIVE", "on", "ACTIVE", ""),
    ],
)
def test_power(was: str, wanted: str, state: str, why: str) -> None:
    power = power_restore(was, wanted)
    assert power.state == state
    assert why in power.reason
    assert bool(power.reason) is bool(why)


def test_addresses_made_of_the_mac_are_left_to_neutron() -> None:
    port = {"mac_address": "fa:16:3e:12:34:56"}
    assert _from_mac("2001:db8::f816:3eff:fe12:3456", port)
    assert not _from_mac("2001:db8::5", port)
    assert not _from_mac("10.0.0.5", port)


def test_a_new_name_is_asked_for() -> None:
    planned = plan(parameters={"restore_name": "copy of {name}"})
    assert planned.name == "copy of web"
    assert outcome(planned, "name").fidelity == "mapped"


def test_cards_whose_order_nova_does_not_tell() -> None:
    planned = plan(section(nic_order_certain=False))
    assert outcome(planned, "nic_order").fidelity == "degraded"


def test_a_gone_server_gets_its_living_volumes_back() -> None:
    """2.3: only what is gone comes back."""
    saved = section(image_id="", volumes=[volume(root=True)])
    kept = {ResourceKey("OS::Cinder::Volume", "vol"): "keep"}
    back = plan(saved, existing=kept, volume=[live_volume("available")])
    assert (back.action, len(back.decisions["volumes"])) == ("create", 1)
    assert "is kept as it is: the server gets the original one" in back.reason
    busy = plan(saved, existing=kept, volume=[live_volume("in-use")])
    assert (busy.action, busy.reason) == (
        "impossible",
        "the volume data that it boots from is in-use and kept as it is",
    )


def test_a_server_beside_the_original_says_so_and_has_addresses_of_its_own() -> None:
    twin = plan(existing={SERVER.key: "beside"})
    assert twin.name == "web (as of 2026-11-29)"
    assert outcome(twin, "name").reason == "made beside the original"
    (port,) = twin.decisions["ports"]
    assert port["mac_address"] is None
    assert [fixed["ip_address"] for fixed in port["fixed_ips"]] == [""]
    assert outcome(twin, "mac_addresses").fidelity == "degraded"
    assert plan(parameters={"restore_name": "own"}, existing={SERVER.key: "beside"}).name == "own"
