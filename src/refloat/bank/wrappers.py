"""Stores that misbehave as real ones do, around any store: for tests, drills and measurements.

Each wrapper has one fault and passes everything else on, so that they can be stacked.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from typing import TypeAlias

from refloat.bank.store import Entry, Parts, Store, parts_of
from refloat.errors import BankError

Which: TypeAlias = Callable[[str], bool]
"""Says of an object's name whether the fault strikes it."""


def every(name: str) -> bool:
    """All objects."""
    return bool(name)


class Crash(BaseException):
    """The process is gone. Not an :class:`Exception`: nobody handles their own death."""


class Wrapper:
    """Passes everything on."""

    def __init__(self, inner: Store) -> None:
        self.inner = inner

    @property
    def url(self) -> str:
        """The inner store's."""
        return self.inner.url

    def put(self, name: str, content: Parts) -> None:
        """See :class:`Store`."""
        self.inner.put(name, content)

    def get(self, name: str) -> bytes:
        """See :class:`Store`."""
        return self.inner.get(name)

    def get_range(self, name: str, offset: int, length: int) -> bytes:
        """See :class:`Store`."""
        return self.inner.get_range(name, offset, length)

    def list(self, prefix: str) -> Iterator[Entry]:
        """See :class:`Store`."""
        return self.inner.list(prefix)

    def stat(self, name: str) -> Entry:
        """See :class:`Store`."""
        return self.inner.stat(name)

    def delete(self, name: str) -> None:
        """See :class:`Store`."""
        self.inner.delete(name)

    def close(self) -> None:
        """See :class:`Store`."""
        self.inner.close()


class BitFlip(Wrapper):
    """One bit of what is read is wrong: bit ``bit`` of the object."""

    def __init__(self, inner: Store, bit: int, which: Which = every) -> None:
        super().__init__(inner)
        self._bit = bit
        self._which = which

    def get(self, name: str) -> bytes:
        """The object with one bit flipped."""
        return self._flip(name, self.inner.get(name), 0)

    def get_range(self, name: str, offset: int, length: int) -> bytes:
        """The part, with the bit flipped if it lies in it."""
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
        """The object without its end."""
        return self._cut(name, self.inner.get(name))

    def get_range(self, name: str, offset: int, length: int) -> bytes:
        """The part without its end."""
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
        """Refuse what does not fit."""
        size = sum(map(len, parts_of(content)))
        with self._lock:
            if size > self.room:
                raise BankError(
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
        """Perhaps do nothing."""
        if not self._which(name):
            self.inner.put(name, content)


class CrashAfter(Wrapper):
    """The process dies at a write: before it, or when it has taken effect but not been answered."""

    def __init__(self, inner: Store, writes: int, *, done: bool = False) -> None:
        super().__init__(inner)
        self._left = writes
        self._done = done
        self._lock = threading.Lock()

    def put(self, name: str, content: Parts) -> None:
        """Write, or die; once dead, dead."""
        self._strike(lambda: self.inner.put(name, content))

    def delete(self, name: str) -> None:
        """Remove, or die."""
        self._strike(lambda: self.inner.delete(name))

    def _strike(self, do: Callable[[], None]) -> None:
        with self._lock:
            self._left -= 1
            left = self._left
        if left < 0:
            if left == -1 and self._done:
                do()
            raise Crash
        do()


class RefuseDelete(Wrapper):
    """Nothing may be removed, as under object lock."""

    def delete(self, name: str) -> None:
        """Refuse."""
        raise BankError("the store refuses to remove the object", resource=name, reason="it is locked")


class Slow(Wrapper):
    """Every request takes ``seconds`` longer."""

    def __init__(self, inner: Store, seconds: float) -> None:
        super().__init__(inner)
        self._seconds = seconds

    def put(self, name: str, content: Parts) -> None:
        """Wait, then write."""
        time.sleep(self._seconds)
        self.inner.put(name, content)

    def get(self, name: str) -> bytes:
        """Wait, then read."""
        time.sleep(self._seconds)
        return self.inner.get(name)

    def get_range(self, name: str, offset: int, length: int) -> bytes:
        """Wait, then read."""
        time.sleep(self._seconds)
        return self.inner.get_range(name, offset, length)


class Hooked(Wrapper):
    """Calls ``before(operation, name)`` before every request: to let something happen just then."""

    def __init__(self, inner: Store, before: Callable[[str, str], None]) -> None:
        super().__init__(inner)
        self._before = before

    def put(self, name: str, content: Parts) -> None:
        """Call, then write."""
        self._before("put", name)
        self.inner.put(name, content)

    def get(self, name: str) -> bytes:
        """Call, then read."""
        self._before("get", name)
        return self.inner.get(name)

    def get_range(self, name: str, offset: int, length: int) -> bytes:
        """Call, then read."""
        self._before("get_range", name)
        return self.inner.get_range(name, offset, length)

    def list(self, prefix: str) -> Iterator[Entry]:
        """Call, then list."""
        self._before("list", prefix)
        return self.inner.list(prefix)

    def delete(self, name: str) -> None:
        """Call, then remove."""
        self._before("delete", name)
        self.inner.delete(name)
