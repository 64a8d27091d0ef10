"""The commands' Refloat behind the REST service, through the SDK."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import cached_property
from typing import Any

from refloat.cli.backend import Json, Parameters
from refloat.cli.remote_views import checkpoint_state, journal_item, operation_view, plan_of, resource_of
from refloat.client import connect_as
from refloat.client.errors import Missing, told
from refloat.errors import Conflict, InvalidInput, NotFound, RefloatError
from refloat.graph import Graph, Resource, discover
from refloat.operations.app import CheckpointState, OperationView
from refloat.records.operations import JournalItem, Operation
from refloat.records.plans import Plan

SELECTORS = ("tag:", "metadata:")

_ENDED = frozenset({"succeeded", "failed", "cancelled", "parked"})
_PATIENCE = 600.0
"""Seconds that a worker has for a look."""
_TICK = 0.5
_RETRIES = 8
"""Who follows an operation does not mind when the service is started anew meanwhile: about two minutes."""


class Remote:
    """One user's Refloat at a service.

    :param cloud_name: an entry of ``clouds.yaml``; None: ``OS_CLOUD`` or the ``OS_*`` variables.
    :param service: its URL, or ``catalog``.
    :param notify: told, in a sentence, what the user should know.
    """

    elsewhere = True

    def __init__(
        self, cloud_name: str | None, service: str, *, notify: Callable[[str], None] = lambda _sentence: None
    ) -> None:
        self._cloud_name = cloud_name
        self._service = service
        self._notify = notify

    @cached_property
    def _api(self) -> Any:
        return connect_as(self._cloud_name, None if self._service == "catalog" else self._service)

    def __enter__(self) -> Remote:
        return self

    def __exit__(self, *_exc: object) -> None:
        if "_api" in self.__dict__:
            self._api._get_connection().close()

    # --- what can be protected, and how

    def types(self) -> list[str]:
        """The types that the service protects."""
        with told("list the types of resources"):
            return [item.id for item in self._api.protectables()]

    def resources(self, type_name: str) -> list[Resource]:
        """The project's resources of a type."""
        with told(f"list the resources of type {type_name}"):
            return [resource_of(item) for item in self._api.instances(type_name)]

    def tree(self, type_name: str, name_or_id: str) -> tuple[Resource, Graph]:
        """A resource and all that it needs, asked for one after the other."""
        asked: dict[Any, Mapping[str, Any]] = {}

        def ask(node: Resource) -> Mapping[str, Any]:
            if node.key not in asked:
                with told("show a resource", node):
                    asked[node.key] = self._api.get_instance(node.type, node.id).to_dict()
            return asked[node.key]

        def below(name: str) -> Callable[[Resource], list[Resource]]:
            return lambda node: [resource_of(item) for item in ask(node).get(name) or ()]

        root = self._instance(type_name, name_or_id)
        graph = discover([root], below("dependent_resources"), below("references"))
        return root, graph

    def _instance(self, type_name: str, name_or_id: str) -> Resource:
        with told(f"find the {type_name}", name_or_id):
            try:
                return resource_of(self._api.get_instance(type_name, name_or_id))
            except Missing:
                named = [item for item in self._api.instances(type_name) if item.name == name_or_id]
        return resource_of(_one(named, f"{type_name}", name_or_id, "protectable list"))

    @cached_property
    def _providers(self) -> list[Any]:
        with told("list the providers"):
            return list(self._api.providers())

    def list_providers(self) -> list[Json]:
        """Where their banks are is the service's business."""
        return [
            {"id": item.id, "name": item.name, "description": item.description, "bank": ""}
            for item in self._providers
        ]

    def show_provider(self, name_or_id: str) -> Json:
        """One of them."""
        with told("show the provider", name_or_id):
            found = self._api.get_provider(self._provider(name_or_id).id)
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
        """What it is called; of one that is gone: its id."""
        return next((str(item.name) for item in self._providers if item.id == reference), reference)

    # --- plans

    def list_plans(self) -> list[Plan]:
        """The project's plans."""
        with told("list the plans"):
            return [plan_of(item) for item in self._api.plans(sort="created_at:asc,id:asc")]

    def find_plan(self, name_or_id: str) -> Plan:
        """One plan by id or name."""
        plans = self.list_plans()
        exact = [plan for plan in plans if plan.id == name_or_id]
        named = exact or [plan for plan in plans if plan.name == name_or_id]
        found: Plan = _one(named, "plan", name_or_id, "plan list")
        return found

    def create_plan(
        self,
        name: str,
        resources: Sequence[tuple[str, str]],
        *,
        provider: str = "default",
        parameters: Parameters | None = None,
        description: str = "",
        objective: int | None = None,
    ) -> Plan:
        """Make a plan."""
        chosen = self._provider(provider)
        _check_covered(chosen, resources)
        with told("create the plan", name):
            made = self._api.create_plan(
                name=name,
                description=description,
                provider_id=chosen.id,
                resources=self._entries(resources),
                parameters=self._by_id(parameters),
                # Other services of this API know no objective.
                **({"objective": objective} if objective else {}),
            )
        return plan_of(made)

    def update_plan(
        self,
        name_or_id: str,
        *,
        name: str | None = None,
        description: str | None = None,
        resources: Sequence[tuple[str, str]] | None = None,
        parameters: Parameters | None = None,
        objective: int | None = None,
    ) -> Plan:
        """Change what is given; an objective of 0 is none."""
        plan = self.find_plan(name_or_id)
        changes: dict[str, Any] = {"name": name, "description": description}
        changes["resources"] = None if resources is None else self._entries(resources)
        changes["parameters"] = None if parameters is None else self._by_id(parameters)
        changes = {key: value for key, value in changes.items() if value is not None}
        if objective is not None:
            changes["objective"] = objective or None
        if not changes:
            return plan
        with told("change the plan", name_or_id):
            return plan_of(self._api.update_plan(plan.id, **changes))

    def delete_plan(self, plan_id: str) -> None:
        """Forget a plan."""
        with told("delete the plan", plan_id):
            self._api.delete_plan(plan_id)

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

    def _by_id(self, parameters: Parameters | None, nodes: Iterable[Resource] | None = None) -> Json:
        """Parameters by id, where users may have named resources of the project, or of a checkpoint."""
        found: dict[str, Any] = {}
        for where, settings in (parameters or {}).items():
            kind, mark, wanted = where.partition("#")
            keys = [where]
            if mark and nodes is None:
                keys = [str(self._instance(kind, wanted).key)]
            elif mark and nodes is not None:
                keys = _named(nodes, kind, wanted)
            for key in keys:
                found.setdefault(key, {}).update(settings)
        return found

    # --- checkpoints

    def checkpoints(self) -> list[CheckpointState]:
        """Those of all providers."""
        made_by = {
            view.operation.checkpoint_id: view.operation.id for view in self._operations(type="protect")
        }
        with told("list the checkpoints"):
            found = [
                checkpoint_state(item, made_by)
                for provider in self._providers
                for item in self._api.checkpoints(provider.id)
            ]
        return sorted(found, key=lambda state: state.created_at, reverse=True)

    def checkpoint_id(self, identity: str) -> str:
        """The whole id."""
        return self._checkpoint(identity).id

    def _checkpoint(self, identity: str) -> CheckpointState:
        fits = [state for state in self.checkpoints() if identity and state.id.startswith(identity)]
        exact = [state for state in fits if state.id == identity]
        if len(fits) > 1 and not exact:
            raise InvalidInput(
                f"{len(fits)} checkpoints begin with '{identity}'", advice="Give more of the id"
            )
        if not fits:
            raise NotFound(f"there is no checkpoint '{identity}'", advice="See: refloat checkpoint list")
        return (exact or fits)[0]

    def contents(self, checkpoint_id: str) -> Json:
        """The resources; in which cloud they were is known: this one."""
        connection = self._api._get_connection()
        auth_url = str(connection.config.auth.get("auth_url", ""))
        return {
            "cloud": {"name": self._cloud_name or "", "auth_url": auth_url},
            "resources": [
                {"type": node.type, "id": node.id, "name": node.name} for node in self._nodes(checkpoint_id)
            ],
        }

    def _nodes(self, checkpoint_id: str) -> list[Resource]:
        state = self._checkpoint(checkpoint_id)
        with told("show the checkpoint", checkpoint_id):
            nodes, _adjacency = self._api.get_checkpoint(state.provider, state.id).graph()
        return [Resource(node[0], node[1], node[2] or "") for node in reversed(nodes.values())]

    # --- operations

    def protect(self, plan_name_or_id: str, *, begin: bool = True) -> Operation:
        """Have a plan protected."""
        plan = self.find_plan(plan_name_or_id)
        with told("protect the plan", plan_name_or_id):
            made = self._api.create_checkpoint(plan.provider, plan_id=plan.id)
            return self._newest("protect", made.id)

    def restore(
        self,
        checkpoint: str,
        *,
        only: Iterable[str] = (),
        parameters: Parameters | None = None,
        keep_on_failure: bool = False,
        begin: bool = True,
    ) -> Operation:
        """Have a checkpoint restored."""
        wanted = self._run_of(checkpoint, parameters, only)
        if keep_on_failure:
            wanted["keep_on_failure"] = True
        with told("restore the checkpoint", checkpoint):
            return self.look(self._api.create_restore(**wanted).id).operation

    def dry_run(
        self, checkpoint: str, *, only: Iterable[str] = (), parameters: Parameters | None = None
    ) -> Json:
        """What a restore would do."""
        wanted = self._run_of(checkpoint, parameters, only)
        return self._looked("restore", **wanted)

    def verify(
        self, checkpoint: str, *, parameters: Parameters | None = None, begin: bool = True
    ) -> Operation:
        """Have a checkpoint verified."""
        wanted = self._run_of(checkpoint, parameters)
        with told("verify the checkpoint", checkpoint):
            return self.look(self._api.create_verification(**wanted).id).operation

    def _run_of(self, checkpoint: str, parameters: Parameters | None, only: Iterable[str] = ()) -> Json:
        state = self._checkpoint(checkpoint)
        wanted: Json = {"provider_id": state.provider, "checkpoint_id": state.id, "parameters": {}}
        chosen = list(only)
        if chosen or any("#" in where for where in parameters or {}):
            nodes = self._nodes(state.id)
            wanted["parameters"] = self._by_id(parameters, nodes)
            if chosen:
                wanted["only"] = [key for text in chosen for key in _named(nodes, *text.partition("#")[::2])]
        elif parameters:
            wanted["parameters"] = self._by_id(parameters)
        return wanted

    def copy(
        self, checkpoint: str, to: str, *, allow_incomplete: bool = False, begin: bool = True
    ) -> Operation:
        """Have a checkpoint copied."""
        state, target = self._checkpoint(checkpoint), self._provider(to)
        settings = {"to": target.id, "allow_incomplete": allow_incomplete}
        with told("copy the checkpoint", checkpoint):
            self._api.create_copy(state.provider, checkpoint_id=state.id, parameters=settings)
            return self._newest("copy", state.id)

    def copy_dry_run(self, checkpoint: str, to: str) -> Json:
        """What would be copied."""
        state, target = self._checkpoint(checkpoint), self._provider(to)
        return self._looked(
            "copy", provider_id=state.provider, checkpoint_id=state.id, parameters={"to": target.id}
        )

    def _looked(self, kind: str, provider_id: str, checkpoint_id: str, **settings: Any) -> Json:
        """What a dry run found, which a worker does meanwhile."""
        with told(f"find out what a {kind} would do"):
            identity = self._api.dry_run(kind, provider_id, checkpoint_id, **settings).id
            deadline = time.monotonic() + _PATIENCE
            while (found := self._api.get_operation(identity, retries=_RETRIES)).status not in _ENDED:
                if time.monotonic() > deadline:
                    raise Conflict(
                        "no worker of the service has looked yet",
                        advice=f"See: refloat operation watch {identity}",
                    )
                time.sleep(_TICK)
        if found.error:
            raise RefloatError.from_json(dict(found.error))
        return dict(found.result or {})

    def delete_checkpoint(self, checkpoint: str, *, begin: bool = True) -> Operation:
        """Have a checkpoint deleted."""
        state = self._checkpoint(checkpoint)
        with told("delete the checkpoint", checkpoint):
            self._api.delete_checkpoint(state.provider, state.id, ignore_missing=False)
            return self._newest("delete", state.id)

    def _newest(self, kind: str, checkpoint_id: str) -> Operation:
        for view in self._operations(type=kind, checkpoint_id=checkpoint_id):
            return view.operation
        raise NotFound(f"the service shows no operation for checkpoint {checkpoint_id}")

    def begin(self, operation: Operation) -> None:
        """It has begun, or will by itself."""

    def wait(self, operation_id: str, timeout: float | None = None) -> Operation:
        """Operations do not run here."""
        raise NotImplementedError

    def stop(self, operation_id: str) -> None:
        """Operations do not run here."""
        raise NotImplementedError

    def _operations(self, **filters: Any) -> Iterator[OperationView]:
        with told("list the operations"):
            for item in self._api.operations(sort="created_at:desc,id:asc", dry_run=False, **filters):
                yield operation_view(item.to_dict(), self.provider_name)

    def look_at_all(self) -> list[OperationView]:
        """All operations, newest first."""
        return list(self._operations())

    def look(self, identity: str, *, outcomes: bool = False) -> OperationView:
        """One operation."""
        with told("show the operation", identity), contextlib.suppress(Missing):
            found = self._api.get_operation(self._operation_id(identity), retries=_RETRIES).to_dict()
            return operation_view(found, self.provider_name)
        raise NotFound(f"there is no operation '{identity}'", advice="See: refloat operation list")

    def _operation_id(self, identity: str) -> str:
        if len(identity) >= 32:
            return identity
        ids = [view.operation.id for view in self._operations()]
        fits = [one for one in ids if identity and one.startswith(identity)]
        if len(fits) > 1:
            raise InvalidInput(
                f"{len(fits)} operations begin with '{identity}'", advice="Give more of the id"
            )
        if not fits:
            raise NotFound(f"there is no operation '{identity}'", advice="See: refloat operation list")
        return fits[0]

    def created(self, operation_id: str) -> list[JournalItem]:
        """What it has created, as far as the service tells."""
        with told("show the operation", operation_id):
            found = self._api.get_operation(operation_id).to_dict()
        return [journal_item(item) for item in found.get("created") or ()]

    def resumable(self, identity: str) -> OperationView:
        """Whether it can be resumed is the service's to say, when it is told to."""
        view = self.look(identity)
        if view.state in {"succeeded", "failed", "cancelled"}:
            raise Conflict(f"the operation has ended ({view.state}); there is nothing to resume")
        return view

    def resume(self, identity: str) -> Operation:
        """Have it go on."""
        return self._act(identity, "resume")

    def cancel(self, identity: str) -> Operation:
        """Have it stopped and undone."""
        view = self.look(identity)
        if view.state in {"succeeded", "cancelled"}:
            raise Conflict(f"the operation has ended ({view.state}); there is nothing to cancel")
        return self._act(identity, "cancel")

    def _act(self, identity: str, action: str) -> Operation:
        whole = self._operation_id(identity)
        with told(f"{action} the operation", whole):
            getattr(self._api, f"{action}_operation")(whole)
        return self.look(whole).operation


def _one(found: Sequence[Any], what: str, name: str, command: str) -> Any:
    if not found:
        raise NotFound(f"there is no {what} '{name}'", advice=f"See: refloat {command}")
    if len(found) > 1:
        ids = ", ".join(str(item.id) for item in found)
        raise InvalidInput(f"{len(found)} {what}s are called '{name}'", advice=f"Use an id: {ids}")
    return found[0]


def _named(nodes: Iterable[Resource], kind: str, wanted: str) -> list[str]:
    same = [node for node in nodes if node.type == kind]
    fits = [node for node in same if node.id == wanted] or [node for node in same if node.name == wanted]
    if not fits:
        raise NotFound(f"the checkpoint holds no {kind} '{wanted}'", advice="See: refloat checkpoint show")
    return [str(node.key) for node in fits]


def _check_covered(provider: Any, resources: Sequence[tuple[str, str]]) -> None:
    covered = (provider.extended_info_schema or {}).get("options_schema", {})
    for type_name, _wanted in resources:
        if type_name not in covered:
            raise InvalidInput(f"provider {provider.name} does not protect resources of type {type_name}")
