"""Dry runs: what a restore, a copy or a deletion would do. They change nothing."""

from __future__ import annotations

from collections.abc import Generator
from typing import Any

from refloat.bank import data_references
from refloat.engine.program import Json, StepRun
from refloat.errors import RefloatError
from refloat.operations.compile import BEGIN, step_of
from refloat.operations.copy import CopyProgram
from refloat.operations.delete import GATE, DeleteProgram
from refloat.operations.existing import IGNORE
from refloat.operations.restore import RestoreProgram, safety_wanted
from refloat.operations.single_step import SingleStepProgram


class RestorePlanProgram(SingleStepProgram):
    """Makes a restore plan, which may be kept. Payload: that of a restore; ``checkpoint``: what is known of
    it; ``pace``: seconds for a resource and for a byte, as measured (null: nothing is known)."""

    kind = "restore_plan"

    def look(self, run: StepRun) -> dict[str, Any]:
        # Made from what is chosen now: what it says so far, if it is kept already, is not asked.
        payload = {name: value for name, value in self.payload.items() if name != "restore_plan_id"}
        program = RestoreProgram(self.operation_id, payload, self.services)
        plan = program.plan()
        pace, effort = self.payload.get("pace") or {}, plan.effort
        expected = [
            None if amount and pace.get(what) is None else amount * float(pace.get(what) or 0)
            for what, amount in effort.items()
        ]
        seconds = None if None in expected else round(max(each or 0 for each in expected))
        return {
            **plan.to_json(),
            "seconds": seconds,
            "checkpoint": self.payload.get("checkpoint"),
            "existing": self.payload.get("existing", IGNORE),
            "origin": program.origin(),
            "safety": safety_wanted(self.payload) and bool(plan.replaced),
        }


class CopyPlanProgram(SingleStepProgram):
    """Payload: that of a copy."""

    kind = "copy_plan"

    def look(self, run: StepRun) -> dict[str, Any]:
        return CopyProgram(self.operation_id, self.payload, self.services).plan().to_json()


class DeletePlanProgram(SingleStepProgram):
    """Payload: that of a deletion."""

    kind = "delete_plan"

    def look(self, run: StepRun) -> dict[str, Any]:
        """What would go, why it cannot, and which copies would lack something then."""
        program = DeleteProgram(self.operation_id, self.payload, self.services)
        prepared = program.prepare(run)
        lines, lost = [], {}
        for node in program.graph(prepared):
            section = program.section(node.key)
            plugin = program.plugins.get(node.type)
            in_cloud = plugin.stays_in_cloud(section) if plugin is not None else ()
            foreign = str(node.key) in prepared["foreign"]
            if in_cloud and not foreign:
                lost[str(node.key)] = list(in_cloud)
            lines.append(
                {
                    "type": node.type,
                    "id": node.id,
                    "name": node.name,
                    "in_cloud": list(in_cloud),
                    "deleted_in_cloud": bool(in_cloud) and not foreign,
                    "size": sum(int(ref["size"]) for ref in data_references(section)),
                }
            )
        problems = self._problems(program, prepared, run)
        copies = self.services.copies_of(str(self.payload["checkpoint_id"]), str(self.payload["project_id"]))
        return {
            "possible": not problems,
            "problems": problems,
            "resources": lines,
            "copies": [
                {"checkpoint_id": copy.id, "provider_id": copy.provider_id, "would_lack": lost}
                for copy in copies
            ],
        }

    @staticmethod
    def _problems(program: DeleteProgram, prepared: Json, run: StepRun) -> list[str]:
        """What the hooks say that look before anything is deleted."""
        found = []
        for step in program.dag(prepared):
            if step.name == GATE or step_of(step.name)[1] != BEGIN:
                continue
            at = StepRun(step.name, run.results, run.progress, run.cancelled)
            try:
                outcome = program.step(prepared, at)
                if isinstance(outcome, Generator):
                    outcome.close()  # it would wait
            except RefloatError as exc:
                found.append(str(exc))
        return found


DRY_RUNS = (RestorePlanProgram.kind, CopyPlanProgram.kind, DeletePlanProgram.kind)
