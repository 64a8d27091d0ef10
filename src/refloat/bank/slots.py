"""Slots: a bank's root secret, once under each bank key that opens it.

A *slot* (``keys/<bank id>.<key id>``) holds the root secret, encrypted with one bank key. It is a JSON object
whose clear part says what kind of key opens it (and, for a passphrase, how that becomes a key); the encrypted
part repeats the clear part, so that it cannot be altered. Changing a bank's keys writes and removes slots;
nothing else is rewritten. Each slot is kept twice, see :mod:`refloat.bank.second_copies`.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from blake3 import blake3

from refloat.bank.identity import COPY
from refloat.bank.keys import BankKey, KeySource
from refloat.bank.roots import KeyRemoved, Roots
from refloat.bank.sealing import KIND_KEY, OneSecret, Sealer, Secret, damaged, derive
from refloat.bank.store import AlreadyExists, Store, get_or_none
from refloat.errors import BankDamaged, BankError, Conflict, InvalidInput, NotFound

_SLOT = re.compile(r"keys/([0-9a-f]{32})\.([0-9a-f]{32})(\.copy)?")
_ABOUT = ("kind", "label", "created_at", "kdf")
_LOOKS = 3


@dataclass(frozen=True, slots=True)
class Slot:
    """A key that opens the bank, as far as it can be told without it."""

    id: str
    kind: str = ""
    label: str = ""
    created_at: str = ""
    kdf: Mapping[str, Any] | None = None
    damaged: bool = False
    removed: bool = False
    """It was taken away from the bank, and its slot is there all the same: it opens nothing new."""

    @property
    def about(self) -> dict[str, Any]:
        return {name: getattr(self, name) for name in _ABOUT}


def slots(store: Store, bank_id: bytes) -> list[Slot]:
    """The keys that open a bank, as far as it can be told without them, the oldest first."""
    found: dict[str, Slot] = {}
    for slot, _ in _read(store, bank_id):
        if slot.id not in found or found[slot.id].damaged:
            found[slot.id] = slot
    return sorted(found.values(), key=lambda slot: (slot.created_at, slot.id))


def open_roots(store: Store, bank_id: bytes, source: KeySource) -> Roots:
    """The root secrets, and the key that opened them.

    :raises BankError: no key of this source opens the bank.
    :raises BankDamaged: the slot is not what was written, and its copy neither.
    """
    removed: KeyRemoved | None = None
    for _ in range(_LOOKS):  # the only key may have been replaced while we looked
        found = _read(store, bank_id)
        abouts = [slot.about for slot, _ in found if not slot.damaged]
        for key in source.candidates([each for n, each in enumerate(abouts) if each not in abouts[:n]]):
            if any(slot.id == key.id.hex() for slot, _ in found):
                try:
                    return Roots(store, bank_id, key, _root_in(bank_id, key, found))
                except KeyRemoved as error:
                    removed = error
        if found:
            break
    if removed is not None:
        raise removed
    if not found:
        raise BankDamaged(
            f"the bank {store.url} has lost the objects that its keys open",
            reason=f"there is nothing at keys/{bank_id.hex()}",
            advice="Bring the folder keys back from a copy of the bank: nothing can be read without it",
        )
    ids = {slot.id for slot, _ in found}
    there = ", ".join(sorted({slot.kind or "damaged" for slot, _ in found}))
    if source.kind == "passphrase":
        raise BankError(
            f"the passphrase does not open the bank {store.url}",
            reason="" if any(slot.kdf for slot, _ in found) else f"it has no passphrase, only: {there}",
            advice="Check for a wrong keyboard layout, or use another key of the bank",
        )
    raise BankError(
        f"the key does not open the bank {store.url}",
        reason=f"it is opened by {len(ids)} other key{'s' if len(ids) > 1 else ''} ({there})",
        advice="Give the key this bank was made with",
    )


def existing_slot(store: Store, bank_id: bytes, source: KeySource) -> tuple[Slot, BankKey] | None:
    """The slot that a key has already."""
    found = {slot.id: slot for slot in slots(store, bank_id) if not slot.damaged}
    for key in source.candidates([slot.about for slot in found.values()]):
        if key.id.hex() in found:
            return found[key.id.hex()], key
    return None


def put_slot(
    store: Store,
    bank_id: bytes,
    root: bytes,
    source: KeySource,
    label: str = "",
    *,
    first: bytes | None = None,
    announce: Callable[[str, BankKey], None] | None = None,
) -> tuple[Slot, BankKey]:
    """Let one more key open the bank: its slot, or the one that it has already.

    :param root: its newest root.
    :param first: its first root; None: that is the newest.
    :param announce: called with the name of a new slot, and its key, before that is put.
    :raises Conflict: another process has just put it.
    """
    if found := existing_slot(store, bank_id, source):
        return found
    key, kdf = source.new()
    slot = Slot(key.id.hex(), source.kind, label, datetime.now(UTC).isoformat(timespec="seconds"), kdf)
    name = f"keys/{bank_id.hex()}.{slot.id}"
    inner = json.dumps({"root": root.hex(), "about": slot.about}).encode()
    sealed = Sealer(_secret_of(key), bank_id).seal(KIND_KEY, name, inner)
    text = _slot_text(slot, sealed)
    if announce is not None:
        announce(name, key)
    try:
        store.put(name, text)
        store.put(name + COPY, with_authenticator(first or root, bank_id, name, text))
    except AlreadyExists:
        raise Conflict("this key opens the bank already") from None
    if _root_in(bank_id, key, _read(store, bank_id)) != root:
        raise BankError("the new key was written but does not open the bank", resource=name)
    return slot, key


def choose_slot(found: Sequence[Slot], slot_id: str) -> Slot:
    """The one of an id, to be removed.

    :param slot_id: its id, or the beginning of it.
    :raises NotFound: there is no such key.
    :raises Conflict: it is the last one.
    """
    fits = [slot for slot in found if slot_id and slot.id.startswith(slot_id)]
    if len(fits) != 1:
        if fits:
            raise InvalidInput(f"{len(fits)} keys begin with '{slot_id}'", advice="Give more of the id")
        raise NotFound(f"no key of the bank has the id '{slot_id}'", advice="See: refloat bank keys list")
    if not [slot for slot in found if slot.id != fits[0].id and not slot.damaged and not slot.removed]:
        raise Conflict(
            "it is the last key that opens the bank", advice="Add another first: refloat bank keys add"
        )
    return fits[0]


def remove_slot(store: Store, bank_id: bytes, slot: Slot) -> None:
    """Remove the slot of a key that a new root was not wrapped for.

    :raises Conflict: it is the last one.
    :raises BankError: the store refuses.
    """
    name = f"keys/{bank_id.hex()}.{slot.id}"
    try:
        texts = {each: text for each in (name + COPY, name) if (text := get_or_none(store, each)) is not None}
        for each in texts:  # the copy first: an earlier Refloat does not know it
            store.delete(each)
        if not [slot for slot in slots(store, bank_id) if not slot.damaged]:
            for each, text in texts.items():
                store.put(each, text)  # somebody else has removed the others meanwhile
            raise Conflict("it is the last key that opens the bank now", advice="Add another first")
    except BankError as error:
        raise BankError(
            f"the key {slot.id[:8]} still opens the bank as it was until now",
            reason=f"the store refuses to remove it ({error.reason or error.message})",
            left_behind=name,
            advice="It opens nothing that is written from now on. Remove it again when the store allows it",
        ) from error


def _read(store: Store, bank_id: bytes) -> list[tuple[Slot, bytes]]:
    """All slots and their copies, each slot before its copy, and what is sealed in them."""
    found = []
    for entry in sorted(store.list(f"keys/{bank_id.hex()}."), key=lambda each: each.name):
        match = _SLOT.fullmatch(entry.name)
        text = get_or_none(store, entry.name) if match else None
        if match is None or text is None:
            continue
        forms = (text, without_authenticator(text))
        for form in reversed(forms) if match[3] else forms:  # the two may have been swapped
            try:
                found.append(parse_slot(entry.name, form))
                break
            except BankDamaged:
                continue
        else:
            found.append((Slot(match[2], damaged=True), b""))
    return found


def slot_names(store: Store, bank_id: bytes) -> list[str]:
    """The names that slots have, whether one of the two is there or both."""
    names = {entry.name.removesuffix(COPY) for entry in store.list(f"keys/{bank_id.hex()}.")}
    return sorted(name for name in names if _SLOT.fullmatch(name))


def with_authenticator(root: bytes, bank_id: bytes, name: str, text: bytes) -> bytes:
    """What the copy of a slot holds: the slot, and a line by which whoever has the root knows it."""
    key = derive("slot copy", root, bank_id)
    return text + b"\n" + blake3(name.encode() + text, key=key).hexdigest(length=16).encode()


def without_authenticator(copy: bytes) -> bytes:
    return copy.rpartition(b"\n")[0]


def _root_in(bank_id: bytes, key: BankKey, found: list[tuple[Slot, bytes]]) -> bytes:
    """What a key's slot holds, or else its copy."""
    name = f"keys/{bank_id.hex()}.{key.id.hex()}"
    problem = damaged(name, "it is missing")
    for slot, sealed in found:
        if slot.id != key.id.hex():
            continue
        try:
            inner = json.loads(Sealer(_secret_of(key), bank_id).open(KIND_KEY, name, sealed))
        except BankDamaged as error:
            problem = error
            continue
        if inner["about"] != slot.about:
            problem = damaged(name, "what it says of itself was altered")
            continue
        return bytes.fromhex(inner["root"])
    raise problem


def _secret_of(key: BankKey) -> OneSecret:
    return OneSecret(Secret(key.id, key.secret))


def _slot_text(slot: Slot, sealed: bytes) -> bytes:
    return json.dumps({**slot.about, "sealed": sealed.hex()}, indent=1).encode("ascii")


def parse_slot(name: str, blob: bytes) -> tuple[Slot, bytes]:
    """A slot, and what is sealed in it.

    :raises BankDamaged: it does not look like one.
    """
    match = _SLOT.fullmatch(name)
    try:
        data = json.loads(blob)
        slot = Slot(match[2] if match else "", *(data[key] for key in _ABOUT))
        sealed = bytes.fromhex(data["sealed"])
        same = _slot_text(slot, sealed) == blob
    except (ValueError, KeyError, TypeError) as error:
        raise damaged(name, "it does not look like a key of a bank") from error
    if not same:
        raise damaged(name, "it does not look like a key of a bank")
    return slot, sealed
