"""Keys: what opens a bank, and where it comes from.

A *bank key* is 32 bytes. It is kept in a file that only its owner can read, or derived from a passphrase
with Argon2id, or fetched by a :class:`KeySource` from elsewhere. A *project key* opens one project's
checkpoints in one bank, for reading. Files of keys are text, so that they can be printed and kept in a
safe, and carry a checksum, so that a damaged or mistyped key is told from a wrong one::

    # Refloat bank key. Whoever has it can read the bank; without it nobody can, ever.
    refloat-bank-key-1 5f2d...64 hexadecimal digits...  9c41...16 hexadecimal digits...
"""

from __future__ import annotations

import json
import logging
import os
import re
import secrets
import stat
import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from blake3 import blake3

from refloat.bank.filesystem import _link as link_new
from refloat.bank.filesystem import flush_folder
from refloat.errors import BankError, Conflict, InvalidInput, NotFound

_log = logging.getLogger(__name__)

_HEADER = "# Refloat bank key. Whoever has it can read the bank; without it nobody can, ever."
_PROJECT_HEADER = "# Refloat project key. Whoever has it can read all checkpoints of one project in one bank."
_WORD = "refloat-bank-key-1"
_PROJECT_WORD = "refloat-project-key-1"
_LINE = re.compile(rf"{_WORD}\s+([0-9a-f]{{64}})\s+([0-9a-f]{{16}})")
_PROJECT_LINE = re.compile(rf"{_PROJECT_WORD}\s+((?:[0-9a-f]{{2}})+)\s+([0-9a-f]{{16}})")
_SHOWN = ("bank_id", "descriptor", "project_id", "tag")
_LARGEST_FILE = 1 << 20

_MEMORY, _ITERATIONS, _LANES = 1 << 18, 3, 4
"""Argon2id with 256 MiB: a second or two on a small machine, for every guess."""

_MOST_MEMORY, _MOST_ITERATIONS, _MOST_LANES, _MOST_SLOTS = 1 << 20, 16, 16, 16
"""Who opens a bank lets the store, which may be anybody's, have so much work done: 1 GiB, for each of 16."""

LEAST_PASSPHRASE = 8
"""Characters of a new one."""


class KeySource(Protocol):
    """Where a bank's key comes from: a file, a passphrase, a key manager."""

    @property
    def kind(self) -> str:
        """One word for lists and messages: ``key file``, ``passphrase``, ``barbican``..."""
        ...

    def candidates(self, slots: Sequence[Mapping[str, Any]]) -> Iterable[BankKey]:
        """The keys that may open a bank with these slots, the likeliest first.

        :param slots: the clear part of each: ``kind``, ``label``, ``created_at``, ``kdf``.
        """
        ...

    def new(self) -> tuple[BankKey, Mapping[str, Any] | None]:
        """The key for a new slot, and how it was derived (the slot's ``kdf``)."""
        ...


@dataclass(frozen=True, slots=True)
class BankKey:
    """The secret that opens a bank. Never logged, never shown, never in a record."""

    secret: bytes = field(repr=False)
    kind: str = field(default="key file", compare=False)

    def __post_init__(self) -> None:
        if len(self.secret) != 32:
            raise BankError("a bank key is 32 bytes")

    @property
    def id(self) -> bytes:
        """16 bytes that tell keys apart and tell nothing about the key."""
        return key_id(self.secret)

    def candidates(self, slots: Sequence[Mapping[str, Any]]) -> Iterable[BankKey]:
        return (self,)

    def new(self) -> tuple[BankKey, Mapping[str, Any] | None]:
        return self, None


@dataclass(frozen=True, slots=True)
class Passphrase:
    """Words that open a bank. How they become a key is kept in the bank, beside what the key opens."""

    text: str = field(repr=False)
    kind: str = field(default="passphrase", init=False)

    def __post_init__(self) -> None:
        if not self.text:
            raise InvalidInput("the passphrase is empty")

    def candidates(self, slots: Sequence[Mapping[str, Any]]) -> Iterable[BankKey]:
        """One for each slot that a passphrase opens."""
        derived = [slot["kdf"] for slot in slots if slot.get("kdf")]
        if len(derived) > _MOST_SLOTS:
            raise BankError(
                "the bank asks for an absurd amount of work to try a passphrase",
                reason=f"it has {len(derived)} passphrases",
                advice="Use a key file, and remove those that are not yours: refloat bank keys list",
            )
        yield from map(self.key, derived)

    def new(self) -> tuple[BankKey, Mapping[str, Any] | None]:
        """:raises InvalidInput: it is too short for a new one."""
        if len(self.text) < LEAST_PASSPHRASE:
            raise InvalidInput(f"a new passphrase has at least {LEAST_PASSPHRASE} characters")
        kdf = {
            "name": "argon2id",
            "salt": secrets.token_hex(16),
            "memory": _MEMORY,
            "iterations": _ITERATIONS,
            "lanes": _LANES,
        }
        return self.key(kdf), kdf

    def key(self, kdf: Mapping[str, Any]) -> BankKey:
        """The key that these words and a slot's parameters make.

        :raises BankError: the parameters are of no known kind, or absurd.
        """
        from cryptography.exceptions import UnsupportedAlgorithm
        from cryptography.hazmat.primitives.kdf.argon2 import Argon2id

        try:
            name, salt = kdf["name"], bytes.fromhex(kdf["salt"])
            memory, iterations, lanes = int(kdf["memory"]), int(kdf["iterations"]), int(kdf["lanes"])
        except (KeyError, TypeError, ValueError) as error:
            raise BankError("the bank does not say how its passphrase becomes a key") from error
        if name != "argon2id":
            raise BankError(f"the bank's passphrase uses {name!r}", advice="Use a newer Refloat")
        if memory > _MOST_MEMORY or iterations > _MOST_ITERATIONS or lanes > _MOST_LANES:
            raise BankError(
                "the bank asks for an absurd amount of work to try a passphrase",
                reason=f"{memory} KiB of memory, {iterations} times",
                advice="Its key object was altered",
            )
        words = unicodedata.normalize("NFC", self.text).encode()
        try:
            derive = Argon2id(salt=salt, length=32, iterations=iterations, lanes=lanes, memory_cost=memory)
            return BankKey(derive.derive(words), self.kind)
        except (UnsupportedAlgorithm, ValueError, MemoryError) as error:
            raise BankError("the passphrase cannot be turned into a key here", reason=str(error)) from error


@dataclass(frozen=True, slots=True)
class ProjectKey:
    """Opens the checkpoints of one project in one bank, for reading.

    :param bank_id: of the bank, hexadecimal.
    :param descriptor: fingerprint of the bank's descriptor.
    :param tag: the project's tag in names.
    :param chunk_key: what the project's chunk ids are made with.
    :param keys: the secrets of the project's key versions; the key object of each is in the bank.
    """

    bank_id: str
    descriptor: str
    project_id: str
    tag: str
    chunk_key: bytes = field(repr=False)
    keys: tuple[bytes, ...] = field(repr=False)

    def save(self, path: str | Path) -> None:
        """Keep it in a new file.

        :raises Conflict: the file exists.
        """
        shown = {name: getattr(self, name) for name in _SHOWN}
        hidden = {"chunk_key": self.chunk_key.hex(), "keys": [key.hex() for key in self.keys]}
        body = json.dumps(shown | hidden).encode()
        write_new(path, f"{_PROJECT_HEADER}\n{_PROJECT_WORD} {body.hex()} {_checksum(body)}\n".encode())

    @staticmethod
    def parse(body: bytes) -> ProjectKey:
        data = json.loads(body)
        shown = {name: data[name] for name in _SHOWN}
        keys = tuple(bytes.fromhex(key) for key in data["keys"])
        return ProjectKey(**shown, chunk_key=bytes.fromhex(data["chunk_key"]), keys=keys)


def create_key(path: str | Path) -> BankKey:
    """Make a new random key and keep it in a new file.

    :raises Conflict: the file exists; a key is never overwritten.
    """
    key = BankKey(secrets.token_bytes(32))
    write_new(path, f"{_HEADER}\n{_WORD} {key.secret.hex()} {_checksum(key.secret)}\n".encode())
    return key


def load_key(path: str | Path) -> BankKey:
    """Read the file of a bank key.

    :raises NotFound: there is no such file.
    :raises BankError: it is no key file, or damaged.
    """
    key = load_any_key(path)
    if isinstance(key, ProjectKey):
        raise BankError(f"{path} is the key of one project, not of a bank")
    return key


def load_any_key(path: str | Path) -> BankKey | ProjectKey:
    """Read the file of a bank key or of a project key.

    :raises NotFound: there is no such file.
    :raises BankError: it is no key file, or damaged.
    """
    text = _read(path)
    lines = [line.strip() for line in text.splitlines() if line.strip() and not line.startswith("#")]
    if not any("refloat-bank-key" in line or "refloat-project-key" in line for line in lines):
        raise BankError(f"{path} is not a Refloat key file")
    line = lines[0] if len(lines) == 1 else ""
    if (found := _LINE.fullmatch(line)) and _checksum(bytes.fromhex(found[1])) == found[2]:
        return BankKey(bytes.fromhex(found[1]))
    if (found := _PROJECT_LINE.fullmatch(line)) and _checksum(bytes.fromhex(found[1])) == found[2]:
        return ProjectKey.parse(bytes.fromhex(found[1]))
    raise BankError(
        f"the key file {path} is damaged", advice="Take the copy of the key that you keep elsewhere"
    )


def load_passphrase(path: str | Path) -> Passphrase:
    """Read a passphrase from a file; a newline at its end does not count.

    :raises NotFound: there is no such file.
    """
    text = _read(path, "utf-8")
    return Passphrase(text.removesuffix("\n").removesuffix("\r"))


def key_id(secret: bytes) -> bytes:
    """16 bytes that tell keys apart and tell nothing about the key."""
    return blake3(secret, derive_key_context="refloat bank 1: key id").digest(length=16)


def _read(path: str | Path, encoding: str = "ascii") -> str:
    try:
        with open(path, "rb") as file:
            mode = os.fstat(file.fileno()).st_mode
            text = file.read(_LARGEST_FILE).decode(encoding, "replace")
    except FileNotFoundError:
        raise NotFound(f"there is no key file {path}") from None
    except OSError as error:
        raise BankError(f"the key file {path} cannot be read", reason=str(error.strerror)) from error
    if mode & (stat.S_IROTH | stat.S_IWOTH):
        _log.warning("Everybody on this machine can read the bank's key in %s; chmod 600 it", path)
    return text


def write_new(path: str | Path, content: bytes, what: str = "key file") -> None:
    """Make a file that only its owner can read: whole or not at all, whenever the process is killed.

    :raises Conflict: it exists.
    """
    path = Path(path)
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(4)}.tmp")
    try:
        try:
            fd = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
            with os.fdopen(fd, "wb") as file:
                file.write(content)
                file.flush()
                os.fsync(fd)
            link_new(temporary, path)
            flush_folder(path.parent)
        finally:
            temporary.unlink(missing_ok=True)
    except FileExistsError:
        raise Conflict(f"the {what} {path} exists", advice="Refloat never overwrites a key") from None
    except OSError as error:
        raise BankError(f"the {what} {path} cannot be written", reason=str(error.strerror)) from error


def _checksum(secret: bytes) -> str:
    return blake3(secret, derive_key_context="refloat bank 1: key file checksum").hexdigest(length=8)
