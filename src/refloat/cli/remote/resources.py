"""What the project has that the service can protect."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from refloat.cli.remote.session import Session, one
from refloat.cli.remote.views import resource_of
from refloat.client.errors import Missing, told
from refloat.graph import Graph, Resource, discover


class RemoteResources(Session):
    """The protectables."""

    def types(self) -> list[str]:
        with told("list the types of resources"):
            return [item.id for item in self.api.protectables()]

    def resources(self, type_name: str) -> list[Resource]:
        with told(f"list the resources of type {type_name}"):
            return [resource_of(item) for item in self.api.instances(type_name)]

    def tree(self, type_name: str, name_or_id: str) -> tuple[Resource, Graph]:
        asked: dict[Any, Mapping[str, Any]] = {}

        def ask(node: Resource) -> Mapping[str, Any]:
            if node.key not in asked:
                with told("show a resource", node):
                    asked[node.key] = self.api.get_instance(node.type, node.id).to_dict()
            return asked[node.key]

        def below(name: str) -> Callable[[Resource], list[Resource]]:
            return lambda node: [resource_of(item) for item in ask(node).get(name) or ()]

        root = self._instance(type_name, name_or_id)
        graph = discover([root], below("dependent_resources"), below("references"))
        return root, graph

    def _instance(self, type_name: str, name_or_id: str) -> Resource:
        with told(f"find the {type_name}", name_or_id):
            try:
                return resource_of(self.api.get_instance(type_name, name_or_id))
            except Missing:
                named = [item for item in self.api.instances(type_name) if item.name == name_or_id]
        return resource_of(one(named, type_name, name_or_id, "protectable list"))
