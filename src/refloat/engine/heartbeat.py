"""Keeps the leases of a process alive, shows its progress, and hears what others ask for."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable

from refloat.engine.driver import Driver
from refloat.engine.lease import LASTS, Leases

_LOG = logging.getLogger(__name__)

_EVERY = 1.0
"""Seconds between two looks."""
_RENEW_AFTER = LASTS / 4
"""Seconds after which a lease is renewed although there is nothing new to show."""


class Heartbeat:
    """A thread that looks after all drivers of a process, once a second."""

    def __init__(self, leases: Leases, drivers: Callable[[], list[Driver]]) -> None:
        self._leases = leases
        self._drivers = drivers
        self._stopping = False
        self._now = threading.Event()
        self._thread = threading.Thread(target=self._run, name="refloat-heartbeat", daemon=True)
        self._thread.start()

    def wake(self) -> None:
        self._now.set()

    def close(self) -> None:
        self._stopping = True
        self._now.set()
        self._thread.join(10.0)

    def _run(self) -> None:
        while True:
            self._now.wait(_EVERY)
            self._now.clear()
            if self._stopping:
                return
            try:
                self._look()
            except Exception:
                # The database may be away for a moment; drivers begin nothing once a lease is not fresh.
                _LOG.warning("the leases could not be looked after; trying again", exc_info=True)

    def _look(self) -> None:
        drivers = self._drivers()
        if not drivers:
            return
        requests = self._leases.requests(driver.operation_id for driver in drivers)
        for driver in drivers:
            attempt, requested = requests.get(driver.operation_id, (0, ""))
            if driver.ended.is_set():
                continue
            if attempt != driver.lease.attempt:
                driver.ask("lost")
                continue
            if requested in ("park", "cancel"):
                driver.ask(requested)
            changed = driver.progress.changed
            if changed or driver.lease.age > _RENEW_AFTER:
                progress = driver.progress.to_json() if changed else None
                if not driver.lease.renew(progress) and not driver.ended.is_set():
                    driver.ask("lost")
