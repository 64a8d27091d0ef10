"""Who is next, when several parties queue: each gets its turn, however much one of them has queued."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Hashable
from typing import Generic, TypeVar

T = TypeVar("T", bound=Hashable)


class FairQueue(Generic[T]):
    """A queue that goes round the parties; of one party, first come, first served.

    Whoever waits, waits for at most one item of each other party per item of his own. Not for use by several
    threads at once. Every call takes constant time.
    """

    def __init__(self) -> None:
        self._queues: OrderedDict[str, OrderedDict[T, None]] = OrderedDict()
        self._size = 0

    def __len__(self) -> int:
        return self._size

    def put(self, party: str, item: T) -> None:
        """Queue an item, which must not be queued already."""
        self._queues.setdefault(party, OrderedDict())[item] = None
        self._size += 1

    def get(self) -> T:
        """Take the next item. :raises KeyError: there is none."""
        party, queue = self._queues.popitem(last=False)
        item, _ = queue.popitem(last=False)
        if queue:
            self._queues[party] = queue
        self._size -= 1
        return item

    def remove(self, party: str, item: T) -> bool:
        """Take an item out; whether it was queued."""
        queue = self._queues.get(party)
        if queue is None or item not in queue:
            return False
        del queue[item]
        if not queue:
            del self._queues[party]
        self._size -= 1
        return True

    def clear(self) -> None:
        self._queues.clear()
        self._size = 0
