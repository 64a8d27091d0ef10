"""Finds server groups."""

from __future__ import annotations

from collections.abc import Iterable
from functools import cached_property
from typing import Any

from refloat.graph import Resource
from refloat.resources.base import PROJECT, Protectable

TYPE = "OS::Nova::ServerGroup"
_SERVER = "OS::Nova::Server"


class ServerGroupProtectable(Protectable):
    """The server groups of the project."""

    type = TYPE
    parents = frozenset({_SERVER, PROJECT})

    def list(self) -> list[Resource]:
        """All server groups of the project."""
        return [Resource(TYPE, group.id, group.name) for group in self._groups]

    def show(self, identity: str) -> Resource:
        """One server group by id."""
        group = self.cloud.get("server_group", identity)
        return Resource(TYPE, group.id, group.name)

    def dependants(self, parent: Resource) -> Iterable[Resource]:
        """All for the project; for a server the one it is a member of."""
        if parent.type == PROJECT:
            return self.list()
        return [
            Resource(TYPE, group.id, group.name)
            for group in self._groups
            if parent.id in (group.member_ids or ())
        ]

    @cached_property
    def _groups(self) -> tuple[Any, ...]:
        return tuple(self.cloud.list("server_group"))
