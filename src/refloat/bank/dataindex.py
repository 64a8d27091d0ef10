"""The index of one piece of data: where each of its chunks is.

Sealed, it is an object of its own. Inside: a 4-byte length, a JSON head of that length (``size``,
``chunk_size``, ``project_id``, ``packs``: name, size and salt of each), then 48 bytes for each chunk in
the order of the data: its id (32), the number of its pack in the head (4), its place (4), its offset (4),
its stored length with the highest bit set if compressed (4). A chunk of zeros is not stored: its 48 bytes
are zeros. Every chunk has ``chunk_size`` bytes but the last.
"""

from __future__ import annotations

import json
import struct
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from blake3 import blake3

from refloat.bank.packs import CHUNK_SIZE, Pack, Place
from refloat.bank.sealing import KIND_INDEX, Sealer, damaged
from refloat.bank.store import ObjectMissing, Store
from refloat.errors import InvalidInput

RECORD = struct.Struct(">32s I I I I")
ZERO_ID = bytes(32)
ZERO_RECORD = bytes(RECORD.size)
_LENGTH = struct.Struct(">I")


@dataclass(frozen=True, slots=True)
class DataIndex:
    """The index of one piece of data, read or about to be written."""

    project_id: str
    size: int
    packs: Sequence[Pack]
    records: bytes

    def digest(self, chunk_key: bytes) -> str:
        """A fingerprint of the data: the same for the same bytes of the same project and bank."""
        ids = b"".join(record[0] for record in RECORD.iter_unpack(self.records))
        return blake3(self.size.to_bytes(8, "big") + ids, key=chunk_key).hexdigest()

    def chunks(self) -> Iterator[tuple[bytes, Pack | None, Place]]:
        """Id, pack (None: zeros) and place of every chunk, in order."""
        for chunk_id, pack, place, offset, stored in RECORD.iter_unpack(self.records):
            if chunk_id == ZERO_ID:
                yield chunk_id, None, Place(0, 0, 0, 0)
            else:
                yield chunk_id, self.packs[pack], Place.of(place, offset, stored)

    def encode(self) -> bytes:
        """What is sealed into the object."""
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
        if head["chunk_size"] != CHUNK_SIZE or len(index.records) != RECORD.size * chunk_count(index.size):
            raise damaged(name, "it does not have as many chunks as its size needs")
        return index


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
    return DataIndex.decode(name, sealer.open(KIND_INDEX, name, blob))


def check_ref(ref: Any) -> tuple[str, int, str]:
    """Object, size and digest of a data reference, which may come from anywhere."""
    try:
        name, size, digest = ref["object"], ref["size"], ref["digest"]
    except (KeyError, TypeError):
        raise InvalidInput(f"{ref!r} is not a reference to data in a bank") from None
    if not (isinstance(name, str) and isinstance(size, int) and isinstance(digest, str)):
        raise InvalidInput(f"{ref!r} is not a reference to data in a bank")
    return name, size, digest
