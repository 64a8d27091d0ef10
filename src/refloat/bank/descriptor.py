"""The descriptor of a bank: the one object that is not encrypted, and makes a store a bank."""

from __future__ import annotations

import json
import re
import secrets
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from refloat.bank.identity import COPY, DESCRIPTOR, DESCRIPTOR_COPY, Identity, what_is_in
from refloat.bank.keyring import Keyring, descriptor_check
from refloat.bank.keys import KeySource
from refloat.bank.objects import canonical
from refloat.bank.packs import CHUNK_SIZE
from refloat.bank.reserve import restock
from refloat.bank.sealing import damaged
from refloat.bank.slots import put_slot
from refloat.bank.store import AlreadyExists, ObjectMissing, Store
from refloat.errors import BankError, Conflict, InvalidInput

FORMAT = "refloat-bank"
VERSION = 1

_BANK_ID = re.compile(r"[0-9a-f]{32}")
_IS_NOTHING = re.compile(r"qualify/|keys/[0-9a-f]{32}\.[0-9a-f]{32}(\.copy)?$")
"""What does not keep a bank from being made: trials, and the key of one that was never finished."""


@dataclass(frozen=True, slots=True)
class Descriptor:
    """What a descriptor says of its bank, and its bytes."""

    id: str
    created_at: str
    version: int
    check: str
    text: bytes
    raw: bytes

    @property
    def identity(self) -> Identity:
        return Identity(self.id, self.raw)

    def authenticate(self, keyring: Keyring) -> None:
        """:raises BankDamaged: it is not what was written."""
        if keyring.check(self.text) != self.check:
            raise damaged(DESCRIPTOR, "it is not what was written")


def read_descriptors(store: Store) -> list[Descriptor]:
    """What the descriptor and its copy say: one if they agree, none if there is no bank.

    Not yet authenticated: that needs the key.

    :raises BankError: neither can be read.
    """
    found: dict[bytes, Descriptor] = {}
    problem: BankError | None = None
    for name in (DESCRIPTOR, DESCRIPTOR_COPY):
        try:
            raw = store.get(name)
            found.setdefault(raw, _parse(store, raw))
        except ObjectMissing:
            continue
        except BankError as error:
            problem = problem or error
    if problem is not None and not found:
        raise problem
    return list(found.values())


def _parse(store: Store, raw: bytes) -> Descriptor:
    try:
        found = dict(json.loads(raw))
        is_bank = found["format"] == FORMAT
    except (ValueError, KeyError, TypeError):
        is_bank = False
    if not is_bank:
        raise BankError(f"{store.url} is not a bank of Refloat, or its descriptor is damaged")
    if found.get("version") != VERSION:
        raise BankError(
            f"the bank {store.url} has format version {found.get('version')}",
            reason=f"this Refloat knows version {VERSION}",
            advice="Use a newer Refloat",
        )
    if not _BANK_ID.fullmatch(str(found.get("id"))):
        raise damaged(DESCRIPTOR, "it has no bank id")
    return Descriptor(
        found["id"], str(found.get("created_at")), VERSION, str(found.get("check")), _text(found), raw
    )


def create_bank(store: Store, source: KeySource) -> str:
    """Make a bank in an empty store; its id.

    :raises Conflict: there is one, which somebody else may have made just now.
    :raises InvalidInput: there is something else.
    """
    refuse_taken(store)
    bank_id = secrets.token_bytes(16)
    root = secrets.token_bytes(32)
    descriptor = {
        "format": FORMAT,
        "version": VERSION,
        "id": bank_id.hex(),
        "chunk_size": CHUNK_SIZE,
        "created_at": datetime.now(UTC).isoformat(timespec="seconds"),
    }
    descriptor["check"] = descriptor_check(root, bank_id, _text(descriptor))
    slot, _ = put_slot(store, bank_id, root, source)
    text = json.dumps(descriptor, indent=1).encode()
    try:
        store.put(DESCRIPTOR, text)
        store.put(DESCRIPTOR_COPY, text)
        restock(store, root)
    except AlreadyExists:
        for end in (COPY, ""):  # ours never was one
            store.delete(f"keys/{bank_id.hex()}.{slot.id}{end}")
        raise _taken(store) from None
    return bank_id.hex()


def refuse_taken(store: Store) -> None:
    """:raises Conflict, InvalidInput: as :func:`create_bank`."""
    if read_descriptors(store):
        raise _taken(store)
    strangers = sorted(e.name for e in store.list("") if not _IS_NOTHING.match(e.name))
    if strangers and read_descriptors(store):  # made meanwhile
        raise _taken(store)
    if strangers:
        raise InvalidInput(
            f"{store.url} is not empty and not a bank",
            reason=f"it contains {strangers[0]}",
            advice="If it was a bank, its descriptor is lost: bring the object bank back from a copy",
        )


def _taken(store: Store) -> Conflict:
    return Conflict(f"there is a bank in {store.url} already", reason=what_is_in(store))


def _text(descriptor: dict[str, Any]) -> bytes:
    return canonical({k: v for k, v in descriptor.items() if k != "check"})
