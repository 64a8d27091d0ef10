"""Verify: is everything that a checkpoint needs really there and unharmed."""

from __future__ import annotations

from typing import ClassVar

from refloat.engine.program import Json, StepRun
from refloat.operations.on_checkpoint import ReadingProgram
from refloat.providers.provider import check_parameters
from refloat.resources.base import OperationKind


class VerifyProgram(ReadingProgram):
    """Payload: ``checkpoint_id``, ``provider``, ``parameters``.

    With a ``depth`` of ``existence`` no data is read: the bank is asked whether all is there. ``read`` says
    of each resource whether what it needs was read back, or only asked for.
    """

    kind: ClassVar[OperationKind] = "verify"

    def prepare(self, run: StepRun) -> Json:
        check_parameters(self.plugins, self.kind, self.payload["parameters"])
        if self.payload.get("depth") == "existence":
            self.bank.verify(
                self.checkpoint_id, read_data=False, progress=run.progress, cancelled=run.cancelled
            )
        return {"graph": self.whole_graph.to_json()}

    def finish(self, prepared: Json, run: StepRun) -> Json:
        lines, existence = [], self.payload.get("depth") == "existence"
        for node in self.graph(prepared):
            found = self.results(run, node.key)
            ok = bool(found.get("ok", True))
            lines.append(
                {
                    "type": node.type,
                    "id": node.id,
                    "name": node.name,
                    "status": "good" if ok else "bad",
                    "reason": str(found.get("reason", "")),
                    "read": bool(found.get("read", True)) and not existence,
                }
            )
        bad = sum(line["status"] == "bad" for line in lines)
        return {"id": self.checkpoint_id, "status": "bad" if bad else "good", "resources": lines}
