"""Encryption and authentication of what is in a bank.

A sealed object begins with a 48-byte header: ``REFLOAT1``, the kind (one letter), the encoding (0 as it
is, 1 zstd), 6 zero bytes, the id of the secret it is under (16 bytes; zeros: the bank's root) and 16 random
bytes, the salt. Its key is derived from that secret and the header, and what authenticates it covers the
header, the bank's id and the object's *name*. So an object of another bank, of another name or of another
kind is refused. The salt depends on random bytes, on the name and on the content: no key meets a nonce with
two contents, also where two processes draw the same random bytes (clones of a virtual machine). Which
secret it has to be follows from the name: that of the project whose tag is in it. So nobody who has one
project's key can forge an object of another.
"""

from __future__ import annotations

import re
import secrets
import struct
import threading
from dataclasses import dataclass
from typing import NamedTuple, Protocol, TypeAlias

import zstandard
from blake3 import blake3
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

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
KIND_DAMAGED = b"D"
KIND_HOLD = b"H"
KIND_HEAD = b"T"
KIND_ABOUT = b"A"

ROOT_ID = bytes(16)
_RAW, _ZSTD = 0, 1
_LEVEL = 1
_LARGEST_SEALED = 1 << 31
_WORTH_IT = 0.98
_SAMPLE, _SAMPLE_EVERY, _SAMPLED_FROM = 4 << 10, 64 << 10, 256 << 10
_TAG = re.compile(
    r"(?:data/|condemned/|damaged/|checkpoints/[^./]+\.|(?:writers|alive|about)/[^./]+\.)([0-9a-f]{16})(?:[./]|$)"
)
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

    @property
    def end(self) -> bytes:
        """Its last 32 bytes: the id of the secret, and the salt."""
        return self.key_id + self.salt

    def pack(self) -> bytes:
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


def tag_in(name: str) -> str:
    """The tag of the project that an object belongs to; empty for the bank's own."""
    found = _TAG.match(name)
    return found[1] if found else ""


class Secret(NamedTuple):
    """A secret that objects are sealed under, and its id."""

    id: bytes
    secret: bytes


class Secrets(Protocol):
    """Who knows the secrets of a bank: :class:`refloat.bank.keyring.Keyring`."""

    def current(self, tag: str) -> Secret:
        """The one that new objects of a project are under; of the bank's own objects if ``tag`` is empty.

        :raises BankError: there is none.
        """
        ...

    def find(self, tag: str, key_id: bytes) -> bytes | None:
        """The secret of this id; None if it is not one of this project's."""
        ...


@dataclass(frozen=True, slots=True)
class OneSecret:
    """The secret of a bank key, or the root."""

    secret: Secret

    def current(self, tag: str) -> Secret:
        return self.secret

    def find(self, tag: str, key_id: bytes) -> bytes | None:
        return self.secret.secret if key_id == self.secret.id else None


class Sealer:
    """Seals and opens the objects of one bank.

    :param keys: who knows its secrets.
    :param bank_id: 16 bytes.
    """

    def __init__(self, keys: Secrets, bank_id: bytes) -> None:
        self.keys = keys
        self._bank_id = bank_id

    def seal(self, kind: bytes, name: str, plain: bytes) -> bytes:
        """An object's content from what is to be in it."""
        packed = compress(plain)
        encoding, packed = (_ZSTD, packed) if len(packed) < len(plain) else (_RAW, plain)
        key_id, secret = self.keys.current(tag_in(name))
        header = Header(kind, encoding, key_id, _salt(secret, name, packed)).pack()
        return header + _cipher(secret, header).encrypt(bytes(12), packed, self.bound(header, name))

    def open(self, kind: bytes, name: str, blob: bytes) -> bytes:
        """What is in an object.

        :raises BankDamaged: it is not what was written under this name.
        """
        header = Header.parse(name, blob, kind)
        raw = header.pack()
        secret = self._secret(name, header.key_id)
        try:
            plain = _cipher(secret, raw).decrypt(bytes(12), blob[HEADER.size :], self.bound(raw, name))
            if header.encoding == _ZSTD:
                plain = decompress(plain, _LARGEST_SEALED)
        except (InvalidTag, ValueError, zstandard.ZstdError) as error:
            raise damaged(name, "its content does not match its authentication tag") from error
        return plain

    def new_pack(self, name: str, *content: Data) -> PackCipher:
        """The cipher of a pack that will have this content, and no other."""
        key_id, secret = self.keys.current(tag_in(name))
        return self.pack(name, key_id + _salt(secret, name, *content))

    def pack(self, name: str, salt: bytes) -> PackCipher:
        """The cipher of a pack.

        :param salt: the end of its header: the id of the secret it is under (16), its salt (16).
        :raises BankDamaged: there is no such secret.
        """
        header = Header(KIND_PACK, _RAW, salt[:16], salt[16:]).pack()
        cipher = _cipher(self._secret(name, salt[:16]), header)
        return PackCipher(name, header, cipher, self.bound(header, name))

    def bound(self, header: bytes, name: str) -> bytes:
        return header + self._bank_id + name.encode("ascii")

    def _secret(self, name: str, key_id: bytes) -> bytes:
        found = self.keys.find(tag_in(name), key_id)
        if found is None:
            raise damaged(name, "it is encrypted with an unknown key")
        return found


def _salt(secret: bytes, name: str, *content: Data) -> bytes:
    digest = blake3(key=derive("salt", secret))
    for part in content:
        digest.update(part)
    return derive("salt", secret, secrets.token_bytes(16), digest.digest(), name.encode("ascii"), length=16)


def _cipher(secret: bytes, header: bytes) -> AESGCM:
    return AESGCM(derive("object", secret, header))


@dataclass(frozen=True, slots=True)
class PackCipher:
    """The cipher of one pack: one key, a nonce of encoding and place."""

    name: str
    header: bytes
    _aead: AESGCM
    _bound: bytes

    @property
    def salt(self) -> bytes:
        """The end of the header, which an index of its chunks has to keep: key id and salt."""
        return self.header[-32:]

    def encrypt(self, encoding: int, place: int, data: Data) -> bytes:
        """One chunk, bound to its place in this pack. A place must never be used twice."""
        return self._aead.encrypt(_nonce(encoding, place), data, self._bound)

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


def damaged(name: str, reason: str) -> BankDamaged:
    """The error for an object that is not what was written."""
    return BankDamaged(
        f"the bank's object {name} is damaged",
        reason=reason,
        advice="Nothing of it was used",
    )


def _nonce(encoding: int, place: int) -> bytes:
    return struct.pack(">IQ", encoding, place)
