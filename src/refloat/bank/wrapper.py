"""Stores around another store: what passes everything on, and what refuses to write."""

from __future__ import annotations

from collections.abc import Iterator

from refloat.bank.store import Denied, ObjectInfo, Parts, Store


class Wrapper:
    """Passes everything on."""

    def __init__(self, inner: Store) -> None:
        self.inner = inner

    @property
    def url(self) -> str:
        return self.inner.url

    def put(self, name: str, content: Parts) -> None:
        self.inner.put(name, content)

    def get(self, name: str) -> bytes:
        return self.inner.get(name)

    def get_range(self, name: str, offset: int, length: int) -> bytes:
        return self.inner.get_range(name, offset, length)

    def list(self, prefix: str) -> Iterator[ObjectInfo]:
        return self.inner.list(prefix)

    def stat(self, name: str) -> ObjectInfo:
        return self.inner.stat(name)

    def delete(self, name: str) -> None:
        self.inner.delete(name)

    def close(self) -> None:
        self.inner.close()


class ReadOnly(Wrapper):
    """Nothing may be written or removed."""

    def put(self, name: str, content: Parts) -> None:
        raise Denied(
            f"{self.url} does not allow to write the object", resource=name, reason="it is read-only"
        )

    def delete(self, name: str) -> None:
        raise Denied(
            f"{self.url} does not allow to remove the object", resource=name, reason="it is read-only"
        )
