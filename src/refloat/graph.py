"""The resource graph: what depends on what, in which order, and how that is written down. Pure.

An edge *parent -> child* says that the parent cannot be whole without the child: a server is the
parent of its volumes. These edges have no cycle. A *reference* from one resource to another says
that the first names the second in its own settings without needing it to be whole: two security
groups may refer to each other. References may form cycles.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from refloat.errors import InvalidInput

LEFT_OUT = "left_out"
"""In the ``extra`` of a resource: the ids of what it has and is protected without, as the plan wishes."""


class ResourceKey(NamedTuple):
    """What identifies a resource: never its name, which may change or be shared."""

    type: str
    id: str

    def __str__(self) -> str:
        return f"{self.type}#{self.id}"

    @classmethod
    def parse(cls, text: str) -> ResourceKey:
        """Read ``TYPE#ID``. :raises InvalidInput: there is no ``#``."""
        kind, mark, identity = text.partition("#")
        if not (kind and mark and identity):
            raise InvalidInput(f"'{text}' is not of the form TYPE#ID")
        return cls(kind, identity)


@dataclass(frozen=True, slots=True)
class Resource:
    """A thing in the cloud. Two resources are the same when type and id are."""

    type: str
    id: str
    name: str = field(default="", compare=False)
    extra: Mapping[str, Any] = field(default_factory=dict, compare=False, hash=False)
    """What a protectable found out on the way and a plugin will need; JSON."""
    key: ResourceKey = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "key", ResourceKey(self.type, self.id))

    def __str__(self) -> str:
        return f"{self.type} {self.name} ({self.id})" if self.name else f"{self.type} {self.id}"


class Graph:
    """Resources, the edges between them and their references.

    Grows by :meth:`add`, :meth:`link` and :meth:`refer`; every walk is linear in nodes and edges.
    """

    def __init__(self) -> None:
        self._nodes: dict[ResourceKey, Resource] = {}
        self._children: dict[ResourceKey, dict[ResourceKey, None]] = {}
        self._parents: dict[ResourceKey, dict[ResourceKey, None]] = {}
        self._references: dict[ResourceKey, dict[ResourceKey, None]] = {}

    def __len__(self) -> int:
        return len(self._nodes)

    def __contains__(self, key: object) -> bool:
        return key in self._nodes

    def __iter__(self) -> Iterator[Resource]:
        return iter(self._nodes.values())

    def __getitem__(self, key: ResourceKey) -> Resource:
        return self._nodes[key]

    def add(self, resource: Resource) -> Resource:
        """Add a resource; one that is there already keeps its place and gains the new ``extra``."""
        key = resource.key
        known = self._nodes.get(key)
        if known is None:
            self._nodes[key] = resource
            self._children[key] = {}
            self._parents[key] = {}
            self._references[key] = {}
            return resource
        if resource.extra:
            merged = Resource(
                known.type, known.id, known.name or resource.name, {**known.extra, **resource.extra}
            )
            self._nodes[key] = merged
        return self._nodes[key]

    def link(self, parent: ResourceKey, child: ResourceKey) -> None:
        """Say that ``parent`` needs ``child``. Both must have been added."""
        self._children[parent][child] = None
        self._parents[child][parent] = None

    def refer(self, source: ResourceKey, target: ResourceKey) -> None:
        """Say that ``source`` names ``target`` in its settings. Both must have been added."""
        if source != target:
            self._references[source][target] = None

    def children(self, key: ResourceKey, type: str | None = None) -> list[Resource]:  # noqa: A002
        """What ``key`` needs directly, in the order it was found."""
        return [self._nodes[k] for k in self._children[key] if type is None or k.type == type]

    def parents(self, key: ResourceKey) -> list[Resource]:
        return [self._nodes[k] for k in self._parents[key]]

    def references(self, key: ResourceKey) -> list[Resource]:
        return [self._nodes[k] for k in self._references[key]]

    def roots(self) -> list[Resource]:
        return [node for node in self if not self._parents[node.key]]

    def bottom_up(self) -> list[Resource]:
        """Every resource after all that it needs.

        :raises InvalidInput: resources need each other in a circle.
        """
        missing = {key: len(children) for key, children in self._children.items()}
        ready = [key for key, count in missing.items() if count == 0]
        order: list[Resource] = []
        for key in ready:
            order.append(self._nodes[key])
            for parent in self._parents[key]:
                missing[parent] -= 1
                if missing[parent] == 0:
                    ready.append(parent)
        if len(order) != len(self._nodes):
            stuck = [str(self._nodes[key]) for key, count in missing.items() if count]
            raise InvalidInput(f"these resources need each other in a circle: {', '.join(stuck[:5])}")
        return order

    def part(
        self, wanted: Iterable[ResourceKey], without: Callable[[ResourceKey, ResourceKey], bool] | None = None
    ) -> Graph:
        """The graph of the wanted resources and everything under them or referred to from there.

        :param without: of a resource and one that it leads to, whether it is not followed there.
        """
        part = Graph()
        pending = list(wanted)
        while pending:
            key = pending.pop()
            if key in part:
                continue
            part.add(self._nodes[key])
            for other in (*self._children[key], *self._references[key]):
                if without is None or not without(key, other):
                    pending.append(other)
        return self._copy_edges(part)

    def only(self, wanted: Iterable[ResourceKey]) -> Graph:
        """The graph of just these resources and the edges between them."""
        part = Graph()
        for key in wanted:
            part.add(self._nodes[key])
        return self._copy_edges(part)

    def _copy_edges(self, part: Graph) -> Graph:
        for node in part:
            for child in self._children[node.key]:
                if child in part:
                    part.link(node.key, child)
            for target in self._references[node.key]:
                if target in part:
                    part.refer(node.key, target)
        return part

    def to_json(self) -> dict[str, Any]:
        return {
            "nodes": [
                {
                    "type": node.type,
                    "id": node.id,
                    "name": node.name,
                    "extra": dict(node.extra),
                    "children": [str(k) for k in self._children[node.key]],
                    "references": [str(k) for k in self._references[node.key]],
                }
                for node in self
            ]
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Graph:
        graph = cls()
        nodes = data["nodes"]
        for node in nodes:
            graph.add(Resource(sys.intern(node["type"]), node["id"], node["name"], node["extra"]))
        # Of thousands, keys that are the same twice would be most of what a graph takes.
        keys = {str(key): key for key in graph._nodes}
        for key, node in zip(keys.values(), nodes, strict=True):
            for child in node["children"]:
                graph.link(key, keys[child])
            for target in node["references"]:
                graph.refer(key, keys[target])
        return graph


Finder = Callable[[Resource], Iterable[Resource]]


def discover(roots: Iterable[Resource], dependants: Finder, references: Finder, most: int = 0) -> Graph:
    """Build the graph of ``roots`` and everything they need, however deep.

    ``dependants`` is asked once per resource for what it needs, ``references`` for what it names.
    Whatever either raises ends the discovery: a graph is complete or there is none.

    :param most: so many resources there may be; 0: any number.
    :raises InvalidInput: there are more. It is not looked how many.
    """
    graph = Graph()
    pending = [graph.add(root) for root in roots]
    seen: set[ResourceKey] = set()
    while pending:
        resource = pending.pop()
        if resource.key in seen:
            continue
        seen.add(resource.key)
        if most and len(graph) > most:
            raise InvalidInput(
                f"this is more than {most} resources, which is as many as one operation may have",
                advice="Divide it among several plans",
            )
        for child in dependants(resource):
            graph.add(child)
            graph.link(resource.key, child.key)
            pending.append(child)
        for target in references(resource):
            graph.add(target)
            graph.refer(resource.key, target.key)
            pending.append(target)
    graph.bottom_up()
    return graph
