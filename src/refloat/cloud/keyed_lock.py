"""A lock by key: what must not be done to one thing twice at once, in this process.

Waiting for it is a wait like any other and holds no thread. It has no deadline of its own: whoever holds it
waits only for what has one, and releases it in any case.
"""

from __future__ import annotations

import threading
from collections import defaultdict, deque
from collections.abc import Iterator
from concurrent.futures import Future, InvalidStateError
from contextlib import contextmanager, suppress

_LOCK = threading.Lock()
_QUEUES: defaultdict[str, deque[KeyedLock]] = defaultdict(deque)


class KeyedLock:
    """A place in the queue for one key; to be yielded by a hook, within :func:`keyed_lock`."""

    def __init__(self, key: str) -> None:
        self._key = key
        self._future: Future[None] = Future()

    def begin(self) -> Future[None]:
        with _LOCK:
            queue = _QUEUES[self._key]
            if self not in queue:
                queue.append(self)
            first = queue[0] is self
        if first:
            self._acquired()
        return self._future

    def describe(self) -> str:
        return f"its turn with {self._key}"

    def release(self) -> None:
        with _LOCK:
            queue = _QUEUES[self._key]
            if self in queue:
                queue.remove(self)
            following = queue[0] if queue else None
            if following is None:
                del _QUEUES[self._key]
        if following is not None:
            following._acquired()

    def result(self) -> None:
        """Wait here and now, holding the thread. For tests and scripts; hooks yield instead."""
        self.begin().result()

    def _acquired(self) -> None:
        with suppress(
            InvalidStateError
        ):  # it came already; or the wait was cancelled, and it leaves by itself
            self._future.set_result(None)


@contextmanager
def keyed_lock(key: str) -> Iterator[KeyedLock]:
    """A lock that is released in the end, also when it was never acquired."""
    mine = KeyedLock(key)
    try:
        yield mine
    finally:
        mine.release()
