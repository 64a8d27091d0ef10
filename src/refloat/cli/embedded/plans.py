"""Plans, what they can be made of, and providers."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Unpack

from refloat.cli.embedded.session import EmbeddedSession
from refloat.cli.views import Json, Parameters, by_id
from refloat.control.plans import check_plan, delete_plan, last_of
from refloat.graph import Graph, Resource, ResourceKey
from refloat.operations.compared import findings
from refloat.operations.discovery import Discovery
from refloat.providers.provider import Provider, describe_plugins
from refloat.records.checkpoints import CheckpointRecords
from refloat.records.plans import Plan, PlanAttributes, PlanChanges
from refloat.resources.noop import TYPE as NOOP
from refloat.resources.registry import protectables


class EmbeddedPlans(EmbeddedSession):
    """The project's resources and plans."""

    def types(self) -> list[str]:
        return [kind for kind in protectables() if kind != NOOP or self.settings.noop]

    def resources(self, type_name: str) -> list[Resource]:
        kind = Discovery(self.cloud).of_type(type_name)
        found = kind.list()
        if not found and (why := kind.absence()):
            self.notify(why)
        return found

    def tree(self, type_name: str, name_or_id: str) -> tuple[Resource, Graph]:
        discovery = Discovery(self.cloud)
        root = discovery.of_type(type_name).find(name_or_id)
        return root, discovery.graph([root])

    def list_providers(self) -> list[Json]:
        return [self._provider_line(item) for item in self.providers]

    def show_provider(self, name_or_id: str) -> Json:
        provider = self.providers.find(name_or_id)
        return {
            **self._provider_line(provider),
            "bank_key": str(self.bank_location(provider).key_file),
            "file": str(provider.file or ""),
            "notes": [*provider.notes, *provider.mover_notes()],
            "plugins": describe_plugins(provider),
        }

    def _provider_line(self, provider: Provider) -> Json:
        line = {name: getattr(provider, name) for name in ("id", "name", "description")}
        return {**line, "bank": self.bank_location(provider).url}

    def provider_name(self, reference: str) -> str:
        return self.providers.name(reference)

    def list_plans(self) -> list[Plan]:
        return self.plans.list()

    def find_plan(self, name_or_id: str) -> Plan:
        return self.plans.find(name_or_id)

    def plan_now(self, plan: Plan) -> Json:
        """What a protection of a plan would find now (:func:`refloat.operations.compared.findings`)."""
        found = Discovery(self.cloud).survey(plan.resources, plan.exclude)
        return findings(found, last_of(CheckpointRecords(self.database), plan.id, plan.project_id))

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
        """Make a plan.

        :param resources: pairs of a type and an id, a name, ``tag:NAME`` or ``metadata:KEY=VALUE``.
        :raises InvalidInput: as :func:`refloat.control.plans.check_plan` says.
        :raises NotFound: a resource or the provider does not exist.
        """
        chosen = self.providers.find(provider)
        wanted = {"name": name, "resources": resources, "parameters": dict(parameters or {}), **attributes}
        given = self._checked(chosen, {**wanted, "exclude": exclude})
        return self.plans.create(provider=chosen.reference, **given)

    def update_plan(self, name_or_id: str, **changes: Unpack[PlanChanges]) -> Plan:
        plan = self.plans.find(name_or_id)
        found = self._checked(self.providers.find(plan.provider), changes, plan)
        return self.plans.update(plan.id, **found) if found else plan

    def _checked(
        self, provider: Provider, given: Mapping[str, Any], plan: Plan | None = None
    ) -> dict[str, Any]:
        types = {
            name: [{"type": type_name} for type_name, _wanted in given[name]]
            for name in ("resources", "exclude")
            if name in given
        }
        check_plan(provider, {**given, **types})
        found, discovery = dict(given), Discovery(self.cloud)
        if "resources" in given:
            named = [discovery.name(type_name, wanted) for type_name, wanted in given["resources"]]
            keys = [(item["type"], item.get("select") or item["id"]) for item in named]
            found["resources"] = list(dict(zip(keys, named, strict=True)).values())
        if "exclude" in given:
            before = list(plan.exclude) if plan and found.pop("keep_excluded", False) else []
            known = [*(plan.resources if plan else ()), *(plan.exclude if plan else ())]
            wanted = [discovery.exclusion(kind, named, known) for kind, named in given["exclude"]]
            found["exclude"] = before + [entry for entry in wanted if entry not in before]
        if "parameters" in given:
            found["parameters"] = self.by_id(given["parameters"])
        return found

    def by_id(self, parameters: Parameters) -> dict[str, dict[str, Any]]:
        """Parameters by id. :raises NotFound: there is no resource of a name in the project."""
        discovery = Discovery(self.cloud)

        def named(where: str) -> Iterator[ResourceKey]:
            wanted = ResourceKey.parse(where)
            yield discovery.of_type(wanted.type).find(wanted.id).key

        return by_id(parameters, named)

    def delete_plan(self, plan_id: str) -> None:
        delete_plan(self.plans, plan_id)
