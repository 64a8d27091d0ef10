"""Reading data back, a few requests ahead, every chunk checked."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from types import TracebackType
from typing import Any, TypeAlias

from refloat.bank.dataindex import DataIndex, check_ref, load_index
from refloat.bank.objects import Objects
from refloat.bank.packing import WORKERS
from refloat.bank.packs import CHUNK_SIZE, ChunkReader, Pack, Place
from refloat.bank.sealing import damaged
from refloat.errors import BankError

_ZEROS = bytes(CHUNK_SIZE)
_LARGEST_REQUEST = 4 << 20

Span: TypeAlias = tuple[Pack | None, list[tuple[bytes, Place]]]
"""Chunks that are read together: neighbours in one pack, or one chunk of zeros."""


class DataReader:
    """A piece of data as a stream; made by :meth:`refloat.bank.Bank.open_data`. For one thread.

    Iterating gives pieces of a mebibyte; ``read`` gives what is asked for. Both raise
    :class:`refloat.errors.BankDamaged` instead of ever giving a wrong byte.
    """

    def __init__(self, objects: Objects, ref: Any) -> None:
        index = open_index(objects, ref)
        self.size = index.size
        self._left = index.size
        self._chunks = ChunkReader(objects.store, objects.sealer, objects.sealer.chunk_key(index.project_id))
        self._spans = _spans(index)
        self._pool = ThreadPoolExecutor(WORKERS, thread_name_prefix="bank-read")
        self._ahead: deque[Future[list[bytes]]] = deque()
        self._ready: deque[bytes] = deque()
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

    def __iter__(self) -> Iterator[bytes]:
        return self

    def __next__(self) -> bytes:
        if self._rest:
            piece, self._rest = self._rest, b""
            return piece
        while not self._ready:
            if self._error is not None:
                raise self._error
            self._fetch()
            if not self._ahead:
                self._pool.shutdown(wait=False)
                raise StopIteration
            try:
                self._ready.extend(self._ahead.popleft().result())
            except BaseException as error:
                self._error = error  # going on behind the gap would give wrong bytes
                raise
        return self._ready.popleft()

    def close(self) -> None:
        """Stop reading ahead."""
        for future in self._ahead:
            future.cancel()
        self._pool.shutdown(wait=True)
        self._ahead.clear()
        if self._error is None:
            self._error = BankError("the data is closed")

    def __enter__(self) -> DataReader:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _fetch(self) -> None:
        while len(self._ahead) <= WORKERS and (span := next(self._spans, None)) is not None:
            size = min(self._left, CHUNK_SIZE * len(span[1]))
            self._left -= size
            self._ahead.append(self._pool.submit(_read_span, self._chunks, span, size))


def open_index(objects: Objects, ref: Any) -> DataIndex:
    """The index a reference names, checked against the reference."""
    name, size, digest = check_ref(ref)
    index = load_index(objects.store, objects.sealer, name)
    if index.size != size or index.digest(objects.sealer.chunk_key(index.project_id)) != digest:
        raise damaged(name, "it is the index of other data than its checkpoint says")
    return index


def _read_span(chunks: ChunkReader, span: Span, size: int) -> list[bytes]:
    """A span's chunks; together they have ``size`` bytes."""
    pack, wanted = span
    if pack is None:
        return [_ZEROS if size == CHUNK_SIZE else bytes(size)]
    found = list(chunks.read(pack, wanted))
    sizes = [CHUNK_SIZE] * (len(found) - 1) + [size - CHUNK_SIZE * (len(found) - 1)]
    if [len(chunk) for chunk in found] != sizes:
        raise damaged(pack.name, "a chunk has another size than the index of the data says")
    return found


def _spans(index: DataIndex) -> Iterator[Span]:
    """Chunks in the order of the data, those together that one request can read."""
    pack: Pack | None = None
    together: list[tuple[bytes, Place]] = []
    for chunk_id, where, place in index.chunks():
        if together and not (where is pack and pack is not None and _follows(together, place)):
            yield pack, together
            together = []
        pack = where
        together.append((chunk_id, place))
    if together:
        yield pack, together


def _follows(together: list[tuple[bytes, Place]], place: Place) -> bool:
    first, last = together[0][1], together[-1][1]
    return (
        place.offset == last.offset + last.length
        and place.offset + place.length - first.offset <= _LARGEST_REQUEST
    )
