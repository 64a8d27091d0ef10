"""Runs the hooks of some resources in this process, in their order, with a journal in memory.

No engine and no bank: what is under test is what the hooks do in a real cloud, also when they are cut
off in the middle (:class:`Cut`) and run again, and that all they created can be removed again.
"""

from __future__ import annotations

import threading
import uuid
from collections.abc import Callable, Generator, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Any, cast

from refloat.cloud import Cloud, Marker
from refloat.cloud.create_once import find_created
from refloat.cloud.removal import removal
from refloat.graph import Graph, Resource, ResourceKey
from refloat.operations.discovery import Discovery
from refloat.operations.restoreplan import RestorePlan, chosen_part, make_restore_plan
from refloat.operations.rollback import rollback
from refloat.providers.provider import Providers, settings_for
from refloat.resources.base import HOOKS, OperationKind, Planned
from refloat.resources.context import HookContext
from refloat.resources.creations import Creations
from refloat.resources.planned import NOTHING_TO_DO


class Cut(BaseException):
    """The process ends here, as after ``kill -9``: nothing may catch it."""


@dataclass(frozen=True)
class Kept:
    """One entry of the journal."""

    source: str
    role: str
    kind: str
    id: str
    clue: Mapping[str, Any]


@dataclass(frozen=True)
class MemoryEntry:
    source: str
    role: str
    kind: str
    id: str
    clue: Mapping[str, Any]


class MemoryJournal:
    """A journal in memory that can cut the operation off after so many entries."""

    def __init__(self) -> None:
        self.kept: dict[tuple[str, str], Kept] = {}
        self.cut_after: int | None = None
        self.writes = 0
        self.anchoring = threading.Lock()

    def find(self, source: str, role: str) -> Kept | None:
        return self.kept.get((source, role))

    def intend(self, source: str, role: str, kind: str, clue: Mapping[str, Any]) -> None:
        self.kept[source, role] = Kept(source, role, kind, "", clue)
        self._wrote()

    def made(self, source: str, role: str, identity: str) -> str:
        # Cut off here, the thing has been created and nobody has written it down.
        self._wrote()
        entry = self.kept.get((source, role))
        if entry is not None and not entry.id:
            entry = self.kept[source, role] = replace(entry, id=identity)
        return entry.id if entry else ""

    def forget(self, source: str, role: str) -> None:
        del self.kept[source, role]

    def entries(self) -> list[Kept]:
        return list(self.kept.values())

    def _wrote(self) -> None:
        self.writes += 1
        if self.cut_after is not None and self.writes > self.cut_after:
            raise Cut


class Rig:
    """Protects and restores with the plugins of the default provider.

    :param leave_out: types that take no part.
    """

    def __init__(self, cloud: Cloud, leave_out: Iterable[str] = ()) -> None:
        self.cloud = cloud
        wanted = Providers().find("default").plugins()
        self.plugins = {kind: wanted[kind] for kind in wanted if kind not in set(leave_out)}
        self.graph = Graph()
        self.sections: dict[ResourceKey, dict[str, Any]] = {}
        self.journal = MemoryJournal()
        self.operation_id = ""
        self.data: Any = None
        self.settings: Mapping[str, Mapping[str, object]] = {}
        self.waits = 0
        self.cut_after_waits: int | None = None

    def waited(self) -> None:
        """Count the waits of the last run; cut it off after so many."""
        self.waits += 1
        if self.cut_after_waits is not None and self.waits >= self.cut_after_waits:
            raise Cut

    def protect(self, *resources: Resource, hand_over: bool = True) -> Mapping[ResourceKey, dict[str, Any]]:
        """Find and protect resources and all that they need."""
        self.graph = Discovery(self.cloud).graph(resources)
        run = Run(self, "protect", self.graph, {})
        run.all()
        self.operation_id = run.operation_id
        if hand_over:
            assert Creations(self.cloud, run.operation_id, self.journal).hand_over() == []
        self.sections = {key: dict(merged) for key, merged in run.results.items()}
        return self.sections

    def plan(
        self,
        parameters: Mapping[str, Mapping[str, object]] | None = None,
        only: Iterable[str] = (),
        **existing: str,
    ) -> RestorePlan:
        """What a restore would do."""
        part = chosen_part(self.graph, only)
        return make_restore_plan(
            part, lambda key: self.sections[key], self.plugins, parameters or {}, self.cloud, **existing
        )

    def restore(
        self,
        plan: RestorePlan | None = None,
        *,
        parameters: Mapping[str, Mapping[str, object]] | None = None,
        cuts: Iterable[int] = (),
        hand_over: bool = True,
    ) -> dict[tuple[str, str], dict[str, Any]]:
        """Restore, cut off after so many journal writes, and again, and then to the end.

        :param hand_over: what is made loses its marks at the end.

        The answer is every ``Restored`` by type and source id.
        """
        plan = plan or self.plan(parameters)
        plan.refuse_impossible()
        self.journal = MemoryJournal()
        run = Run(self, "restore", plan.graph, plan.planned)
        for cut in cuts:
            self.journal.cut_after, self.journal.writes = cut, 0
            with suppress(Cut):
                run.all()
            run = Run(self, "restore", plan.graph, plan.planned, run.operation_id)
        self.journal.cut_after = None
        run.all()
        self.operation_id = run.operation_id
        if hand_over:
            assert Creations(self.cloud, run.operation_id, self.journal).hand_over() == []
        lines = [line for merged in run.results.values() for line in merged.get("restored", ())]
        return {(line["type"], line["source_id"]): line for line in lines}

    def verify(self) -> dict[ResourceKey, dict[str, Any]]:
        """What every verify hook says."""
        run = Run(self, "verify", self.graph, {})
        run.all()
        return run.results

    def roll_back(self, operation_id: str = "") -> None:
        """Remove all that the last restore created and that is its own, as a failed one is undone."""
        operation_id = operation_id or self.operation_id
        finish(rollback(self.cloud, operation_id, self.journal))

    def undo(self, operation_id: str = "") -> None:
        """Remove all that the last restore created, whoever has it by now."""
        for entry in reversed(self.journal.entries()):
            marker = Marker(operation_id, ResourceKey.parse(entry.source).id, entry.role)
            identity = entry.id or find_created(self.cloud, entry.kind, marker, entry.clue)
            if identity:
                finish(removal(self.cloud, entry.kind, identity))
            self.journal.forget(entry.source, entry.role)


class Run:
    """One operation, in this thread."""

    def __init__(
        self,
        rig: Rig,
        kind: OperationKind,
        graph: Graph,
        planned: Mapping[ResourceKey, Planned],
        operation_id: str = "",
    ) -> None:
        self.rig, self.kind, self.graph, self.planned = rig, kind, graph, planned
        self.operation_id = operation_id or str(uuid.uuid4())
        self.results: dict[ResourceKey, dict[str, Any]] = {}

    def all(self) -> None:
        """Every hook of every resource, in an order that the compiler could choose, too."""
        self.rig.waits = 0
        bottom_up = self.graph.bottom_up()
        for hook in HOOKS:
            for node in reversed(bottom_up) if hook == HOOKS[0] else bottom_up:
                plugin = self.rig.plugins[node.type]
                body = getattr(plugin.hooks(self.kind), hook, None)
                nothing = node.key in self.planned and self.planned[node.key].action in NOTHING_TO_DO
                if body is not None and not nothing:
                    outcome = body(self.context(node))
                    result = finish(outcome, self.rig.waited) if isinstance(outcome, Generator) else outcome
                    self.results.setdefault(node.key, {}).update(result or {})

    def context(self, node: Resource) -> HookContext:
        def nothing(*_args: object) -> Any:
            return None

        return HookContext(
            operation_id=self.operation_id,
            checkpoint_id="checkpoint",
            resource=node,
            graph=self.graph,
            parameters=settings_for(
                self.rig.plugins[node.type],
                self.kind,
                self.rig.settings if self.kind == "protect" else {},
                node.id,
            ),
            cloud=self.rig.cloud,
            journal=self.rig.journal,
            data=cast(Any, self.rig.data),
            results=lambda key: self.results.get(key, {}),
            mapping=self.mapping,
            section=self.rig.sections.get(node.key, {}),
            decided=lambda: self.planned.get(node.key, Planned("create")),
            progress=cast("Callable[[int, int], None]", nothing),
            cancelled=lambda: False,
        )

    def mapping(self, kind: str, source: str) -> str | None:
        for merged in self.results.values():
            for line in merged.get("restored", ()):
                if (line["type"], line["source_id"]) == (kind, source):
                    return str(line["new_id"])
        return None


def finish(body: Generator[Any, Any, Any], waited: Callable[[], None] = lambda: None) -> Any:
    """Run a hook to its end, waiting here for what it waits for.

    :param waited: called after each wait.
    """
    sent = None
    while True:
        try:
            wait = body.send(sent)
        except StopIteration as stop:
            return stop.value
        sent = wait.result()
        waited()
