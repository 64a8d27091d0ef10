"""The seam between the bank and whatever keeps its bytes.

A store keeps named objects. An object is *written once*: it appears whole or not at all, and never
changes. Names are flat: ASCII parts of letters, digits, ``.``, ``_`` and ``-``, joined by slashes.
A store must be safe to use from many threads and many processes at once, and a reader must see an
object as soon as the ``put`` of it has returned, also in a listing.

Every store passes the contract suite in ``tests/unit/test_bank_store.py``.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol, TypeAlias

from refloat.errors import BankError, InvalidInput

Parts: TypeAlias = bytes | Sequence[bytes | memoryview]
"""An object's content: in one piece, or in pieces to be joined. Never an iterator: a store may have
to send it twice. Views are of memory that the caller uses again as soon as ``put`` has returned."""

_NAME = re.compile(r"[A-Za-z0-9_-][A-Za-z0-9._-]*(/[A-Za-z0-9_-][A-Za-z0-9._-]*)*")
_LONGEST_NAME = 512


class ObjectMissing(BankError):
    """There is no object of this name."""


class AlreadyExists(BankError):
    """There is an object of this name, and its content is different."""


@dataclass(frozen=True, slots=True)
class Entry:
    """One object as a listing tells it: its name, its size, and when the store got it (Unix time)."""

    name: str
    size: int
    modified: float


class Store(Protocol):
    """What the bank asks of a store. Everything raises :class:`BankError` when the store fails."""

    @property
    def url(self) -> str:
        """Where the store is, for messages; without secrets."""
        ...

    def put(self, name: str, content: Parts) -> None:
        """Write a new object. It is durable when this returns; after a failure nothing is there.

        Writing the same content again is fine (the answer to the first attempt may have been lost).

        :raises AlreadyExists: another content is there; it is left alone.
        """
        ...

    def get(self, name: str) -> bytes:
        """The whole object.

        :raises ObjectMissing: there is none.
        """
        ...

    def get_range(self, name: str, offset: int, length: int) -> bytes:
        """Part of an object; shorter than asked when the object ends before.

        :raises ObjectMissing: there is none.
        """
        ...

    def list(self, prefix: str) -> Iterator[Entry]:
        """The objects whose names begin with ``prefix``, in no order.

        Objects that are there all the time are listed; those that come or go meanwhile may be.
        """
        ...

    def stat(self, name: str) -> Entry:
        """Size and time of one object.

        :raises ObjectMissing: there is none.
        """
        ...

    def delete(self, name: str) -> None:
        """Remove an object. Removing what is not there is fine."""
        ...

    def close(self) -> None:
        """Give back connections and files."""
        ...


def check_name(name: str) -> str:
    """Return ``name``; refuse what is no object name."""
    if len(name) > _LONGEST_NAME or not _NAME.fullmatch(name):
        raise InvalidInput(f"{name!r} is not an object name")
    return name


def parts_of(content: Parts) -> Sequence[bytes | memoryview]:
    """The content in pieces."""
    return (content,) if isinstance(content, bytes) else content


def open_store(url: str, *, create: bool = False) -> Store:
    """The store at ``url``: ``file:///path`` or a plain path.

    :param create: make the place if it is not there.
    :raises NotFound: there is no such place.
    """
    from refloat.bank.filesystem import FileSystemStore

    scheme, found, rest = url.partition("://")
    if not found:
        return FileSystemStore(url, create=create)
    if scheme == "file":
        if not rest.startswith("/"):
            raise InvalidInput(f"{url}: a file URL has three slashes, as in file:///var/lib/refloat")
        return FileSystemStore(rest, create=create)
    raise InvalidInput(f"{url}: no store for {scheme!r}", advice="Give file:///path")
