"""A store that takes no more of the line than it may."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

from refloat.bank.store import Parts, Store, parts_of
from refloat.bank.wrapper import T, Wrapper


class Bucket:
    """A token bucket: ``rate`` bytes in a second, and not more than ``burst`` seconds' worth at once.

    Who takes more than there is goes into debt and waits until it is paid, so that requests of any size
    get through and the long-term rate is kept whatever their number.
    """

    def __init__(
        self,
        rate: float,
        burst: float = 1.0,
        *,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._rate = rate
        self._most = rate * burst
        self._left = self._most
        self._clock = clock
        self._sleep = sleep
        self._at = clock()
        self._lock = threading.Lock()

    def take(self, size: int) -> None:
        with self._lock:
            now = self._clock()
            self._left = min(self._most, self._left + (now - self._at) * self._rate)
            self._at = now
            self._left -= size
            debt = -self._left / self._rate
        if debt > 0:
            self._sleep(debt)


class Throttled(Wrapper):
    """All reads and writes together take at most ``rate`` bytes in a second."""

    def __init__(self, inner: Store, rate: float, bucket: Bucket | None = None) -> None:
        super().__init__(inner)
        self._rate = rate
        self._bucket = bucket or Bucket(rate)

    def around(self, inner: Store) -> Throttled:
        """The same around another store: together they take no more than one."""
        return Throttled(inner, self._rate, self._bucket)

    def put(self, name: str, content: Parts) -> None:
        self._bucket.take(sum(map(len, parts_of(content))))
        self.inner.put(name, content)

    def ask(self, what: str, name: str, do: Callable[[], T]) -> T:
        answer = do()
        if isinstance(answer, bytes):
            self._bucket.take(len(answer))
        return answer
