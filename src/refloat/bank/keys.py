"""The key of a bank: 32 random bytes in a file that only its owner can read.

The file is text, so that it can be printed and kept in a safe, and carries a checksum, so that a
damaged or mistyped key is told from a wrong one::

    # Refloat bank key. Whoever has it can read the bank; without it nobody can, ever.
    refloat-bank-key-1 5f2d...64 hexadecimal digits...  9c41...16 hexadecimal digits...
"""

from __future__ import annotations

import logging
import os
import re
import secrets
import stat
from dataclasses import dataclass, field
from pathlib import Path

from blake3 import blake3

from refloat.errors import BankError, Conflict, NotFound

_log = logging.getLogger(__name__)

_HEADER = "# Refloat bank key. Whoever has it can read the bank; without it nobody can, ever."
_WORD = "refloat-bank-key-1"
_LINE = re.compile(rf"{_WORD}\s+([0-9a-f]{{64}})\s+([0-9a-f]{{16}})")
_LARGEST_FILE = 4096


@dataclass(frozen=True, slots=True)
class BankKey:
    """The secret that opens a bank. Never logged, never shown, never in a record."""

    secret: bytes = field(repr=False)

    def __post_init__(self) -> None:
        if len(self.secret) != 32:
            raise BankError("a bank key is 32 bytes")

    @property
    def id(self) -> bytes:
        """16 bytes that tell keys apart and tell nothing about the key."""
        return blake3(self.secret, derive_key_context="refloat bank 1: key id").digest(length=16)


def create_key(path: str | Path) -> BankKey:
    """Make a new random key and keep it in a new file.

    :raises Conflict: the file exists; a key is never overwritten.
    """
    key = BankKey(secrets.token_bytes(32))
    text = f"{_HEADER}\n{_WORD} {key.secret.hex()} {_checksum(key.secret)}\n"
    path = Path(path)
    try:
        fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    except FileExistsError:
        raise Conflict(f"the key file {path} exists", advice="Refloat never overwrites a key") from None
    except OSError as error:
        raise BankError(f"the key file {path} cannot be written", reason=str(error.strerror)) from error
    with os.fdopen(fd, "w", encoding="ascii") as file:
        file.write(text)
        file.flush()
        os.fsync(fd)
    return key


def load_key(path: str | Path) -> BankKey:
    """Read a key file.

    :raises NotFound: there is no such file.
    :raises BankError: it is no key file, or damaged.
    """
    try:
        with open(path, "rb") as file:
            mode = os.fstat(file.fileno()).st_mode
            text = file.read(_LARGEST_FILE).decode("ascii", "replace")
    except FileNotFoundError:
        raise NotFound(f"there is no key file {path}") from None
    except OSError as error:
        raise BankError(f"the key file {path} cannot be read", reason=str(error.strerror)) from error
    if mode & (stat.S_IROTH | stat.S_IWOTH):
        _log.warning("Everybody on this machine can read the bank's key in %s; chmod 600 it", path)
    lines = [line.strip() for line in text.splitlines() if line.strip() and not line.startswith("#")]
    if not any("refloat-bank-key" in line for line in lines):
        raise BankError(f"{path} is not a Refloat key file")
    found = _LINE.fullmatch(lines[0]) if len(lines) == 1 else None
    if not found or _checksum(bytes.fromhex(found[1])) != found[2]:
        raise BankError(
            f"the key file {path} is damaged", advice="Take the copy of the key that you keep elsewhere"
        )
    return BankKey(bytes.fromhex(found[1]))


def _checksum(secret: bytes) -> str:
    return blake3(secret, derive_key_context="refloat bank 1: key file checksum").hexdigest(length=8)
