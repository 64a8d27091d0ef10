"""Slots: a bank's root secret, once under each bank key that opens it.

A *slot* (``keys/<bank id>.<key id>``) holds the root secret, encrypted with one bank key. It is a JSON object
whose clear part says what kind of key opens it (and, for a passphrase, how that becomes a key); the encrypted
part repeats the clear part, so that it cannot be altered. Changing a bank's keys writes and removes slots;
nothing else is rewritten.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from refloat.bank.keys import BankKey, KeySource
from refloat.bank.sealing import KIND_KEY, OneSecret, Sealer, Secret, damaged
from refloat.bank.store import AlreadyExists, ObjectMissing, Store
from refloat.errors import BankDamaged, BankError, Conflict, InvalidInput, NotFound

_SLOT = re.compile(r"keys/([0-9a-f]{32})\.([0-9a-f]{32})")
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

    @property
    def about(self) -> dict[str, Any]:
        """The clear part of the object."""
        return {name: getattr(self, name) for name in _ABOUT}


def slots(store: Store, bank_id: bytes) -> list[Slot]:
    """The keys that open a bank, as far as it can be told without them, the oldest first."""
    found = []
    for entry in list(store.list(f"keys/{bank_id.hex()}.")):
        match = _SLOT.fullmatch(entry.name)
        if match is None:
            continue
        try:
            found.append(_parse_slot(entry.name, store.get(entry.name))[0])
        except ObjectMissing:
            continue
        except BankDamaged:
            found.append(Slot(match[2], damaged=True))
    return sorted(found, key=lambda slot: (slot.created_at, slot.id))


def open_root(store: Store, bank_id: bytes, source: KeySource) -> tuple[bytes, BankKey]:
    """The root secret, and the key that opened it.

    :raises BankError: no key of this source opens the bank.
    :raises BankDamaged: the slot is not what was written.
    """
    for attempt in range(_LOOKS):  # the only key may have been replaced while we looked
        found = slots(store, bank_id)
        ids = {slot.id for slot in found}
        try:
            for key in source.candidates([slot.about for slot in found if not slot.damaged]):
                if key.id.hex() in ids:
                    return _root_in(store, bank_id, key), key
        except BankDamaged as error:
            if attempt == _LOOKS - 1 or not isinstance(error.__cause__, ObjectMissing):
                raise
        else:
            if found:
                break
    if not found:
        raise BankDamaged(
            f"the bank {store.url} has lost the objects that its keys open",
            reason=f"there is nothing at keys/{bank_id.hex()}",
            advice="Bring the folder keys back from a copy of the bank: nothing can be read without it",
        )
    there = ", ".join(sorted({slot.kind or "damaged" for slot in found}))
    if source.kind == "passphrase":
        raise BankError(
            f"the passphrase does not open the bank {store.url}",
            reason="" if any(slot.kdf for slot in found) else f"it has no passphrase, only: {there}",
            advice="Check for a wrong keyboard layout, or use another key of the bank",
        )
    raise BankError(
        f"the key does not open the bank {store.url}",
        reason=f"it is opened by {len(found)} other key{'s' if len(found) > 1 else ''} ({there})",
        advice="Give the key this bank was made with",
    )


def put_slot(
    store: Store,
    bank_id: bytes,
    root: bytes,
    source: KeySource,
    label: str = "",
    *,
    again: bool = False,
) -> tuple[Slot, BankKey]:
    """Let one more key open the bank.

    :param again: it may open it already.
    :raises Conflict: it does.
    """
    found = slots(store, bank_id)
    for key in source.candidates([slot.about for slot in found if not slot.damaged]):
        for slot in found:
            if slot.id == key.id.hex() and not slot.damaged:
                if again:
                    return slot, key
                raise Conflict(f"the {source.kind} opens the bank already", reason=f"as {slot.id[:8]}")
    key, kdf = source.new()
    slot = Slot(key.id.hex(), source.kind, label, datetime.now(UTC).isoformat(timespec="seconds"), kdf)
    name = f"keys/{bank_id.hex()}.{slot.id}"
    inner = json.dumps({"root": root.hex(), "about": slot.about}).encode()
    sealed = Sealer(_secret_of(key), bank_id).seal(KIND_KEY, name, inner)
    try:
        store.put(name, _slot_text(slot, sealed))
    except AlreadyExists:
        raise Conflict("this key opens the bank already") from None
    if _root_in(store, bank_id, key) != root:
        raise BankError("the new key was written but does not open the bank", resource=name)
    return slot, key


def remove_slot(store: Store, bank_id: bytes, slot_id: str) -> Slot:
    """Let a key no longer open the bank.

    :param slot_id: its id, or the beginning of it.
    :raises NotFound: there is no such key.
    :raises Conflict: it is the last one.
    :raises BankError: the store refuses; the key still opens the bank.
    """
    found = slots(store, bank_id)
    fits = [slot for slot in found if slot_id and slot.id.startswith(slot_id)]
    if len(fits) != 1:
        if fits:
            raise InvalidInput(f"{len(fits)} keys begin with '{slot_id}'", advice="Give more of the id")
        raise NotFound(f"no key of the bank has the id '{slot_id}'", advice="See: refloat bank keys list")
    if not [slot for slot in found if slot.id != fits[0].id and not slot.damaged]:
        raise Conflict(
            "it is the last key that opens the bank", advice="Add another first: refloat bank keys add"
        )
    name = f"keys/{bank_id.hex()}.{fits[0].id}"
    try:
        blob = store.get(name)
        store.delete(name)
        if not [slot for slot in slots(store, bank_id) if not slot.damaged]:
            store.put(name, blob)  # somebody else has removed the others meanwhile
            raise Conflict("it is the last key that opens the bank now", advice="Add another first")
    except ObjectMissing:
        pass
    except BankError as error:
        raise BankError(
            f"the key {fits[0].id[:8]} still opens the bank",
            reason=f"the store refuses to remove it ({error.reason or error.message})",
            left_behind=name,
            advice="Remove it again when the store allows it; until then treat the key as one in use",
        ) from error
    return fits[0]


def _root_in(store: Store, bank_id: bytes, key: BankKey) -> bytes:
    name = f"keys/{bank_id.hex()}.{key.id.hex()}"
    try:
        blob = store.get(name)
    except ObjectMissing as error:
        raise damaged(name, "it is missing") from error
    slot, sealed = _parse_slot(name, blob)
    inner = json.loads(Sealer(_secret_of(key), bank_id).open(KIND_KEY, name, sealed))
    if inner["about"] != slot.about:
        raise damaged(name, "what it says of itself was altered")
    return bytes.fromhex(inner["root"])


def _secret_of(key: BankKey) -> OneSecret:
    return OneSecret(Secret(key.id, key.secret))


def _slot_text(slot: Slot, sealed: bytes) -> bytes:
    return json.dumps({**slot.about, "sealed": sealed.hex()}, indent=1).encode("ascii")


def _parse_slot(name: str, blob: bytes) -> tuple[Slot, bytes]:
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
