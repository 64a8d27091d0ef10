"""What nobody may begin to rely on: tombstones of what is about to be removed, and lists of damaged packs."""

from __future__ import annotations

import contextlib
import secrets
from collections.abc import Iterable

from refloat.bank.objects import Objects, canonical
from refloat.bank.reserve import put_before_removal
from refloat.bank.sealing import KIND_CONDEMNED, KIND_DAMAGED
from refloat.bank.store import Denied, ObjectMissing
from refloat.errors import BankDamaged

WATCH = ".watch"


def put_tombstone(objects: Objects, tag: str, names: Iterable[str]) -> str:
    """Put up a tombstone that these objects are about to be removed; its name."""
    tombstone = f"condemned/{tag}.{secrets.token_hex(8)}"
    put_condemned(objects, tombstone, names)
    return tombstone


def put_condemned(objects: Objects, name: str, names: Iterable[str]) -> None:
    """Write a tombstone or a watch, also into a full store."""
    text = objects.sealer.seal(KIND_CONDEMNED, name, canonical(sorted(names)))
    put_before_removal(objects.store, name, text)


def store_time(objects: Objects, tag: str) -> float:
    """What time it is where objects get theirs: a tombstone of nothing is put up and looked at."""
    name = put_tombstone(objects, tag, [])
    try:
        return objects.store.stat(name).modified
    finally:
        drop_tombstone(objects, name)


def drop_tombstone(objects: Objects, tombstone: str) -> None:
    """Take a tombstone down; under object lock it stays until a later collection."""
    with contextlib.suppress(Denied):
        objects.store.delete(tombstone)
        if any(True for _ in objects.store.list(tombstone + WATCH)):
            objects.store.delete(tombstone + WATCH)


def tombstones(objects: Objects, tag: str) -> list[str]:
    names = [e.name for e in objects.store.list(f"condemned/{tag}.")]
    return sorted(name for name in names if not name.endswith(WATCH))


def condemned(objects: Objects, tag: str) -> set[str]:
    """What a collection may be about to remove: nobody may begin to rely on it.

    :raises BankDamaged: a tombstone cannot be read.
    """
    names: set[str] = set()
    for tombstone in tombstones(objects, tag):
        with contextlib.suppress(ObjectMissing):
            names.update(objects.get_json(KIND_CONDEMNED, tombstone))
    return names


def quarantined(objects: Objects, tag: str) -> set[str]:
    """The packs that were found damaged: nobody may begin to rely on them.

    :raises BankDamaged: a list of them cannot be read.
    """
    names: set[str] = set()
    for entry in list(objects.store.list(f"damaged/{tag}.")):
        with contextlib.suppress(ObjectMissing):
            names.update(objects.get_json(KIND_DAMAGED, entry.name))
    return names


def quarantine(objects: Objects, tag: str, packs: Iterable[str]) -> None:
    """Let nobody begin to rely on these packs."""
    new = sorted(set(packs) - quarantined(objects, tag))
    if new:
        objects.put_json(KIND_DAMAGED, f"damaged/{tag}.{secrets.token_hex(8)}", new)


def unreliable(objects: Objects, tag: str) -> set[str]:
    return condemned(objects, tag) | quarantined(objects, tag)


def forget_lost_packs(objects: Objects, tag: str, stored: set[str]) -> None:
    """Remove the lists of damaged packs of which none is left."""
    for entry in list(objects.store.list(f"damaged/{tag}.")):
        with contextlib.suppress(ObjectMissing, BankDamaged):
            if not stored & set(objects.get_json(KIND_DAMAGED, entry.name)):
                objects.store.delete(entry.name)
