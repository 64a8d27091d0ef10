"""Waiting for things in the cloud without holding a worker.

One thread per kind looks at all that is waited for in one listing (or one by one while they are
few), on an interval that shortens while something changes and grows while nothing does. A look costs the
service work that it could spend on what is waited for: the longer it takes, the longer is the interval.
"""

from __future__ import annotations

import logging
import random
import threading
import time
from collections.abc import Callable, Iterable
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import Any

from openstack import exceptions as sdk_exceptions
from openstack.connection import Connection

from refloat.cloud.errors import explain
from refloat.cloud.kinds import Kind
from refloat.errors import CloudError, WaitFailed

_LOG = logging.getLogger(__name__)

SHORTEST = 0.5
LONGEST = 5.0
"""Seconds between two looks."""

REST = 3.0
"""So many times as long as a look took, up to ``LONGEST``, the service is left alone."""

FEW = 4
"""Up to so many waiters are looked at one by one; more are found in one listing."""

MAX_FAILURES = 20
"""So many looks in a row may fail before the wait does, unless it is told otherwise: a service may restart
meanwhile."""

Ready = Callable[[Any], bool]


@dataclass
class Waiter:
    """One wait for one thing."""

    id: str
    ready: Ready
    failed: Ready
    gone: bool
    deadline: float
    text: str
    future: Future[Any] = field(default_factory=Future)
    last: str = ""


class Watcher:
    """Watches things of one kind in one project for everybody who waits for them."""

    def __init__(self, connection: Connection, kind: Kind, max_failures: int = MAX_FAILURES) -> None:
        self._connection = connection
        self._max_failures = max_failures
        self._kind = kind
        self._lock = threading.Condition()
        self._waiters: list[Waiter] = []
        self._somebody_came = False
        self._thread: threading.Thread | None = None
        self._failures = 0

    def add(self, waiter: Waiter) -> Future[Any]:
        """Start watching for ``waiter``; its future ends with the thing, or with WaitFailed."""
        with self._lock:
            self._waiters.append(waiter)
            self._somebody_came = True
            if self._thread is None:
                name = f"watch-{self._kind.name}"
                self._thread = threading.Thread(target=self._run, name=name, daemon=True)
                self._thread.start()
            self._lock.notify()
        return waiter.future

    def _run(self) -> None:
        interval = SHORTEST
        while True:
            with self._lock:
                self._waiters = [w for w in self._waiters if not w.future.done()]
                if not self._waiters:
                    self._thread = None
                    return
                waiters = list(self._waiters)
                self._somebody_came = False
            begun = time.monotonic()
            changed = self._look(waiters)
            interval = SHORTEST if changed else min(interval * 1.4, LONGEST)
            rest = max(SHORTEST, min(REST * (time.monotonic() - begun), LONGEST))
            self._pause(rest, max(rest, interval))

    def _pause(self, shortest: float, longest: float) -> None:
        """Until it is time for the next look, which is sooner when somebody has come.

        Many may come one after the other: they are looked at together.
        """
        now = time.monotonic()
        jitter = random.uniform(0.9, 1.1)  # noqa: S311 - no secret
        soon, late = now + shortest * jitter, now + longest * jitter
        with self._lock:
            while (left := (soon if self._somebody_came else late) - time.monotonic()) > 0:
                self._lock.wait(left)

    def _look(self, waiters: list[Waiter]) -> bool:
        """Look once at everything; true when anything has moved."""
        try:
            found = self._fetch([w.id for w in waiters])
        except Exception as exc:
            # Of whatever kind (an answer that is no JSON): this thread must not end before what it waits for.
            self._failures += 1
            _LOG.debug("could not look at things of the kind %s", self._kind.name, exc_info=True)
            for waiter in waiters:
                if self._failures >= self._max_failures or time.monotonic() > waiter.deadline:
                    self._end(waiter, error=explain(exc, f"watch for {waiter.text}"))
            return False
        self._failures = 0
        moved = [self._judged(waiter, found.get(waiter.id)) for waiter in waiters]
        return any(moved)

    def _judged(self, waiter: Waiter, thing: Any | None) -> bool:
        try:
            return self._judge(waiter, thing)
        except Exception as exc:
            # A plugin's test of what it waits for: the others' waits go on.
            _LOG.warning("what is waited for cannot be judged: %s", waiter.text, exc_info=True)
            reason = f"{type(exc).__name__}: {exc}"
            self._end(waiter, error=CloudError(f"could not watch for {waiter.text}", reason=reason))
            return True

    def _fetch(self, ids: Iterable[str]) -> dict[str, Any]:
        wanted = list(dict.fromkeys(ids))
        found: dict[str, Any] = {}
        if len(wanted) > FEW:
            found = {str(thing.id): thing for thing in self._kind.list(self._connection)}
        for identity in wanted:
            if identity not in found:  # few, or not listed: only a GET tells deleted from not listed
                try:
                    found[identity] = self._kind.get(self._connection, identity)
                except sdk_exceptions.NotFoundException:
                    continue
        return found

    def _judge(self, waiter: Waiter, thing: Any | None) -> bool:
        status = self._kind.state(thing)
        if thing is None or status in self._kind.gone:
            if waiter.gone:
                self._end(waiter, result=None)
            else:
                self._end(
                    waiter, error=WaitFailed(f"gave up waiting for {waiter.text}", reason="it was deleted")
                )
            return True
        if waiter.ready(thing):
            self._end(waiter, result=thing)
            return True
        if waiter.failed(thing):
            self._end(
                waiter, error=WaitFailed(f"gave up waiting for {waiter.text}", reason=_fault(thing, status))
            )
            return True
        if time.monotonic() > waiter.deadline:
            reason = f"it is still '{status}' after the time allowed"
            self._end(waiter, error=WaitFailed(f"gave up waiting for {waiter.text}", reason=reason))
            return True
        moved = status != waiter.last
        waiter.last = status
        return moved

    @staticmethod
    def _end(waiter: Waiter, *, result: Any = None, error: Exception | None = None) -> None:
        if not waiter.future.set_running_or_notify_cancel():
            return
        if error is not None:
            waiter.future.set_exception(error)
        else:
            waiter.future.set_result(result)


def _fault(thing: Any, status: str) -> str:
    """Why a thing failed, in the service's words where it gives any."""
    fault = getattr(thing, "fault", None)
    words = (fault or {}).get("message") if isinstance(fault, dict) else None
    words = words or getattr(thing, "fail_reason", None)
    return f"its status became '{status}'" + (f": {words}" if words else "")
