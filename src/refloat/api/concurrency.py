"""How many requests of one project a process answers at once: the rest of its threads are for the others."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager

from refloat.api.faults import Fault

_SOON = "1"
"""Seconds after which to try again: requests are short."""


class ConcurrencyLimit:
    """Counts requests by project.

    :param most: so many of one project at once; 0: any number.
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self._lock = threading.Lock()
        self._going: Counter[str] = Counter()

    @contextmanager
    def one_of(self, project_id: str) -> Iterator[None]:
        """While a request is answered. :raises Fault: the project has enough already."""
        with self._lock:
            if project_id and 0 < self._most <= self._going[project_id]:
                said = f"this project has {self._most} requests answered at once already: try again"
                raise Fault(429, said, {"Retry-After": _SOON})
            self._going[project_id] += 1
        try:
            yield
        finally:
            with self._lock:
                self._going[project_id] -= 1
                if not self._going[project_id]:
                    del self._going[project_id]
