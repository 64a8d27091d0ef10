"""Reading data back, every chunk checked: in order, a few requests ahead; or much at once.

For those who do not care about the order, as a restore to a file, it goes pack by pack, with all cores.
Chunks that lie one behind the other in a pack are read with one request, and a chunk that the data has in
many places is read, decrypted and checked once.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, NamedTuple

from refloat.bank.dataindex import RECORD, DataIndex, check_ref, load_index
from refloat.bank.objects import Objects
from refloat.bank.packing import WORKERS
from refloat.bank.packs import CHUNK_SIZE, ChunkLocation, ChunkReader, Pack, largest_request, neighbours
from refloat.bank.sealing import damaged
from refloat.bank.sinks import Sink
from refloat.closing import Closing
from refloat.errors import BankError, Cancelled

_ZEROS = bytes(CHUNK_SIZE)
_WINDOW = 8
_WINDOWS_AHEAD = 3
_LARGEST_HOLE = 1 << 30

Handle = Callable[[int, memoryview], None]


class DataReader(Closing):
    """A piece of data as a stream; made by :meth:`refloat.bank.Bank.open_data`. For one thread.

    Iterating gives pieces of a mebibyte; ``read`` gives what is asked for; ``restore_to`` writes all of
    it to a file or a device, several times faster. All raise :class:`refloat.errors.BankDamaged` instead of
    ever giving a wrong byte.
    """

    def __init__(self, objects: Objects, ref: Any) -> None:
        self._objects = objects
        self._index = open_index(objects, ref)
        self.size = self._index.size
        self._chunks = ChunkReader(
            objects.store, objects.sealer, objects.keys.chunk_key(self._index.project_id)
        )
        self._pool = ThreadPoolExecutor(WORKERS, thread_name_prefix="bank-read")
        self._ahead: deque[list[Future[dict[int, bytes]]]] = deque()
        self._windows = _windows(self._index, largest_request(objects.store))
        self._pieces = self._in_order()
        self._rest = b""
        self._error: BaseException | None = None

    def read(self, size: int = -1, /) -> bytes:
        """The next ``size`` bytes, fewer only at the end; all that is left if negative."""
        pieces: list[bytes] = []
        have = 0
        while size < 0 or have < size:
            piece = self._rest or next(self, b"")
            if not piece:
                break
            wanted = len(piece) if size < 0 else min(len(piece), size - have)
            pieces.append(piece[:wanted])
            self._rest = piece[wanted:]
            have += wanted
        return pieces[0] if len(pieces) == 1 else b"".join(pieces)

    def restore_to(
        self,
        sink: Sink,
        *,
        progress: Callable[[int, int], None] | None = None,
        cancelled: Callable[[], bool] | None = None,
        flush: bool = True,
    ) -> None:
        """Write all of the data to where it can be written anywhere in it, wherever the stream is.

        :param progress: called in this thread with bytes done and bytes in all.
        :param cancelled: asked in this thread now and then; when it says yes, :class:`Cancelled`.
        :param flush: return only when it is on the disk.
        :raises BankDamaged: the data is not what was written.
        :raises BankError: the sink cannot be written.
        """
        done = 0

        def add(more: int) -> None:
            nonlocal done
            done += more
            if progress is not None:
                progress(done, self.size)

        try:
            sink.begin(self.size, self._index.holes())
            for offset, length in _pieces(self._index.holes()):
                if cancelled is not None and cancelled():
                    raise Cancelled("restoring the data was cancelled")
                sink.zeros(offset, length)
                add(length)
            fetch(
                self._objects,
                self._index,
                lambda number, data: sink.write(number * CHUNK_SIZE, data),
                progress=add,
                cancelled=cancelled,
            )
        except BaseException:
            sink.abort()
            raise
        sink.finish(flush=flush)

    def __iter__(self) -> Iterator[bytes]:
        return self

    def __next__(self) -> bytes:
        if self._rest:
            piece, self._rest = self._rest, b""
            return piece
        if self._error is not None:
            raise self._error
        try:
            return next(self._pieces)
        except StopIteration:
            self._pool.shutdown(wait=False)
            raise
        except BaseException as error:
            self._error = error  # going on behind the gap would give wrong bytes
            raise

    def close(self) -> None:
        self._pool.shutdown(wait=True, cancel_futures=True)
        self._ahead.clear()
        if self._error is None:
            self._error = BankError("the data is closed")

    def _in_order(self) -> Iterator[bytes]:
        """All chunks. Those of one window are read together where they are neighbours in a pack: the
        threads that stored them have mixed them up a little."""
        at = 0
        while self._fetch_ahead():
            found: dict[int, bytes] = {}
            for future in self._ahead.popleft():
                found.update(future.result())
            for number in sorted(found):
                while at < number:
                    yield _ZEROS
                    at += 1
                yield found.pop(number)
                at += 1
        while (left := self.size - at * CHUNK_SIZE) > 0:
            yield _ZEROS if left >= CHUNK_SIZE else bytes(left)
            at += 1

    def _fetch_ahead(self) -> bool:
        """Keep requests under way; False when nothing is left."""
        while len(self._ahead) < _WINDOWS_AHEAD and (window := next(self._windows, None)) is not None:
            self._ahead.append([self._pool.submit(self._read, span) for span in window])
        return bool(self._ahead)

    def _read(self, span: Span) -> dict[int, bytes]:
        return {number: bytes(data) for number, data in read_span(self._chunks, self._index, span)}


def _pieces(holes: Iterator[tuple[int, int]]) -> Iterator[tuple[int, int]]:
    """Holes in pieces: a device may take its time to make zeros."""
    for offset, length in holes:
        for at in range(offset, offset + length, _LARGEST_HOLE):
            yield at, min(_LARGEST_HOLE, offset + length - at)


def _windows(index: DataIndex, largest: int) -> Iterator[list[Span]]:
    """A few chunks of the data at a time, as what is to be read for them."""
    step = _WINDOW * RECORD.size
    for start in range(0, len(index.records), step):
        part = DataIndex(index.project_id, index.size, index.packs, index.records[start : start + step])
        yield list(plan(part, largest))


def open_index(objects: Objects, ref: Any) -> DataIndex:
    """The index a reference names, checked against the reference."""
    name, size, digest = check_ref(ref)
    index = load_index(objects.store, objects.sealer, name)
    if index.size != size or index.digest(objects.keys.chunk_key(index.project_id)) != digest:
        raise damaged(name, "it is the index of other data than its checkpoint says")
    return index


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
                pending.append(pool.submit(_handle, chunks, index, span, handle))
                while len(pending) > 2 * WORKERS:
                    progress(pending.popleft().result())
            while pending:
                if cancelled is not None and cancelled():
                    raise Cancelled("reading the data was cancelled")
                progress(pending.popleft().result())
        finally:
            for future in pending:
                future.cancel()


def _handle(chunks: ChunkReader, index: DataIndex, span: Span, handle: Handle) -> int:
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
