"""Room for removing things: what is removed is first written down, and a full store takes nothing.

So a bank keeps an object of 4 MiB that means nothing, and some small ones: file systems lack inodes too.
Whoever removes something and finds the store full gives these up, and puts them back when there is room.
"""

from __future__ import annotations

import contextlib

from refloat.bank.sealing import derive
from refloat.bank.store import AlreadyExists, Denied, ObjectMissing, Parts, Store, StoreFull

RESERVE = ("reserve", *(f"reserve.{number}" for number in range(1, 9)))
SIZE = 4 << 20
_SMALL = 16


def put_before_removal(store: Store, name: str, content: Parts) -> None:
    """Write what has to be written before something is removed; in a full store, in the room of the reserve.

    :raises StoreFull: that is used up.
    """
    try:
        store.put(name, content)
    except StoreFull:
        if not _give_up(store):
            raise
        store.put(name, content)


def restock(store: Store, root: bytes) -> None:
    """See that the reserve is there, if there is room for it."""
    try:
        store.stat(RESERVE[-1])
    except ObjectMissing:
        # The same bytes for all who do this at once, and none that a file system could compress.
        with contextlib.suppress(StoreFull):
            for name, size in zip(RESERVE, (SIZE, *[_SMALL] * len(RESERVE)), strict=False):
                with contextlib.suppress(AlreadyExists):
                    store.put(name, derive("reserve", root, length=size))


def _give_up(store: Store) -> bool:
    given = False
    for name in RESERVE:
        with contextlib.suppress(ObjectMissing, Denied):
            store.stat(name)
            store.delete(name)
            given = True
    return given
