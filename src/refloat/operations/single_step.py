"""Operations of a single durable step, with nothing to undo."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, ClassVar

from refloat.bank import unfenced
from refloat.engine.dag import Dag
from refloat.engine.program import CheckLease, Json, Outcome, StepRun
from refloat.operations.programs import Services


class SingleStepProgram:
    """One step, ``prepare``, whose result is the operation's."""

    kind: ClassVar[str]

    def __init__(self, operation_id: str, payload: Json, services: Services) -> None:
        self.operation_id = operation_id
        self.payload = payload
        self.services = services
        self._check_lease: CheckLease = unfenced

    def bind(self, check_lease: CheckLease) -> None:
        """Be told how to ask whether the operation is still ours."""
        self._check_lease = check_lease

    def look(self, run: StepRun) -> dict[str, Any]:
        raise NotImplementedError

    def prepare(self, run: StepRun) -> Json:
        return json.loads(json.dumps(self.look(run), default=str))

    def dag(self, prepared: Json) -> Dag:
        return Dag([])

    def step(self, prepared: Json, run: StepRun) -> Json:
        return None

    def finish(self, prepared: Json, run: StepRun) -> Json:
        return prepared

    def undo(self, prepared: Json, outcomes: Mapping[str, Outcome], run: StepRun) -> Json:
        return None
