"""Finds what a plan means today: its resources and everything they depend on."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from refloat.cloud import Cloud
from refloat.errors import InvalidInput
from refloat.graph import Graph, Resource, discover
from refloat.resources.base import Protectable
from refloat.resources.registry import protectable, protectables

SELECTORS = ("tag:", "metadata:")


class Discovery:
    """One look at a project: what is listed is listed once.

    :param most: so many resources a graph may have; 0: any number.
    """

    def __init__(self, cloud: Cloud, most: int = 0) -> None:
        self._cloud = cloud
        self._most = most
        self._open: dict[str, Protectable] = {}

    def of_type(self, type_name: str) -> Protectable:
        """The protectable of a type. :raises InvalidInput: there is none."""
        if type_name not in self._open:
            self._open[type_name] = protectable(type_name)(self._cloud)
        return self._open[type_name]

    def dependants(self, resource: Resource) -> list[Resource]:
        """What a resource needs directly, of all types."""
        kinds = [kind for kind, found in protectables().items() if resource.type in found.parents]
        return [child for kind in kinds for child in self.of_type(kind).dependants(resource)]

    def references(self, resource: Resource) -> list[Resource]:
        return list(self.of_type(resource.type).references(resource))

    def graph(self, roots: Iterable[Resource]) -> Graph:
        """The graph of some resources and all that they need. :raises InvalidInput: these are too many."""
        return discover(roots, self.dependants, self.references, self._most)

    def name(self, type_name: str, wanted: str) -> dict[str, str]:
        """A plan's entry for what a user named: ``{"type", "id", "name"}`` or ``{"type", "select"}``.

        :param wanted: an id, a name, ``tag:NAME`` or ``metadata:KEY=VALUE``.
        :raises NotFound: no such resource.
        """
        kind = self.of_type(type_name)
        if wanted.startswith(SELECTORS):
            kind.select(wanted)
            return {"type": type_name, "select": wanted}
        found = kind.find(wanted)
        return {"type": type_name, "id": found.id, "name": found.name}

    def resolve(self, entries: Sequence[Mapping[str, Any]]) -> list[Resource]:
        """The resources that a plan's entries stand for now, by id, whatever they are called by now.

        :raises NotFound: one is gone.
        :raises InvalidInput: nothing is left to protect.
        """
        found: dict[Any, Resource] = {}
        for entry in entries:
            kind = self.of_type(entry["type"])
            chosen = kind.select(entry["select"]) if "select" in entry else [kind.show(entry["id"])]
            found.update((resource.key, resource) for resource in chosen)
        if not found:
            raise InvalidInput(
                "the plan stands for no resource at the moment",
                advice="Nothing carries the tag or metadata it names",
            )
        return list(found.values())
