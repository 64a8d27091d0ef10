"""Operations that are one look: what a restore, a copy or a deletion would do; how a bank is; its upkeep."""

from __future__ import annotations

import json
from collections.abc import Generator, Mapping
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Any, ClassVar

from refloat.bank import data_references
from refloat.engine.dag import Dag
from refloat.engine.program import Json, Outcome, StepRun
from refloat.errors import RefloatError
from refloat.operations.compile import BEGIN, step_of
from refloat.operations.copy import CopyProgram
from refloat.operations.delete import GATE, DeleteProgram
from refloat.operations.programs import Services
from refloat.operations.restore import RestoreProgram
from refloat.records.checkpoints import CheckpointRecords


class LookProgram:
    """One look, and nothing to undo. What is found is the result."""

    kind: ClassVar[str]

    def __init__(self, operation_id: str, payload: Json, services: Services) -> None:
        self.operation_id = operation_id
        self.payload = payload
        self.services = services

    def look(self, run: StepRun) -> dict[str, Any]:
        """What there is to be seen."""
        raise NotImplementedError

    def prepare(self, run: StepRun) -> Json:
        """Look."""
        return json.loads(json.dumps(self.look(run), default=str))

    def dag(self, prepared: Json) -> Dag:
        """There are no steps."""
        return Dag([])

    def step(self, prepared: Json, run: StepRun) -> Json:
        """There are none."""
        return None

    def finish(self, prepared: Json, run: StepRun) -> Json:
        """What was found."""
        return prepared

    def undo(self, prepared: Json, outcomes: Mapping[str, Outcome], run: StepRun) -> Json:
        """There is nothing to undo."""
        return None


class RestorePlanProgram(LookProgram):
    """Payload: that of a restore."""

    kind = "restore_plan"

    def look(self, run: StepRun) -> dict[str, Any]:
        """The restore plan."""
        return RestoreProgram(self.operation_id, self.payload, self.services).plan().to_json()


class CopyPlanProgram(LookProgram):
    """Payload: that of a copy."""

    kind = "copy_plan"

    def look(self, run: StepRun) -> dict[str, Any]:
        """The copy, and what it would lack."""
        return CopyProgram(self.operation_id, self.payload, self.services).plan().to_json()


class DeletePlanProgram(LookProgram):
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
        known = CheckpointRecords(self.services.database)
        copies = known.copies_of(str(self.payload["checkpoint_id"]), str(self.payload["project_id"]))
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


class BankProgram(LookProgram):
    """Payload: ``provider``, whose bank it is."""

    @property
    def bank(self) -> Any:
        """The bank."""
        return self.services.bank_for(str(self.payload["provider"]), False)


class BankInfoProgram(BankProgram):
    """What is in a bank."""

    kind = "bank_info"

    def look(self, run: StepRun) -> dict[str, Any]:
        """Counts and sizes."""
        info = self.bank.info(run.cancelled)
        return {
            "id": info.id,
            "url": info.url,
            "format_version": info.version,
            "created_at": info.created_at,
            "keys": len(info.keys),
            "projects": info.projects,
            "checkpoints": info.checkpoints,
            "damaged_checkpoints": info.damaged,
            "objects": info.objects,
            "stored_bytes": info.stored,
            "data_bytes": info.data,
            "ratio": round(info.ratio, 2),
            "garbage_bytes": info.garbage,
            "quarantined_packs": info.quarantined,
            "unfinished": [
                {
                    "checkpoint_id": each.checkpoint_id,
                    "since": datetime.fromtimestamp(each.since, UTC).isoformat(timespec="seconds"),
                }
                for each in info.unfinished
            ],
        }


class BankVerifyProgram(BankProgram):
    """Payload: also ``depth``, ``sample`` (percent) and ``of_project`` (empty: all)."""

    kind = "bank_verify"

    def look(self, run: StepRun) -> dict[str, Any]:
        """What is damaged."""
        report = self.bank.verify_all(
            self.payload["depth"],
            None,
            self.payload["of_project"] or None,
            sample=self.payload["sample"] / 100,
            progress=run.progress,
            cancelled=run.cancelled,
        )
        return {
            "status": "bad" if report.damages else "good",
            "depth": report.depth,
            "sample": report.sample,
            "seed": report.seed,
            "checkpoints": report.checkpoints,
            "packs": report.packs,
            "data_bytes": report.bytes,
            "damages": [asdict(each) for each in report.damages],
        }


class BankCollectProgram(BankProgram):
    """Removes from a bank what no checkpoint needs. Repeating it is harmless."""

    kind = "bank_collect"

    def look(self, run: StepRun) -> dict[str, Any]:
        """What was freed."""
        done = self.bank.collect()
        return {"freed_bytes": done.freed, "objects": done.objects, "postponed": done.postponed}


PLANS = (RestorePlanProgram.kind, CopyPlanProgram.kind, DeletePlanProgram.kind)
BANKS = (BankInfoProgram.kind, BankVerifyProgram.kind, BankCollectProgram.kind)

LOOKS: Mapping[str, type[LookProgram]] = {
    program.kind: program
    for program in (
        RestorePlanProgram,
        CopyPlanProgram,
        DeletePlanProgram,
        BankInfoProgram,
        BankVerifyProgram,
        BankCollectProgram,
    )
}
"""The kinds of operations that only workers of the service run."""
