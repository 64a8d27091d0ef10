"""Delete: what a checkpoint keeps in the cloud goes, then what it keeps in the bank."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import ClassVar

from refloat.engine.dag import Dag, Step
from refloat.engine.program import Body, Json, Outcome, StepRun
from refloat.errors import BankDamaged, Conflict, NotFound
from refloat.graph import Graph, Resource
from refloat.operations.compile import BEGIN, step_of
from refloat.operations.on_checkpoint import ReadingProgram
from refloat.resources.base import OperationKind

GATE = "all agree"


class DeleteProgram(ReadingProgram):
    """Payload: ``checkpoint_id``, ``provider``, ``parameters``."""

    kind: ClassVar[OperationKind] = "delete"

    def prepare(self, run: StepRun) -> Json:
        """Read what there is to delete. What a copy only refers to is the original's.

        What cannot be read is deleted all the same: nothing else would ever free it.

        :raises NotFound: there is no bank; nobody knows then whether there is the checkpoint.
        :raises Held: this host may delete nothing there.
        :raises OlderBank: it is an older copy of the bank.
        """
        self.bank.holds.refuse_late()
        self.bank.refuse_older()
        nothing = {"graph": Graph().to_json(), "foreign": []}
        try:
            copied = bool(self.checkpoint.info.extra.get("copied_from"))
        except NotFound:  # deleted before, but that was not written down; or it is missing
            return {**nothing, "unread": "it was not in the bank any more", "absent": True}
        except BankDamaged as exc:
            return {**nothing, "unread": str(exc)}
        graph = self.whole_graph
        foreign = [
            str(node.key)
            for node in graph
            if copied and node.type in self.plugins
            if self.plugins[node.type].stays_in_cloud(self.section(node.key))
        ]
        return {"graph": graph.to_json(), "foreign": foreign}

    def implemented(self, prepared: Json, node: Resource) -> Iterable[str]:
        """The hooks of what is the checkpoint's own."""
        return () if str(node.key) in prepared.get("foreign", ()) else super().implemented(prepared, node)

    def dag(self, prepared: Json) -> Dag:
        """Every ``on_prepare_begin`` before anything else: what one of them refuses, nobody has begun."""
        steps = list(super().dag(prepared))
        looks = tuple(step.name for step in steps if step_of(step.name)[1] == BEGIN)
        gate = Step(GATE, looks)
        others = (step if step.name in looks else replace(step, after=(*step.after, GATE)) for step in steps)
        return Dag([gate, *others])

    def step(self, prepared: Json, run: StepRun) -> Json | Body:
        if run.step != GATE:
            return super().step(prepared, run)
        # Begun, it may have waited for long.
        self.services.refuse_held(self.checkpoint_id)
        self.bank.holds.refuse_held(self.checkpoint_id, young=self._young)
        return None

    @property
    def _young(self) -> bool:
        """Whether this caller may delete what the operator's shortest retention keeps."""
        return bool(self.payload.get("young"))

    def finish(self, prepared: Json, run: StepRun) -> Json:
        try:
            if prepared.get("absent"):
                self.bank.checkpoint(self.checkpoint_id, self.owner)
                raise Conflict(
                    f"the checkpoint {self.checkpoint_id} is seen in the bank again", advice="Delete it again"
                )
            freed = self.bank.delete(self.checkpoint_id, self.owner, young=self._young).freed
        except Conflict as exc:
            if prepared.get("absent"):
                raise
            raise Conflict(
                str(exc),
                left_behind=f"the checkpoint {self.checkpoint_id}, without what it kept in the cloud",
            ) from exc
        except NotFound:  # or repeated after a crash
            freed = 0
        result = {"id": self.checkpoint_id, "status": "deleted", "freed_bytes": freed}
        if unread := prepared.get("unread"):
            # What it kept in the cloud only it could have told.
            result["reason"] = f"{unread}; what it kept in the cloud, if anything, is not known, and stays"
        return result

    def undo(self, prepared: Json, outcomes: Mapping[str, Outcome], run: StepRun) -> Json | Body:
        """Nothing comes back: what is deleted stays so, and deleting again does the rest."""
        return None
