"""What all operations share: hooks run as steps, with their context, and everything created can be undone."""

from __future__ import annotations

import threading
from abc import ABC, abstractmethod
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cached_property, partial
from typing import Any, ClassVar, Protocol

from refloat.bank import Bank, unfenced
from refloat.cloud import Cloud, fence
from refloat.engine.dag import Dag
from refloat.engine.program import Body, CheckLease, Json, Outcome, StepRun
from refloat.errors import RefloatError
from refloat.graph import Graph, Resource, ResourceKey
from refloat.operations.compared import Before
from refloat.operations.compile import compile_hooks, step_name, step_of
from refloat.operations.data import BankData
from refloat.operations.rollback import rollback
from refloat.operations.successors import Chains
from refloat.providers.provider import Provider, Providers, settings_by_type
from refloat.resources.base import OperationKind, Planned, ProtectionPlugin, Section
from refloat.resources.context import HookContext
from refloat.resources.creations import Creation, CreationJournal, Creations


class KnownCopy(Protocol):
    """A copy of a checkpoint."""

    @property
    def id(self) -> str: ...
    @property
    def provider_id(self) -> str: ...


@dataclass(frozen=True)
class Services:
    """What operations work with."""

    cloud: Cloud
    providers: Providers
    bank_for: Callable[[str, bool], Bank]
    """The open bank of a provider. When there is none it is made, or (false) that is NotFound."""
    journal_of: Callable[[str], CreationJournal]
    """What an operation creates, durably."""
    copies_of: Callable[[str, str], Sequence[KnownCopy]]
    """The known copies of a checkpoint of a project."""
    expected: Callable[[str, str | None], set[str]] = lambda _provider, _project: set()
    """The ids of the checkpoints that should be in a provider's bank; of a project, or (None) of all."""
    max_resources: int = 0
    """So many resources may be protected in one operation; 0: any number."""
    refuse_held: Callable[[str], None] = lambda _checkpoint_id: None
    """Raises :class:`refloat.errors.Held` for a checkpoint that the records say is on hold."""
    older: Callable[[Bank], str] = lambda _bank: ""
    """Why a bank is not what it was when the records last saw its head; empty: it is, or they never did."""
    minimum: Callable[[], timedelta] = timedelta
    last_of: Callable[[str, str], Before | None] = lambda _plan_id, _project_id: None
    """The last checkpoint of a plan of a project that lacks nothing, made since the plan was changed."""
    """So long the operator keeps every checkpoint."""
    kept_plan: Callable[[str], Mapping[str, Any] | None] = lambda _identity: None
    """What a restore plan that is kept says; None: there is none."""
    bank_at: Callable[[str, str], Bank] | None = None
    """The bank at a URL, opened with the key at a place; it may be of no provider."""
    state_of: Callable[[str], tuple[str, str]] = lambda _operation_id: ("", "")
    """The state of an operation, and why it failed."""
    successors: Callable[[str, str], Chains] = lambda _project, _region: {}
    """What restores have made in the place of originals, in a project and a region."""


class OperationProgram(ABC):
    """One operation: what it prepares, the hooks it runs, how it ends and how it is undone.

    :param payload: JSON: ``provider``, ``checkpoint_id``, ``parameters`` and what the kind adds;
        ``bank`` names the provider in whose bank the checkpoint lies, when that is another; ``place`` has the
        ``url`` and the ``key`` of one that is no provider's; ``owner`` is the project under whose key it is
        there, when that is not whose operation it is.
    """

    kind: ClassVar[OperationKind]

    def __init__(self, operation_id: str, payload: Json, services: Services) -> None:
        self.operation_id = operation_id
        self.payload = payload
        self.services = services
        self.journal = services.journal_of(operation_id)
        self._check_lease: CheckLease = unfenced
        self._lock = threading.Lock()
        self._graph: Graph | None = None
        self._mapping: dict[tuple[str, str], str] = {}
        self._mapped: set[ResourceKey] = set()

    @property
    def checkpoint_id(self) -> str:
        return str(self.payload["checkpoint_id"])

    @property
    def project_id(self) -> str:
        """Whose operation it is."""
        return str(self.payload.get("project_id", ""))

    @property
    def owner(self) -> str:
        """The project under whose key the checkpoint is in the bank."""
        return str(self.payload.get("owner") or self.project_id)

    @cached_property
    def provider(self) -> Provider:
        return self.services.providers.find(self.payload["provider"])

    @cached_property
    def bank(self) -> Bank:
        """The bank that is written or read: the provider's, unless the checkpoint lies in another's."""
        if (place := self.payload.get("place")) and self.services.bank_at is not None:
            return self._fenced(self.services.bank_at(str(place["url"]), str(place["key"])))
        whose = str(self.payload.get("bank") or self.payload["provider"])
        return self.fenced(whose, self.kind == "protect")

    def fenced(self, provider: str, create: bool) -> Bank:
        """A provider's bank, which is changed only as long as this operation is ours."""
        return self._fenced(self.services.bank_for(provider, create))

    def _fenced(self, bank: Bank) -> Bank:
        # Banks are opened before a look (a plan) or by one that nobody has bound, too.
        return bank.fenced(lambda: self._check_lease())

    @cached_property
    def plugins(self) -> Mapping[str, ProtectionPlugin]:
        return self.provider.plugins()

    @cached_property
    def data(self) -> BankData:
        return BankData(
            self.bank,
            self.checkpoint_id,
            self.project_id,
            writing=self.kind == "protect",
            looked=self.payload.get("depth") == "existence",
        )

    @cached_property
    def _settings(self) -> Callable[[ProtectionPlugin, str], Mapping[str, object]]:
        return settings_by_type(self.kind, self.payload["parameters"])

    def keep_until(self, created_at: str) -> datetime | None:
        """Until when a checkpoint of that time has to be kept; None: it need not."""
        minimum = self.services.minimum()
        return datetime.fromisoformat(created_at) + minimum if minimum else None

    @property
    def target(self) -> BankData | None:
        """The bank that is copied to, as hooks see it."""
        return None

    # What each kind of operation decides for itself

    @abstractmethod
    def prepare(self, run: StepRun) -> Json:
        """The graph (under ``graph``) and whatever else the steps need."""

    @abstractmethod
    def finish(self, prepared: Json, run: StepRun) -> Json:
        """What the operation results in."""

    def section(self, key: ResourceKey) -> Section:
        return {}

    def planned(self, prepared: Json, key: ResourceKey) -> Planned:
        """What was decided for a resource; only restores decide."""
        return Planned("create")

    # What the engine asks for

    def bind(self, check_lease: CheckLease) -> None:
        """Be told how to ask whether the operation is still ours."""
        self._check_lease = check_lease

    def dag(self, prepared: Json) -> Dag:
        return compile_hooks(self.graph(prepared), lambda node: self.implemented(prepared, node))

    def implemented(self, prepared: Json, node: Resource) -> Iterable[str]:
        """The hooks that become steps for a resource."""
        return self._hooks_of(node.type)

    def step(self, prepared: Json, run: StepRun) -> Json | Body:
        key, hook = step_of(run.step)
        plugin = self.plugins[key.type]
        body = getattr(plugin.hooks(self.kind), hook, None)
        if body is None:  # a step that only keeps the order
            return None
        resource = self.graph(prepared)[key]
        context = self._context(prepared, resource, plugin, run)
        with _errors_name(resource):
            outcome = body(context)
        if isinstance(outcome, Generator):
            return _naming(resource, outcome)
        return dict(outcome or {}) or None  # of thousands that say nothing, nothing is kept

    def undo(self, prepared: Json, outcomes: Mapping[str, Outcome], run: StepRun) -> Json | Body:
        return self.rolled_back()

    def rolled_back(self) -> Body:
        return rollback(self.services.cloud, self.operation_id, self.journal, self._forget)

    def _forget(self, baseline: Creation) -> None:
        fence.check()
        clue = baseline.clue
        self.provider.movers.forget(clue["pool"], clue["image"], self.checkpoint_id)

    def hand_over(self) -> None:
        """What was created is no longer this operation's: it has succeeded."""
        Creations(self.services.cloud, self.operation_id, self.journal).hand_over()

    # Shared by the kinds

    def graph(self, prepared: Json) -> Graph:
        if self._graph is None:
            with self._lock:
                if self._graph is None:
                    self._graph = Graph.from_json(prepared["graph"])
        return self._graph

    def plugin_names(self, graph: Graph) -> dict[str, str]:
        """What a checkpoint keeps of who made it: the plugins' names by resource type."""
        return {kind: self.plugins[kind].name for kind in sorted({node.type for node in graph})}

    def results(self, run: StepRun, key: ResourceKey) -> dict[str, Any]:
        """The merged results of a resource's finished hooks."""
        merged: dict[str, Any] = {}
        for hook in self._hooks_of(key.type):
            try:
                merged.update(run.results(step_name(key, hook)) or {})
            except KeyError:
                continue
        return merged

    def _hooks_of(self, resource_type: str) -> Iterable[str]:
        plugin = self.plugins.get(resource_type)
        return type(plugin.hooks(self.kind)).implemented() if plugin else ()

    def _context(
        self, prepared: Json, resource: Resource, plugin: ProtectionPlugin, run: StepRun
    ) -> HookContext:
        graph = self.graph(prepared)

        def results(key: ResourceKey) -> Mapping[str, Any]:
            return self.results(run, key) if key in graph else {}

        def mapping(kind: str, source_id: str) -> str | None:
            return self._new_id(graph, run, kind, source_id)

        return HookContext(
            operation_id=self.operation_id,
            checkpoint_id=self.checkpoint_id,
            resource=resource,
            graph=graph,
            parameters=self._settings(plugin, resource.id),
            cloud=self.services.cloud,
            journal=self.journal,
            data=self.data,
            results=results,
            mapping=mapping,
            section=self.section(resource.key),
            decided=partial(self.planned, prepared, resource.key),
            progress=run.progress,
            cancelled=run.cancelled,
            target=self.target,
            movers=self.provider.movers,
        )

    def _new_id(self, graph: Graph, run: StepRun, kind: str, source_id: str) -> str | None:
        """Look a restored thing up; results of finished resources are read once."""
        wanted = (kind, source_id)
        with self._lock:
            if wanted in self._mapping:
                return self._mapping[wanted]
            for node in graph:
                if node.key in self._mapped:
                    continue
                restored = self.results(run, node.key).get("restored")
                if restored:
                    self._mapped.add(node.key)
                    self._mapping.update(
                        ((item["type"], item["source_id"]), item["new_id"]) for item in restored
                    )
            return self._mapping.get(wanted)


def stored_section(merged: Mapping[str, Any]) -> dict[str, Any]:
    """What of a resource's results goes into the checkpoint."""
    return {name: value for name, value in merged.items() if not name.startswith("_")}


@contextmanager
def _errors_name(resource: Resource) -> Iterator[None]:
    """Have errors that do not say what they happened to name the resource."""
    try:
        yield
    except RefloatError as exc:
        exc.resource = exc.resource or str(resource)
        raise


def _naming(resource: Resource, body: Body) -> Body:
    with _errors_name(resource):
        return (yield from body)
