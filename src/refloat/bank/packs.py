"""A pack: many chunks in one object.

Layout: the header of :mod:`refloat.bank.sealing`; the chunks, each encrypted by itself; the footer,
encrypted, which lists the chunks; a trailer of 16 bytes in the clear: the footer's length, the number of
chunks, ``REFLOATE``. A chunk is found through an index of data, which knows the pack's salt, the
chunk's place (0 for the first), its offset, length and encoding, and its id; the footer says the same,
for finding chunks without any index.
"""

from __future__ import annotations

import mmap
import struct
import threading
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple, Protocol, TypeVar, runtime_checkable

import zstandard
from blake3 import blake3

from refloat.bank.sealing import (
    HEADER,
    KIND_PACK,
    TAG_SIZE,
    Header,
    PackCipher,
    Sealer,
    damaged,
    decompress_into,
)
from refloat.bank.store import ObjectMissing, Store
from refloat.errors import BankError, RefloatError

CHUNK_SIZE = 1 << 20
PACK_SIZE = 12 << 20
LARGEST_REQUEST = 4 << 20
"""What one request reads, at most, from a store that reads into the reader's memory, as a disk does."""

FARTHEST_REQUEST = PACK_SIZE + 2 * CHUNK_SIZE
"""The same of a store behind a network, where a request costs more than memory: a whole pack."""

RAW, ZSTD, FOOTER = 0, 1, 2

_RECORD = struct.Struct(">32s I I")
_TAIL = 4 << 10
_TRAILER = struct.Struct(">I I 8s")
_END = b"REFLOATE"
_IS_ZSTD = 1 << 31


@dataclass(frozen=True, slots=True)
class Pack:
    """A pack that is in the store: what is needed to read from it.

    :param salt: the end of its header: the id of the secret it is under, and its salt.
    """

    name: str
    size: int
    salt: bytes

    @property
    def key_id(self) -> bytes:
        return self.salt[:16]


class ChunkLocation(NamedTuple):
    """Where a chunk is within its pack."""

    place: int
    offset: int
    length: int
    encoding: int

    @property
    def end(self) -> int:
        return self.offset + self.length

    def stored_field(self) -> int:
        return self.length | (_IS_ZSTD if self.encoding == ZSTD else 0)

    @staticmethod
    def of(place: int, offset: int, stored: int) -> ChunkLocation:
        return ChunkLocation(place, offset, stored & ~_IS_ZSTD, ZSTD if stored & _IS_ZSTD else RAW)


class OpenPack:
    """A pack being filled by several threads at once.

    ``reserve`` gives a chunk its place; whoever reserved it copies it into ``room`` and calls ``fill``.
    A pack is *closed* when nothing more is reserved, and *complete* when all that was reserved is
    filled. It is encrypted when it is written, with a key that depends on all that is in it.
    Not locked by itself: its owner calls it under the owner's lock, but for ``write``.

    :param buffer: where the pack grows, ``buffer_size()`` bytes; it is the owner's again when the pack
        was written.
    """

    def __init__(self, name: str, buffer: memoryview) -> None:
        self.name = name
        self.buffer = buffer
        self.closed = False
        self.written = threading.Event()
        self.result: Pack | None = None
        self.error: BaseException | None = None
        self.ids: list[bytes] = []
        self._places: list[ChunkLocation] = []
        self._unfilled = 0
        self._end = HEADER.size
        self._limit = len(buffer) - CHUNK_SIZE - TAG_SIZE

    def reserve(self, chunk_id: bytes, size: int, encoding: int) -> ChunkLocation:
        place = ChunkLocation(len(self._places), self._end, size + TAG_SIZE, encoding)
        self.ids.append(chunk_id)
        self._places.append(place)
        self._end += place.length
        self._unfilled += 1
        self.closed = self._end >= self._limit
        return place

    def room(self, place: ChunkLocation) -> memoryview:
        return self.buffer[place.offset : place.offset + place.length - TAG_SIZE]

    def fill(self) -> bool:
        """A chunk is in its room; True when this made the pack complete."""
        if self.error is not None:
            raise self.error
        self._unfilled -= 1
        return self.complete

    @property
    def complete(self) -> bool:
        return self.closed and not self._unfilled

    def write(self, store: Store, sealer: Sealer) -> None:
        try:
            footer = b"".join(
                _RECORD.pack(i, p.offset, p.stored_field())
                for i, p in zip(self.ids, self._places, strict=True)
            )
            cipher = sealer.new_pack(self.name, footer, self.buffer[HEADER.size : self._end])
            parts = self._seal(cipher, footer)
            store.put(self.name, parts)
        except BaseException as error:
            self.fail(error)
            raise
        self.result = Pack(self.name, sum(map(len, parts)), cipher.salt)
        self.ids = []
        self.written.set()

    def fail(self, error: BaseException) -> None:
        """The pack will never be written: tell whoever waits for it."""
        if isinstance(error, RefloatError) or not isinstance(error, Exception):
            self.error = error
        else:
            self.error = BankError("the pack could not be written", resource=self.name, reason=repr(error))
        self.ids = []
        self.closed = True
        self.written.set()

    def _seal(self, cipher: PackCipher, footer: bytes) -> list[bytes | memoryview]:
        for place in self._places:
            sealed = cipher.encrypt(place.encoding, place.place, self.room(place))
            self.buffer[place.offset : place.offset + place.length] = sealed
        end = cipher.encrypt(FOOTER, len(self._places), footer)
        self.buffer[: HEADER.size] = cipher.header
        return [self.buffer[: self._end], end + _TRAILER.pack(len(end), len(self._places), _END)]


def buffer_size() -> int:
    """How many bytes a pack may have before its footer: it is closed when it has ``PACK_SIZE``."""
    return PACK_SIZE + CHUNK_SIZE + TAG_SIZE


def read_footer(
    store: Store, sealer: Sealer, name: str, size: int
) -> tuple[Pack, list[tuple[bytes, ChunkLocation]]]:
    """What a pack of ``size`` bytes holds, from the pack itself.

    :raises BankDamaged: its header, footer or trailer is not what was written, or it has another size.
    """
    header = Header.parse(name, store.get_range(name, 0, HEADER.size), KIND_PACK)
    cipher = sealer.pack(name, header.end)
    if cipher.header != header.pack():
        raise damaged(name, "it does not begin as a pack does")
    start = max(0, size - _TAIL)
    tail = store.get_range(name, start, size - start + 1)
    if len(tail) != size - start or len(tail) < _TRAILER.size:
        raise damaged(name, f"it has not the {size} bytes it should have")
    length, count, end = _TRAILER.unpack(tail[-_TRAILER.size :])
    if end != _END or length != count * _RECORD.size + TAG_SIZE or length > size - _TRAILER.size:
        raise damaged(name, "it does not end as a pack does")
    if length + _TRAILER.size > len(tail):
        tail = store.get_range(name, size - _TRAILER.size - length, length + _TRAILER.size)
    sealed = tail[-_TRAILER.size - length : -_TRAILER.size]
    footer = cipher.decrypt(FOOTER, count, sealed)
    chunks = [
        (chunk_id, ChunkLocation.of(place, offset, stored))
        for place, (chunk_id, offset, stored) in enumerate(_RECORD.iter_unpack(footer))
    ]
    end_of_chunks = chunks[-1][1].end if chunks else HEADER.size
    if end_of_chunks + length + _TRAILER.size != size:
        raise damaged(name, f"it has {size} bytes, which is not what its footer says")
    return Pack(name, size, header.end), chunks


@runtime_checkable
class RangeInto(Protocol):
    """What a store may offer besides :class:`Store`: reading into memory of the caller's."""

    def get_range_into(self, name: str, offset: int, target: memoryview) -> int:
        """Like ``get_range`` of ``len(target)`` bytes. How many it has read."""
        ...


class Placed(Protocol):
    """Something with a place in a pack."""

    @property
    def place(self) -> ChunkLocation:
        """Where it is."""
        ...


T = TypeVar("T", bound=Placed)


def largest_request(store: Store) -> int:
    """How many bytes to read from this store with one request, at most."""
    return LARGEST_REQUEST if isinstance(store, RangeInto) else FARTHEST_REQUEST


def neighbours(chunks: Iterable[T], largest: int) -> Iterator[list[T]]:
    """Chunks of one pack, in the order of their offsets: those together that one request should read.

    :param largest: how many bytes that may be.
    """
    together: list[T] = []
    for each in chunks:
        if together:
            follows = each.place.offset == together[-1].place.end
            if not follows or each.place.end - together[0].place.offset > largest:
                yield together
                together = []
        together.append(each)
    if together:
        yield together


class ChunkReader:
    """Reads chunks out of packs and checks every one of them. For many threads.

    Each thread keeps a piece of memory for what is read and one for what is decrypted.
    """

    def __init__(self, store: Store, sealer: Sealer, chunk_key: bytes) -> None:
        self._store = store
        self._into = store if isinstance(store, RangeInto) else None
        self._sealer = sealer
        self._chunk_key = chunk_key
        self._ciphers: dict[str, PackCipher] = {}
        self._local = threading.local()

    def look(self, pack: Pack, wanted: Sequence[tuple[bytes, ChunkLocation]]) -> Iterator[memoryview]:
        """Chunks that lie one behind the other in a pack, with one request to the store.

        What is given may change when the next chunk is asked for, in this thread.

        :raises BankDamaged: one is not what was written.
        """
        first, last = wanted[0][1], wanted[-1][1]
        view = self._fetch(pack, first.offset, last.end - first.offset)
        cipher = self._cipher(pack)
        for chunk_id, place in wanted:
            start = place.offset - first.offset
            yield self._open(cipher, chunk_id, place, view[start : start + place.length])

    def _fetch(self, pack: Pack, offset: int, length: int) -> memoryview:
        try:
            if self._into is not None and length <= LARGEST_REQUEST:
                view = self._memory("fetched", LARGEST_REQUEST)[:length]
                found = self._into.get_range_into(pack.name, offset, view)
            else:
                view = memoryview(self._store.get_range(pack.name, offset, length))
                found = len(view)
        except ObjectMissing as error:
            raise damaged(pack.name, "it is missing") from error
        if found != length:
            raise damaged(pack.name, f"it is truncated: it ends {length - found} bytes too early")
        return view

    def _memory(self, name: str, size: int) -> memoryview:
        found: memoryview | None = getattr(self._local, name, None)
        if found is None:
            found = memoryview(mmap.mmap(-1, size))
            setattr(self._local, name, found)
        return found

    def _cipher(self, pack: Pack) -> PackCipher:
        found = self._ciphers.get(pack.name)
        if found is None:
            found = self._ciphers[pack.name] = self._sealer.pack(pack.name, pack.salt)
        return found

    def _open(
        self, cipher: PackCipher, chunk_id: bytes, place: ChunkLocation, blob: memoryview
    ) -> memoryview:
        size = place.length - TAG_SIZE
        if not 0 <= size <= CHUNK_SIZE:
            raise damaged(cipher.name, f"chunk {place.place} has no possible length")
        data = self._memory("decrypted", CHUNK_SIZE)[:size]
        cipher.decrypt_into(place.encoding, place.place, blob, data)
        if place.encoding == ZSTD:
            target = self._memory("decompressed", CHUNK_SIZE)
            try:
                data = target[: decompress_into(data, target)]
            except zstandard.ZstdError as error:
                raise damaged(cipher.name, f"chunk {place.place} cannot be decompressed") from error
        if blake3(data, key=self._chunk_key).digest() != chunk_id:
            raise damaged(cipher.name, f"chunk {place.place} is not the one that was looked for")
        return data
