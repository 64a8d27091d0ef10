"""Finds database instances. In a cloud without Trove there are none."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from refloat.graph import Resource
from refloat.resources.base import PROJECT
from refloat.resources.database.section import networks_of
from refloat.resources.database.trove import BUSY_STATES, ERROR_STATES, INSTANCE
from refloat.resources.listed import ListedProtectable

TYPE = "OS::Trove::Instance"
NETWORK = "OS::Neutron::Network"


class DatabaseProtectable(ListedProtectable):
    """The database instances of one project."""

    type = TYPE
    parents = frozenset({PROJECT})
    kind, noun = INSTANCE, "database instance"

    @classmethod
    def is_going(cls, state: str) -> bool:
        """Also what has been stopped for good: Trove calls that ``SHUTDOWN``."""
        return super().is_going(state) or state == "shutdown"

    @classmethod
    def is_broken(cls, state: str) -> bool:
        return state in ERROR_STATES

    def list(self) -> list[Resource]:
        ready = [thing for thing in self.things if self.state(thing) not in BUSY_STATES | ERROR_STATES]
        return [self.node(thing) for thing in ready]

    def references(self, resource: Resource) -> Iterable[Resource]:
        found: list[Any] = []
        for identity in networks_of(self.cloud, self.cloud.get(INSTANCE, resource.id)):
            network = self.cloud.find("network", identity)
            if network is not None and network.project_id == self.cloud.project_id:
                found.append(Resource(NETWORK, str(network.id), network.name or ""))
        return found
