"""From a source to its chunks: a stream or extents, measured, and given up when somebody wants that."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial

from refloat.bank.packing import Feed, Found, whole_chunks
from refloat.bank.packs import CHUNK_SIZE
from refloat.bank.sources import Extents, Source, chunks_of, runs
from refloat.errors import BankError, Cancelled

_RUN = 4


@dataclass(frozen=True, slots=True)
class Watch:
    """Those who want to know how far it is, and how large it should be."""

    size: int | None
    progress: Callable[[int, int], None] | None
    cancelled: Callable[[], bool] | None

    def check(self) -> None:
        """:raises Cancelled: somebody wants it to end."""
        if self.cancelled is not None and self.cancelled():
            raise Cancelled("storing the data was cancelled")

    def tell(self, done: int, size: int | None) -> None:
        if self.progress is not None:
            self.progress(done, size or 0)

    def check_size(self, found: int, *, ended: bool) -> None:
        """:raises BankError: that is too much or, at the end, too little."""
        if self.size is not None and found > self.size:
            raise BankError(f"the source of the data has more than the {self.size} bytes it should have")
        if ended and self.size is not None and found != self.size:
            raise BankError(f"the source of the data ended after {found} of {self.size} bytes")


def feed_stream(feed: Feed, source: Source, watch: Watch) -> int:
    length = 0
    for number, chunk in enumerate(chunks_of(source, CHUNK_SIZE)):
        watch.check()
        length += len(chunk)
        watch.check_size(length, ended=False)
        feed.chunk(number, chunk)
        watch.tell(length, watch.size)
    watch.check_size(length, ended=True)
    return length


def feed_extents(feed: Feed, source: Extents, watch: Watch, kept: Mapping[int, Found]) -> int:
    """Store what is not a hole. How large the whole is.

    :param kept: chunks by number that are stored already, and not read: but for those that are holes now, of
        which the source contradicts itself.
    """
    left = set(kept)
    size = source.size
    watch.check_size(size, ended=True)
    told = -1
    for first, count in runs(source.extents(), CHUNK_SIZE, _RUN):
        watch.check()
        for number in left.intersection(range(first, first + count)):
            left.remove(number)
            feed.keep(kept[number])
        for start, some in _others(first, count, kept):
            upto = min(size, (start + some) * CHUNK_SIZE)
            feed.run(partial(whole_chunks, source.read_into, start, some, size), upto)
        if feed.done != told:
            told = feed.done
            watch.tell(told, size)
    for number in sorted(left):
        watch.check()
        feed.run(partial(whole_chunks, source.read_into, number, 1, size))
    while feed.busy:
        watch.check()
        feed.take()
        watch.tell(feed.done, size)
    watch.tell(size, size)
    return size


def _others(first: int, count: int, kept: Mapping[int, Found]) -> Iterator[tuple[int, int]]:
    """Of a run of chunks those that are not kept, as runs."""
    start, end = first, first + count
    for number in range(first, end + 1):
        if number == end or number in kept:
            if start < number:
                yield start, number - start
            start = number + 1
