"""What the engine runs: the contract between the engine and the operations.

A *program* is one operation seen by the engine: a preparation, a DAG of steps, an ending, and the
way back. The engine makes each of these durable; the program makes each of them safe to repeat.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Mapping
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol, TypeAlias

from refloat.engine.dag import Dag

Json: TypeAlias = Any
"""A value that ``json.dumps`` takes: it is all that is ever stored of a step."""


class Wait(Protocol):
    """Something a step waits for without holding a worker.

    ``begin`` is called on every (re)start of the wait and returns a future that ends with the
    value to send back into the step, or with an exception to raise in it. Cancelling the future
    ends the wait. Every wait has its own deadline and ends by itself.
    """

    def begin(self) -> Future[Any]:
        """Start, or start again, to wait."""
        ...

    def describe(self) -> str:
        """What is waited for, for progress displays: ``volume 1f.. to be available``."""
        ...


Body: TypeAlias = Generator[Wait, Any, Json]
"""A step that waits: it yields what it waits for and returns its result."""


CheckLease: TypeAlias = Callable[[], None]
"""Asks the database whether this attempt still is the one that runs, which costs a query, and raises
:class:`refloat.errors.LeaseLost` when it is not. To be called, in any thread, right before something is
changed for all to see."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a step ended. A step never raises through the engine."""

    status: Literal["done", "failed", "skipped"]
    result: Json = None
    error: Mapping[str, str] | None = None
    """``RefloatError.to_json()`` of the cause, when failed; of what caused it, when skipped."""


@dataclass(frozen=True, slots=True)
class StepRun:
    """What a step may know and say while it runs."""

    step: str
    results: Callable[[str], Json]
    """The result of a finished step, by name. KeyError when it is not done."""
    progress: Callable[[int, int], None]
    """Tell how many bytes of how many are done (total 0: unknown)."""
    cancelled: Callable[[], bool]
    """True once the operation is being stopped: long loops of a step should look, and raise
    :class:`refloat.errors.Cancelled`."""


class Program(Protocol):
    """One operation. Every method may be called again after a crash, in another process.

    ``prepare`` runs first, is durable, and its JSON result is given to ``dag``, which must be pure
    and always give the same steps for the same result. ``step`` runs one step, either at once
    (returning its result) or as a generator that yields :class:`Wait`. ``finish`` runs when
    every step is done. ``undo`` runs when a step failed or the operation was cancelled, after all
    running steps have ended; it must leave nothing behind and be repeatable. Both may be generators too.
    """

    def bind(self, check_lease: CheckLease) -> None:
        """Be told, before anything else, how to ask whether the operation is still ours."""
        ...

    def prepare(self, run: StepRun) -> Json | Body:
        """Find out what is to be done."""
        ...

    def dag(self, prepared: Json) -> Dag:
        """The steps."""
        ...

    def step(self, prepared: Json, run: StepRun) -> Json | Body:
        """Run the step ``run.step``."""
        ...

    def finish(self, prepared: Json, run: StepRun) -> Json | Body:
        """Conclude; the result is the operation's result."""
        ...

    def undo(self, prepared: Json, outcomes: Mapping[str, Outcome], run: StepRun) -> Json | Body:
        """Remove what was made. *prepared* is None when ``prepare`` did not end well.

        *outcomes* has every step; those that never began, were stopped, or were in flight in a process
        that died are all ``skipped``, so what a skipped step may have made must be looked for.
        """
        ...


State: TypeAlias = Literal["queued", "running", "succeeded", "failed", "cancelled", "parked"]
"""``queued``: nobody has begun. ``failed`` and ``cancelled``: undone, nothing left. ``parked``: stopped where
it was, can be resumed or cancelled. ``running`` without a live owner: interrupted, can be resumed."""


@dataclass(frozen=True, slots=True)
class Ended:
    """How an operation ended.

    ``result`` is what ``finish`` returned, or ``undo``; ``error`` the first failure
    (``RefloatError.to_json()``), whose ``left_behind`` says what could not be undone; ``outcomes`` the end of
    every step by name.
    """

    state: State
    result: Json = None
    error: Mapping[str, str] | None = None
    outcomes: Mapping[str, Outcome] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Event:
    """What a step does now."""

    operation_id: str
    step: str
    """Step name; ``prepare``, ``finish`` and ``undo`` for the program's own phases."""
    state: Literal["started", "waiting", "progress"]
    text: str = ""
    done: int = 0
    total: int = 0


@dataclass(frozen=True, slots=True)
class Milestone:
    """A run of an operation in this process began or ended. Over all processes, an end is told once.

    :param what: ``taken over``: from a process that died; ``resumed``: it had been parked, or given back;
        ``released``: given back, for another process to go on with.
    :param state: how it ended, or ``parked``.
    :param result: what it came to; only while the end is being written down, as is *prepared*, what its
        program had found out before it began.
    :param seconds: since the operation was begun for the first time.
    :param bytes: that its steps have moved.
    :param undoing: it began only to be undone.
    """

    operation_id: str
    kind: str
    payload: Json
    what: Literal["began", "taken over", "resumed", "released", "ended"]
    state: State = "running"
    error: Mapping[str, str] | None = None
    seconds: float = 0.0
    bytes: int = 0
    result: Json = None
    prepared: Json = None
    undoing: bool = False
