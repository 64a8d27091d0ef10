"""Restore: a checkpoint's resources come back, as the restore plan says beforehand."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Set
from dataclasses import replace
from typing import Any, ClassVar

from refloat.bank import data_references
from refloat.engine.dag import Dag, Step
from refloat.engine.program import Body, Json, Outcome, StepRun
from refloat.errors import InvalidInput, RefloatError, Stale
from refloat.graph import Graph, Resource, ResourceKey
from refloat.mappings import Mappings
from refloat.operations.compile import BEGIN
from refloat.operations.existing import BESIDE_NAME, IGNORE, REPLACE
from refloat.operations.mappings import by_id
from refloat.operations.on_checkpoint import ReadingProgram
from refloat.operations.restoreplan import RestorePlan, chosen_part, differences, make_restore_plan
from refloat.operations.safety import GATE, how_to_bring_back, made
from refloat.operations.successors import NOTHING, InPlace
from refloat.providers.provider import check_parameters
from refloat.resources.base import PROJECT, OperationKind, Planned, Restored, Section
from refloat.resources.creations import REPLACED, STOPPED
from refloat.resources.planned import MOVES_DATA, NOTHING_TO_DO

_MOST = 10
"""So many differences are told."""


def safety_wanted(payload: Mapping[str, Any]) -> bool:
    """Whether a checkpoint of what is replaced is made before."""
    return payload.get("existing") == REPLACE and not payload.get("no_safety")


class RestoreProgram(ReadingProgram):
    """Payload: ``checkpoint_id``, ``provider``, and the choices (:mod:`refloat.operations.choices`)."""

    kind: ClassVar[OperationKind] = "restore"
    _successors: InPlace = NOTHING

    def prepare(self, run: StepRun) -> Json:
        """Make the restore plan; refuse, before anything is changed, what cannot be done."""
        plan = self.plan()
        if kept := self.payload.get("restore_plan_id"):
            self._refuse_stale(str(kept), plan)
        plan.refuse_impossible()
        if plan.replaced and safety_wanted(self.payload) and not self.payload.get("safety"):
            raise InvalidInput(
                "no safety checkpoint can be made from here, and nothing was changed",
                advice="Do without it: --no-safety",
            )
        self._graph = plan.graph  # as it will be read from what is kept here
        return {
            "graph": plan.graph.to_json(),
            "successors": plan.successors.to_json(),
            "region": self.services.cloud.region,
            "planned": plan.planned_texts(),
            "effort": plan.effort,
            "replaced": [str(key) for key in plan.replaced],
            "reads_all": not (self.payload.get("only") or self.payload.get("leave_out"))
            and all(
                each.action in MOVES_DATA or not self._has_data(key) for key, each in plan.planned.items()
            ),
        }

    def dag(self, prepared: Json) -> Dag:
        """Where something is replaced, the safety checkpoint comes before anything else."""
        dag = super().dag(prepared)
        if not self._waits(prepared):
            return dag
        return Dag([Step(GATE, ()), *(replace(step, after=(*step.after, GATE)) for step in dag)])

    def step(self, prepared: Json, run: StepRun) -> Json | Body:
        if run.step != GATE:
            return super().step(prepared, run)
        keys = [ResourceKey.parse(text) for text in prepared["replaced"]]
        safety, services = self.payload["safety"], self.services
        provider = str(self.payload["provider"])
        return made(
            safety, services.state_of, lambda: services.bank_for(provider, False), keys, self.project_id
        )

    def _waits(self, prepared: Json) -> bool:
        return bool(prepared.get("replaced") and self.payload.get("safety"))

    def _safety(self, prepared: Json) -> dict[str, str]:
        safety = self.payload.get("safety") or {}
        return {"safety_checkpoint_id": safety["checkpoint_id"]} if self._waits(prepared) else {}

    def undo(self, prepared: Json, outcomes: Mapping[str, Outcome], run: StepRun) -> Json | Body:
        return self._undone()

    def _undone(self) -> Body:
        """What was created goes. What was replaced cannot be brought back so: that is told, and servers that
        were switched off for it stay so.

        :raises RefloatError: something was replaced.
        """
        entries = self.journal.entries()
        changed = sorted({entry.source for entry in entries if entry.kind == REPLACED})
        for entry in entries:
            if changed and entry.kind == STOPPED:
                self.journal.forget(entry.source, entry.role)
        result = yield from self.rolled_back()
        if changed:
            raise RefloatError(
                "what was being replaced is not as it was before",
                left_behind=f"what was replaced of {', '.join(changed)}; servers switched off for it",
                advice=how_to_bring_back(self.payload.get("safety")),
            )
        return result

    def _refuse_stale(self, identity: str, plan: RestorePlan) -> None:
        """:raises Stale: what was planned, and perhaps approved, is not what would be done now."""
        kept = self.services.kept_plan(identity)
        found = differences(kept, plan.to_json()) if kept else ["it is gone"]
        if found:
            more = f"; and {len(found) - _MOST} more" if len(found) > _MOST else ""
            raise Stale(
                "the cloud is not as it was when the restore plan was made, and nothing was changed",
                reason="; ".join(found[:_MOST]) + more,
                advice=f"Have it made again, and look at it: refloat restore plan set {identity}",
            )

    def _has_data(self, key: ResourceKey) -> bool:
        section = self.section(key)
        return bool(data_references(section) or self.plugins[key.type].stays_in_cloud(section))

    def section(self, key: ResourceKey) -> Section:
        section: Section = self._successors.reading(super().section)(key)
        return section

    def plan(self) -> RestorePlan:
        check_parameters(self.plugins, self.kind, self.payload["parameters"])
        whole = self.whole_graph
        graph = chosen_part(*(whole, self.payload.get("only") or (), self.payload.get("leave_out") or ()))
        cloud = self.services.cloud
        name = str(self.payload.get("beside_name") or BESIDE_NAME)
        plan = make_restore_plan(
            *(graph, super().section, self.plugins, self.payload["parameters"], cloud),
            same_place=self._same_place,
            existing=self.payload.get("existing", IGNORE),
            twin_name=name.replace("{date}", self.checkpoint.info.created_at[:10]),
            mappings=self._mappings,
            whole=whole,
            safety=safety_wanted(self.payload),
            known=self.services.successors(cloud.project_id, cloud.region) if self._same_place else None,
        )
        self._successors = plan.successors
        return plan

    @property
    def _mappings(self) -> Mappings:
        """As they were understood when a restore plan was made that is kept; else as they were given."""
        kept = self.payload.get("restore_plan_id")
        told = (self.services.kept_plan(str(kept)) or {}).get("mappings") if kept else None
        given: Mappings = self.payload.get("mappings") or {}
        return given if told is None else by_id(told)

    @property
    def _same_place(self) -> bool:
        """Whether the originals would be where they are restored."""
        elsewhere = bool(self.payload.get("restore_target")) and not self.payload.get("same_cloud")
        return not elsewhere and self.checkpoint.info.project_id == self.services.cloud.project_id

    def origin(self) -> dict[str, str] | None:
        """Whence the checkpoint comes; None: from the project that it is restored into."""
        if self._same_place:
            return None
        info = self.checkpoint.info
        cloud = str((info.extra.get("cloud") or {}).get("auth_url", ""))
        # Users of the service are not told where banks are.
        bank = self.bank.url if self.payload.get("place") else ""
        return {"project_id": info.project_id, "auth_url": cloud, "bank": bank}

    def implemented(self, prepared: Json, node: Resource) -> Iterable[str]:
        action = self._decided(prepared, node.key)["action"]
        if action in NOTHING_TO_DO:
            return ()
        found = super().implemented(prepared, node)
        if action == "replace" or not self.plugins[node.type].replaces:
            return found
        return [hook for hook in found if hook != BEGIN]  # only what is there has anything to get ready

    def graph(self, prepared: Json) -> Graph:
        if "graph" in prepared:
            if self._graph is None:
                self._successors = InPlace(prepared.get("successors", {}))
                super().graph(prepared)
            prepared.pop("graph", None)  # of thousands it is as large again, and nobody needs it now
        return super().graph(prepared)

    def planned(self, prepared: Json, key: ResourceKey) -> Planned:
        """What the restore plan decided for a resource."""
        return Planned.from_json(self._decided(prepared, key))

    def _decided(self, prepared: Json, key: ResourceKey) -> dict[str, Any]:
        return json.loads(prepared["planned"][str(key)])  # type: ignore[no-any-return]

    def finish(self, prepared: Json, run: StepRun) -> Json:
        """Every resource that was made or re-used, with its old and new id; it is the user's from now on.

        ``gone``: the originals that were surely not there any more when it was planned, as ``TYPE#ID``.
        ``unknown``: those of which nobody could say. Of other places' originals nothing is said.
        ``parts``: the new ids of what was made within what was gone: ports and subnets, as ``TYPE#ID``.
        ``stays``: what was made besides, and does not go with the resource that needs it. What hooks have
        ``let_go`` was only needed meanwhile.
        """
        lines: list[dict[str, Any]] = []
        graph: Graph = self.graph(prepared)
        there: list[tuple[ResourceKey, bool | None]] = []
        stays: list[Any] = []
        let_go: set[str] = set()
        parts: dict[str, str] = {}
        for node in graph:
            decided = self._decided(prepared, node.key)
            living: bool | None = decided.get("living")
            there.append((self._successors.original(node.key), living))
            if decided["action"] in NOTHING_TO_DO:
                planned = Planned.from_json(decided)
                made = Restored(node.type, node.id, planned.new_id, planned.name, reason=planned.reason)
                lines.append({**made.to_json(), "status": NOTHING_TO_DO[planned.action]})
            results = self.results(run, node.key)
            lines.extend(results.get("restored", ()))
            if living is False:
                parts |= _parts(node.type, results.get("restored", ()))
            stays.extend(results.get("stays", ()))
            let_go.update(results.get("let_go", ()))
        self.hand_over()
        prepared.pop("planned")  # all has been done, and what is told of it takes as much again
        return {
            "id": self.operation_id,
            "checkpoint_id": self.checkpoint_id,
            "status": "succeeded",
            "resources": [self._told(line, let_go) for line in lines],
            "gone": [str(key) for key, living in there if living is False],
            **self._safety(prepared),
            **({"unknown": unknown} if (unknown := self._unknown(there)) else {}),
            "effort": prepared.get("effort"),
            **({"stays": stays} if stays else {}),
            **({"parts": parts} if parts else {}),
        }

    def _told(self, line: dict[str, Any], let_go: Set[str]) -> dict[str, Any]:
        """What became of a resource, by the name that the checkpoint has for it."""
        source_id = self._successors.was(line["source_id"])
        instead = {"source_id": source_id} if source_id != line["source_id"] else {}
        if line["new_id"] in let_go:
            instead |= {"status": "removed", "new_id": ""}
        return {**line, **instead} if instead else line

    def _unknown(self, there: Iterable[tuple[ResourceKey, bool | None]]) -> list[str]:
        if not self._same_place:
            return []
        return [str(key) for key, living in there if living is None and key.type != PROJECT]


def _parts(kind: str, lines: Iterable[Mapping[str, Any]]) -> dict[str, str]:
    """The new ids of what was made within a resource of a kind."""
    made = (line for line in lines if line["type"] != kind and line["status"] == "created")
    return {f"{line['type']}#{line['source_id']}": line["new_id"] for line in made if line["source_id"]}
