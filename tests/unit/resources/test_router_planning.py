"""How routers will come back."""

from typing import Any

from refloat.graph import Graph, Resource, ResourceKey
from refloat.resources.base import Planned
from refloat.resources.networking import NETWORK
from refloat.resources.router import ROUTER, ROUTERS
from refloat.resources.router.section import router_section
from tests.unit.support.neutron_fakes import FakeCloud, fidelity, plan, thing

PLUGIN = ROUTERS.plugin()
PUBLIC = thing("network", id="ext", name="public", project_id="admin", **{"router:external": True})
KEY = ResourceKey(NETWORK, "n1")


def leg(**fields: Any) -> Any:
    body = {
        "id": "p1",
        "network_id": "n1",
        "device_id": "r1",
        "device_owner": "network:router_interface",
        "mac_address": "fa:16:3e:00:00:01",
        "fixed_ips": [{"subnet_id": "s1", "ip_address": "10.0.0.1"}],
        "created_at": "1",
    }
    return thing("port", **(body | fields))


def subnet(**fields: Any) -> Any:
    body = {"id": "s1", "network_id": "n1", "cidr": "10.0.0.0/24", "gateway_ip": "10.0.0.1", "ip_version": 4}
    return thing("subnet", **(body | fields))


def router(**fields: Any) -> Any:
    gateway = {
        "network_id": "ext",
        "enable_snat": True,
        "external_fixed_ips": [{"subnet_id": "es", "ip_address": "172.24.4.9"}],
    }
    body = {"id": "r1", "name": "way", "admin_state_up": True, "routes": [], "external_gateway_info": gateway}
    return thing("router", **(body | fields))


def section(
    ports: list[Any] | None = None, subnets: list[Any] | None = None, **fields: Any
) -> dict[str, Any]:
    known = {s.id: s for s in subnets or [subnet()]}
    return router_section(router(**fields), ports or [leg()], known, {"ext": "public", "n1": "net"})


def planned(
    saved: dict[str, Any], cloud: FakeCloud, network: Planned | None = None, **parameters: object
) -> Planned:
    graph = Graph()
    decisions = {}
    existing = {ResourceKey(ROUTER, "r1"): str(parameters.pop("existing", ""))}
    if network is not None:
        graph.add(Resource(*KEY))
        decisions[KEY] = network
    return plan(
        *(PLUGIN, Resource(ROUTER, "r1", "way"), saved, cloud),
        **{"graph": graph, "planned": decisions, "existing": existing, **parameters},  # type: ignore[arg-type]
    )


def fresh(*subnets: str) -> Planned:
    return Planned("create", decisions={"subnets": [{"source": s, "body": {}} for s in subnets or ("s1",)]})


def test_a_lost_router_comes_back_with_its_legs_where_they_were() -> None:
    answer = planned(section(), FakeCloud(others=[("network", PUBLIC)]), fresh())
    assert answer.action == "create"
    assert answer.needs == {"routers": 1, "ports": 1}
    (interface,) = answer.decisions["interfaces"]
    assert interface["network"] == {"source": "n1", "id": ""}
    assert interface["fixed_ips"][0]["ip_address"] == "10.0.0.1"
    assert interface["mac_address"] == "fa:16:3e:00:00:01"
    assert answer.decisions["gateway"] == {"network": {"source": "ext", "id": "ext"}}
    assert fidelity(answer) == {"id": "mapped", "interfaces": "mapped", "gateway.address": "degraded"}


def test_an_external_network_is_found_by_name_when_its_id_is_gone() -> None:
    other = thing("network", id="ext2", name="public", project_id="admin", **{"router:external": True})
    answer = planned(section(), FakeCloud(others=[("network", other)]), fresh())
    assert answer.decisions["gateway"]["network"]["id"] == "ext2"
    assert fidelity(answer)["gateway.network"] == "mapped"
    assert "another is called 'public'" in answer.conflicts[0]


def test_without_any_external_network_the_router_has_no_gateway_and_says_so() -> None:
    answer = planned(section(), FakeCloud(), fresh())
    assert answer.action == "create"
    assert answer.decisions["gateway"] is None
    assert fidelity(answer)["gateway.network"] == "lost"
    assert "no gateway" in answer.conflicts[0]


def test_source_nat_off_needs_an_administrator() -> None:
    gateway = {"network_id": "ext", "enable_snat": False, "external_fixed_ips": []}
    saved = section(external_gateway_info=gateway)
    member = planned(saved, FakeCloud(others=[("network", PUBLIC)]), fresh())
    assert "enable_snat" not in member.decisions["gateway"]
    assert fidelity(member)["gateway.enable_snat"] == "degraded"
    admin = planned(saved, FakeCloud(roles=["admin"], others=[("network", PUBLIC)]), fresh())
    assert admin.decisions["gateway"]["enable_snat"] is False
    assert "gateway.enable_snat" not in fidelity(admin)


def test_a_leg_in_a_network_left_out_of_the_restore_uses_that_network_as_it_is() -> None:
    network = thing("network", id="n1", name="net", subnets=["s1"])
    cloud = FakeCloud(network=[network], others=[("network", PUBLIC)])
    (interface,) = planned(section(), cloud).decisions["interfaces"]
    assert interface["network"]["id"] == "n1"
    assert interface["fixed_ips"][0]["subnet_id"] == "s1"


def test_a_leg_in_a_network_that_is_gone_and_left_out_cannot_be() -> None:
    saved = section(routes=[{"destination": "10.9.0.0/16", "nexthop": "10.0.0.7"}])
    answer = planned(saved, FakeCloud(others=[("network", PUBLIC)]))
    assert answer.decisions["interfaces"] == []
    assert answer.decisions["routes"] == []
    assert {"interfaces", "interface_addresses", "routes"} <= set(fidelity(answer))
    assert any("will not serve" in sentence for sentence in answer.conflicts)


def test_an_address_in_use_becomes_another_one() -> None:
    network = thing("network", id="n1", name="net", subnets=["s1"])
    other = leg(id="p9", device_id="r9")
    cloud = FakeCloud(network=[network], port=[other], others=[("network", PUBLIC)])
    answer = planned(section(), cloud)
    (interface,) = answer.decisions["interfaces"]
    assert interface["fixed_ips"][0]["ip_address"] == ""
    assert interface["mac_address"] == ""
    assert "10.0.0.1" in answer.conflicts[0]
    assert fidelity(answer)["interface_addresses"] == "degraded"


def test_in_a_network_of_others_neutron_chooses() -> None:
    network = thing("network", id="n1", name="net", project_id="admin", subnets=["s1"])
    cloud = FakeCloud(others=[("network", PUBLIC), ("network", network)])
    (interface,) = planned(section(), cloud).decisions["interfaces"]
    assert interface["own"] is False
    assert interface["fixed_ips"][0]["ip_address"] == ""


def test_beside_slaac_neutron_makes_the_port() -> None:
    six = subnet(
        id="s6", cidr="fd00::/64", gateway_ip="fd00::", ipv6_address_mode="slaac", ipv6_ra_mode="slaac"
    )
    saved = section(subnets=[subnet(), six])
    answer = planned(saved, FakeCloud(others=[("network", PUBLIC)]), fresh("s1", "s6"))
    (interface,) = answer.decisions["interfaces"]
    assert interface["fixed_ips"][0]["by_subnet"] is True
    assert fidelity(answer)["interface_macs"] == "degraded"


def test_a_living_router_serves_a_network_that_is_created_again() -> None:
    routes = [
        {"destination": "10.9.0.0/16", "nexthop": "10.0.0.7"},
        {"destination": "10.8.0.0/16", "nexthop": "192.0.2.1"},
    ]
    answer = planned(section(routes=routes), FakeCloud(router=[router()]), fresh())
    assert answer.action == "reuse"
    assert answer.needs == {"ports": 1}
    # Only the route that went with the leg: the other one has been taken away by somebody.
    assert answer.decisions["routes"] == routes[:1]


def test_a_living_router_cannot_serve_a_network_twice() -> None:
    answer = planned(
        section(), FakeCloud(router=[router()], port=[leg()], others=[("network", PUBLIC)]), fresh()
    )
    assert answer.action == "create"
    assert "created anew" in answer.reason


def test_a_living_router_that_serves_living_networks_is_left_alone() -> None:
    network = Planned("reuse", new_id="n1", decisions={"subnets": [{"source": "s1", "id": "s1"}]})
    answer = planned(section(), FakeCloud(router=[router(name="x")], port=[leg()]), network)
    assert answer.action == "reuse"
    assert answer.decisions == {"interfaces": [], "gateway": None, "routes": []}
    assert answer.reason.endswith("changed since: name")


LIVING = Planned("reuse", new_id="n1", decisions={"subnets": [{"source": "s1", "id": "s1"}]})
ROUTES = [
    {"destination": "10.9.0.0/16", "nexthop": "10.0.0.7"},
    {"destination": "10.8.0.0/16", "nexthop": "172.24.4.77"},
]


def test_a_repaired_router_gets_back_what_it_has_lost_and_says_each() -> None:
    bare = router(external_gateway_info=None, name="x")
    cloud = FakeCloud(router=[bare], others=[("network", PUBLIC)])
    answer = planned(section(routes=ROUTES), cloud, LIVING, existing="repair")
    assert (answer.action, answer.new_id, answer.needs) == ("repair", "r1", {"ports": 1})
    (interface,) = answer.decisions["interfaces"]
    assert interface["fixed_ips"][0]["ip_address"] == "10.0.0.1"
    assert answer.decisions["gateway"]["network"]["id"] == "ext"
    assert sorted(answer.decisions["routes"], key=str) == sorted(ROUTES, key=str)
    assert len(answer.conflicts) == 4
    told = fidelity(answer)
    assert {told[name] for name in ("interfaces", "gateway.network", "routes")} == {"mapped"}
    assert answer.reason.endswith("changed since: name")


def test_what_a_router_has_otherwise_is_changed_and_not_lost() -> None:
    """Another gateway, another way to the same place: somebody wanted that."""
    other = {"network_id": "other", "enable_snat": True, "external_fixed_ips": []}
    routes = [{"destination": "10.9.0.0/16", "nexthop": "10.0.0.8"}]
    cloud = FakeCloud(router=[router(external_gateway_info=other, routes=routes)], port=[leg()])
    cloud.others = [("network", PUBLIC), ("router_interface", thing("port", id="r1:p1"))]
    answer = planned(section(routes=ROUTES[:1]), cloud, LIVING, existing="repair")
    assert answer.action == "reuse"
    assert answer.decisions == {"interfaces": [], "gateway": None, "routes": []}


def test_an_interface_that_a_late_listing_lacks_is_not_lost() -> None:
    """It is asked for; so is one by another port in the same subnet."""
    for kind, identity in (("router_interface", "r1:p1"), ("router_subnet", "r1:s1")):
        cloud = FakeCloud(router=[router()], others=[("network", PUBLIC), (kind, thing("port", id=identity))])
        answer = planned(section(), cloud, LIVING, existing="repair")
        assert answer.action == "reuse", kind
        assert answer.decisions["interfaces"] == []
