"""Copy: a checkpoint in one provider's bank becomes one in another's, encrypted with that bank's key."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime
from functools import cached_property
from typing import ClassVar

from refloat.bank import Bank, data_references
from refloat.engine.dag import Dag
from refloat.engine.program import Body, Json, Outcome, StepRun
from refloat.errors import Conflict, NotFound, RefloatError
from refloat.graph import Resource
from refloat.operations.compile import COPY
from refloat.operations.copyplan import CopyPlan, copy_id, found_in, origin_of, size_of
from refloat.operations.data import BankData
from refloat.operations.on_checkpoint import ReadingProgram
from refloat.providers.provider import cover
from refloat.resources.base import CopyData, OperationKind


class CopyProgram(ReadingProgram):
    """Payload: ``checkpoint_id``, ``provider``, ``to`` (a provider), ``allow_incomplete``.

    The copy keeps graph, sections, plan and time; its id is a new one, always the same for one checkpoint
    and one bank. What it is a copy of is in ``extra["copied_from"]``.
    """

    kind: ClassVar[OperationKind] = "copy"

    @cached_property
    def target_bank(self) -> Bank:
        return self.fenced(str(self.payload["to"]), False)

    @property
    def target_name(self) -> str:
        """How people call the provider whose bank that is."""
        return str(self.payload.get("to_name") or self.payload["to"])

    @cached_property
    def origin(self) -> Mapping[str, str]:
        return origin_of(self.bank, self.checkpoint.info)

    @cached_property
    def copy_id(self) -> str:
        return copy_id(self.origin, self.target_bank)

    @cached_property
    def target(self) -> BankData:
        """The bank that is copied to, as hooks see it."""
        project_id = self.project_id or self.checkpoint.info.project_id
        return BankData(self.target_bank, self.copy_id, project_id, writing=True)

    def plan(self) -> CopyPlan:
        """What this copy will do. Changes nothing.

        :raises Conflict: both providers have one bank.
        """
        if self.bank.id == self.target_bank.id:
            raise Conflict(
                f"provider {self.target_name} has its checkpoints in the bank that this one is in",
                reason=self.bank.url,
                advice="Name a provider with a bank of its own",
            )
        graph = self.whole_graph
        cover(self.plugins, graph, self.provider.name)
        cloud = self.checkpoint.info.extra.get("cloud") or {}
        return CopyPlan(
            graph,
            self.checkpoint_id,
            self.target_name,
            self.copy_id,
            found_in(self.target_bank, self.origin),
            {node.key: self.plugins[node.type].stays_in_cloud(self.section(node.key)) for node in graph},
            {node.key: size_of(self.section(node.key)) for node in graph},
            str(cloud.get("name") or cloud.get("auth_url") or ""),
        )

    def prepare(self, run: StepRun) -> Json:
        """Find out what there is to copy; refuse an incomplete copy, unless that is accepted."""
        plan = self.plan()
        if not self.payload.get("allow_incomplete"):
            plan.refuse_incomplete()
        if not plan.there:
            # The writer's mark is in the bank before anything is stored.
            self.target.writer  # noqa: B018
        return {
            "graph": plan.graph.to_json(),
            "there": plan.there,
            "resources": plan.resources(),
            "copied": [str(node.key) for node in plan.graph if self._has_work(node)],
            "lacks": list(self.checkpoint.info.extra.get("lacks") or ()),
            "started_at": datetime.now(UTC).isoformat(timespec="seconds"),
        }

    def implemented(self, prepared: Json, node: Resource) -> Iterable[str]:
        """The hooks of what has something to copy."""
        return super().implemented(prepared, node) if str(node.key) in prepared["copied"] else ()

    def _has_work(self, node: Resource) -> bool:
        hooks = self.plugins[node.type].hooks(self.kind)
        return type(hooks) is not CopyData or bool(data_references(self.section(node.key)))

    def dag(self, prepared: Json) -> Dag:
        """The hooks, as many at once as a bank bears; nothing when the copy is there."""
        if prepared["there"]:
            return Dag([])
        return Dag(replace(step, lane=COPY if step.lane else "") for step in super().dag(prepared))

    def finish(self, prepared: Json, run: StepRun) -> Json:
        result = {
            "id": prepared["there"] or self.copy_id,
            "status": "available",
            "copied_from": self.checkpoint_id,
            "provider": self.target_name,
            "existed": bool(prepared["there"]),
            "complete": all(line["status"] == "complete" for line in prepared["resources"]),
            "size": sum(line["size"] for line in prepared["resources"]),
            "stored": 0,
            "resources": prepared["resources"],
        }
        if prepared["there"]:
            return result
        graph, info = self.graph(prepared), self.checkpoint.info
        sections = {}
        for node in graph:
            copied = self.results(run, node.key)
            sections[str(node.key)] = copied.get("section", self.section(node.key))
            result["stored"] += int(copied.get("stored", 0))
        self.target.writer.commit(
            created_at=info.created_at,
            plan=info.plan,
            provider=str(self.payload["to"]),
            extra={
                **info.extra,
                "operation_id": self.operation_id,
                "plugins": self.plugin_names(graph),
                "copied_from": {
                    "checkpoint_id": info.id,
                    "provider": info.provider,
                    "bank_id": self.bank.id,
                    "copied_at": prepared["started_at"],
                    "origin": dict(self.origin),
                },
                "incomplete": {
                    f"{line['type']}#{line['id']}": line["reason"]
                    for line in prepared["resources"]
                    if line["reason"]
                },
            },
            graph=prepared["graph"],
            sections=sections,
            keep_until=self.keep_until(info.created_at),
        )
        return result

    def undo(self, prepared: Json, outcomes: Mapping[str, Outcome], run: StepRun) -> Json | Body:
        """Remove what was stored in the other bank. A copy that was there before stays."""
        return self._undo_both(prepared)

    def _undo_both(self, prepared: Json) -> Body:
        result = yield from self.rolled_back()
        if prepared is None:
            try:
                self.target_bank  # noqa: B018
            except RefloatError:
                return result  # which is why it failed: nothing was stored
        elif prepared["there"]:
            return result
        with suppress(NotFound):  # the manifest may have been written a moment before the end
            made = self.target_bank.checkpoint(self.copy_id).info
            if made.extra.get("operation_id") == self.operation_id:
                self.target_bank.delete(self.copy_id)
        with suppress(Conflict):  # somebody else's copy
            self.target.abandon()
        return result
