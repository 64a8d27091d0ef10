"""Drives one attempt at an operation: prepare, the steps in a legal order, finish; or the way back.

The driver has one thread, that of its attempt; how that and the code of steps get along is told in
:mod:`refloat.engine.in_flight`. Successors start only when a result is durable. Not recorded are steps that
never began, or were stopped: after a crash or when parked they are just run again.

Somebody may *ask* the driver to park or release the operation, to cancel it, or tell it that its lease is
lost. In each case, and when a step fails and the policy is to undo, it *halts*: it begins nothing more,
abandons what waits, and lets running code come to its end.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

from sqlalchemy.orm import Session

from refloat.engine.dag_run import DagRun
from refloat.engine.history import FINISH, PREPARE, UNDO, UNDOING, History, done
from refloat.engine.in_flight import Call, InFlight, Running, Shared
from refloat.engine.lease import Lease, Lost
from refloat.engine.program import Ended, Json, Outcome, Program
from refloat.engine.progress import Progress
from refloat.errors import Cancelled, RefloatError

if TYPE_CHECKING:
    from refloat.engine.journal import Recorder

_LOG = logging.getLogger(__name__)

Asked: TypeAlias = Literal["park", "release", "cancel", "lost"]
"""``release``: to stop, so that another process goes on."""
AtEnd: TypeAlias = Callable[[Session, Ended, Json], None]
"""Writes what belongs to an end, in its transaction; given what ``prepare`` had found out."""


class Driver:
    """One attempt.

    :param way_back: the operation is being undone already, or is to be; ends as this says.
    :param at_end: called when an end is written down.
    :param party: whose operation it is: where steps queue, each party gets its turn.
    """

    def __init__(
        self,
        program: Program,
        *,
        lease: Lease,
        progress: Progress,
        history: History,
        on_failure: Literal["undo", "park"],
        way_back: Mapping[str, Any] | None,
        shared: Shared,
        at_end: AtEnd,
        party: str = "",
    ) -> None:
        self.lease = lease
        self.progress = progress
        self.ended = threading.Event()
        self.came_to: Ended | None = None
        """Set when this attempt, and no other, has said how the operation ended or that it is parked."""
        self._program = program
        self._history = history
        self._on_failure = on_failure
        self._way_back = way_back
        self._at_end = at_end
        self._stop: Literal["", "parked", "running"] = ""
        """In which state it is to be left where it is."""
        self._cancel = False
        self._undoing = way_back is not None
        self._failure: Mapping[str, str] | None = None
        self._steps = DagRun()
        self._flight = InFlight(lease, progress, lambda name: self._steps.result_of(name), shared, party)
        self._recorder: Recorder  # known once it runs
        program.bind(self.check_lease)

    @property
    def operation_id(self) -> str:
        return self.lease.operation_id

    def ask(self, what: Asked) -> None:
        """Ask it for something. Returns at once, in any thread."""
        self._flight.put(partial(self._on_ask, what))

    def leave(self) -> None:
        """Leave behind what still runs: the operation then is as if this process had died. Any thread."""
        self._flight.leave()

    def running(self) -> list[str]:
        """The names of what has not ended yet, for messages."""
        return self._flight.names()

    def check_lease(self) -> None:
        self._flight.check_lease()

    def run(self, recorder: Recorder) -> None:
        """Run the attempt to its end, in this thread."""
        self._recorder = self._flight.recorder = recorder
        try:
            self._run()
        except Lost:
            if not self._flight.left:
                _LOG.warning("operation %s has been taken over by another process", self.operation_id)
            self._flight.wind_up()
            self._say_alive()
        except BaseException:
            _LOG.exception("operation %s stopped unexpectedly; it can be resumed", self.operation_id)
            self._flight.wind_up()
            self._give_back()
        self._forget()
        self.ended.set()

    def _forget(self) -> None:
        """Let go of what is large: others may hold on to the driver for a while."""
        if self._flight.left:
            return  # a step that still runs may ask for results
        vars(self).pop("_program", None)
        self._history, self._steps = History(), DagRun()

    def _say_alive(self) -> None:
        try:
            self.lease.survived()
        except Exception:
            # Then one death too many is counted.
            _LOG.warning(
                "operation %s: could not tell that this worker lives", self.operation_id, exc_info=True
            )

    def _give_back(self) -> None:
        try:
            self.lease.give_back("running")
        except Exception:
            # Then it counts as interrupted when the lease has run out.
            _LOG.exception("the lease of operation %s could not be given back", self.operation_id)

    def _run(self) -> None:
        ended = self._back(self._way_back) if self._way_back is not None else self._forward()
        while not self._write(ended):
            # It was to be parked, and was cancelled in the same moment.
            self._stop = ""
            ended = self._back({"state": "cancelled"})
        # Without its result: that is large, and in the database.
        self.came_to = replace(ended, result=None)

    def _write(self, ended: Ended) -> bool:
        unless_cancelled = ended.state == "parked" and not self._undoing
        prepared = self._history.prepared
        if self.lease.end(
            ended,
            self._steps.causes,
            self.progress.to_json(),
            lambda session: self._at_end(session, ended, prepared),
            unless_cancelled=unless_cancelled,
        ):
            return True
        if not unless_cancelled or not self.lease.renew():
            raise Lost
        return False

    def _forward(self) -> Ended:
        prepare = self._phase(PREPARE, self._history.prepare, self._program.prepare)
        if not done(prepare):
            return self._stopped(prepare)
        prepared = prepare.result
        try:
            dag = self._program.dag(prepared)
        except Exception as error:
            _LOG.exception("the steps of operation %s cannot be told", self.operation_id)
            return self._stopped(Outcome("failed", error=_error(error).to_json()))
        self._run_steps(DagRun(dag, self._history.outcomes), prepared)
        del dag  # it is large, and so may be what comes now
        self._failure = self._steps.failure
        if self._asked or self._failure is not None:
            return self._stopped(None)
        finish = self._phase(FINISH, self._history.finish, partial(self._program.finish, prepared))
        if not done(finish):
            return self._stopped(finish)
        # Room for the result, which is about to be written down and read: nothing else is needed any more.
        self._history, self._steps = History(prepare=prepare), DagRun()
        del self._program
        return Ended("succeeded", result=finish.result)

    def _run_steps(self, steps: DagRun, prepared: Json) -> None:
        self._flight.drain()
        self._steps = steps
        call = partial(self._program.step, prepared)
        halt = self._on_failure == "undo"
        steps.run(self._flight, self.progress, call, self._history, halt_on_failure=halt)

    def _stopped(self, outcome: Outcome | None) -> Ended:
        """What becomes of an operation that did not get to its end."""
        if outcome is not None and self._failure is None:
            self._failure = outcome.error
        if self._flight.lost:
            raise Lost
        if self._cancel:
            return self._back({"state": "cancelled"})
        if self._failure is not None and self._on_failure == "park":
            return Ended("parked", error=self._failure)
        if self._stop:
            return Ended(self._stop, error=self._failure)
        return self._back({"state": "failed", "error": self._failure})

    def _back(self, why: Mapping[str, Any]) -> Ended:
        """Undo; *why* says how the operation ends when that succeeds."""
        self._undoing = True
        if self._history.undoing is None:
            self._recorder.record([(UNDOING, dict(why))])
            self._history.undoing = why
        why = self._history.undoing
        prepared = self._history.prepared
        outcomes = self._outcomes_for_undo(prepared, why.get("error"))
        call = partial(self._program.undo, prepared, outcomes)
        self._flight.halted = False
        while (undo := self._phase(UNDO, self._history.undo, call)) is None:
            if self._flight.lost:
                raise Lost
            if self._stop:
                return Ended(self._stop, error=why.get("error"))
            self._flight.halted = False  # cancelled once more while it was being stopped
        if undo.status == "failed":
            return Ended("failed", error=_left_behind(why.get("error"), undo.error or {}))
        return Ended(why["state"], result=undo.result, error=why.get("error"))

    def _outcomes_for_undo(self, prepared: Json, error: Mapping[str, str] | None) -> Mapping[str, Outcome]:
        if not self._steps.names and done(self._history.prepare):
            try:
                self._steps = DagRun(self._program.dag(prepared), self._history.outcomes)
            except Exception:
                # Without its steps, undo must find by itself what was made.
                _LOG.exception("the steps of operation %s cannot be told", self.operation_id)
        reason = error or Cancelled("the operation was cancelled").to_json()
        return self._steps.as_undone(self._history, reason)

    def _phase(self, name: str, known: Outcome | None, call: Call) -> Outcome | None:
        """How it ended; None when it was stopped before its end."""
        if known is not None and done(known):
            return known
        self._flight.drain()
        if self._asked:
            return None
        ended: list[Outcome | None] = []
        self._flight.launch(Running(name, name, "", call, lambda _name, outcome: ended.append(outcome)))
        self._flight.until_idle()
        outcome = ended[0] if ended else None
        if outcome is not None:
            if name == PREPARE:
                self._history.prepare = outcome
            self.progress.ended(name, outcome.status, counts=False)
        else:
            self.progress.abandoned(name)
        return outcome

    def _on_ask(self, what: Asked) -> None:
        if what == "lost":
            self._flight.lose()
            return
        if what == "release":
            self._stop = self._stop or "running"
        elif what == "park":
            self._stop = self._stop or "parked"
        else:
            if self._stop == "parked":
                self._stop = ""
            if self._undoing:
                return  # that is what is being done
            self._cancel = True
        self._flight.halt()

    @property
    def _asked(self) -> bool:
        """Whether the phase at hand is to be left."""
        return self._flight.lost or bool(self._stop) or (self._cancel and not self._undoing)


def _left_behind(error: Mapping[str, str] | None, undoing: Mapping[str, str]) -> Mapping[str, str]:
    """Why an operation failed, and what is left behind because undoing it failed too."""
    why = RefloatError.from_json(dict(undoing))
    left = why.left_behind or f"what could not be removed: {why}"
    return {**(error or undoing), "left_behind": left, "advice": undoing.get("advice", "")}


def _error(error: Exception) -> RefloatError:
    return error if isinstance(error, RefloatError) else RefloatError(f"{type(error).__name__}: {error}")
