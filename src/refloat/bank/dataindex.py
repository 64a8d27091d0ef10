"""The index of one piece of data: where each of its chunks is.

Sealed, it is an object of its own. Inside: a 4-byte length, a JSON head of that length (``size``,
``chunk_size``, ``project_id``, ``packs``: name, size and salt of each), then 52 bytes for each chunk that is
not zeros, in the order of the data: its number in the data, counted from 0 (4), its id (32), the number of
its pack in the head (4), its place (4), its offset (4), its stored length with the highest bit set if
compressed (4). A chunk without a record is zeros: an index is as large as the data, not as the disk. Every
chunk has ``chunk_size`` bytes but the last.
"""

from __future__ import annotations

import json
import operator
import struct
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

from blake3 import blake3

from refloat.bank.packs import CHUNK_SIZE, ChunkLocation, Pack
from refloat.bank.sealing import KIND_INDEX, Header, Sealer, damaged
from refloat.bank.store import ObjectMissing, Store
from refloat.errors import InvalidInput

RECORD = struct.Struct(">I 32s I I I I")
ZERO_ID = bytes(32)
LOCATION = struct.Struct(">I I I I")
_ID_AND_LOCATION = struct.Struct(">4x 32s 16s")
_NUMBER_AND_ID = struct.Struct(">I 32s 16x")
_NUMBER = struct.Struct(">I 48x")
_LENGTH = struct.Struct(">I")
_ZERO_IDS = bytes(1 << 20)


@dataclass(frozen=True, slots=True)
class DataIndex:
    """The index of one piece of data, read or about to be written.

    :param key_id: of the secret that it is sealed under, when that is known.
    """

    project_id: str
    size: int
    packs: Sequence[Pack]
    records: bytes
    key_id: bytes = b""

    def digest(self, chunk_key: bytes) -> str:
        """A fingerprint of the data: the same for the same bytes of the same project and bank."""
        hasher = blake3(self.size.to_bytes(8, "big"), key=chunk_key)
        together: list[bytes] = []
        expected = 0
        for number, chunk_id in _NUMBER_AND_ID.iter_unpack(self.records):
            if number != expected:
                hasher.update(b"".join(together))
                together = []
                _zero_ids(hasher, number - expected)
            together.append(chunk_id)
            expected = number + 1
        hasher.update(b"".join(together))
        _zero_ids(hasher, chunk_count(self.size) - expected)
        return hasher.hexdigest()

    def stored(self) -> Iterator[tuple[int, bytes, Pack, ChunkLocation]]:
        """Number in the data, id, pack and place of every chunk that is not zeros, in order."""
        packs = self.packs
        for number, chunk_id, pack, place, offset, length in RECORD.iter_unpack(self.records):
            yield number, chunk_id, packs[pack], ChunkLocation.of(place, offset, length)

    def locations(self) -> Iterator[tuple[bytes, bytes]]:
        """Id and packed :data:`LOCATION` of every chunk that is not zeros: what is quick to load."""
        return _ID_AND_LOCATION.iter_unpack(self.records)

    def holes(self) -> Iterator[tuple[int, int]]:
        """Offset and length of every run of chunks of zeros, in bytes."""
        expected = 0
        for (number,) in _NUMBER.iter_unpack(self.records):
            if number != expected:
                yield expected * CHUNK_SIZE, (number - expected) * CHUNK_SIZE
            expected = number + 1
        if expected * CHUNK_SIZE < self.size:
            yield expected * CHUNK_SIZE, self.size - expected * CHUNK_SIZE

    def chunk_size(self, number: int) -> int:
        """How many bytes of the data this chunk has."""
        return min(CHUNK_SIZE, self.size - number * CHUNK_SIZE)

    def key_ids(self) -> set[bytes]:
        """Of all the secrets that somebody who reads the data needs."""
        return {self.key_id, *(pack.key_id for pack in self.packs)}

    def encode(self) -> bytes:
        head = {
            "size": self.size,
            "chunk_size": CHUNK_SIZE,
            "project_id": self.project_id,
            "packs": [[p.name, p.size, p.salt.hex()] for p in self.packs],
        }
        text = json.dumps(head, separators=(",", ":")).encode()
        return _LENGTH.pack(len(text)) + text + self.records

    @staticmethod
    def decode(name: str, blob: bytes) -> DataIndex:
        """The inverse of :meth:`encode`; ``name`` is for messages."""
        (length,) = _LENGTH.unpack_from(blob)
        head = json.loads(blob[_LENGTH.size : _LENGTH.size + length])
        packs = [Pack(n, s, bytes.fromhex(salt)) for n, s, salt in head["packs"]]
        index = DataIndex(head["project_id"], head["size"], packs, blob[_LENGTH.size + length :])
        if head["chunk_size"] != CHUNK_SIZE or len(index.records) % RECORD.size:
            raise damaged(name, "it is not an index of chunks of this size")
        numbers = [number for (number,) in _NUMBER.iter_unpack(index.records)]
        if numbers and numbers[-1] >= chunk_count(index.size):
            raise damaged(name, "it has more chunks than its size needs")
        if not all(map(operator.lt, numbers, numbers[1:])):
            raise damaged(name, "its chunks are not in order")
        return index


def _zero_ids(hasher: blake3, count: int) -> None:
    left = count * len(ZERO_ID)
    while left > 0:
        hasher.update(_ZERO_IDS[:left])
        left -= len(_ZERO_IDS)


def chunk_count(size: int) -> int:
    """How many chunks data of this size has."""
    return -(-size // CHUNK_SIZE)


def load_index(store: Store, sealer: Sealer, name: str) -> DataIndex:
    """Read an index.

    :raises BankDamaged: it is missing, or not what was written.
    """
    try:
        blob = store.get(name)
    except ObjectMissing as error:
        raise damaged(name, "it is missing") from error
    index = DataIndex.decode(name, sealer.open(KIND_INDEX, name, blob))
    return replace(index, key_id=Header.parse(name, blob, KIND_INDEX).key_id)


def check_ref(ref: Any) -> tuple[str, int, str]:
    """Object, size and digest of a data reference, which may come from anywhere."""
    try:
        name, size, digest = ref["object"], ref["size"], ref["digest"]
    except (KeyError, TypeError):
        raise InvalidInput(f"{ref!r} is not a reference to data in a bank") from None
    if not (isinstance(name, str) and isinstance(size, int) and isinstance(digest, str)):
        raise InvalidInput(f"{ref!r} is not a reference to data in a bank")
    return name, size, digest
