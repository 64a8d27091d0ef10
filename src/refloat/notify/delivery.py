"""Carries notices to where they are to go, beside everything else: no operation ever waits for a destination.

Each destination has a delivery of its own in every worker, so that one that hangs holds up no other. What
could not be told is tried again, later and later; meanwhile the destination is left in peace.
"""

from __future__ import annotations

import logging
import random
import threading
import time
from collections.abc import Sequence
from datetime import timedelta
from typing import Protocol

from refloat.errors import RefloatError
from refloat.records.outbox import Notice, Outbox

_LOG = logging.getLogger(__name__)

_FIRST, _LAST = 5.0, 3600.0
"""Seconds between the first two tries of a notice, and the most between two."""
_PEACE = 60.0
"""A destination that failed again and again is left in peace for so many seconds, at most."""
_AT_THE_END = 10.0
_MARGIN = timedelta(seconds=60)


class Undelivered(RefloatError):
    """A notice could not be told.

    :param final: it is of no use to try again.
    """

    def __init__(self, reason: str, *, final: bool = False) -> None:
        super().__init__("could not be told", reason=reason)
        self.final = final


class Destination(Protocol):
    """A way to one destination."""

    @property
    def name(self) -> str:
        """What the destination is called."""
        ...

    @property
    def patience(self) -> float:
        """Seconds that one try may take."""
        ...

    def carry(self, notice: Notice) -> None:
        """Tell it. :raises Undelivered: it may not have been heard."""
        ...


class Delivery:
    """Tells one destination, in a thread of its own.

    :param tries: a notice is given up after so many.
    """

    def __init__(self, outbox: Outbox, carrier: Destination, tries: int, *, tick: float = 1.0) -> None:
        self._outbox = outbox
        self._carrier = carrier
        self._tries = tries
        self._tick = tick
        self._failures = 0
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._run, name=f"delivery-{carrier.name}", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self._closing.set()

    def join(self) -> None:
        """Wait for the end of the try that is being made, but not for long: another worker makes it again."""
        if self._thread.is_alive():
            self._thread.join(_AT_THE_END)

    def _run(self) -> None:
        while not self._closing.is_set():
            try:
                went_on = self.carry_one()
            except Exception:
                # The database may be away for a while; the delivery must outlive that.
                _LOG.exception("could not look for what %s is to be told", self._carrier.name)
                went_on = False
            if not went_on:
                pause = min(2.0**self._failures, _PEACE) if self._failures else self._tick
                self._closing.wait(pause)

    def carry_one(self) -> bool:
        """Tell the next notice, if one is due; whether to go on at once."""
        notice = self._outbox.take(self._carrier.name, timedelta(seconds=self._carrier.patience) + _MARGIN)
        if notice is None:
            return False
        began = time.monotonic()
        try:
            self._carrier.carry(notice)
        except Undelivered as exc:
            self._failures += 1
            self._put_off(notice, exc)
            return False
        self._failures = 0
        self._outbox.told(notice)
        _LOG.debug("%s told %s in %.1f s", notice.id, self._carrier.name, time.monotonic() - began)
        return True

    def _put_off(self, notice: Notice, error: Undelivered) -> None:
        what = f"{notice.event_type} {notice.id} to {self._carrier.name}"
        if error.final or notice.tries >= self._tries:
            self._outbox.give_up(notice, error.reason)
            _LOG.error("gave up telling %s after %s tries: %s", what, notice.tries, error.reason)
            return
        pause = min(_FIRST * 2 ** (notice.tries - 1), _LAST) * random.uniform(1.0, 1.2)  # noqa: S311
        self._outbox.later(notice, timedelta(seconds=pause), error.reason)
        _LOG.warning("could not tell %s, again in %.0f s: %s", what, pause, error.reason)


class Deliveries:
    """The deliveries of a process."""

    def __init__(self, outbox: Outbox, destinations: Sequence[Destination], tries: int) -> None:
        self._couriers = [Delivery(outbox, carrier, tries) for carrier in destinations]

    def start(self) -> None:
        for delivery in self._couriers:
            delivery.start()

    def close(self) -> None:
        for delivery in self._couriers:
            delivery.stop()
        for delivery in self._couriers:
            delivery.join()
