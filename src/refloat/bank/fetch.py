"""Reading much at once: pack by pack, every chunk once, with all cores.

For those who do not care about the order: a restore to a file, a verification. Chunks that lie one behind
the other in a pack are read with one request, and a chunk that the data has in many places is read,
decrypted and checked once.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import NamedTuple

from refloat.bank.dataindex import DataIndex
from refloat.bank.objects import Objects
from refloat.bank.packing import WORKERS
from refloat.bank.packs import ChunkLocation, ChunkReader, Pack, largest_request, neighbours
from refloat.bank.sealing import damaged
from refloat.errors import Cancelled

Handle = Callable[[int, memoryview], None]


class Wanted(NamedTuple):
    """A chunk, and everywhere the data has it."""

    chunk_id: bytes
    place: ChunkLocation
    numbers: list[int]


class Span(NamedTuple):
    """Chunks of one pack that one request reads."""

    pack: Pack
    chunks: list[Wanted]


def plan(index: DataIndex, largest: int) -> Iterator[Span]:
    """All chunks of an index but those of zeros, each once, pack by pack, ``largest`` bytes together."""
    packs: dict[str, tuple[Pack, dict[int, Wanted]]] = {}
    for number, chunk_id, pack, place in index.stored():
        wanted = packs.setdefault(pack.name, (pack, {}))[1]
        found = wanted.get(place.place)
        if found is None:
            wanted[place.place] = Wanted(chunk_id, place, [number])
        elif found.chunk_id == chunk_id and found.place == place:
            found.numbers.append(number)
        else:
            raise damaged(pack.name, "an index of data has two different chunks at one place of it")
    for pack, wanted in packs.values():
        for together in neighbours(sorted(wanted.values(), key=lambda each: each.place.offset), largest):
            yield Span(pack, together)


def fetch(
    objects: Objects,
    index: DataIndex,
    handle: Handle,
    *,
    progress: Callable[[int], None],
    cancelled: Callable[[], bool] | None = None,
) -> None:
    """Read and check all chunks of an index.

    :param handle: called in a thread with a chunk's number in the data and its bytes, which change
        afterwards; not for chunks of zeros.
    :param progress: called in this thread with the bytes done since the last call; holes are the
        caller's.
    :raises BankDamaged: one is not what was written.
    :raises Cancelled: somebody wants it to end.
    """
    chunks = ChunkReader(objects.store, objects.sealer, objects.keys.chunk_key(index.project_id))
    pending: deque[Future[int]] = deque()
    with ThreadPoolExecutor(WORKERS, thread_name_prefix="bank-fetch") as pool:
        try:
            for span in plan(index, largest_request(objects.store)):
                if cancelled is not None and cancelled():
                    raise Cancelled("reading the data was cancelled")
                pending.append(pool.submit(_read, chunks, index, span, handle))
                while len(pending) > 2 * WORKERS:
                    progress(pending.popleft().result())
            while pending:
                if cancelled is not None and cancelled():
                    raise Cancelled("reading the data was cancelled")
                progress(pending.popleft().result())
        finally:
            for future in pending:
                future.cancel()


def _read(chunks: ChunkReader, index: DataIndex, span: Span, handle: Handle) -> int:
    done = 0
    for number, data in read_span(chunks, index, span):
        handle(number, data)
        done += len(data)
    return done


def read_span(chunks: ChunkReader, index: DataIndex, span: Span) -> Iterator[tuple[int, memoryview]]:
    """Read and check: the numbers of chunks and their bytes, which change when the next is asked for.

    :raises BankDamaged: one is not what was written.
    """
    found = chunks.look(span.pack, [(each.chunk_id, each.place) for each in span.chunks])
    for each, data in zip(span.chunks, found, strict=True):
        for number in each.numbers:
            if len(data) != index.chunk_size(number):
                raise damaged(span.pack.name, "a chunk has another size than the index of the data says")
            yield number, data
