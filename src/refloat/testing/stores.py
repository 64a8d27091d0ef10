"""Stores that misbehave as real ones do, around any store.

Each wrapper has one fault and passes everything else on, so that they can be stacked.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from typing import TypeAlias

from refloat.bank.store import (
    AlreadyExists,
    Denied,
    ObjectInfo,
    ObjectMissing,
    Parts,
    Store,
    StoreFull,
    Unavailable,
    parts_of,
)
from refloat.bank.wrapper import T, Wrapper
from refloat.errors import BankError

Which: TypeAlias = Callable[[str], bool]
"""Says of an object's name whether the fault strikes it."""


def every(name: str) -> bool:
    return bool(name)


class Crash(BaseException):
    """The process is gone. Not an :class:`Exception`: nobody handles their own death."""


class BitFlip(Wrapper):
    """One bit of what is read is wrong: bit ``bit`` of the object."""

    def __init__(self, inner: Store, bit: int, which: Which = every) -> None:
        super().__init__(inner)
        self._bit = bit
        self._which = which

    def get(self, name: str) -> bytes:
        return self._flip(name, self.inner.get(name), 0)

    def get_range(self, name: str, offset: int, length: int) -> bytes:
        return self._flip(name, self.inner.get_range(name, offset, length), offset)

    def _flip(self, name: str, data: bytes, offset: int) -> bytes:
        at = self._bit // 8 - offset
        if not self._which(name) or not 0 <= at < len(data):
            return data
        return data[:at] + bytes([data[at] ^ (1 << self._bit % 8)]) + data[at + 1 :]


class ShortRead(Wrapper):
    """What is read ends ``missing`` bytes too early."""

    def __init__(self, inner: Store, missing: int = 1, which: Which = every) -> None:
        super().__init__(inner)
        self._missing = missing
        self._which = which

    def get(self, name: str) -> bytes:
        return self._cut(name, self.inner.get(name))

    def get_range(self, name: str, offset: int, length: int) -> bytes:
        return self._cut(name, self.inner.get_range(name, offset, length))

    def _cut(self, name: str, data: bytes) -> bytes:
        return data[: max(0, len(data) - self._missing)] if self._which(name) else data


class Full(Wrapper):
    """There is room for ``room`` more bytes only."""

    def __init__(self, inner: Store, room: int) -> None:
        super().__init__(inner)
        self.room = room
        self._lock = threading.Lock()

    def put(self, name: str, content: Parts) -> None:
        size = sum(map(len, parts_of(content)))
        with self._lock:
            if size > self.room:
                raise StoreFull(
                    f"the bank is full: {self.url}",
                    resource=name,
                    reason=f"{size} bytes are needed and {self.room} are free",
                )
            self.room -= size
        self.inner.put(name, content)


class LostWrite(Wrapper):
    """Says that an object was written, and forgets it."""

    def __init__(self, inner: Store, which: Which) -> None:
        super().__init__(inner)
        self._which = which

    def put(self, name: str, content: Parts) -> None:
        if not self._which(name):
            self.inner.put(name, content)


class CrashAfter(Wrapper):
    """The process dies at a write: before it, or when it has taken effect but not been answered."""

    def __init__(self, inner: Store, writes: int, *, done: bool = False) -> None:
        super().__init__(inner)
        self._left = writes
        self._done = done
        self._lock = threading.Lock()

    def ask(self, what: str, name: str, do: Callable[[], T]) -> T:
        if what not in ("put", "delete"):
            return do()
        with self._lock:
            self._left -= 1
            left = self._left
        if left < 0:
            if left == -1 and self._done:
                do()
            raise Crash
        return do()


class RefuseDelete(Wrapper):
    """Nothing may be removed, as under object lock."""

    def delete(self, name: str) -> None:
        raise BankError("the store refuses to remove the object", resource=name, reason="it is locked")


class Locked(Wrapper):
    """Object lock in compliance mode: what is there is neither replaced nor removed, by anybody, for a while.

    :param seconds: so long after it was written.
    :param clock: what the store takes for the time.
    """

    def __init__(
        self, inner: Store, seconds: float = float("inf"), clock: Callable[[], float] = time.time
    ) -> None:
        super().__init__(inner)
        self._seconds = seconds
        self._clock = clock
        self._since: dict[str, float] = {}
        self._lock = threading.Lock()
        self.refused: list[tuple[str, str]] = []

    def put(self, name: str, content: Parts) -> None:
        with self._lock:
            try:
                found = self.inner.get(name)
            except ObjectMissing:
                self.inner.put(name, content)
                self._since[name] = self._clock()
                return
        if found != b"".join(parts_of(content)):
            self.refused.append(("put", name))
            raise AlreadyExists("there is another object of this name", resource=name)

    def delete(self, name: str) -> None:
        since = self._since.get(name, self._clock())
        if self._clock() - since < self._seconds:
            self.refused.append(("delete", name))
            raise Denied("the store refuses to remove the object", resource=name, reason="it is locked")
        self.inner.delete(name)


class CachedListings(Wrapper):
    """Listings are those of a while ago, as of a host whose network file system caches what folders hold.

    What this host does itself they know, and all else is exact. :meth:`forget` is the end of that while.
    """

    def __init__(self, inner: Store, which: Which = every) -> None:
        super().__init__(inner)
        self._which = which
        self._known: dict[str, list[ObjectInfo]] = {}

    def list(self, prefix: str) -> Iterator[ObjectInfo]:
        if not self._which(prefix):
            self._known.pop(prefix, None)
        if prefix not in self._known:
            self._known[prefix] = list(self.inner.list(prefix))
        yield from self._known[prefix]

    def put(self, name: str, content: Parts) -> None:
        self.inner.put(name, content)
        self._note(name, self.inner.stat(name))

    def delete(self, name: str) -> None:
        self.inner.delete(name)
        self._note(name, None)

    def forget(self) -> None:
        self._known.clear()

    def _note(self, name: str, there: ObjectInfo | None) -> None:
        for prefix, known in self._known.items():
            if name.startswith(prefix):
                others = [each for each in known if each.name != name]
                self._known[prefix] = [*others, *([there] if there is not None else [])]


class LateListing(Wrapper):
    """A listing does not show an object, or shows one that was removed, until ``listings`` more were made.

    A store behind this breaks the contract, as Swift may when its container servers are in trouble.
    """

    def __init__(self, inner: Store, listings: int, which: Which = every) -> None:
        super().__init__(inner)
        self._listings = listings
        self._which = which
        self._new: dict[str, int] = {}
        self._gone: dict[ObjectInfo, int] = {}
        self._lock = threading.Lock()

    def put(self, name: str, content: Parts) -> None:
        self.inner.put(name, content)
        if self._which(name):
            with self._lock:
                self._new[name] = self._listings

    def delete(self, name: str) -> None:
        if self._which(name):
            try:
                entry = self.inner.stat(name)
            except ObjectMissing:
                return
            with self._lock:
                self._gone[entry] = self._listings
        self.inner.delete(name)

    def list(self, prefix: str) -> Iterator[ObjectInfo]:
        with self._lock:
            hidden = {name for name, left in self._new.items() if left > 0}
            shown = [
                entry for entry, left in self._gone.items() if left > 0 and entry.name.startswith(prefix)
            ]
            self._new = {name: left - 1 for name, left in self._new.items() if left > 0}
            self._gone = {entry: left - 1 for entry, left in self._gone.items() if left > 0}
        found = [entry for entry in self.inner.list(prefix) if entry.name not in hidden]
        return iter([*found, *shown])


class Flaky(Wrapper):
    """The connection is lost: of each ``every`` requests, the last one fails.

    :param done: it fails when it has taken effect, and only the answer is lost; a listing breaks off.
    """

    def __init__(self, inner: Store, every: int = 3, *, done: bool = False) -> None:
        super().__init__(inner)
        self._every = every
        self._done = done
        self._count = 0
        self._lock = threading.Lock()
        self.failures = 0

    def list(self, prefix: str) -> Iterator[ObjectInfo]:
        strikes = self._strikes()
        found = list(self.inner.list(prefix))
        yield from found[: len(found) // 2] if strikes else found
        if strikes:
            raise self._lost(prefix)

    def ask(self, what: str, name: str, do: Callable[[], T]) -> T:
        strikes = self._strikes()
        if strikes and not self._done:
            raise self._lost(name)
        result = do()
        if strikes:
            raise self._lost(name)
        return result

    def _strikes(self) -> bool:
        with self._lock:
            self._count += 1
            strikes = self._count % self._every == 0
            self.failures += strikes
        return strikes

    def _lost(self, name: str) -> Unavailable:
        return Unavailable(
            f"{self.url} does not answer as it should", resource=name, reason="the connection was lost"
        )


class Slow(Wrapper):
    """Every request takes ``seconds`` longer."""

    def __init__(self, inner: Store, seconds: float) -> None:
        super().__init__(inner)
        self._seconds = seconds

    def ask(self, what: str, name: str, do: Callable[[], T]) -> T:
        time.sleep(self._seconds)
        return do()


class Hooked(Wrapper):
    """Calls ``before(operation, name)`` before every request but ``stat``: to let things happen just then."""

    def __init__(self, inner: Store, before: Callable[[str, str], None]) -> None:
        super().__init__(inner)
        self._before = before

    def ask(self, what: str, name: str, do: Callable[[], T]) -> T:
        if what != "stat":
            self._before(what, name)
        return do()

    def list(self, prefix: str) -> Iterator[ObjectInfo]:
        self._before("list", prefix)
        return self.inner.list(prefix)
