"""What was recorded of an operation, over all its attempts.

The names under which things are recorded::

    prepare      an outcome
    step:NAME    an outcome
    finish       an outcome
    undoing      from here on there is only the way back: {"state", "error"}
    undo         an outcome
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeGuard

from refloat.engine.program import Json, Outcome

PREPARE, FINISH, UNDOING, UNDO, STEP = "prepare", "finish", "undoing", "undo", "step:"


def to_json(outcome: Outcome, progress: tuple[int, int] = (0, 0)) -> dict[str, Json]:
    """What is recorded of an outcome, and of the bytes its step has said to have moved."""
    kept: dict[str, Json] = {"status": outcome.status}
    if outcome.result is not None:
        kept["result"] = outcome.result
    if outcome.error is not None:
        kept["error"] = dict(outcome.error)
    if progress != (0, 0):
        kept["bytes"] = list(progress)
    return kept


@dataclass(slots=True)
class History:
    """The last word on each thing: what was done stays done, else the latest failure counts."""

    outcomes: dict[str, Outcome] = field(default_factory=dict)
    """By step name: done, or failed."""
    moved: dict[str, tuple[int, int]] = field(default_factory=dict)
    """By step name, bytes done and in total."""
    prepare: Outcome | None = None
    finish: Outcome | None = None
    undo: Outcome | None = None
    undoing: Mapping[str, Any] | None = None
    failure: Mapping[str, str] | None = None
    """The first failure that has not been forgiven."""

    def add(self, records: Iterable[tuple[str, Json]], *, forgiven: bool) -> None:
        for name, value in records:
            if name == UNDOING:
                self.undoing = self.undoing or value
                continue
            outcome = Outcome(value["status"], value.get("result"), value.get("error"))
            if name.startswith(STEP):
                step = name.removeprefix(STEP)
                if "bytes" in value:
                    self.moved[step] = (value["bytes"][0], value["bytes"][1])
                self.outcomes[step] = _better(self.outcomes.get(step), outcome)
            elif name == PREPARE:
                self.prepare = _better(self.prepare, outcome)
            elif name == FINISH:
                self.finish = _better(self.finish, outcome)
            elif name == UNDO:
                self.undo = _better(self.undo, outcome)
            if outcome.status == "failed" and name != UNDO and not forgiven and self.failure is None:
                self.failure = outcome.error

    @property
    def prepared(self) -> Json:
        """What ``prepare`` returned; None when it has not ended well."""
        return self.prepare.result if done(self.prepare) else None


def done(outcome: Outcome | None) -> TypeGuard[Outcome]:
    return outcome is not None and outcome.status == "done"


def _better(known: Outcome | None, new: Outcome) -> Outcome:
    return known if done(known) else new
