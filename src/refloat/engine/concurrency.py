"""Concurrency limits: how many steps of one lane run at once, over all operations of a process.

A step counts from its start to its end, waits included: the limit is on what the service behind it has in
hand. Whoever is queued holds no thread. A place that becomes free goes to the next party, so that one with a
thousand steps does not keep the others out.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping

from refloat.engine.fair_queue import FairQueue


class Concurrency:
    """Places per lane; a lane that is not named is unlimited."""

    def __init__(self, limits: Mapping[str, int]) -> None:
        for lane, limit in limits.items():
            if limit < 1:
                raise ValueError(f"lane {lane} must let at least one step run, not {limit}")
        self._lock = threading.Lock()
        self._free = dict(limits)
        self._queued: dict[str, FairQueue[Callable[[], None]]] = {lane: FairQueue() for lane in limits}

    def enter(self, lane: str, granted: Callable[[], None], party: str = "") -> bool:
        """Take a place now and return True; or call *granted*, from any thread, when one is free."""
        if lane not in self._queued:
            return True
        with self._lock:
            if self._free[lane]:
                self._free[lane] -= 1
                return True
            self._queued[lane].put(party, granted)
            return False

    def give_up(self, lane: str, granted: Callable[[], None], party: str = "") -> bool:
        """Leave the queue; False when the place has been granted already, and must be left instead."""
        if lane not in self._queued:
            return True
        with self._lock:
            return self._queued[lane].remove(party, granted)

    def leave(self, lane: str) -> None:
        """Give a place back, to whose turn it is."""
        if lane not in self._queued:
            return
        with self._lock:
            if not self._queued[lane]:
                self._free[lane] += 1
                return
            granted = self._queued[lane].get()
        granted()
