"""What servers, routers and projects need of what Neutron holds."""

from typing import Any, cast

import pytest

from refloat.cloud import Cloud
from refloat.errors import Conflict, InvalidInput, NotFound
from refloat.graph import Resource
from refloat.operations.discovery import Discovery
from refloat.resources import network, router, securitygroup
from refloat.resources.base import PROJECT
from refloat.resources.floatingip import FLOATING_IPS
from refloat.resources.networking import NETWORK, SERVER, NeutronProtectable
from tests.unit.support.neutron_fakes import FakeCloud, thing

NETWORKS = network.NETWORKS.protectable
ROUTERS = router.ROUTERS.protectable
GROUPS = securitygroup.SECURITY_GROUPS.protectable
ALL = Resource(PROJECT, "project-1")
WEB, DB = Resource(SERVER, "web"), Resource(SERVER, "db")


def port(identity: str, network: str, device: str, owner: str = "compute:nova", **fields: Any) -> Any:
    return thing("port", id=identity, network_id=network, device_id=device, device_owner=owner, **fields)


CLOUD = FakeCloud(
    network=[thing("network", id="n1", name="net", tags=["front"]), thing("network", id="n2", name="net")],
    router=[thing("router", id="r1", external_gateway_info={"network_id": "ext"}), thing("router", id="r2")],
    port=[
        port("p1", "n1", "web", security_groups=["g1", "shared"]),
        port("p2", "n2", "db", security_groups=["g2"]),
        port("p3", "shared-net", "db", security_groups=["g2"]),
        port("p4", "n1", "r1", "network:router_interface"),
        port("p5", "shared-net", "r2", "network:router_interface"),
        port("p6", "n2", "dhcp-n2", "network:dhcp"),
    ],
    security_group=[
        thing("security_group", id="g1", security_group_rules=[{"remote_group_id": "g2"}, {}]),
        thing("security_group", id="g2", security_group_rules=[{"remote_group_id": "g2"}]),
        thing("security_group", id="g3", security_group_rules=[]),
    ],
    floating_ip=[
        thing("floating_ip", id="f1", floating_ip_address="172.24.4.9", port_id="p1"),
        thing("floating_ip", id="f2", floating_ip_address="172.24.4.10", port_id=None),
    ],
    others=[("network", thing("network", id="shared-net", name="x", project_id="other"))],
)


def ids(kind: type[NeutronProtectable], parent: Resource) -> list[str]:
    return sorted(found.id for found in kind(cast(Cloud, CLOUD)).dependants(parent))


def test_a_project_needs_all_that_it_owns() -> None:
    assert ids(NETWORKS, ALL) == ["n1", "n2"]
    assert ids(ROUTERS, ALL) == ["r1", "r2"]
    assert ids(GROUPS, ALL) == ["g1", "g2", "g3"]
    assert ids(FLOATING_IPS.protectable, ALL) == ["f1", "f2"]


def test_a_server_needs_what_its_ports_lead_to() -> None:
    assert ids(NETWORKS, WEB) == ["n1"]
    assert ids(ROUTERS, WEB) == ["r1"]
    assert ids(GROUPS, WEB) == ["g1"]
    assert ids(FLOATING_IPS.protectable, WEB) == ["f1"]


def test_networks_of_others_are_not_protected_but_the_routers_there_are() -> None:
    assert ids(NETWORKS, DB) == ["n2"]
    assert ids(ROUTERS, DB) == ["r2"]


def test_a_router_needs_the_networks_it_serves() -> None:
    assert ids(NETWORKS, Resource("OS::Neutron::Router", "r1")) == ["n1"]
    assert ids(NETWORKS, Resource("OS::Neutron::Router", "r2")) == []


def test_groups_refer_to_those_their_rules_name() -> None:
    groups = GROUPS(cast(Cloud, CLOUD))
    assert [found.id for found in groups.references(Resource(groups.type, "g1"))] == ["g2"]


def test_what_belongs_to_another_project_is_refused_and_what_is_not_there_is_not_found() -> None:
    networks = NETWORKS(cast(Cloud, CLOUD))
    with pytest.raises(Conflict, match="another project"):
        networks.show("shared-net")
    with pytest.raises(NotFound):
        networks.show("n9")


def test_names_need_not_be_unique_but_what_is_meant_must_be() -> None:
    with pytest.raises(InvalidInput, match="Use an id"):
        NETWORKS(cast(Cloud, CLOUD)).find("net")
    assert FLOATING_IPS.protectable(cast(Cloud, CLOUD)).find("172.24.4.10").id == "f2"


def test_chosen_by_tag() -> None:
    networks = NETWORKS(cast(Cloud, CLOUD))
    assert [found.id for found in networks.select("tag:front")] == ["n1"]
    with pytest.raises(InvalidInput):
        networks.select("metadata:a=b")


def test_karbors_only_network_is_all_that_the_project_has() -> None:
    """Its id is the project's: a plan that names it protects networks, routers and security groups."""
    discovery = Discovery(cast(Cloud, CLOUD))
    entry = discovery.name(NETWORK, "project-1")
    assert entry == {"type": NETWORK, "id": "project-1", "name": "Network Topology"}
    assert {node.id for node in discovery.survey([entry]).graph} == {"n1", "n2", "r1", "r2", "g1", "g2", "g3"}
    without = [{"type": GROUPS.type, "id": "g3"}]
    assert {node.id for node in discovery.survey([entry], without).graph} == {
        "n1",
        "n2",
        "r1",
        "r2",
        "g1",
        "g2",
    }
    assert not discovery.survey([{"type": NETWORK, "id": "n1"}], [entry]).graph
    with pytest.raises(NotFound):
        discovery.name(NETWORK, "project-2")
