"""Which bank a store holds: asked when it is opened, and again before anything is changed.

A mount goes away and leaves an empty folder, a bucket is swapped, a folder is replaced by another. None of
that may be taken for an empty bank: what is written there is lost, what is not found there is not deleted.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from itertools import islice

from refloat.bank.store import ObjectMissing, Store
from refloat.errors import WrongBank

DESCRIPTOR = "bank"


@dataclass(frozen=True, slots=True)
class Identity:
    """A bank that was opened.

    :param id: hexadecimal.
    :param descriptor: the content of its descriptor.
    """

    id: str
    descriptor: bytes = field(repr=False)

    def confirm(self, store: Store) -> None:
        """Ask the store itself, past every cache.

        :raises WrongBank: it does not hold this bank now.
        """
        try:
            found = store.get(DESCRIPTOR)
        except ObjectMissing:
            found = b""
        if found != self.descriptor:
            raise wrong(store.url, self.id, _described(found) if found else _what_is_there(store))


def wrong(url: str, expected: str, found: str) -> WrongBank:
    """The error for a store that does not hold the bank that it should."""
    return WrongBank(
        f"{url} is not the bank it should be",
        reason=f"expected: the bank {expected}; found: {found}",
        advice="Bring the bank back (is its file system mounted?), then try again",
    )


def what_is_in(store: Store) -> str:
    """In words: which bank is in a store, or what else."""
    try:
        return _described(store.get(DESCRIPTOR))
    except ObjectMissing:
        return _what_is_there(store)


def _what_is_there(store: Store) -> str:
    names = [entry.name for entry in islice(store.list(""), 1)]
    return f"no bank, but other things ({names[0]})" if names else "nothing"


def _described(descriptor: bytes) -> str:
    try:
        return f"the bank {json.loads(descriptor)['id']}"
    except (ValueError, KeyError, TypeError):
        return "something that is no descriptor of a bank"
