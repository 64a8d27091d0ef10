"""The descriptor of a bank: the one object that is not encrypted, and makes a store a bank."""

from __future__ import annotations

import json
import re
import secrets
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from refloat.bank.identity import COPY, DESCRIPTOR, DESCRIPTOR_COPY, Identity
from refloat.bank.keyring import Keyring
from refloat.bank.keys import KeySource
from refloat.bank.objects import canonical
from refloat.bank.packs import CHUNK_SIZE
from refloat.bank.reserve import restock
from refloat.bank.sealing import damaged
from refloat.bank.slots import put_slot
from refloat.bank.store import AlreadyExists, ObjectMissing, Store
from refloat.errors import BankError, InvalidInput

FORMAT = "refloat-bank"
VERSION = 1

_BANK_ID = re.compile(r"[0-9a-f]{32}")


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


def create_bank(store: Store, source: KeySource) -> None:
    """Make a bank in an empty store. If somebody else has just made one there, that is it."""
    strangers = [e.name for e in store.list("") if not e.name.startswith(("keys/", "qualify/"))]
    if strangers and DESCRIPTOR not in strangers:
        raise InvalidInput(f"{store.url} is not empty and not a bank", reason=f"it contains {strangers[0]}")
    bank_id = secrets.token_bytes(16)
    root = secrets.token_bytes(32)
    descriptor = {
        "format": FORMAT,
        "version": VERSION,
        "id": bank_id.hex(),
        "chunk_size": CHUNK_SIZE,
        "created_at": datetime.now(UTC).isoformat(timespec="seconds"),
    }
    descriptor["check"] = Keyring(store, bank_id, root).check(_text(descriptor))
    slot, _ = put_slot(store, bank_id, root, source)
    text = json.dumps(descriptor, indent=1).encode()
    try:
        store.put(DESCRIPTOR, text)
        store.put(DESCRIPTOR_COPY, text)
        restock(store, root)
    except AlreadyExists:
        # Another process made the bank meanwhile; ours never was one.
        for end in (COPY, ""):
            store.delete(f"keys/{bank_id.hex()}.{slot.id}{end}")


def _text(descriptor: dict[str, Any]) -> bytes:
    return canonical({k: v for k, v in descriptor.items() if k != "check"})
