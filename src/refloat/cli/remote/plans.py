"""Plans at the service."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Unpack

from refloat.cli.remote.providers import RemoteProviders
from refloat.cli.remote.resources import RemoteResources
from refloat.cli.remote.session import OLDEST_FIRST, find
from refloat.cli.remote.views import plan_of
from refloat.cli.views import Json, Parameters
from refloat.client.errors import told
from refloat.errors import InvalidInput
from refloat.records.plans import Plan, PlanAttributes, PlanChanges

SELECTORS = ("tag:", "metadata:")


class RemotePlans(RemoteResources, RemoteProviders):
    """The project's plans."""

    def list_plans(self) -> list[Plan]:
        with told("list the plans"):
            return [plan_of(item) for item in self.api.plans(sort=OLDEST_FIRST)]

    def find_plan(self, name_or_id: str) -> Plan:
        api = self.api
        return plan_of(find("plan", name_or_id, api.get_plan, api.plans, "plan list"))

    def create_plan(
        self,
        name: str,
        resources: Sequence[tuple[str, str]],
        *,
        provider: str = "default",
        parameters: Parameters | None = None,
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
                **attributes,
            )
        return plan_of(made)

    def update_plan(self, name_or_id: str, **changes: Unpack[PlanChanges]) -> Plan:
        plan = self.find_plan(name_or_id)
        wanted: dict[str, Any] = dict(changes)
        if "resources" in changes:
            wanted["resources"] = self._entries(changes["resources"])
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

    def _by_id(self, parameters: Parameters | None) -> Json:
        found: dict[str, Any] = {}
        for where, settings in (parameters or {}).items():
            kind, mark, wanted = where.partition("#")
            key = str(self._instance(kind, wanted).key) if mark else where
            found.setdefault(key, {}).update(settings)
        return found


def _check_covered(provider: Any, resources: Sequence[tuple[str, str]]) -> None:
    covered = (provider.extended_info_schema or {}).get("options_schema", {})
    for type_name, _wanted in resources:
        if type_name not in covered:
            raise InvalidInput(f"provider {provider.name} does not protect resources of type {type_name}")
