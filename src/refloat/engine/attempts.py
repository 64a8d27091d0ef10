"""The attempts at operations that run in this process: how one is begun, and what becomes of it.

See :mod:`refloat.engine.driver` for how one is run.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any, Literal

from sqlalchemy.orm import Session

from refloat.engine.driver import Driver
from refloat.engine.history import History
from refloat.engine.in_flight import Shared
from refloat.engine.lease import Claim, Lease, Leases, Row, attempt_id, is_alive
from refloat.engine.program import Ended, Json, Milestone, Program
from refloat.engine.progress import Progress
from refloat.engine.reader import Reader
from refloat.errors import Conflict, InvalidInput

if TYPE_CHECKING:
    from refloat.engine.journal import Journal, Recorder

_LOG = logging.getLogger(__name__)


class Attempts:
    """All that run here; see :class:`refloat.engine.engine.Engine` for the parameters."""

    def __init__(
        self,
        leases: Leases,
        reader: Reader,
        shared: Shared,
        milestones: Callable[[Milestone], None],
        beside: Callable[[Session, Milestone], None],
    ) -> None:
        self.closed = False
        self._leases = leases
        self._reader = reader
        self._shared = shared
        self._milestones = milestones
        self._beside = beside
        self._factories: dict[str, tuple[Callable[[str, Json], Program], Callable[[Json], str]]] = {}
        self._drivers: dict[str, Driver] = {}
        self._launching: set[str] = set()
        self._lock = threading.Lock()
        self._opened_journal: Journal | None = None
        self._opening_journal = threading.Lock()

    def register(
        self, kind: str, factory: Callable[[str, Json], Program], party: Callable[[Json], str]
    ) -> None:
        self._factories[kind] = factory, party

    def release(self, timeout: float) -> None:
        """Begin nothing more, and have what runs stopped, for others to go on with.

        What does not come to its end within *timeout* seconds is left behind.
        """
        with self._lock:
            self.closed = True
        deadline = time.monotonic() + timeout
        drivers = self.drivers()
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

    def close(self) -> None:
        if self._opened_journal is not None:
            self._opened_journal.close()

    @property
    def journal(self) -> Journal:
        """What was recorded; opened when it is first needed.

        Importing the workflow library takes longer than everything else together; whoever only looks at an
        operation, or asks its owner for something, does without.
        """
        with self._opening_journal:
            if self._opened_journal is None:
                from refloat.engine.journal import Journal

                if self.closed:
                    raise RuntimeError("the engine is closed")
                self._opened_journal = Journal(self._shared.database, self._leases.owner.executor)
            return self._opened_journal

    def drivers(self) -> list[Driver]:
        with self._lock:
            for operation_id in [o for o, driver in self._drivers.items() if driver.ended.is_set()]:
                del self._drivers[operation_id]
            return list(self._drivers.values())

    def driver_of(self, operation_id: str) -> Driver | None:
        """That of an operation; None: it does not run here."""
        return self._drivers.get(operation_id)

    def is_alive(self, claim: Claim) -> bool:
        """Whether the owner of an operation lives, as far as can be told."""
        if claim.executor == self._leases.owner.executor:
            with self._lock:
                driver = self._drivers.get(claim.id)
                return claim.id in self._launching or (driver is not None and not driver.ended.is_set())
        return is_alive(claim)

    def begin(self, row: Row, *, cancel: bool = False) -> None:
        """Take an operation up, here, and return at once.

        :param cancel: only to undo it.
        :raises InvalidInput: its kind is not registered.
        :raises Conflict: somebody else was faster.
        """
        cancel = cancel or row.requested == "cancel"
        payload = self._leases.payload(row.id)
        if row.kind not in self._factories:
            raise InvalidInput(f"operations of the kind {row.kind!r} are not known here")
        program = self._factories[row.kind][0](row.id, payload)
        _ = self.journal  # its tables are there before anybody looks for what is recorded in them
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
        try:
            if row.state == "running":  # else its last owner itself has said that it is over
                # All before it: who took one of them over may have died before it fenced the former.
                self.journal.fence(row.attempts)
            history = self._reader.recorded(row)[0]
            driver = Driver(
                program,
                lease=lease,
                progress=Progress(),
                history=history,
                on_failure=row.on_failure,
                way_back=_way_back(history, row, cancel=cancel),
                shared=self._shared,
                at_end=partial(self._write_end, begun),
                party=self._factories[begun.kind][1](begun.payload),
            )
            self.drivers()
            with self._lock:
                if self.closed:
                    raise RuntimeError("the engine is closed")
                self._drivers[lease.operation_id] = driver
            since = row.since if row.began_at else time.time()
            body = partial(self._run, driver, begun, since)
            self.journal.run(attempt_id(lease.operation_id, lease.attempt), body)
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
        try:
            self._milestones(milestone)
        except Exception:
            # Whoever only watches must not break what he watches.
            _LOG.exception(
                "operation %s: nobody could be told that it %s", *(milestone.operation_id, milestone.what)
            )


def _way_back(history: History, row: Row, *, cancel: bool) -> Mapping[str, Any] | None:
    """Why there is only the way back for an operation; None when it goes forward."""
    if history.undoing is not None:
        return history.undoing
    if cancel:
        return {"state": "cancelled"}
    if row.state == "running" and row.on_failure == "undo" and history.failure is not None:
        # Its owner died between a failure and undoing it.
        return {"state": "failed", "error": history.failure}
    return None
