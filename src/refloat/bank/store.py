"""The seam between the bank and whatever keeps its bytes.

A store keeps named objects. An object is *written once*: it appears whole or not at all, and never
changes. Names are flat: ASCII parts of letters, digits, ``.``, ``_`` and ``-``, joined by slashes.
A store must be safe to use from many threads and many processes at once, and a reader must see an
object as soon as the ``put`` of it has returned, also in a listing.

Every store passes the contract suite in ``tests/unit/support/store_contract.py``. How a store is named by a
URL is in :mod:`refloat.bank.urls`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol, TypeAlias

from refloat.errors import BankError, InvalidInput

Parts: TypeAlias = bytes | Sequence[bytes | memoryview]
"""An object's content: in one piece, or in pieces to be joined. Never an iterator: a store may have
to send it twice. Views are of memory that the caller uses again as soon as ``put`` has returned."""

READ_BACK = 1 << 16
"""Objects of not more bytes are read back after they were written."""

_NAME = re.compile(r"[A-Za-z0-9_-][A-Za-z0-9._-]*(/[A-Za-z0-9_-][A-Za-z0-9._-]*)*")
_LONGEST_NAME = 512


class ObjectMissing(BankError):
    """There is no object of this name."""


class AlreadyExists(BankError):
    """There is an object of this name, and its content is different."""


class Unavailable(BankError):
    """The store did not answer, or asked to come back later: the same request may succeed soon.

    :param retry_after: so many seconds the store asked to wait; 0: it did not say.

    A write that ended so may have taken effect.
    """

    def __init__(self, message: str, *, retry_after: float = 0.0, **more: str) -> None:
        super().__init__(message, **more)
        self.retry_after = retry_after


class Denied(BankError):
    """The store refuses these credentials, or does not allow them what was asked."""


class StoreFull(BankError):
    """There is no room left, or a quota does not allow more."""


@dataclass(frozen=True, slots=True)
class ObjectInfo:
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

        :raises AlreadyExists: another content is there; it is left alone. (Some object stores accept two
            writers at the very same moment; the later object stays. docs/stores.md has the consequences.)
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

    def list(self, prefix: str) -> Iterator[ObjectInfo]:
        """The objects whose names begin with ``prefix``, in no order.

        Objects that are there all the time are listed; those that come or go meanwhile may be.
        """
        ...

    def stat(self, name: str) -> ObjectInfo:
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
    return (content,) if isinstance(content, bytes) else content


class SwiftLogin(Protocol):
    """A way into an object store of OpenStack. Safe to use from many threads."""

    @property
    def endpoint(self) -> str:
        """The URL of the account."""
        ...

    @property
    def verify(self) -> bool | str:
        """Whether the server's certificate is checked, or the file of authorities to check it with."""
        ...

    def token(self, refused: str = "") -> str:
        """A token that is valid for some minutes more.

        :param refused: a token that the store has just refused: not to be given again.
        """
        ...


Logins: TypeAlias = Callable[[str | None], SwiftLogin]
"""Logs in to a cloud: the one of that name, or (None) the user's. The bank itself knows no OpenStack."""


def same(found: bytes, parts: Sequence[bytes | memoryview]) -> bool:
    """Whether ``found`` is what the parts are together."""
    view, at = memoryview(found), 0
    for part in parts:
        if view[at : at + len(part)] != part:
            return False
        at += len(part)
    return at == len(found)


def get_or_none(store: Store, name: str) -> bytes | None:
    """What an object holds; None: it is not there."""
    try:
        return store.get(name)
    except ObjectMissing:
        return None


def exists(store: Store, name: str) -> bool:
    """Whether an object is there, asked by its name: a listing may be late."""
    try:
        store.stat(name)
    except ObjectMissing:
        return False
    return True
