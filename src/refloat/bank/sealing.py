"""Encryption and authentication of what is in a bank.

Every object but the descriptor begins with a 48-byte header: ``REFLOAT1``, the kind (one letter),
the encoding (0 as it is, 1 zstd), 6 zero bytes, the id of the key it is under (16 bytes; zeros: the
bank's own root) and 16 random bytes, the salt. Its key is derived from the root and the salt, and
what authenticates it covers the header, the bank's id and the object's *name*. So an object of
another bank, of another name or of another kind is refused, and no key ever meets a nonce twice.
"""

from __future__ import annotations

import secrets
import struct
import threading
from dataclasses import dataclass
from typing import TypeAlias

import zstandard
from blake3 import blake3
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from refloat.bank.keys import BankKey
from refloat.errors import BankDamaged

MAGIC = b"REFLOAT1"
HEADER = struct.Struct(">8s c B 6x 16s 16s")
TAG_SIZE = 16

KIND_KEY = b"K"
KIND_MARKER = b"W"
KIND_MANIFEST = b"M"
KIND_BODY = b"B"
KIND_INDEX = b"I"
KIND_PACK = b"P"
KIND_CONDEMNED = b"C"

_ROOT_KEY_ID = bytes(16)
_RAW, _ZSTD = 0, 1
_LEVEL = 1
_LARGEST_SEALED = 1 << 31
_WORTH_IT = 0.98
_SAMPLE, _SAMPLE_EVERY, _SAMPLED_FROM = 4 << 10, 64 << 10, 256 << 10
_local = threading.local()

Data: TypeAlias = bytes | memoryview


def compress(data: Data) -> bytes:
    """Compressed as everything in the bank is. A compressor per thread: they cannot be shared."""
    compressor: zstandard.ZstdCompressor | None = getattr(_local, "compressor", None)
    if compressor is None:
        compressor = _local.compressor = zstandard.ZstdCompressor(level=_LEVEL)
    return compressor.compress(data)


def compress_if_worth_it(data: Data) -> bytes | None:
    """Compressed; None when that would save less than a fiftieth.

    What cannot be compressed comes in runs. In such a run, for this thread, a sample of a sixteenth
    (4 KiB of every 64) is tried first, and decides.
    """
    if getattr(_local, "hopeless", False) and len(data) > _SAMPLED_FROM:
        view = memoryview(data)
        sample = b"".join([view[at : at + _SAMPLE] for at in range(0, len(view), _SAMPLE_EVERY)])
        if len(compress(sample)) > len(sample) * _WORTH_IT:
            return None
    packed = compress(data)
    _local.hopeless = len(packed) > len(data) * _WORTH_IT
    return None if _local.hopeless else packed


def decompress(data: Data, largest: int) -> bytes:
    """Decompressed, unless it would be larger than it may be."""
    if zstandard.frame_content_size(data) > largest:
        raise zstandard.ZstdError("larger than it may be")
    return _decompressor().decompress(data, max_output_size=largest)


def decompress_into(data: memoryview, target: memoryview) -> int:
    """Decompressed into ``target``; how many bytes that was.

    :raises zstandard.ZstdError: it is not compressed, or would be larger than ``target``.
    """
    size = zstandard.frame_content_size(data)
    if not 0 <= size <= len(target):
        raise zstandard.ZstdError("larger than it may be")
    with _decompressor().stream_reader(data) as reader:
        if reader.readinto(target[:size]) != size:
            raise zstandard.ZstdError("smaller than it should be")
    return size


def _decompressor() -> zstandard.ZstdDecompressor:
    """A decompressor per thread: they cannot be shared."""
    found: zstandard.ZstdDecompressor | None = getattr(_local, "decompressor", None)
    if found is None:
        found = _local.decompressor = zstandard.ZstdDecompressor()
    return found


def derive(purpose: str, *material: bytes, length: int = 32) -> bytes:
    """A key for one purpose. Of ``material``, all but the last have fixed lengths."""
    return blake3(b"".join(material), derive_key_context=f"refloat bank 1: {purpose}").digest(length=length)


@dataclass(frozen=True, slots=True)
class Header:
    """The first 48 bytes of an object."""

    kind: bytes
    encoding: int
    key_id: bytes
    salt: bytes

    def pack(self) -> bytes:
        """The bytes."""
        return HEADER.pack(MAGIC, self.kind, self.encoding, self.key_id, self.salt)

    @staticmethod
    def parse(name: str, blob: bytes, kind: bytes) -> Header:
        """Read the header of the object ``name``, which must be of this kind."""
        if len(blob) < HEADER.size:
            raise damaged(name, f"it has {len(blob)} bytes, fewer than any object of a bank")
        magic, found, encoding, key_id, salt = HEADER.unpack_from(blob)
        header = Header(found, encoding, key_id, salt)
        if magic != MAGIC or found != kind or blob[: HEADER.size] != header.pack():
            raise damaged(name, "it does not begin as an object of its kind does")
        return header


class Sealer:
    """Seals and opens the objects of one bank.

    :param root: the bank's root secret, or (for the key object alone) the bank key's secret.
    :param bank_id: 16 bytes.
    :param key_id: which secret ``root`` is; zeros for the bank's root.
    """

    def __init__(self, root: bytes, bank_id: bytes, key_id: bytes = _ROOT_KEY_ID) -> None:
        self._root = root
        self._bank_id = bank_id
        self._key_id = key_id

    def seal(self, kind: bytes, name: str, plain: bytes) -> bytes:
        """An object's content from what is to be in it."""
        packed = compress(plain)
        encoding, packed = (_ZSTD, packed) if len(packed) < len(plain) else (_RAW, plain)
        header = Header(kind, encoding, self._key_id, secrets.token_bytes(16)).pack()
        return header + self._cipher(header).encrypt(bytes(12), packed, self.bound(header, name))

    def open(self, kind: bytes, name: str, blob: bytes) -> bytes:
        """What is in an object.

        :raises BankDamaged: it is not what was written under this name.
        """
        header = Header.parse(name, blob, kind)
        if header.key_id != self._key_id:
            raise damaged(name, "it is encrypted with an unknown key")
        raw = header.pack()
        try:
            plain = self._cipher(raw).decrypt(bytes(12), blob[HEADER.size :], self.bound(raw, name))
            if header.encoding == _ZSTD:
                plain = decompress(plain, _LARGEST_SEALED)
        except (InvalidTag, ValueError, zstandard.ZstdError) as error:
            raise damaged(name, "its content does not match its authentication tag") from error
        return plain

    def new_pack(self, name: str) -> PackCipher:
        """The cipher of a new pack."""
        return self.pack(name, secrets.token_bytes(16))

    def pack(self, name: str, salt: bytes) -> PackCipher:
        """The cipher of the pack that has this salt."""
        header = Header(KIND_PACK, _RAW, self._key_id, salt).pack()
        return PackCipher(name, header, self._cipher(header), self.bound(header, name))

    def bound(self, header: bytes, name: str) -> bytes:
        """What ties a ciphertext to its place."""
        return header + self._bank_id + name.encode("ascii")

    def chunk_key(self, project_id: str) -> bytes:
        """The key of a project's chunk ids: equal chunks of two projects have different ids."""
        return derive("chunk ids", self._root, self._bank_id, project_id.encode())

    def tag(self, project_id: str) -> str:
        """How a project is called in object names: 16 hexadecimal digits that tell nothing."""
        return derive("project tag", self._root, self._bank_id, project_id.encode(), length=8).hex()

    def check(self, text: bytes) -> str:
        """An authenticator for the descriptor, which is not encrypted."""
        key = derive("descriptor", self._root, self._bank_id)
        return blake3(text, key=key).hexdigest(length=16)

    def digest(self, text: bytes) -> str:
        """A keyed fingerprint, for comparing contents."""
        key = derive("content", self._root, self._bank_id)
        return blake3(text, key=key).hexdigest()

    def _cipher(self, header: bytes) -> AESGCM:
        return AESGCM(derive("object", self._root, header))


@dataclass(frozen=True, slots=True)
class PackCipher:
    """The cipher of one pack: one key, a nonce of encoding and place."""

    name: str
    header: bytes
    _aead: AESGCM
    _bound: bytes

    @property
    def salt(self) -> bytes:
        """The pack's salt, which an index of its chunks has to keep."""
        return self.header[-16:]

    def encrypt(self, encoding: int, place: int, data: bytes) -> bytes:
        """One chunk, bound to its place in this pack. A place must never be used twice."""
        return self._aead.encrypt(_nonce(encoding, place), data, self._bound)

    def encrypt_into(self, encoding: int, place: int, data: Data, target: memoryview) -> None:
        """Like :meth:`encrypt`, into ``target``, which is as much longer than ``data`` as a tag is."""
        self._aead.encrypt_into(_nonce(encoding, place), data, self._bound, target)

    def decrypt_into(self, encoding: int, place: int, data: memoryview, target: memoryview) -> None:
        """Like :meth:`decrypt`, into ``target``, which is as much shorter than ``data`` as a tag is.

        :raises BankDamaged: it is not what was written there; there is nothing in ``target`` to be used.
        """
        try:
            self._aead.decrypt_into(_nonce(encoding, place), data, self._bound, target)
        except (InvalidTag, ValueError) as error:
            raise damaged(self.name, f"chunk {place} does not match its authentication tag") from error

    def decrypt(self, encoding: int, place: int, data: Data) -> bytes:
        """One chunk again.

        :raises BankDamaged: it is not what was written there.
        """
        try:
            return self._aead.decrypt(_nonce(encoding, place), data, self._bound)
        except (InvalidTag, ValueError) as error:
            raise damaged(self.name, f"chunk {place} does not match its authentication tag") from error


def key_sealer(key: BankKey, bank_id: bytes) -> Sealer:
    """The sealer of the object that holds a bank's root secret."""
    return Sealer(key.secret, bank_id, key.id)


def damaged(name: str, reason: str) -> BankDamaged:
    """The error for an object that is not what was written."""
    return BankDamaged(
        f"the bank's object {name} is damaged",
        reason=reason,
        advice="Nothing of it was used",
    )


def _nonce(encoding: int, place: int) -> bytes:
    return struct.pack(">IQ", encoding, place)
