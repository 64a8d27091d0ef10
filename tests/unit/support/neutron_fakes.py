"""Just enough of a cloud for restore plans of what Neutron holds: lists, and what can be found by id."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from types import SimpleNamespace
from typing import Any, cast

from openstack import exceptions as sdk_exceptions
from openstack.network.v2 import (
    floating_ip,
    network,
    port,
    router,
    security_group,
    subnet,
)

from refloat.cloud import Cloud
from refloat.errors import NotFound
from refloat.graph import Graph, Resource, ResourceKey
from refloat.resources.base import PlanContext, Planned, ProtectionPlugin
from refloat.resources.options import settle

PROJECT = "project-1"

CLASSES = {
    "network": network.Network,
    "subnet": subnet.Subnet,
    "port": port.Port,
    "router": router.Router,
    "security_group": security_group.SecurityGroup,
    "floating_ip": floating_ip.FloatingIP,
}


def thing(kind: str, **fields: Any) -> Any:
    """A thing as openstacksdk reads it from Neutron's answer."""
    return CLASSES[kind].existing(**({"project_id": PROJECT, "tags": []} | fields))


class FakeNeutron:
    """The few calls that plans make beside listing."""

    def __init__(self, external: Iterable[Any], known: Iterable[str]) -> None:
        self.external, self.known = list(external), set(known)

    def networks(self, **_query: Any) -> list[Any]:
        return self.external

    def availability_zones(self) -> list[Any]:
        return [SimpleNamespace(name="az1", resource="network", state="available")]

    def get_subnet_pool(self, identity: str) -> str:
        return self._known(identity)

    get_address_group = get_qos_policy = get_subnet_pool

    def _known(self, identity: str) -> str:
        if identity not in self.known:
            raise sdk_exceptions.NotFoundException(identity)
        return identity


class FakeCloud:
    """A project and what is in it."""

    def __init__(
        self,
        *,
        roles: Iterable[str] = ("member",),
        others: Iterable[tuple[str, Any]] = (),
        known: Iterable[str] = (),
        **lists: list[Any],
    ) -> None:
        self.project_id = PROJECT
        self.roles = frozenset(roles)
        self.lists = lists
        self.others = list(others)
        external = [found for kind, found in self.others if kind == "network" and found.is_router_external]
        self.network = FakeNeutron(external, known)

    def list(self, kind: str) -> list[Any]:
        return self.lists.get(kind, [])

    def get(self, kind: str, identity: str) -> Any:
        found = self.find(kind, identity)
        if found is None:
            raise NotFound(f"no {kind} {identity}")
        return found

    def find(self, kind: str, identity: str) -> Any | None:
        everything = [*self.list(kind), *(found for other, found in self.others if other == kind)]
        return next((found for found in everything if found.id == identity), None)


def plan(
    plugin: ProtectionPlugin,
    resource: Resource,
    section: Mapping[str, Any],
    cloud: FakeCloud,
    *,
    graph: Graph | None = None,
    planned: Mapping[ResourceKey, Planned] | None = None,
    existing: Mapping[ResourceKey, str] | None = None,
    **parameters: object,
) -> Planned:
    """What a plugin plans; the answer has gone through JSON, as it will have when hooks read it."""
    graph = graph or Graph()
    graph.add(resource)
    settings = settle(plugin.options["restore"], parameters, resource.type)
    context = PlanContext(
        *(resource, section, graph, settings, cast(Cloud, cloud), (planned or {}).get, cloud.list),
        lambda key: (existing or {}).get(key, ""),
    )
    return Planned.from_json(plugin.plan_restore(context).to_json())


def fidelity(planned: Planned) -> dict[str, str]:
    """What is not exact."""
    return {o.name: o.fidelity for o in planned.attributes if o.fidelity != "exact"}
