"""What a bank cannot do without and nobody can make again, kept twice: descriptor, slots, later roots.

``keys/bank.copy`` is ``bank`` once more. ``keys/<bank id>.<key id>.copy`` is the slot once more, and a line
with an authenticator of it under the root: so whoever has opened the bank can tell which of two that differ
is whole, also without the key that the slot is for. (The keys of projects are kept twice by
:mod:`refloat.bank.project_keys`.)
"""

from __future__ import annotations

from dataclasses import dataclass

from refloat.bank.identity import COPY, DESCRIPTOR, DESCRIPTOR_COPY
from refloat.bank.objects import Objects
from refloat.bank.slots import parse_slot, slot_names, with_authenticator, without_authenticator
from refloat.bank.store import AlreadyExists, get_or_none
from refloat.errors import BankDamaged


@dataclass(frozen=True, slots=True)
class Hurt:
    """One of two copies is not what it should be.

    :param missing: it is not there.
    :param whole: what it should be; None: that cannot be told any more.
    """

    name: str
    reason: str
    missing: bool
    whole: bytes | None

    @property
    def expected(self) -> bool:
        """It may be missing: a bank of an earlier Refloat has no second copies until it is written to."""
        return self.missing and self.name.endswith(COPY)


def hurt_copies(objects: Objects) -> list[Hurt]:
    descriptor = objects.identity.descriptor
    wanted: dict[str, bytes | None] = {DESCRIPTOR: descriptor, DESCRIPTOR_COPY: descriptor}
    for name in slot_names(objects.store, _bank_id(objects)):
        wanted[name], wanted[name + COPY] = _slot(objects, name)
    wanted |= objects.keys.roots.copies()
    found = []
    for name, whole in wanted.items():
        there = get_or_none(objects.store, name)
        if there is None or there != whole:
            reason = "it is missing" if there is None else "it is not what was written"
            found.append(Hurt(name, reason, there is None, whole))
    return found


def add_missing(objects: Objects) -> None:
    """Make the second copies that are not there, as in a bank of an earlier Refloat."""
    for each in hurt_copies(objects):
        if each.missing and each.whole is not None:
            _put(objects, each.name, each.whole)


def mend(objects: Objects, *, apply: bool) -> list[str]:
    """Those that are missing or damaged and can be written anew; ``apply`` does it."""
    found = [each for each in hurt_copies(objects) if each.whole is not None]
    for each in found if apply else ():
        if not each.missing:
            objects.store.delete(each.name)
        _put(objects, each.name, each.whole or b"")
    return sorted(each.name for each in found)


def _slot(objects: Objects, name: str) -> tuple[bytes | None, bytes | None]:
    """What a slot and its copy should be."""
    root, bank_id = objects.keys.root, _bank_id(objects)
    first, second = get_or_none(objects.store, name), get_or_none(objects.store, name + COPY)
    there = [each for each in (first, second) if each is not None]
    for each in [*there, *map(without_authenticator, there)]:
        if (copy := with_authenticator(root, bank_id, name, each)) in there:
            return each, copy
    # The copy is missing or damaged. Whether the slot itself is whole, its form says.
    try:
        parse_slot(name, first or b"")
    except BankDamaged:
        return None, None
    return first, with_authenticator(root, bank_id, name, first or b"")


def _bank_id(objects: Objects) -> bytes:
    return bytes.fromhex(objects.identity.id)


def _put(objects: Objects, name: str, content: bytes) -> None:
    try:
        objects.store.put(name, content)
    except AlreadyExists:
        if get_or_none(objects.store, name) != content:
            raise
