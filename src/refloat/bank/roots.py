"""The root secrets of a bank, one for each *epoch*.

A bank begins with one root. Names, tags and ids of chunks are made of it for ever. Whenever a key is taken
away from the bank, a *root object* (``keys/<bank id>.root.<number>``, twice) begins the next epoch: the new
root, once for each key that still opens the bank, and those before it, encrypted with the new one. So
whoever has the newest root has all of them, and whoever kept an older one has nothing that is written later.

A new root is wrapped for a key, whose secret need not be at hand, by the key's *public half* (X25519), and by
the first root too: so who can only read the store gains nothing by breaking X25519.
"""

from __future__ import annotations

import contextlib
import json
import re
import secrets
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from blake3 import blake3
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey

from refloat.bank.identity import COPY
from refloat.bank.keys import BankKey, key_id
from refloat.bank.sealing import HEADER, KIND_KEY, ROOT_ID, OneSecret, Sealer, Secret, damaged, derive
from refloat.bank.store import AlreadyExists, Store, exists, get_or_none
from refloat.errors import BankDamaged, BankError, Conflict

_NAME = re.compile(r"keys/[0-9a-f]{32}\.root\.([1-9][0-9]*)(?:\.copy)?")
_ALTERED = "its content does not match its authentication tag"


class KeyRemoved(BankError):
    """The key opens only what was written before it was taken away from the bank."""


@dataclass(frozen=True, slots=True)
class _Form:
    """What a root object, or its copy, looks like without a key."""

    exchange: bytes
    wraps: dict[str, str]
    sealed: bytes

    @property
    def root_id(self) -> bytes:
        return self.sealed[HEADER.size - 32 : HEADER.size - 16]


class Roots:
    """The roots of an open bank. Safe to use from many threads.

    :param key: a key that opens the bank.
    :param held: the root in its slot; it may be that of an earlier epoch.
    :raises KeyRemoved: the key opens an earlier epoch only.
    :raises BankDamaged: a root object is not what was written, and its copy neither.
    """

    def __init__(self, store: Store, bank_id: bytes, key: BankKey, held: bytes) -> None:
        self._store, self._bank_id, self._held = store, bank_id, held
        self.key = key
        self._all: list[Secret] = []
        self._inner: dict[str, Any] = {}
        self.refresh()

    def fresh(self) -> Roots:
        """The same, as the store has it now."""
        found = Roots(self._store, self._bank_id, self.key, self._held)
        if found.epoch < self.epoch:
            raise damaged(self.name(self.epoch), "it is missing")
        return found

    @property
    def first(self) -> bytes:
        return self._all[0].secret

    @property
    def newest(self) -> Secret:
        return self._all[-1]

    @property
    def epoch(self) -> int:
        """The number of the newest, from 1."""
        return len(self._all)

    @property
    def publics(self) -> Mapping[str, str]:
        """The ids of the keys that the newest was wrapped for, and their public halves."""
        return dict(self._inner.get("publics", {}))

    @property
    def removed(self) -> set[str]:
        """The ids of the keys that were taken away from the bank."""
        return set(self._inner.get("removed", ()))

    def name(self, number: int) -> str:
        return f"keys/{self._bank_id.hex()}.root.{number}"

    def epoch_of(self, root_id: bytes) -> int:
        """The number of a root that is known; 0: it is not."""
        return next((n for n, each in enumerate(self._all, 1) if each.id == root_id), 0)

    # --- what a sealer asks

    def current(self, tag: str) -> Secret:
        self.newer()
        return self.newest

    def find(self, tag: str, wanted: bytes) -> bytes | None:
        if not self.epoch_of(wanted):
            self.refresh()
        at = self.epoch_of(wanted)
        return self._all[at - 1].secret if at else None

    # --- the store

    def newer(self) -> bool:
        """Whether the bank has got a new root since the last look. It is known then."""
        if not exists(self._store, self.name(self.epoch + 1)):
            return False
        self.refresh()
        return True

    def refresh(self) -> None:
        """Read the root objects.

        Whoever has the first root could wrap one of his own for all keys. So a root object has to name all
        roots before it, and each has to be that of its own object: he cannot continue an epoch that he lacks.
        """
        forms = self._forms()
        for number, each in forms.items():
            if len({form.root_id for form in each}) != 1:
                reason = "it and its copy are different roots" if each else "it is missing, or altered"
                raise damaged(self.name(number), reason)
        came = next((n for n, each in forms.items() if key_id(self._held) == each[0].root_id), 0)
        roots = _former(self._open(came, forms[came], self._held)) if came else [self._held]
        inner: dict[str, Any] = {}
        if forms:
            newest = max(forms)
            root = self._held if came == newest else self._unwrap(newest, forms[newest], roots[0])
            inner = self._open(newest, forms[newest], root)
            first, roots = roots[0], [*_former(inner), root]
            named = [forms[number][0].root_id for number in sorted(forms)]
            if roots[0] != first or [key_id(each) for each in roots[1:]] != named:
                raise damaged(self.name(newest), "it does not continue the roots before it")
        found = [Secret(ROOT_ID, roots[0]), *(Secret(key_id(each), each) for each in roots[1:])]
        if any(now != before for now, before in zip(found, self._all, strict=False)):
            raise damaged(self.name(2), "the roots are others than before")
        if len(found) >= len(self._all):
            self._all, self._inner = found, inner

    def advance(self, publics: Mapping[str, str], removed: Collection[str]) -> None:
        """Begin the next epoch. It has begun when the first of two writes has.

        :param publics: ids and public halves of the keys that open it.
        :param removed: ids of those that do not any more.
        :raises Conflict: somebody else has just done so.
        """
        root, name, exchange = secrets.token_bytes(32), self.name(self.epoch + 1), X25519PrivateKey.generate()
        sender = exchange.public_key().public_bytes_raw()
        wraps = {}
        for each, public in publics.items():
            try:
                shared = exchange.exchange(X25519PublicKey.from_public_bytes(bytes.fromhex(public)))
            except ValueError as error:
                raise BankError(f"the public half of the key {each[:8]} is none") from error
            sealer = self._wrapper(each, shared, sender, public, self.first)
            plain = json.dumps({"root": root.hex()}).encode()
            wraps[each] = sealer.seal(KIND_KEY, name, plain).hex()
        inner = {
            "roots": [each.secret.hex() for each in self._all],
            "created_at": datetime.now(UTC).isoformat(timespec="seconds"),
            "publics": dict(publics),
            "removed": sorted(removed),
            "exchange": sender.hex(),
            "wraps": wraps,
        }
        secret = Secret(key_id(root), root)
        sealed = Sealer(OneSecret(secret), self._bank_id).seal(KIND_KEY, name, json.dumps(inner).encode())
        text = _text(name, _Form(sender, wraps, sealed))
        with contextlib.suppress(AlreadyExists):
            self._store.put(name, text)
        if get_or_none(self._store, name) != text:
            raise Conflict(
                "another process has just changed the keys of the bank",
                advice="Look at them with: refloat bank keys list; then try again",
            )
        self._all, self._inner = [*self._all, secret], inner
        with contextlib.suppress(AlreadyExists):
            self._store.put(name + COPY, text)

    def copies(self) -> dict[str, bytes | None]:
        """What each root object and its copy should be; None: that cannot be told any more."""
        found: dict[str, bytes | None] = {}
        for number in range(2, self.epoch + 1):
            name, root = self.name(number), self._all[number - 1].secret
            found[name] = found[name + COPY] = None
            for form in self._parse(name):
                with contextlib.suppress(BankDamaged):
                    self._open(number, [form], root)
                    found[name] = found[name + COPY] = _text(name, form)
        return found

    def _forms(self) -> dict[int, list[_Form]]:
        matches = [
            _NAME.fullmatch(each.name) for each in list(self._store.list(f"keys/{self._bank_id.hex()}.root."))
        ]
        last = max((int(match[1]) for match in matches if match), default=1)
        while exists(self._store, self.name(last + 1)):  # a listing may be late
            last += 1
        return {number: self._parse(self.name(number)) for number in range(2, last + 1)}

    def _parse(self, name: str) -> list[_Form]:
        """A root object and its copy, as far as they look like one."""
        found = []
        for text in (get_or_none(self._store, name), get_or_none(self._store, name + COPY)):
            try:
                data = json.loads(text or b"")
                form = _Form(bytes.fromhex(data["exchange"]), data["wraps"], bytes.fromhex(data["sealed"]))
                if isinstance(form.wraps, dict) and _text(name, form) == text:
                    found.append(form)
            except (ValueError, KeyError, TypeError, AttributeError):
                continue
        return found

    def _open(self, number: int, forms: list[_Form], root: bytes) -> dict[str, Any]:
        """What is sealed under a root in the first of these that is whole.

        :raises BankDamaged: none is.
        """
        sealer = Sealer(OneSecret(Secret(key_id(root), root)), self._bank_id)
        for form in forms:
            try:
                inner: dict[str, Any] = json.loads(sealer.open(KIND_KEY, self.name(number), form.sealed))
            except BankDamaged:
                continue
            if (inner["exchange"], inner["wraps"]) == (form.exchange.hex(), form.wraps):
                return inner
        raise damaged(self.name(number), _ALTERED)

    def _unwrap(self, number: int, forms: list[_Form], first: bytes) -> bytes:
        """The root of an epoch, by the key."""
        private, mine = _private(self.key), self.key.id.hex()
        wrapped = [form for form in forms if mine in form.wraps]
        for form in wrapped:
            try:
                shared = private.exchange(X25519PublicKey.from_public_bytes(form.exchange))
                sealer = self._wrapper(mine, shared, form.exchange, public_half(self.key), first)
                plain = sealer.open(KIND_KEY, self.name(number), bytes.fromhex(form.wraps[mine]))
                return bytes.fromhex(json.loads(plain)["root"])
            except (BankDamaged, ValueError, TypeError):
                continue
        if wrapped:
            raise damaged(self.name(number), _ALTERED)
        raise KeyRemoved(
            f"the key {mine[:8]} was taken away from the bank {self._store.url}",
            reason="it opens only what was written before that",
            advice="Use another key of the bank. With that, 'refloat bank keys remove' removes what is left "
            "of this one, and 'add' lets it open the bank again",
        )

    def _wrapper(self, mine: str, shared: bytes, sender: bytes, public: str, first: bytes) -> Sealer:
        secret = derive("root for a key", first, shared, sender, bytes.fromhex(public))
        return Sealer(OneSecret(Secret(bytes.fromhex(mine), secret)), self._bank_id)


def public_half(key: BankKey) -> str:
    """By which a new root can be wrapped for a key; hexadecimal, not secret."""
    return _private(key).public_key().public_bytes_raw().hex()


def _private(key: BankKey) -> X25519PrivateKey:
    return X25519PrivateKey.from_private_bytes(derive("key exchange", key.secret))


def _former(inner: Mapping[str, Any]) -> list[bytes]:
    return [bytes.fromhex(each) for each in inner["roots"]]


def _text(name: str, form: _Form) -> bytes:
    about = {"exchange": form.exchange.hex(), "wraps": form.wraps, "sealed": form.sealed.hex()}
    # What is damaged, or in another's place, is told from another root.
    check = blake3(f"{name} {json.dumps(about)}".encode()).hexdigest(length=16)
    return json.dumps({**about, "check": check}, indent=1).encode("ascii")
