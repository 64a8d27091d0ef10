"""What a bank remembers of the databases of those who use it: how far each had come.

One object for each, ``databases/<id>.<number>.<sequence>``, whose name says all: so one that was brought back
from a copy is recognised on a host that has never seen it.
"""

from __future__ import annotations

import re
from contextlib import suppress

from refloat.bank.store import Store
from refloat.errors import BankError

PREFIX = "databases/"
_NAME = re.compile(r"databases/[0-9a-f-]{36}\.(\d+)\.(\d+)")


def recall(store: Store, identity: str) -> tuple[int, int] | None:
    """Number and sequence of the newest that is remembered; None: nothing is."""
    return max((place for place, _name in _all(store, identity)), default=None)


def remember(store: Store, identity: str, number: int, sequence: int) -> None:
    """Keep the newest, and drop what is older."""
    known = _all(store, identity)
    if all(place < (number, sequence) for place, _name in known):
        store.put(f"{PREFIX}{identity}.{number}.{sequence}", b"-")
        for _place, name in known:
            with suppress(BankError):  # a store may keep everything for a while (object lock)
                store.delete(name)


def _all(store: Store, identity: str) -> list[tuple[tuple[int, int], str]]:
    names = (entry.name for entry in store.list(f"{PREFIX}{identity}."))
    found = ((_NAME.fullmatch(name), name) for name in names)
    return [((int(match[1]), int(match[2])), name) for match, name in found if match]
