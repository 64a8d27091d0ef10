"""What is in a store, asked of each object by its name: a listing may be late, and is not trusted with it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor

from refloat.bank.store import ObjectMissing, Store

_AT_ONCE = 16


def sizes_of(store: Store, names: Iterable[str]) -> Mapping[str, int]:
    """The sizes of those that are there."""

    def size(name: str) -> int | None:
        try:
            return store.stat(name).size
        except ObjectMissing:
            return None

    wanted = list(names)
    with ThreadPoolExecutor(_AT_ONCE, "presence") as pool:
        found = zip(wanted, pool.map(size, wanted), strict=True)
        return {name: there for name, there in found if there is not None}
