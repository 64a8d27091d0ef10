"""A pack: many chunks in one object.

Layout: the header of :mod:`refloat.bank.sealing`; the chunks, each encrypted by itself; the footer,
encrypted, which lists the chunks; a trailer of 16 bytes in the clear: the footer's length, the number of
chunks, ``REFLOATE``. A chunk is found through an index of data, which knows the pack's salt, the
chunk's place (0 for the first), its offset, length and encoding, and its id; the footer says the same,
for finding chunks without any index.
"""

from __future__ import annotations

import struct
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

import zstandard
from blake3 import blake3

from refloat.bank.sealing import HEADER, KIND_PACK, TAG_SIZE, Header, PackCipher, Sealer, damaged, decompress
from refloat.bank.store import ObjectMissing, Store
from refloat.errors import BankError

CHUNK_SIZE = 1 << 20
PACK_SIZE = 32 << 20

RAW, ZSTD, FOOTER = 0, 1, 2

_RECORD = struct.Struct(">32s I I")
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


class Place(NamedTuple):
    """Where a chunk is within its pack."""

    place: int
    offset: int
    length: int
    encoding: int

    def stored_field(self) -> int:
        """Length and encoding in 32 bits."""
        return self.length | (_IS_ZSTD if self.encoding == ZSTD else 0)

    @staticmethod
    def of(place: int, offset: int, stored: int) -> Place:
        """The inverse of :meth:`stored_field`."""
        return Place(place, offset, stored & ~_IS_ZSTD, ZSTD if stored & _IS_ZSTD else RAW)


class OpenPack:
    """A pack being filled by several threads at once.

    ``reserve`` gives a chunk its place; whoever reserved it encrypts it and calls ``fill``. A pack
    is *closed* when nothing more is reserved, and *complete* when all that was reserved is filled.
    Not locked by itself: its owner calls it under the owner's lock, but for ``seal``.
    """

    def __init__(self, cipher: PackCipher) -> None:
        self.cipher = cipher
        self.name = cipher.name
        self.closed = False
        self.written = threading.Event()
        self.result: Pack | None = None
        self.error: BankError | None = None
        self.ids: list[bytes] = []
        self._places: list[Place] = []
        self._parts: list[bytes | None] = []
        self._unfilled = 0
        self._end = HEADER.size

    def reserve(self, chunk_id: bytes, size: int, encoding: int) -> Place:
        """A place for ``size`` bytes (before encryption)."""
        place = Place(len(self._places), self._end, size + TAG_SIZE, encoding)
        self.ids.append(chunk_id)
        self._places.append(place)
        self._parts.append(None)
        self._end += place.length
        self._unfilled += 1
        self.closed = self._end >= PACK_SIZE
        return place

    def fill(self, place: Place, data: bytes) -> bool:
        """Put an encrypted chunk in; True when this made the pack complete."""
        if self.error is not None:
            raise self.error
        self._parts[place.place] = data
        self._unfilled -= 1
        return self.complete

    @property
    def complete(self) -> bool:
        """Nothing will be added any more."""
        return self.closed and not self._unfilled

    def write(self, store: Store) -> None:
        """Write the complete pack; ``result`` is set afterwards, or it has failed."""
        try:
            parts = self._seal()
            store.put(self.name, parts)
        except BaseException as error:
            self.fail(error)
            raise
        self.result = Pack(self.name, sum(map(len, parts)), self.cipher.salt)
        self._parts, self.ids = [], []
        self.written.set()

    def fail(self, error: BaseException) -> None:
        """The pack will never be written: tell whoever waits for it."""
        if isinstance(error, BankError):
            self.error = error
        else:
            self.error = BankError("the pack could not be written", resource=self.name, reason=repr(error))
        self._parts, self.ids = [], []
        self.closed = True
        self.written.set()

    def _seal(self) -> list[bytes]:
        footer = b"".join(
            _RECORD.pack(i, p.offset, p.stored_field()) for i, p in zip(self.ids, self._places, strict=True)
        )
        sealed = self.cipher.encrypt(FOOTER, len(self._places), footer)
        parts = [self.cipher.header, *(p for p in self._parts if p is not None), sealed]
        parts.append(_TRAILER.pack(len(sealed), len(self._places), _END))
        return parts


def read_footer(store: Store, sealer: Sealer, name: str, size: int) -> tuple[Pack, list[tuple[bytes, Place]]]:
    """What a pack holds, from the pack itself.

    :raises BankDamaged: its header, footer or trailer is not what was written.
    """
    header = Header.parse(name, store.get_range(name, 0, HEADER.size), KIND_PACK)
    cipher = sealer.pack(name, header.end)
    if cipher.header != header.pack():
        raise damaged(name, "it does not begin as a pack does")
    tail = store.get_range(name, max(0, size - _TRAILER.size), _TRAILER.size)
    if len(tail) < _TRAILER.size:
        raise damaged(name, "it is truncated")
    length, count, end = _TRAILER.unpack(tail)
    if end != _END or length != count * _RECORD.size + TAG_SIZE or length > size:
        raise damaged(name, "it does not end as a pack does")
    sealed = store.get_range(name, size - _TRAILER.size - length, length)
    footer = cipher.decrypt(FOOTER, count, sealed)
    chunks = [
        (chunk_id, Place.of(place, offset, stored))
        for place, (chunk_id, offset, stored) in enumerate(_RECORD.iter_unpack(footer))
    ]
    end_of_chunks = chunks[-1][1].offset + chunks[-1][1].length if chunks else HEADER.size
    if end_of_chunks + length + _TRAILER.size != size:
        raise damaged(name, f"it has {size} bytes, which is not what its footer says")
    return Pack(name, size, header.end), chunks


class ChunkReader:
    """Reads chunks out of packs and checks every one of them."""

    def __init__(self, store: Store, sealer: Sealer, chunk_key: bytes) -> None:
        self._store = store
        self._sealer = sealer
        self._chunk_key = chunk_key
        self._ciphers: dict[str, PackCipher] = {}

    def read(self, pack: Pack, wanted: list[tuple[bytes, Place]]) -> Iterator[bytes]:
        """Chunks that lie one behind the other in a pack, with one request to the store.

        :raises BankDamaged: one is not what was written.
        """
        first, last = wanted[0][1], wanted[-1][1]
        length = last.offset + last.length - first.offset
        try:
            blob = self._store.get_range(pack.name, first.offset, length)
        except ObjectMissing as error:
            raise damaged(pack.name, "it is missing") from error
        if len(blob) != length:
            raise damaged(pack.name, f"it is truncated: it ends {length - len(blob)} bytes too early")
        cipher = self._cipher(pack)
        view = memoryview(blob)
        for chunk_id, place in wanted:
            start = place.offset - first.offset
            yield self._open(cipher, chunk_id, place, view[start : start + place.length])

    def _cipher(self, pack: Pack) -> PackCipher:
        found = self._ciphers.get(pack.name)
        if found is None:
            found = self._ciphers[pack.name] = self._sealer.pack(pack.name, pack.salt)
        return found

    def _open(self, cipher: PackCipher, chunk_id: bytes, place: Place, blob: memoryview) -> bytes:
        data = cipher.decrypt(place.encoding, place.place, blob)
        if place.encoding == ZSTD:
            try:
                data = decompress(data, CHUNK_SIZE)
            except zstandard.ZstdError as error:
                raise damaged(cipher.name, f"chunk {place.place} cannot be decompressed") from error
        if blake3(data, key=self._chunk_key).digest() != chunk_id:
            raise damaged(cipher.name, f"chunk {place.place} is not the one that was looked for")
        return data
