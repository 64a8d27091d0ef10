"""Plans, what they can be made of, and providers, at the service."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cached_property
from typing import Any, Unpack

from refloat.cli.remote.session import OLDEST_FIRST, Session, find, is_id, one
from refloat.cli.remote.views import plan_of, resource_of
from refloat.cli.views import Json, Parameters, by_id
from refloat.client.errors import Missing, told
from refloat.errors import InvalidInput, NotFound, RefloatError
from refloat.graph import Graph, Resource, ResourceKey, discover
from refloat.records.plans import Plan, PlanAttributes, PlanChanges

SELECTORS = ("tag:", "metadata:")


class RemotePlans(Session):
    """The project's resources and plans, and the providers. Where banks are is the service's business."""

    @cached_property
    def _providers(self) -> list[Any]:
        with told("list the providers"):
            return list(self.api.providers(all=True))

    def list_providers(self) -> list[Json]:
        with told("list the providers"):
            return [
                {"id": item.id, "name": item.name, "description": item.description, "bank": ""}
                for item in self.api.providers()
            ]

    def show_provider(self, name_or_id: str) -> Json:
        with told("show the provider", name_or_id):
            found = self.api.get_provider(self._provider(name_or_id).id)
        empty = {"bank": "", "bank_key": "", "file": "", "notes": []}
        shown = {"id": found.id, "name": found.name, "description": found.description}
        return {**shown, **empty, "plugins": list(found.plugins or ())}

    def _provider(self, name_or_id: str) -> Any:
        known = {item.id: item for item in self._providers} | {item.name: item for item in self._providers}
        if name_or_id not in known:
            names = ", ".join(item.name for item in self._providers)
            raise NotFound(f"there is no provider '{name_or_id}'", advice=f"Providers: {names}")
        return known[name_or_id]

    def provider_name(self, reference: str) -> str:
        return next((str(item.name) for item in self._providers if item.id == reference), reference)

    # --- resources

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

    # --- plans

    def list_plans(self) -> list[Plan]:
        with told("list the plans"):
            return [plan_of(item) for item in self.api.plans(sort=OLDEST_FIRST)]

    def find_plan(self, name_or_id: str) -> Plan:
        api = self.api
        return plan_of(find("plan", name_or_id, api.get_plan, api.plans, "plan list"))

    def plan_now(self, plan: Plan) -> Json:
        with told("find out what the plan stands for now", plan.name):
            return dict(self.api.plan_now(plan.id))

    def create_plan(
        self,
        name: str,
        resources: Sequence[tuple[str, str]],
        *,
        provider: str = "default",
        parameters: Parameters | None = None,
        exclude: Sequence[tuple[str, str]] = (),
        **attributes: Unpack[PlanAttributes],
    ) -> Plan:
        chosen = self._provider(provider)
        _check_covered(chosen, resources)
        with told("create the plan", name):
            made = self.api.create_plan(
                name=name,
                provider_id=chosen.id,
                resources=self._entries(resources),
                parameters=self._by_id(parameters),
                **({"exclude": self._left_out(exclude, ())} if exclude else {}),
                **attributes,
            )
        return plan_of(made)

    def update_plan(self, name_or_id: str, **changes: Unpack[PlanChanges]) -> Plan:
        plan = self.find_plan(name_or_id)
        wanted: dict[str, Any] = dict(changes)
        if "resources" in changes:
            wanted["resources"] = self._entries(changes["resources"])
        if "exclude" in changes:
            before = list(plan.exclude) if wanted.pop("keep_excluded", False) else []
            found = self._left_out(changes["exclude"], [*plan.resources, *plan.exclude])
            wanted["exclude"] = before + [entry for entry in found if entry not in before]
        if "parameters" in changes:
            wanted["parameters"] = self._by_id(changes["parameters"])
        if not wanted:
            return plan
        with told("change the plan", name_or_id):
            return plan_of(self.api.update_plan(plan.id, **wanted))

    def delete_plan(self, plan_id: str) -> None:
        with told("delete the plan", plan_id):
            self.api.delete_plan(plan_id)

    def _entries(self, resources: Sequence[tuple[str, str]]) -> list[dict[str, str]]:
        if not resources:
            raise InvalidInput("a plan needs at least one resource", advice="Name it with --resource TYPE=ID")
        entries: dict[Any, dict[str, str]] = {}
        for type_name, wanted in resources:
            if wanted.startswith(SELECTORS):
                entries[type_name, wanted] = {"type": type_name, "select": wanted}
            else:
                found = self._instance(type_name, wanted)
                entries[found.key] = {"type": type_name, "id": found.id, "name": found.name}
        return list(entries.values())

    def _left_out(
        self, wanted: Sequence[tuple[str, str]], known: Sequence[Mapping[str, Any]]
    ) -> list[dict[str, str]]:
        """Entries for what is to be left out; by its id also what cannot be protected, or is gone.

        :param known: entries of the plan, which may be meant.
        """
        entries = []
        for type_name, name in wanted:
            same = (item for item in known if item["type"] == type_name and "id" in item)
            fits = list(
                {item["id"]: item for item in same if name in (item["id"], item.get("name"))}.values()
            )
            if len(fits) == 1:
                entries.append({key: fits[0].get(key, "") for key in ("type", "id", "name")})
                continue
            try:
                entries += self._entries([(type_name, name)])
            except RefloatError:
                if not is_id(name):
                    raise
                entries.append({"type": type_name, "id": name, "name": name})
        return entries

    def _by_id(self, parameters: Parameters | None) -> Json:
        def named(where: str) -> Iterator[ResourceKey]:
            kind, _mark, wanted = where.partition("#")
            yield self._instance(kind, wanted).key

        return by_id(parameters or {}, named)


def _check_covered(provider: Any, resources: Sequence[tuple[str, str]]) -> None:
    covered = (provider.extended_info_schema or {}).get("options_schema", {})
    for type_name, _wanted in resources:
        if type_name not in covered:
            raise InvalidInput(f"provider {provider.name} does not protect resources of type {type_name}")
