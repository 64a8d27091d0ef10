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
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import TYPE_CHECKING, Literal

from refloat.closing import Closing
from refloat.engine.program import Ended, Json, Milestone, Program
from refloat.errors import Conflict, NotFound, RefloatError

if TYPE_CHECKING:
    import sqlalchemy as sa
    from sqlalchemy.orm import Session

    from refloat.database import SqlDatabase
    from refloat.engine.lease import Claim, Row
    from refloat.engine.snapshot import Snapshot

_LOG = logging.getLogger(__name__)

Factory = Callable[[str, Json], Program]
Party = Callable[[Json], str]

_POLL_FIRST, _POLL_LAST = 0.05, 1.0
"""Seconds between two looks at an operation that another process runs."""


class Engine(Closing):
    """The engine of this process; only one that is open can run operations, others can look on.

    The (slow) workflow library is imported when the first operation is run or its outcomes are read.

    :param table: of the operations: see :class:`refloat.engine.lease.Leases`.
    :param workers: so many threads run the code of steps; steps that wait hold none.
    :param limits: so many steps of each of these lanes run or wait at once, in this process.
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
        milestones: Callable[[Milestone], None] = lambda _milestone: None,
        beside: Callable[[Session, Milestone], None] = lambda _session, _milestone: None,
    ) -> None:
        from refloat.engine.attempts import Attempts
        from refloat.engine.concurrency import Concurrency
        from refloat.engine.heartbeat import Heartbeat
        from refloat.engine.in_flight import Shared
        from refloat.engine.lease import Leases
        from refloat.engine.owner import Owner
        from refloat.engine.pool import Pool
        from refloat.engine.reader import Reader

        self._beside = beside
        self._shared = Shared(database, Pool(workers), Concurrency(limits or {}))
        self._leases = Leases(database, table, Owner.of_this_process())
        self._reader = Reader(database, table)
        self._attempts = Attempts(self._leases, self._reader, self._shared, milestones, beside)
        self._heartbeat = Heartbeat(self._leases, self._attempts.drivers)

    def close(self, timeout: float = 60.0) -> None:
        """Release what runs here and stop every thread.

        Code of steps that does not come to its end within *timeout* seconds is left behind in its (daemon)
        thread; its operation then is as if the process had died.
        """
        deadline = time.monotonic() + timeout
        if self._attempts.closed:
            return
        self._attempts.release(timeout)
        self._heartbeat.close()
        self._shared.pool.close(max(1.0, deadline - time.monotonic()))
        self._attempts.close()

    def register(self, kind: str, factory: Factory, party: Party = lambda payload: "") -> None:
        """Operations of this kind are run by what *factory*, given their id and payload, returns.

        The factory is called in the thread that starts, resumes or cancels; what it raises is raised there.

        :param party: whose an operation of this payload is: where steps queue, each party gets its turn.
        """
        self._attempts.register(kind, factory, party)

    def prepare(self) -> None:
        """Make the engine's tables, or bring them up to date. Whoever runs an operation does so too."""
        self._check_open()
        _ = self._attempts.journal

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
                self._attempts.begin(row)

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
        self._attempts.begin(row)

    def park(self, operation_id: str, why: RefloatError | None = None) -> None:
        """Have an operation stopped where it is, wherever it runs, and return at once.

        :param why: it must not go on by itself, be it to be undone.
        :raises NotFound: there is no such operation.
        """
        self._check_open()
        row = self._read(operation_id)
        if self._ask(row, "park") or row.state not in ("queued", "running"):
            return
        self._end_idle(row, Ended("parked", error=why.to_json() if why else None))

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
        self._attempts.begin(row, cancel=True)

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
            driver = self._attempts.driver_of(operation_id)
            if driver is not None:
                # In short pieces, so that Ctrl-C is heard everywhere.
                driver.ended.wait(max(0.0, min(left, _POLL_LAST)))
            if driver is None or driver.ended.is_set():
                row = self._read(operation_id)
                if row.state not in ("queued", "running"):
                    return ended(row, self._reader.recorded(row)[0] if outcomes else None)
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
        history = self._reader.recorded(row)[0] if outcomes else None
        return snapshot(row, history, alive=self.is_alive(row))

    def running(self) -> list[str]:
        """The ids of the operations that this process runs."""
        return [driver.operation_id for driver in self._attempts.drivers()]

    def interrupted(self) -> list[str]:
        """The operations that nobody runs any more and that have not ended."""
        self._check_open()
        return [row.id for row in self._leases.running() if not self.is_alive(row)]

    def wake(self) -> None:
        """Look at once for what is asked of the operations that run here."""
        self._heartbeat.wake()

    def is_alive(self, claim: Claim) -> bool:
        """Whether the owner of an operation lives, as far as can be told."""
        return self._attempts.is_alive(claim)

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
        self._attempts.journal.forget(row.attempts)
        self._leases.delete(row)

    def _check_open(self) -> None:
        if self._attempts.closed:
            raise RuntimeError("the engine is closed")

    def _read(self, operation_id: str) -> Row:
        row = self._leases.read(operation_id)
        if row is None:
            raise NotFound(f"there is no operation {operation_id}")
        return row

    def _interrupted(self, row: Row) -> bool:
        return row.state == "running" and not self.is_alive(row)

    def _refuse_alive(self, row: Row) -> None:
        from refloat.engine.lease import owner_of

        if row.state == "running" and self.is_alive(row):
            owner = owner_of(row)
            raise Conflict(f"operation {row.id} is run by {owner.place if owner else ''}")

    def _ask(self, row: Row, what: Literal["park", "cancel"]) -> bool:
        """Tell the owner, if there is one; whether there is."""
        if row.state != "running" or not self.is_alive(row) or not self._leases.request(row.id, what):
            return False
        driver = self._attempts.driver_of(row.id)
        if driver is not None:
            driver.ask(what)
        return True

    def _end_idle(self, row: Row, ended: Ended) -> None:
        milestone = Milestone(
            row.id, row.kind, self._leases.payload(row.id), "ended", state=ended.state, error=ended.error
        )
        self._leases.end_idle(row, ended, lambda session: self._beside(session, milestone))


def _unclean(row: Row) -> bool:
    """Whether something was left behind when it was undone."""
    return row.state in ("failed", "cancelled") and bool((row.error or {}).get("left_behind"))
