"""Finds database instances. In a cloud without Trove there are none."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import cached_property

from refloat.cloud import Cloud, explained
from refloat.cloud.kinds import status_of_thing
from refloat.errors import Conflict, ServiceMissing
from refloat.graph import Resource
from refloat.resources.base import PROJECT, Protectable
from refloat.resources.database.trove import BUSY_STATES, ERROR_STATES, INSTANCE, TroveThing

TYPE = "OS::Trove::Instance"
NETWORK = "OS::Neutron::Network"

GOING = frozenset({"deleting", "deleted", "shutdown", "error_deleting"})
"""It is being deleted, or has been stopped for good: Trove calls that ``SHUTDOWN``."""


class DatabaseProtectable(Protectable):
    """The database instances of one project."""

    type = TYPE
    parents = frozenset({PROJECT})

    def list(self) -> list[Resource]:
        """All instances that could be protected at once."""
        unready = ERROR_STATES | BUSY_STATES
        return [resource_of(thing) for thing in self._instances if status_of_thing(thing) not in unready]

    def show(self, identity: str) -> Resource:
        """One instance by id."""
        return self._usable(self.cloud.get(INSTANCE, identity))

    def dependants(self, parent: Resource) -> Iterable[Resource]:
        """All instances of a project."""
        return [self._usable(thing) for thing in self._instances]

    def absence(self) -> str:
        """That the cloud has no Trove."""
        return "" if self.cloud.has("database") else "This cloud has no database service."

    def references(self, resource: Resource) -> Iterable[Resource]:
        """The networks of the project that an instance is on."""
        found = []
        for identity in networks_of(self.cloud, self.cloud.get(INSTANCE, resource.id)):
            network = self.cloud.find("network", identity)
            if network is not None and network.project_id == self.cloud.project_id:
                found.append(Resource(NETWORK, str(network.id), network.name or ""))
        return found

    @cached_property
    def _instances(self) -> Sequence[TroveThing]:
        if not self.cloud.has("database"):
            return ()
        return [thing for thing in self.cloud.list(INSTANCE) if status_of_thing(thing) not in GOING]

    @staticmethod
    def _usable(thing: TroveThing) -> Resource:
        resource, status = resource_of(thing), status_of_thing(thing)
        if status in ERROR_STATES | GOING:
            raise unusable(resource, status)
        return resource


def resource_of(thing: TroveThing) -> Resource:
    """The node of an instance."""
    return Resource(TYPE, str(thing.id), thing.name or "")


def unusable(resource: Resource, status: str) -> Conflict:
    """What is to be said of an instance in a state in which it cannot be protected."""
    return Conflict(
        "the database instance cannot be protected",
        resource=str(resource),
        reason=f"its status is '{status.upper()}'",
        advice="Repair or delete the instance, or leave it out",
    )


def networks_of(cloud: Cloud, thing: TroveThing) -> list[str]:
    """The ids of the networks that an instance is on.

    Trove tells them with the addresses. One that is too old for that only tells addresses: Neutron knows
    whose they are.
    """
    addresses = [item for item in thing.get("addresses") or () if item.get("type") != "public"]
    told = [str(item["network"]) for item in addresses if item.get("network")]
    if told or not addresses:
        return list(dict.fromkeys(told))
    found: dict[str, None] = {}
    try:
        with explained("find the ports of a database instance"):
            for item in addresses:
                ports = cloud.network.ports(fixed_ips=f"ip_address={item['address']}")
                found.update((str(port.network_id), None) for port in ports)
    except ServiceMissing:
        return []
    return list(found) if len(found) == len(addresses) else []
