"""Drives one attempt at an operation: prepare, the steps in a legal order, finish; or the way back.

The driver has one thread, that of its attempt, and an inbox of things to do in it. Everything it knows is
touched by that thread only; the code of steps runs in the pool's threads and reports to the inbox. A step
that waits holds no thread: its wait's future reports to the inbox too.

Outcomes are recorded together: all that have come in while the former ones were being written. Successors
start only when the result is durable. Not recorded are steps that never began, or were stopped: after a
crash or when parked they are just run again.

Somebody may *ask* the driver to park or release the operation, to cancel it, or tell it that its lease is
lost. In each case, and when a step fails and the policy is to undo, it *halts*: it begins nothing more,
abandons what waits, and lets running code come to its end.
"""

from __future__ import annotations

import contextlib
import logging
import queue
import threading
from collections import Counter, defaultdict, deque
from collections.abc import Callable, Mapping
from concurrent.futures import Future
from dataclasses import dataclass, field, replace
from functools import partial
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

from sqlalchemy.orm import Session

from refloat.database import SqlDatabase
from refloat.engine.concurrency import Concurrency
from refloat.engine.dag import Dag
from refloat.engine.history import FINISH, PREPARE, STEP, UNDO, UNDOING, History, done, to_json
from refloat.engine.lease import Lease, Lost
from refloat.engine.pool import Pool
from refloat.engine.program import Body, Ended, Json, Outcome, Program, StepRun
from refloat.engine.progress import Progress
from refloat.engine.task import Task, Waiting
from refloat.errors import Cancelled, LeaseLost, RefloatError

if TYPE_CHECKING:
    from refloat.engine.journal import Recorder

_LOG = logging.getLogger(__name__)

Asked: TypeAlias = Literal["park", "release", "cancel", "lost"]
"""``release``: to stop, so that another process goes on."""
AtEnd: TypeAlias = Callable[[Session, Ended, Json], None]
"""Writes what belongs to an end, in its transaction; given what ``prepare`` had found out."""

_TOGETHER = 500
"""So many outcomes at most are recorded together."""
_AHEAD = 256
"""So many steps of a lane at most queue or run code at once; of those beyond only the name is kept."""


@dataclass(frozen=True, slots=True)
class Shared:
    """What all drivers of a process share."""

    database: SqlDatabase
    pool: Pool
    concurrency: Concurrency


@dataclass(slots=True, eq=False)
class _Running:
    """Something that was started and has not ended. There may be tens of thousands that only wait."""

    name: str
    key: str
    lane: str
    call: Callable[[StepRun], Json | Body]
    on_end: Callable[[str, Outcome | None], None]
    on_pass: Callable[[], None] | None = None
    """Called when it makes room for others of its lane: it waits, or has ended."""
    task: Task | None = None
    """None before it begins."""
    future: Future[Any] | None = None
    """What it waits for."""
    begun: bool = False
    dropped: bool = False
    granted: Callable[[], None] | None = None
    """Set while it is queued for a place in its lane."""


@dataclass(slots=True)
class _Steps:
    """Where the DAG is."""

    missing: dict[str, int]
    outcomes: dict[str, Outcome] = field(default_factory=dict)
    causes: dict[str, str] = field(default_factory=dict)
    """For each skipped step the failed one it was skipped for."""
    ahead: Counter[str] = field(default_factory=Counter)
    """By lane: how many queue or run code."""
    ready: defaultdict[str, deque[str]] = field(default_factory=lambda: defaultdict(deque))
    """By lane: those that could begin, and are too many."""


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
        self._shared = shared
        self._at_end = at_end
        self._party = party
        self._inbox: queue.SimpleQueue[Callable[[], None]] = queue.SimpleQueue()
        self._stop: Literal["", "parked", "running"] = ""
        """In which state it is to be left where it is."""
        self._cancel = self._lost = False
        self._left = False
        self._disowned = False
        self._undoing = way_back is not None
        self._halted = False
        self._running: dict[str, _Running] = {}
        self._unrecorded: list[tuple[_Running, Outcome]] = []
        self._steps = _Steps({})
        self._failure: Mapping[str, str] | None = None
        self._failed_step = ""
        self._recorder: Recorder  # known once it runs
        program.bind(self.check_lease)

    @property
    def operation_id(self) -> str:
        """The operation this is an attempt at."""
        return self.lease.operation_id

    def ask(self, what: Asked) -> None:
        """Ask it for something. Returns at once, in any thread."""
        self._inbox.put(partial(self._on_ask, what))

    def leave(self) -> None:
        """Leave behind what still runs: the operation then is as if this process had died. Any thread."""
        self._left = True
        self._inbox.put(self._halt)

    def running(self) -> list[str]:
        """The names of what has not ended yet, for messages."""
        return sorted(running.name for running in list(self._running.values()))

    def check_lease(self) -> None:
        """See :data:`refloat.engine.program.CheckLease`."""
        ours = ended = False
        try:
            if not self._left:  # or it would be renewed, by a step that was left behind
                self.lease.check()
                ours = not (self._left or self._lost or self._disowned)
        except Lost as lost:
            ended = lost.ended
        except Exception:
            # Without the database nobody can say whose the operation is by now.
            _LOG.warning("whose operation %s is cannot be asked", self.operation_id, exc_info=True)
        if not ours:
            self._disowned = True
            self.ask("lost")
            raise LeaseLost("another process has taken the operation over, or it has ended", ended=ended)

    def run(self, recorder: Recorder) -> None:
        """Run the attempt to its end, in this thread."""
        self._recorder = recorder
        try:
            self._run()
        except Lost:
            if not self._left:
                _LOG.warning("operation %s has been taken over by another process", self.operation_id)
        except BaseException:
            _LOG.exception("operation %s stopped unexpectedly; it can be resumed", self.operation_id)
            self._wind_up()
            self._give_back()
        else:
            self._forget()
            self.ended.set()
            return
        self._wind_up()
        self._forget()
        self.ended.set()

    def _forget(self) -> None:
        """Let go of what is large: others may hold on to the driver for a while."""
        if self._left:
            return  # a step that still runs may ask for results
        del self._program, self._recorder
        self._history, self._steps = History(), _Steps({})

    def _wind_up(self) -> None:
        """Wait for what still runs, when the operation is no longer ours to drive."""
        self._lost = True
        self._halt()
        while self._running and not self._left:
            try:
                self._until_idle()
            except Lost:
                continue
            except BaseException:
                _LOG.exception("operation %s: a step did not end in an orderly way", self.operation_id)

    def _give_back(self) -> None:
        try:
            self.lease.give_back("running")
        except Exception:
            # Then it counts as interrupted when the lease has run out.
            _LOG.exception("the lease of operation %s could not be given back", self.operation_id)

    # The operation as a whole

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
        self._run_steps(prepared, dag)
        del dag  # it is large, and so may be what comes now
        if self._asked or self._failure is not None:
            return self._stopped(None)
        finish = self._phase(FINISH, self._history.finish, partial(self._program.finish, prepared))
        if not done(finish):
            return self._stopped(finish)
        # Room for the result, which is about to be written down and read: nothing else is needed any more.
        self._history, self._steps = History(prepare=prepare), _Steps({})
        return Ended("succeeded", result=finish.result)

    def _stopped(self, outcome: Outcome | None) -> Ended:
        """What becomes of an operation that did not get to its end."""
        if outcome is not None and self._failure is None:
            self._failure = outcome.error
        if self._lost:
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
        self._halted = False
        while (undo := self._phase(UNDO, self._history.undo, call)) is None:
            if self._lost:
                raise Lost
            if self._stop:
                return Ended(self._stop, error=why.get("error"))
            self._halted = False  # cancelled once more while it was being stopped
        if undo.status == "failed":
            return Ended("failed", error=_left_behind(why.get("error"), undo.error or {}))
        return Ended(why["state"], error=why.get("error"))

    def _outcomes_for_undo(self, prepared: Json, error: Mapping[str, str] | None) -> Mapping[str, Outcome]:
        """How every step ended. What is not known to have ended counts as skipped."""
        if not self._steps.missing and done(self._history.prepare):
            try:
                self._adopt(self._program.dag(prepared))
            except Exception:
                # Without its steps, undo must find by itself what was made.
                _LOG.exception("the steps of operation %s cannot be told", self.operation_id)
        reason = error or Cancelled("the operation was cancelled").to_json()
        for name in self._steps.missing:
            if name not in self._steps.outcomes:
                known = self._history.outcomes.get(name)
                if known is None:
                    known = Outcome("skipped", error=reason)
                    self._steps.causes[name] = self._failed_step
                self._steps.outcomes[name] = known
        return dict(self._steps.outcomes)

    # prepare, finish and undo

    def _phase(
        self, name: str, known: Outcome | None, call: Callable[[StepRun], Json | Body]
    ) -> Outcome | None:
        """How it ended; None when it was stopped before its end."""
        if known is not None and done(known):
            return known
        self._drain()
        if self._asked:
            return None
        ended: list[Outcome | None] = []
        self._launch(_Running(name, name, "", call, lambda _name, outcome: ended.append(outcome)))
        self._until_idle()
        outcome = ended[0] if ended else None
        if outcome is not None:
            if name == PREPARE:
                self._history.prepare = outcome
            error = outcome.error
            self.progress.ended(name, outcome.status, _message(error), counts=False)
        else:
            self.progress.abandoned(name)
        return outcome

    # The steps

    def _adopt(self, dag: Dag) -> None:
        """Take over what is done already."""
        self._steps = _Steps({step.name: len(step.after) for step in dag})
        for name in self._steps.missing:
            known = self._history.outcomes.get(name)
            if known is not None and done(known):
                self._steps.outcomes[name] = known

    def _run_steps(self, prepared: Json, dag: Dag) -> None:
        self._drain()
        self._adopt(dag)
        self.progress.plan(self._steps.missing)
        for name in self._steps.outcomes:
            self.progress.ended(name, "done", moved=self._history.moved.get(name, (0, 0)))
            for follower in dag.followers[name]:
                self._steps.missing[follower] -= 1
        start = partial(self._start, dag, partial(self._program.step, prepared))
        for name, missing in self._steps.missing.items():
            if missing == 0 and name not in self._steps.outcomes:
                start(name)
        self._until_idle()

    def _start(self, dag: Dag, call: Callable[[StepRun], Json | Body], name: str) -> None:
        self._steps.ready[dag[name].lane].append(name)
        self._start_ready(dag, call, dag[name].lane)

    def _start_ready(self, dag: Dag, call: Callable[[StepRun], Json | Body], lane: str) -> None:
        ready = self._steps.ready[lane]
        while ready and self._steps.ahead[lane] < _AHEAD and not self._halted:
            name = ready.popleft()
            self._steps.ahead[lane] += 1
            on_end = partial(self._on_step_ended, dag, call)
            on_pass = partial(self._start_ready, dag, call, lane)
            self._launch(_Running(name, STEP + name, lane, call, on_end, on_pass))

    def _on_step_ended(
        self, dag: Dag, call: Callable[[StepRun], Json | Body], name: str, outcome: Outcome | None
    ) -> None:
        if outcome is None:
            self.progress.abandoned(name)
            return
        self._steps.outcomes[name] = outcome
        status = outcome.status
        self.progress.ended(name, status, _message(outcome.error))
        if status == "done":
            for follower in dag.followers[name]:
                self._steps.missing[follower] -= 1
                if self._steps.missing[follower] == 0 and follower not in self._steps.outcomes:
                    self._start(dag, call, follower)
            return
        if self._failure is None:
            self._failure, self._failed_step = outcome.error, name
        self._skip_followers(dag, name, outcome)
        if self._on_failure == "undo":
            self._halt()

    def _skip_followers(self, dag: Dag, name: str, outcome: Outcome) -> None:
        pending = deque(dag.followers[name])
        while pending:
            follower = pending.popleft()
            if follower in self._steps.outcomes:
                continue
            self._steps.outcomes[follower] = Outcome("skipped", error=outcome.error)
            self._steps.causes[follower] = name
            self.progress.ended(follower, "skipped", _message(outcome.error))
            pending.extend(dag.followers[follower])

    # Tasks: in the driver's thread

    def _step_run(self, name: str) -> StepRun:
        return StepRun(
            step=name,
            results=self._result_of,
            progress=partial(self.progress.progress, name),
            cancelled=self._must_end,
        )

    def _result_of(self, name: str) -> Json:
        outcome = self._steps.outcomes[name]
        if outcome.status != "done":
            raise KeyError(name)
        return outcome.result

    def _must_end(self) -> bool:
        """Asked by running code, also by code of a process that was stopped for a while and woke up."""
        try:
            return not self._may_go_on()
        except Lost:
            self.ask("lost")
        except Exception:
            # Without the database nobody can say whose the operation is by now.
            _LOG.warning("the lease of operation %s could not be renewed", self.operation_id, exc_info=True)
            self.ask("lost")
        return True

    def _launch(self, running: _Running) -> None:
        self._running[running.key] = running
        running.granted = partial(self._inbox.put, partial(self._on_granted, running))
        if self._shared.concurrency.enter(running.lane, running.granted, self._party):
            self._on_granted(running)

    def _on_granted(self, running: _Running) -> None:
        """It has its place in its lane: off it goes."""
        running.granted = None
        if self._halted:
            self._on_ended(running, None)
            return
        self._shared.pool.submit(partial(self._begin, running), party=self._party)

    def _on_waiting(self, running: _Running, waiting: Waiting) -> None:
        if self._halted:
            self._abandon(running, waiting.future)
            return
        self.progress.waiting(running.name, waiting.text)
        running.future = waiting.future
        self._pass(running)
        waiting.future.add_done_callback(
            lambda future: self._inbox.put(partial(self._on_woken, running, future))
        )

    def _on_woken(self, running: _Running, future: Future[Any]) -> None:
        if running.future is not future:
            return  # abandoned in the meantime
        running.future = None
        self._shared.pool.submit(partial(self._go, running, future), party=self._party, urgent=True)

    def _abandon(self, running: _Running, future: Future[Any]) -> None:
        running.future = None
        future.cancel()
        self._shared.pool.submit(partial(self._drop, running), party=self._party, urgent=True)

    def _on_outcome(self, running: _Running, outcome: Outcome) -> None:
        self._unrecorded.append((running, outcome))

    def _on_ended(self, running: _Running, outcome: Outcome | None) -> None:
        if self._running.pop(running.key, None) is None:
            return
        self._shared.concurrency.leave(running.lane)
        running.on_end(running.name, outcome)
        self._pass(running)

    def _pass(self, running: _Running) -> None:
        """Others of its lane may begin."""
        if running.on_pass is not None:
            on_pass, running.on_pass = running.on_pass, None
            self._steps.ahead[running.lane] -= 1
            on_pass()

    def _on_ask(self, what: Asked) -> None:
        if what == "lost":
            self._lost = True
        elif what == "release":
            self._stop = self._stop or "running"
        elif what == "park":
            self._stop = self._stop or "parked"
        else:
            if self._stop == "parked":
                self._stop = ""
            if self._undoing:
                return  # that is what is being done
            self._cancel = True
        self._halt()

    @property
    def _asked(self) -> bool:
        """Whether the phase at hand is to be left."""
        return self._lost or bool(self._stop) or (self._cancel and not self._undoing)

    def _halt(self) -> None:
        """Begin nothing more, abandon what waits. What runs comes to its end by itself."""
        if self._halted:
            return
        self._halted = True
        for running in list(self._running.values()):
            if running.future is not None:
                self._abandon(running, running.future)
            elif running.granted is not None:
                if self._shared.concurrency.give_up(running.lane, running.granted, self._party):
                    self._running.pop(running.key)
                    running.on_end(running.name, None)
            else:
                # It may be in the pool's queue behind hours of other work; if so it is dropped there.
                # The worker sets and reads the two marks in the opposite order, so that one of us ends it.
                running.dropped = True
                if not running.begun:
                    self._on_ended(running, None)

    def _until_idle(self) -> None:
        """Do what is in the inbox until nothing runs any more."""
        while self._running:
            if self._left:
                raise Lost
            with contextlib.suppress(queue.Empty):
                self._inbox.get(timeout=60.0)()
            self._drain()

    def _drain(self) -> None:
        """Do what is in the inbox already, and record what has ended."""
        while not self._inbox.empty() and len(self._unrecorded) < _TOGETHER:
            self._inbox.get_nowait()()
        if self._unrecorded:
            self._record()

    def _record(self) -> None:
        """Make durable what has ended; only then does anybody hear of it."""
        ended, self._unrecorded = self._unrecorded, []
        try:
            self._recorder.record(
                [(run.key, to_json(outcome, self.progress.moved(run.name))) for run, outcome in ended]
            )
            self._shared.database.flush()
        except BaseException:
            for running, _ in ended:
                self._on_ended(running, None)
            raise
        for running, outcome in ended:
            self._on_ended(running, outcome)

    # Tasks: in a thread of the pool

    def _begin(self, running: _Running) -> None:
        running.begun = True
        if running.dropped:
            self._inbox.put(partial(self._on_ended, running, None))
            return
        self._go(running, None)

    def _go(self, running: _Running, woken: Future[Any] | None) -> None:
        try:
            if not self._may_go_on():
                self._drop(running)
                return
            self.progress.started(running.name)
            if running.task is None:
                running.task = Task(running.name, running.call, self._step_run(running.name))
            pause = running.task.go(woken)
            if isinstance(pause, Waiting):
                self._inbox.put(partial(self._on_waiting, running, pause))
                return
            if isinstance(pause, Outcome) and pause.status == "failed" and self._disowned:
                pause = None  # that is why; whoever goes on with the operation runs it again
            if pause is None:
                self._inbox.put(partial(self._on_ended, running, None))
            else:
                self._inbox.put(partial(self._on_outcome, running, pause))
        except Lost:
            self.ask("lost")
            self._inbox.put(partial(self._on_ended, running, None))
        except BaseException as error:
            self._inbox.put(partial(self._on_defect, running, error))

    def _drop(self, running: _Running) -> None:
        if running.task is not None:
            running.task.drop()
        self._inbox.put(partial(self._on_ended, running, None))

    def _may_go_on(self) -> bool:
        """Whether the lease still holds: the process may have been stopped for a while."""
        if self._halted:
            return False
        if not self._disowned and (self.lease.fresh or self.lease.renew()):
            return True
        raise Lost

    def _on_defect(self, running: _Running, error: BaseException) -> None:
        self._on_ended(running, None)
        raise error


def _left_behind(error: Mapping[str, str] | None, undoing: Mapping[str, str]) -> Mapping[str, str]:
    """Why an operation failed, and what is left behind because undoing it failed too."""
    left = undoing.get("left_behind") or f"what could not be removed: {_message(undoing)}"
    return {**(error or undoing), "left_behind": left, "advice": undoing.get("advice", "")}


def _error(error: Exception) -> RefloatError:
    return error if isinstance(error, RefloatError) else RefloatError(f"{type(error).__name__}: {error}")


def _message(error: Mapping[str, str] | None) -> str:
    return str(RefloatError.from_json(dict(error))) if error else ""
