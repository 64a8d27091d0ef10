"""What an attempt has begun and what has not ended: code that runs in the pool's threads, or waits.

The attempt has one thread, and an inbox of things to do in it. Everything that is known of what is in flight
is touched by that thread only; code reports to the inbox. What waits holds no thread: its wait's future
reports to the inbox too.

Outcomes are recorded together: all that have come in while the former ones were being written. Nobody hears
of one before it is durable.
"""

from __future__ import annotations

import contextlib
import logging
import queue
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

from refloat.database import SqlDatabase
from refloat.engine.concurrency import Concurrency
from refloat.engine.history import to_json
from refloat.engine.lease import Lease, Lost
from refloat.engine.pool import Pool
from refloat.engine.program import Body, Json, Outcome, StepRun
from refloat.engine.progress import Progress
from refloat.engine.task import Task, Waiting
from refloat.errors import LeaseLost

if TYPE_CHECKING:
    from refloat.engine.journal import Recorder

_LOG = logging.getLogger(__name__)

_TOGETHER = 500
"""So many outcomes at most are recorded together."""

Call = Callable[[StepRun], Json | Body]


@dataclass(frozen=True, slots=True)
class Shared:
    """What all attempts of a process share."""

    database: SqlDatabase
    pool: Pool
    concurrency: Concurrency


@dataclass(slots=True, eq=False)
class Running:
    """Something that was begun and has not ended. There may be tens of thousands that only wait."""

    name: str
    key: str
    lane: str
    call: Call
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


class InFlight:
    """What is in flight of one attempt.

    :param results: of steps that have ended, by name.
    :param party: whose operation it is: where steps queue, each party gets its turn.
    """

    def __init__(
        self, lease: Lease, progress: Progress, results: Callable[[str], Json], shared: Shared, party: str
    ) -> None:
        self.halted = False
        """Nothing more is to begin."""
        self.left = self.lost = False
        """What still runs is left behind; the lease is lost."""
        self._lease = lease
        self._progress = progress
        self._results = results
        self._shared = shared
        self._party = party
        self._disowned = False
        self._inbox: queue.SimpleQueue[Callable[[], None]] = queue.SimpleQueue()
        self._running: dict[str, Running] = {}
        self._unrecorded: list[tuple[Running, Outcome]] = []
        self.recorder: Recorder  # known once it runs

    # In any thread

    def put(self, what: Callable[[], None]) -> None:
        self._inbox.put(what)

    def leave(self) -> None:
        self.left = True
        self._inbox.put(self.halt)

    def names(self) -> list[str]:
        """Of what has not ended yet, for messages."""
        return sorted(running.name for running in list(self._running.values()))

    def check_lease(self) -> None:
        ours = ended = False
        try:
            if not self.left:  # or it would be renewed, by a step that was left behind
                self._lease.check()
                ours = not (self.left or self.lost or self._disowned)
        except Lost as lost:
            ended = lost.ended
        except Exception:
            # Without the database nobody can say whose the operation is by now.
            _LOG.warning("whose operation %s is cannot be asked", self._lease.operation_id, exc_info=True)
        if not ours:
            self._disowned = True
            self.put(self.lose)
            raise LeaseLost("another process has taken the operation over, or it has ended", ended=ended)

    # In the attempt's thread

    def lose(self) -> None:
        self.lost = True
        self.halt()

    def launch(self, running: Running) -> None:
        """Begin something, as soon as there is room."""
        self._running[running.key] = running
        running.granted = partial(self._inbox.put, partial(self._on_granted, running))
        if self._shared.concurrency.enter(running.lane, running.granted, self._party):
            self._on_granted(running)

    def halt(self) -> None:
        """Begin nothing more, abandon what waits. What runs comes to its end by itself."""
        if self.halted:
            return
        self.halted = True
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

    def until_idle(self) -> None:
        """Do what is in the inbox until nothing runs any more. :raises Lost: what runs is left behind."""
        while self._running:
            if self.left:
                raise Lost
            with contextlib.suppress(queue.Empty):
                self._inbox.get(timeout=60.0)()
            self.drain()

    def drain(self) -> None:
        """Do what is in the inbox already, and record what has ended."""
        while not self._inbox.empty() and len(self._unrecorded) < _TOGETHER:
            self._inbox.get_nowait()()
        if self._unrecorded:
            self._record()

    def wind_up(self) -> None:
        """Wait for what still runs, when the operation is no longer ours to drive."""
        self.lose()
        while self._running and not self.left:
            try:
                self.until_idle()
            except Lost:
                continue
            except BaseException:
                _LOG.exception("operation %s: a step did not end in an orderly way", self._lease.operation_id)

    def _record(self) -> None:
        """Make durable what has ended; only then does anybody hear of it."""
        ended, self._unrecorded = self._unrecorded, []
        try:
            self.recorder.record(
                [(run.key, to_json(outcome, self._progress.moved(run.name))) for run, outcome in ended]
            )
            self._shared.database.flush()
        except BaseException:
            for running, _ in ended:
                self._on_ended(running, None)
            raise
        for running, outcome in ended:
            self._on_ended(running, outcome)

    def _on_granted(self, running: Running) -> None:
        """It has its place in its lane: off it goes."""
        running.granted = None
        if self.halted:
            self._on_ended(running, None)
            return
        self._shared.pool.submit(partial(self._begin, running), party=self._party)

    def _on_waiting(self, running: Running, waiting: Waiting) -> None:
        if self.halted:
            self._abandon(running, waiting.future)
            return
        self._progress.waiting(running.name, waiting.text)
        running.future = waiting.future
        self._pass(running)
        waiting.future.add_done_callback(
            lambda future: self._inbox.put(partial(self._on_woken, running, future))
        )

    def _on_woken(self, running: Running, future: Future[Any]) -> None:
        if running.future is not future:
            return  # abandoned in the meantime
        running.future = None
        self._shared.pool.submit(partial(self._go, running, future), party=self._party, urgent=True)

    def _abandon(self, running: Running, future: Future[Any]) -> None:
        running.future = None
        future.cancel()
        self._shared.pool.submit(partial(self._drop, running), party=self._party, urgent=True)

    def _on_outcome(self, running: Running, outcome: Outcome) -> None:
        self._unrecorded.append((running, outcome))

    def _on_ended(self, running: Running, outcome: Outcome | None) -> None:
        if self._running.pop(running.key, None) is None:
            return
        self._shared.concurrency.leave(running.lane)
        running.on_end(running.name, outcome)
        self._pass(running)

    @staticmethod
    def _pass(running: Running) -> None:
        if running.on_pass is not None:
            on_pass, running.on_pass = running.on_pass, None
            on_pass()

    def _on_defect(self, running: Running, error: BaseException) -> None:
        self._on_ended(running, None)
        raise error

    # In a thread of the pool

    def _begin(self, running: Running) -> None:
        running.begun = True
        if running.dropped:
            self._inbox.put(partial(self._on_ended, running, None))
            return
        self._go(running, None)

    def _go(self, running: Running, woken: Future[Any] | None) -> None:
        try:
            if not self._may_go_on():
                self._drop(running)
                return
            self._progress.started(running.name)
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
            self.put(self.lose)
            self._inbox.put(partial(self._on_ended, running, None))
        except BaseException as error:
            self._inbox.put(partial(self._on_defect, running, error))

    def _step_run(self, name: str) -> StepRun:
        return StepRun(
            step=name,
            results=self._results,
            progress=partial(self._progress.progress, name),
            cancelled=self._must_end,
        )

    def _drop(self, running: Running) -> None:
        if running.task is not None:
            running.task.drop()
        self._inbox.put(partial(self._on_ended, running, None))

    def _must_end(self) -> bool:
        """Asked by running code, also by code of a process that was stopped for a while and woke up."""
        try:
            return not self._may_go_on()
        except Lost:
            self.put(self.lose)
        except Exception:
            # Without the database nobody can say whose the operation is by now.
            operation_id = self._lease.operation_id
            _LOG.warning("the lease of operation %s could not be renewed", operation_id, exc_info=True)
            self.put(self.lose)
        return True

    def _may_go_on(self) -> bool:
        """Whether the lease still holds: the process may have been stopped for a while."""
        if self.halted:
            return False
        if not self._disowned and (self._lease.fresh or self._lease.renew()):
            return True
        raise Lost
