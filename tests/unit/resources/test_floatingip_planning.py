"""How floating IPs will come back."""

from types import SimpleNamespace
from typing import Any

from refloat.graph import Graph, Resource
from refloat.resources.base import Planned
from refloat.resources.floatingip import FLOATING_IP, FLOATING_IPS, floating_ip_section
from refloat.resources.networking import SERVER
from tests.unit.support.neutron_fakes import FakeCloud, fidelity, plan, thing

PLUGIN = FLOATING_IPS.plugin()
PUBLIC = thing("network", id="ext", name="public", project_id="admin", **{"router:external": True})
OUTSIDE = [("network", PUBLIC)]


def address(**fields: Any) -> Any:
    body = {"id": "f1", "floating_ip_address": "172.24.4.9", "floating_network_id": "ext", "port_id": "p1"}
    return thing("floating_ip", **(body | fields))


def port(**fields: Any) -> Any:
    return thing("port", **({"id": "p1", "device_id": "web", "device_owner": "compute:nova"} | fields))


def planned(cloud: FakeCloud, *, for_server: bool = True, **parameters: object) -> Planned:
    graph = Graph()
    resource = graph.add(Resource(FLOATING_IP, "f1", "172.24.4.9"))
    if for_server:
        graph.link(graph.add(Resource(SERVER, "web", "web")).key, resource.key)
    section = floating_ip_section(address(), "public")
    return plan(PLUGIN, resource, section, cloud, graph=graph, **parameters)


def test_an_address_that_leads_nowhere_is_used() -> None:
    answer = planned(FakeCloud(floating_ip=[address(port_id=None)]))
    assert (answer.action, answer.new_id, answer.name) == ("reuse", "f1", "172.24.4.9")
    assert fidelity(answer) == {}


def test_so_is_one_whose_port_or_server_is_gone() -> None:
    assert planned(FakeCloud(floating_ip=[address()])).action == "reuse"
    assert planned(FakeCloud(floating_ip=[address()], port=[port()])).action == "reuse"
    assert (
        planned(FakeCloud(floating_ip=[address()], port=[port(device_id="", device_owner="")])).action
        == "reuse"
    )


def test_one_that_a_living_server_needs_is_left_to_it() -> None:
    living = SimpleNamespace(id="web", name="web")
    cloud = FakeCloud(floating_ip=[address()], port=[port()], server=[living], others=OUTSIDE)
    answer = planned(cloud)
    assert answer.action == "create"
    assert answer.decisions["address"] == ""
    assert answer.conflicts == (
        "172.24.4.9 is in use by server web (web), which is still there: a new address",
    )
    assert fidelity(answer)["floating_ip_address"] == "degraded"
    # No server of this restore wants it moved.
    assert planned(cloud, for_server=False).action == "reuse"


def test_so_is_one_that_leads_to_something_else_now() -> None:
    balancer = port(id="p2", device_id="lb", device_owner="Octavia")
    virtual = port(id="p2", device_id="", device_owner="", name="vip")
    for now in (balancer, virtual):
        cloud = FakeCloud(floating_ip=[address(port_id="p2")], port=[now], others=OUTSIDE)
        assert planned(cloud).action == "create"


def test_the_same_address_is_asked_for_by_those_who_may() -> None:
    member = planned(FakeCloud(others=OUTSIDE))
    assert member.decisions["address"] == ""
    assert "only a project manager" in member.conflicts[0]
    manager = planned(FakeCloud(roles=["manager", "member"], others=OUTSIDE))
    assert manager.decisions["address"] == manager.name == "172.24.4.9"
    assert manager.conflicts == ()
    assert "floating_ip_address" not in fidelity(manager)


def test_the_same_address_under_another_id_is_used() -> None:
    answer = planned(FakeCloud(floating_ip=[address(id="f2", port_id=None)]))
    assert (answer.action, answer.new_id) == ("reuse", "f2")
    other_network = address(id="f2", port_id=None, floating_network_id="ext2")
    assert planned(FakeCloud(floating_ip=[other_network], others=OUTSIDE)).action == "create"


def test_without_its_external_network_it_is_impossible() -> None:
    answer = planned(FakeCloud())
    assert answer.action == "impossible"
    assert "none is called 'public'" in answer.reason


def test_a_new_one_on_request() -> None:
    cloud = FakeCloud(roles=["manager"], floating_ip=[address(port_id=None)], others=OUTSIDE)
    answer = planned(cloud, duplicate=True)
    assert (answer.action, answer.decisions["address"]) == ("create", "")


def test_a_server_beside_the_original_gets_another_address() -> None:
    graph = Graph()
    resource = graph.add(Resource(FLOATING_IP, "f1", "172.24.4.9"))
    server = graph.add(Resource(SERVER, "web", "web"))
    graph.link(server.key, resource.key)
    section = floating_ip_section(address(), "public")
    cloud = FakeCloud(floating_ip=[address(port_id=None)], others=OUTSIDE)
    answer = plan(PLUGIN, resource, section, cloud, graph=graph, existing={server.key: "beside"})
    assert (answer.action, answer.decisions["address"]) == ("create", "")
    assert answer.reason == "172.24.4.9 is left to the original server: a new address"
