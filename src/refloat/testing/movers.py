"""Sources and sinks that misbehave as real ones do, around any."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

from refloat.closing import Closing
from refloat.movers import Sink, Source

Before = Callable[[int, int], None]
"""Called with offset and length before they are read or written: it may raise, or take long."""


def on_call(number: int, act: Callable[[], None]) -> Before:
    """Do something at the so-maniest call, counted from 1."""
    lock, calls = threading.Lock(), iter(range(1, 1 << 62))

    def before(_offset: int, _length: int) -> None:
        with lock:
            mine = next(calls)
        if mine == number:
            act()

    return before


class WatchedSource(Closing):
    """Passes everything on, and reads when ``before`` lets it."""

    def __init__(self, inner: Source, before: Before) -> None:
        self._inner = inner
        self._before = before

    @property
    def size(self) -> int:
        return self._inner.size

    @property
    def state(self) -> Mapping[str, Any]:
        return self._inner.state

    def extents(self) -> Iterator[tuple[int, int]]:
        return self._inner.extents()

    def changed(self, since: Mapping[str, Any]) -> Iterator[tuple[int, int]]:
        return self._inner.changed(since)

    def read_into(self, offset: int, target: memoryview) -> None:
        self._before(offset, len(target))
        self._inner.read_into(offset, target)

    def close(self) -> None:
        self._inner.close()


class WatchedSink:
    """The same of what is written."""

    def __init__(self, inner: Sink, before: Before) -> None:
        self._inner = inner
        self._before = before

    def begin(self, size: int, holes: Iterable[tuple[int, int]]) -> None:
        self._inner.begin(size, holes)

    def write(self, offset: int, data: bytes | memoryview) -> None:
        self._before(offset, len(data))
        self._inner.write(offset, data)

    def zeros(self, offset: int, length: int) -> None:
        self._before(offset, length)
        self._inner.zeros(offset, length)

    def finish(self, *, flush: bool) -> None:
        self._inner.finish(flush=flush)

    def abort(self) -> None:
        self._inner.abort()
