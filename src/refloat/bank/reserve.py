"""Room for removing things: what is removed is first written down, and a full store takes nothing.

So a bank keeps an object of 4 MiB that means nothing. Whoever removes something and finds the store full
gives that up, and puts it back when there is room again.
"""

from __future__ import annotations

import contextlib

from refloat.bank.sealing import derive
from refloat.bank.store import AlreadyExists, Denied, ObjectMissing, Parts, Store, StoreFull

RESERVE = "reserve"
SIZE = 4 << 20


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
        store.stat(RESERVE)
    except ObjectMissing:
        # The same bytes for all who do this at once, and none that a file system could compress.
        with contextlib.suppress(StoreFull, AlreadyExists):
            store.put(RESERVE, derive("reserve", root, length=SIZE))


def _give_up(store: Store) -> bool:
    try:
        store.stat(RESERVE)
        store.delete(RESERVE)
    except (ObjectMissing, Denied):
        return False
    return True
