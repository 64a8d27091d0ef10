"""The engine: runs operations durably, in this process, and tells of those of other processes.

* Whoever wants an operation writes its row, ``queued``. ``start`` runs it here and returns at once. Every
  step's result is on disk before its successors start.
* An operation whose process died is *interrupted*: it is still ``running``, but has no live owner. Nobody
  takes it over by himself; ``resume`` (or ``cancel``) in any process does, once the former owner is known
  to be dead: at once when it was a process of this host, else 15 seconds after its last sign of life.
  Steps that had ended are not run again; steps in flight are run again from their start.
* ``park`` stops an operation: nothing begins any more, waits are abandoned, code that runs comes to its
  end. With ``on_failure="park"`` a failure does the same, after everything that does not depend on it.
  ``close`` releases operations: they are stopped too, and can be taken over at once.
* ``cancel`` undoes it. With ``on_failure="undo"``, so does a failure.

How an operation is run is told in :mod:`refloat.engine.driver`, why each resumption is an attempt of its own
in :mod:`refloat.engine.journal`, how two processes never run the same one in :mod:`refloat.engine.lease`.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import replace
from functools import partial
from types import TracebackType
from typing import TYPE_CHECKING, Any, Literal, Self

from refloat.engine.program import Ended, Event, Json, Milestone, Program
from refloat.errors import Conflict, InvalidInput, NotFound, RefloatError

if TYPE_CHECKING:
    import sqlalchemy as sa
    from sqlalchemy.orm import Session

    from refloat.database import SqlDatabase
    from refloat.engine.driver import Driver
    from refloat.engine.history import History
    from refloat.engine.journal import Journal, Recorder
    from refloat.engine.lease import Claim, Lease, Row
    from refloat.engine.snapshot import Snapshot

_LOG = logging.getLogger(__name__)

Factory = Callable[[str, Json], Program]
Party = Callable[[Json], str]

_POLL_FIRST, _POLL_LAST = 0.05, 1.0
"""Seconds between two looks at an operation that another process runs."""


class Engine:
    """The engine of this process; only one that is open can run operations, others can look on.

    The (slow) workflow library is imported when the first operation is run or its outcomes are read.

    :param table: of the operations: see :class:`refloat.engine.lease.Leases`.
    :param workers: so many threads run the code of steps; steps that wait hold none.
    :param limits: so many steps of each of these lanes run or wait at once, in this process.
    :param listener: is called with everything that happens, from several threads; it should be quick.
    :param milestones: is called when a run here has begun or ended, from several threads.
    :param beside: is called in the transaction that writes that a run begins or ends, and writes what
        belongs to it; nothing else, for everybody who writes waits for it.
    """

    def __init__(
        self,
        database: SqlDatabase,
        table: sa.Table,
        *,
        workers: int = 16,
        limits: Mapping[str, int] | None = None,
        listener: Callable[[Event], None] | None = None,
        milestones: Callable[[Milestone], None] | None = None,
        beside: Callable[[Session, Milestone], None] = lambda _session, _milestone: None,
    ) -> None:
        from refloat.engine.concurrency import Concurrency
        from refloat.engine.driver import Shared
        from refloat.engine.heartbeat import Heartbeat
        from refloat.engine.lease import Leases
        from refloat.engine.owner import Owner
        from refloat.engine.pool import Pool
        from refloat.engine.reader import Reader

        self._listener = listener
        self._milestones = milestones
        self._beside = beside
        self._factories: dict[str, tuple[Factory, Party]] = {}
        self._drivers: dict[str, Driver] = {}
        self._launching: set[str] = set()
        self._lock = threading.Lock()
        self._closed = False
        self._owner = Owner.of_this_process()
        self._shared = Shared(database, Pool(workers), Concurrency(limits or {}))
        self._leases = Leases(database, table, self._owner)
        self._reader = Reader(database, table)
        self._opened_journal: Journal | None = None
        self._opening_journal = threading.Lock()
        self._heartbeat = Heartbeat(self._leases, self._running_drivers)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def close(self, timeout: float = 60.0) -> None:
        """Release what runs here and stop every thread.

        Code of steps that does not come to its end within *timeout* seconds is left behind in its (daemon)
        thread; its operation then is as if the process had died.
        """
        with self._lock:
            if self._closed:
                return
            self._closed = True
        deadline = time.monotonic() + timeout
        drivers = self._running_drivers()
        for driver in drivers:
            driver.ask("release")
        for driver in drivers:
            if not driver.ended.wait(max(0.0, deadline - time.monotonic())):
                _LOG.error(
                    "operation %s does not stop; still running: %s",
                    driver.operation_id,
                    ", ".join(driver.running()[:5]),
                )
                driver.leave()
                driver.ended.wait(5.0)
        self._heartbeat.close()
        self._shared.pool.close(max(1.0, deadline - time.monotonic()))
        if self._opened_journal is not None:
            self._opened_journal.close()

    def register(self, kind: str, factory: Factory, party: Party = lambda payload: "") -> None:
        """Operations of this kind are run by what *factory*, given their id and payload, returns.

        The factory is called in the thread that starts, resumes or cancels; what it raises is raised there.

        :param party: whose an operation of this payload is: where steps queue, each party gets its turn.
        """
        self._factories[kind] = factory, party

    def prepare(self) -> None:
        """Make the engine's tables, or bring them up to date. Whoever runs an operation does so too."""
        self._check_open()
        _ = self._journal

    def start(self, operation_id: str) -> None:
        """Begin, here, with an operation that is queued; return at once. Nothing is done when it has begun.

        One that was cancelled before begins with being undone, and nothing of it is done.

        :raises NotFound: there is no such operation.
        :raises InvalidInput: its kind is not registered.
        """
        self._check_open()
        row = self._read(operation_id)
        if row.state == "queued":
            with suppress(Conflict):
                self._take_up(row)

    def resume(self, operation_id: str) -> None:
        """Go on, here, with an operation that is queued, was interrupted or parked; return at once.

        One that was being undone goes on being undone.

        :raises NotFound: there is no such operation.
        :raises Conflict: it has ended, or a live process runs it.
        """
        self._check_open()
        row = self._read(operation_id)
        self._refuse_alive(row)
        if row.state not in ("queued", "running", "parked"):
            advice = "Cancel it to undo it again" if _unclean(row) else ""
            raise Conflict(f"operation {operation_id} has ended: {row.state}", advice=advice)
        self._take_up(row)

    def park(self, operation_id: str) -> None:
        """Have an operation stopped where it is, wherever it runs, and return at once.

        :raises NotFound: there is no such operation.
        """
        self._check_open()
        row = self._read(operation_id)
        if self._ask(row, "park") or row.state not in ("queued", "running"):
            return
        self._end_idle(row, Ended("parked"))

    def cancel(self, operation_id: str) -> None:
        """Ask for an operation to be undone, and return at once.

        Its owner does it; when it has no live owner, it is taken up here. One whose undoing failed is
        undone again. Nothing is done when it was cancelled already.

        :raises NotFound: there is no such operation.
        :raises Conflict: it has ended.
        """
        self._check_open()
        row = self._read(operation_id)
        if row.state == "running" and self.is_alive(row):
            if self._ask(row, "cancel"):
                return
            row = self._read(operation_id)  # it ended in this moment
            self._refuse_alive(row)
        if row.state == "cancelled" and not _unclean(row):
            return
        if row.state == "succeeded" or (row.state == "failed" and not _unclean(row)):
            raise Conflict(f"operation {operation_id} has ended: {row.state}")
        self._take_up(row, cancel=True)

    def fail(self, operation_id: str, error: RefloatError) -> None:
        """End an operation that nobody runs, and that cannot be run.

        :raises NotFound: there is no such operation.
        :raises Conflict: it has ended, or a live process runs it.
        """
        row = self._read(operation_id)
        self._refuse_alive(row)
        if row.state not in ("queued", "running", "parked"):
            raise Conflict(f"operation {operation_id} has ended: {row.state}")
        self._end_idle(row, Ended("failed", error=error.to_json()))

    def wait(self, operation_id: str, timeout: float | None = None, *, outcomes: bool = True) -> Ended:
        """Wait until an operation, wherever it runs, has ended or is parked.

        :param outcomes: also read how every step ended.
        :raises NotFound: there is no such operation.
        :raises TimeoutError: it still runs after so many seconds.
        :raises Conflict: it was interrupted: nobody runs it any more.
        """
        from refloat.engine.snapshot import ended

        self._check_open()
        deadline = None if timeout is None else time.monotonic() + timeout
        pause = _POLL_FIRST
        while True:
            left = _POLL_LAST if deadline is None else deadline - time.monotonic()
            driver = self._drivers.get(operation_id)
            if driver is not None:
                # In short pieces, so that Ctrl-C is heard everywhere.
                driver.ended.wait(max(0.0, min(left, _POLL_LAST)))
            if driver is None or driver.ended.is_set():
                row = self._read(operation_id)
                if row.state not in ("queued", "running"):
                    return ended(row, self._history(row) if outcomes else None)
                if self._interrupted(row) and self._interrupted(self._read(operation_id)):
                    raise Conflict(
                        f"operation {operation_id} was interrupted", advice="Resume it or cancel it"
                    )
                time.sleep(max(0.0, min(left, pause)))
                pause = min(pause * 2, _POLL_LAST)
            if deadline is not None and time.monotonic() >= deadline:
                raise TimeoutError(f"operation {operation_id} still runs after {timeout:g} seconds")

    def state(self, operation_id: str, *, outcomes: bool = True) -> Snapshot:
        """How an operation is, wherever it runs.

        :param outcomes: also read how every step ended; without, this reads a single row.
        :raises NotFound: there is no such operation.
        """
        from refloat.engine.snapshot import snapshot

        self._check_open()
        row = self._read(operation_id)
        history = self._history(row) if outcomes else None
        return snapshot(row, history, alive=self.is_alive(row))

    def running(self) -> list[str]:
        """The ids of the operations that this process runs."""
        return [driver.operation_id for driver in self._running_drivers()]

    def interrupted(self) -> list[str]:
        """The operations that nobody runs any more and that have not ended."""
        self._check_open()
        return [row.id for row in self._leases.running() if not self.is_alive(row)]

    def wake(self) -> None:
        """Look at once for what is asked of the operations that run here."""
        self._heartbeat.wake()

    def is_alive(self, claim: Claim) -> bool:
        """Whether the owner of an operation lives, as far as can be told."""
        from refloat.engine.lease import is_alive

        if claim.executor == self._owner.executor:
            with self._lock:
                driver = self._drivers.get(claim.id)
                return claim.id in self._launching or (driver is not None and not driver.ended.is_set())
        return is_alive(claim)

    def forget(self, operation_id: str) -> None:
        """Delete an operation that has ended, and what was recorded of it. Unknown ones are no error.

        :raises Conflict: it has not ended; one that is parked must be cancelled first.
        """
        self._check_open()
        row = self._leases.read(operation_id)
        if row is None:
            return
        if row.state in ("queued", "running", "parked"):
            raise Conflict(f"operation {operation_id} has not ended: {row.state}")
        self._journal.forget(_attempt_id(row.id, n) for n in range(1, row.attempt + 1))
        self._leases.delete(row)

    # From here on, how.

    def _check_open(self) -> None:
        if self._closed:
            raise RuntimeError("the engine is closed")

    @property
    def _journal(self) -> Journal:
        # Importing the workflow library takes longer than everything else together; whoever only
        # looks at an operation, or asks its owner for something, does without.
        with self._opening_journal:
            if self._opened_journal is None:
                from refloat.engine.journal import Journal

                self._check_open()
                self._opened_journal = Journal(self._shared.database, self._owner.executor)
            return self._opened_journal

    def _read(self, operation_id: str) -> Row:
        row = self._leases.read(operation_id)
        if row is None:
            raise NotFound(f"there is no operation {operation_id}")
        return row

    def _running_drivers(self) -> list[Driver]:
        with self._lock:
            for operation_id in [o for o, driver in self._drivers.items() if driver.ended.is_set()]:
                del self._drivers[operation_id]
            return list(self._drivers.values())

    def _interrupted(self, row: Row) -> bool:
        return row.state == "running" and not self.is_alive(row)

    def _refuse_alive(self, row: Row) -> None:
        from refloat.engine.lease import owner_of

        if row.state == "running" and self.is_alive(row):
            owner = owner_of(row)
            raise Conflict(f"operation {row.id} is run by {owner.place if owner else ''}")

    def _program(self, operation_id: str, kind: str, payload: Json) -> Program:
        if kind not in self._factories:
            raise InvalidInput(f"operations of the kind {kind!r} are not known here")
        factory, _ = self._factories[kind]
        return factory(operation_id, payload)

    def _ask(self, row: Row, what: Literal["park", "cancel"]) -> bool:
        """Tell the owner, if there is one; whether there is."""
        if row.state != "running" or not self.is_alive(row) or not self._leases.request(row.id, what):
            return False
        driver = self._drivers.get(row.id)
        if driver is not None:
            driver.ask(what)
        return True

    def _end_idle(self, row: Row, ended: Ended) -> None:
        milestone = Milestone(
            row.id, row.kind, self._leases.payload(row.id), "ended", state=ended.state, error=ended.error
        )
        self._leases.end_idle(row, ended, lambda session: self._beside(session, milestone))

    def _take_up(self, row: Row, *, cancel: bool = False) -> None:
        cancel = cancel or row.requested == "cancel"
        payload = self._leases.payload(row.id)
        program = self._program(row.id, row.kind, payload)
        self.prepare()  # the tables are there before anybody looks for what is recorded in them
        what: Literal["began", "taken over", "resumed"] = "resumed"
        if not row.attempt:
            what = "began"
        elif row.executor:
            what = "taken over"
        begun = Milestone(row.id, row.kind, payload, what, undoing=cancel)
        with self._launch_of(row.id):
            lease = self._leases.take(row, cancel=cancel, beside=lambda session: self._beside(session, begun))
            if lease is None:
                raise Conflict(f"somebody else has just taken up operation {row.id}")
            self._launch(lease, program, row, begun, cancel=cancel)

    @contextmanager
    def _launch_of(self, operation_id: str) -> Iterator[None]:
        """Between taking the lease and having a driver, an operation counts as run by us."""
        with self._lock:
            self._launching.add(operation_id)
        try:
            yield
        finally:
            with self._lock:
                self._launching.discard(operation_id)

    def _launch(self, lease: Lease, program: Program, row: Row, begun: Milestone, *, cancel: bool) -> None:
        from refloat.engine.driver import Driver
        from refloat.engine.progress import Progress

        try:
            if row.state == "running":  # else its last owner itself has said that it is over
                # All before it: who took one of them over may have died before it fenced the former.
                self._journal.fence(_attempt_id(row.id, n) for n in range(1, row.attempt + 1))
            history = self._history(row)
            driver = Driver(
                program,
                lease=lease,
                progress=Progress(lease.operation_id, self._listener),
                history=history,
                on_failure=row.on_failure,
                way_back=_way_back(history, row.state, row.on_failure, cancel=cancel),
                shared=self._shared,
                at_end=partial(self._write_end, begun),
                party=self._factories[begun.kind][1](begun.payload),
            )
            self._running_drivers()
            with self._lock:
                if self._closed:
                    raise RuntimeError("the engine is closed")
                self._drivers[lease.operation_id] = driver
            since = row.since if row.began_at else time.time()
            body = partial(self._run, driver, begun, since)
            self._journal.run(_attempt_id(lease.operation_id, lease.attempt), body)
        except BaseException:
            with self._lock:
                self._drivers.pop(lease.operation_id, None)
            with suppress(Exception):  # the reason is already being raised; the lease runs out by itself
                lease.give_back(row.state)
            raise

    def _write_end(self, begun: Milestone, session: Session, ended: Ended, prepared: Json) -> None:
        if ended.state != "running":
            come_to: dict[str, Any] = {"state": ended.state, "error": ended.error, "result": ended.result}
            self._beside(session, replace(begun, what="ended", prepared=prepared, **come_to))

    def _run(self, driver: Driver, begun: Milestone, since: float, recorder: Recorder) -> None:
        self._tell(begun)
        driver.run(recorder)
        if (ended := driver.came_to) is not None:
            what: Literal["released", "ended"] = "released" if ended.state == "running" else "ended"
            seconds, moved = max(0.0, time.time() - since), driver.progress.to_json()["bytes_done"]
            self._tell(
                replace(begun, what=what, state=ended.state, error=ended.error, seconds=seconds, bytes=moved)
            )

    def _tell(self, milestone: Milestone) -> None:
        if self._milestones is None:
            return
        try:
            self._milestones(milestone)
        except Exception:
            # Whoever only watches must not break what he watches.
            _LOG.exception(
                "operation %s: nobody could be told that it %s", *(milestone.operation_id, milestone.what)
            )

    def _history(self, row: Row) -> History:
        return self._reader.recorded(row)[0]


def _unclean(row: Row) -> bool:
    """Whether something was left behind when it was undone."""
    return row.state in ("failed", "cancelled") and bool((row.error or {}).get("left_behind"))


def _attempt_id(operation_id: str, attempt: int) -> str:
    return f"{operation_id}#{attempt}"


def _way_back(
    history: History, before: str, on_failure: Literal["undo", "park"], *, cancel: bool
) -> Mapping[str, Any] | None:
    """Why there is only the way back for an operation; None when it goes forward."""
    if history.undoing is not None:
        return history.undoing
    if cancel:
        return {"state": "cancelled"}
    if before == "running" and on_failure == "undo" and history.failure is not None:
        # Its owner died between a failure and undoing it.
        return {"state": "failed", "error": history.failure}
    return None
