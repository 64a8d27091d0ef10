"""Which bank a store holds: asked when it is opened, and again before anything is changed.

A mount goes away and leaves an empty folder, a bucket is swapped, a folder is replaced by another. None of
that may be taken for an empty bank: what is written there is lost, what is not found there is not deleted.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field
from itertools import islice

from refloat.bank.store import Store, get_or_none
from refloat.errors import WrongBank

DESCRIPTOR = "bank"
COPY = ".copy"
"""Behind the name of what is kept a second time."""

_BANK_ID = re.compile(r"[0-9a-f]{32}")
DESCRIPTOR_COPY = f"keys/{DESCRIPTOR}{COPY}"
"""In the folder keys, so that this alone, kept elsewhere, is all that opens the bank."""


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
        found = get_or_none(store, DESCRIPTOR)
        if found == self.descriptor:
            return
        other = found is not None and _is_another(store, bank_id_in(found), self.id)
        if (
            other or get_or_none(store, DESCRIPTOR_COPY) != self.descriptor
        ):  # else it is lost, and its copy is not
            raise wrong(store.url, f"the bank {self.id}", what_is_in(store))


def _is_another(store: Store, found: str, bank_id: str) -> bool:
    """Whether a descriptor is that of another bank. If that has no keys here, it is ours, and was damaged."""
    if found == bank_id or not _BANK_ID.fullmatch(found):
        return False
    return any(True for _ in store.list(f"keys/{found}."))


def wrong(url: str, expected: str, found: str) -> WrongBank:
    """The error for a store that does not hold the bank that it should."""
    return WrongBank(
        f"{url} is not the bank it should be",
        reason=f"expected: {expected}; found: {found}",
        advice="Bring the bank back (is its file system mounted?), then try again",
    )


def what_is_in(store: Store) -> str:
    """In words: which bank is in a store, or what else."""
    found = get_or_none(store, DESCRIPTOR)
    if found is not None:
        return (
            f"the bank {bank_id_in(found)}"
            if bank_id_in(found)
            else "something that is no descriptor of a bank"
        )
    names = [entry.name for entry in islice(store.list(""), 1)]
    return f"no bank, but other things ({names[0]})" if names else "nothing"


def bank_id_in(descriptor: bytes) -> str:
    """The id that a descriptor tells; empty: it is none, or damaged."""
    try:
        return str(json.loads(descriptor)["id"])
    except (ValueError, KeyError, TypeError):
        return ""
