"""A program that runs in its context: its log lines say what they are about (the operation, the resource of
each step), and what it asks a cloud to change it asks for only while the operation is its own.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Mapping
from typing import Any

from refloat.cloud.fence import fenced
from refloat.engine.dag import Dag
from refloat.engine.program import Body, CheckLease, Json, Outcome, Program, StepRun
from refloat.log_context import about


class InContext:
    """Runs a program; see :class:`refloat.engine.program.Program`."""

    def __init__(self, program: Program, **fields: str) -> None:
        self._program = program
        self._fields = fields
        self._check_lease: CheckLease | None = None

    def bind(self, check_lease: CheckLease) -> None:
        """Be told how to ask whether the operation is still ours."""
        self._check_lease = check_lease
        self._program.bind(check_lease)

    def prepare(self, run: StepRun) -> Json | Body:
        return self._about("", self._program.prepare, run)

    def dag(self, prepared: Json) -> Dag:
        with about(**self._fields):
            return self._program.dag(prepared)

    def step(self, prepared: Json, run: StepRun) -> Json | Body:
        return self._about(run.step.partition(" ")[2], self._program.step, prepared, run)

    def finish(self, prepared: Json, run: StepRun) -> Json | Body:
        return self._about("", self._program.finish, prepared, run)

    def undo(self, prepared: Json, outcomes: Mapping[str, Outcome], run: StepRun) -> Json | Body:
        return self._about("", self._program.undo, prepared, outcomes, run)

    def _about(self, resource: str, work: Callable[..., Json | Body], *given: Any) -> Json | Body:
        with about(**self._fields, resource=resource), fenced(self._check_lease):
            outcome = work(*given)
        return self._through(outcome, resource) if isinstance(outcome, Generator) else outcome

    def _through(self, body: Body, resource: str) -> Body:
        """Each piece of a step that waits may run in another thread."""
        send: Any = None
        error: BaseException | None = None
        try:
            while True:
                try:
                    with about(**self._fields, resource=resource), fenced(self._check_lease):
                        wait = body.send(send) if error is None else body.throw(error)
                except StopIteration as end:
                    return end.value
                try:
                    send, error = (yield wait), None
                except GeneratorExit:
                    raise
                except BaseException as exc:
                    send, error = None, exc
        finally:
            with about(**self._fields, resource=resource), fenced(self._check_lease):
                body.close()


def subject_of(operation_id: str, payload: Mapping[str, Any]) -> dict[str, str]:
    """What the log lines of an operation are about: also the request that has asked for it."""
    names = ("project_id", "request_id")
    return {"operation_id": operation_id} | {name: str(payload.get(name, "")) for name in names}
