"""Stores around another store: what passes everything on, and what refuses to write."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TypeVar

from refloat.bank.store import Denied, ObjectInfo, Parts, Store

T = TypeVar("T")


class Wrapper:
    """Passes everything on."""

    def __init__(self, inner: Store) -> None:
        self.inner = inner

    def ask(self, what: str, name: str, do: Callable[[], T]) -> T:
        """All that is asked of one object goes through here.

        :param what: ``put``, ``get``, ``get_range``, ``stat`` or ``delete``.
        """
        return do()

    @property
    def url(self) -> str:
        return self.inner.url

    def put(self, name: str, content: Parts) -> None:
        self.ask("put", name, lambda: self.inner.put(name, content))

    def get(self, name: str) -> bytes:
        return self.ask("get", name, lambda: self.inner.get(name))

    def get_range(self, name: str, offset: int, length: int) -> bytes:
        return self.ask("get_range", name, lambda: self.inner.get_range(name, offset, length))

    def list(self, prefix: str) -> Iterator[ObjectInfo]:
        return self.inner.list(prefix)

    def stat(self, name: str) -> ObjectInfo:
        return self.ask("stat", name, lambda: self.inner.stat(name))

    def delete(self, name: str) -> None:
        self.ask("delete", name, lambda: self.inner.delete(name))

    def close(self) -> None:
        self.inner.close()


_REFUSED = {"put": "write", "delete": "remove"}


class ReadOnly(Wrapper):
    """Nothing may be written or removed."""

    def ask(self, what: str, name: str, do: Callable[[], T]) -> T:
        if what not in _REFUSED:
            return do()
        doing = f"{self.url} does not allow to {_REFUSED[what]} the object"
        raise Denied(doing, resource=name, reason="it is read-only")
