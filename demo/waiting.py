"""Waiting, always bounded."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")


class TooLong(Exception):
    """What was waited for did not come."""


def wait_for(what: str, look: Callable[[], T | None], seconds: float, every: float = 1.0) -> T:
    """Look until there is something to see.

    :param look: returns something true when the wait is over; may raise to end it at once.
    :raises TooLong: it took more than ``seconds``.
    """
    end = time.monotonic() + seconds
    while True:
        found = look()
        if found:
            return found
        if time.monotonic() > end:
            raise TooLong(f"{what}: not after {seconds:.0f} s")
        time.sleep(every)
