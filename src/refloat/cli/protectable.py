"""``refloat protectable``: what can be protected."""

from __future__ import annotations

import argparse
from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

from refloat.cli.arguments import find_type, short_name
from refloat.cli.base import Argument, Lister, ShowOne

if TYPE_CHECKING:
    from refloat.cli.backend import Backend
    from refloat.graph import Graph, Resource

Tree = dict[str, Any]


class ListProtectable(Lister):
    """List the types of resources that can be protected, or the project's resources of a type."""

    examples = """
        refloat protectable list
        refloat protectable list server
        refloat protectable list volume -f json
    """

    args = (Argument("type", "server, volume, OS::Nova::Server...", nargs="?"),)

    def ask(self, refloat: Backend, parsed_args: argparse.Namespace) -> Iterable[Mapping[str, Any]]:
        if parsed_args.type is None:
            self.columns = ("type", "short_name")
            return [{"type": name, "short_name": short_name(name)} for name in refloat.types()]
        self.columns = ("id", "name", "type")
        found = refloat.resources(find_type(parsed_args.type, refloat.types()))
        return [{"id": item.id, "name": item.name, "type": item.type} for item in found]


class ShowProtectable(ShowOne):
    """Show a resource and everything that is protected with it, as a tree.

    In JSON every resource has type, id, name and dependants, a list of the same. What is needed in
    several places is opened in the first of them; the others say "repeated": true.
    """

    examples = """
        refloat protectable show server web
        refloat protectable show OS::Nova::Server 7f3a1c0e-... -f json
    """

    args = (Argument("type", "server, volume, OS::Nova::Server..."), Argument("id", "id or name"))

    def ask(self, refloat: Backend, parsed_args: argparse.Namespace) -> Mapping[str, Any]:
        root, graph = refloat.tree(find_type(parsed_args.type, refloat.types()), parsed_args.id)
        return tree_of(graph, root)

    def text(self, parsed_args: argparse.Namespace, data: Mapping[str, Any]) -> Iterable[str] | None:
        return drawn(data)


def tree_of(graph: Graph, root: Resource) -> Tree:
    """What a resource needs and refers to, nested."""
    seen = {root.key}

    def branch(node: Resource) -> Tree:
        below = {item.key: item for item in [*graph.children(node.key), *graph.references(node.key)]}
        # Everything on this level is opened here, not deeper down.
        new = [key for key in below if key not in seen]
        seen.update(new)
        dependants = [
            branch(item) if key in new else {**_named(item), "dependants": [], "repeated": True}
            for key, item in below.items()
        ]
        return {**_named(node), "dependants": dependants}

    return branch(root)


def _named(node: Resource) -> Tree:
    return {"type": node.type, "id": node.id, "name": node.name}


def drawn(tree: Mapping[str, Any], head: str = "", tail: str = "") -> Iterator[str]:
    name = f" {tree['name']}" if tree["name"] else ""
    identity = f" ({tree['id']})" if tree["id"] != tree["name"] else ""
    yield f"{head}{short_name(tree['type'])}{name}{identity}{', see above' if tree.get('repeated') else ''}"
    for place, below in enumerate(tree["dependants"], 1):
        last = place == len(tree["dependants"])
        yield from drawn(below, tail + ("└── " if last else "├── "), tail + ("    " if last else "│   "))
