"""Opening a bank with the key that the user has: a file, a passphrase, or a key manager.

Where the key is, is told by one text (``REFLOAT_BANK_KEY``): the path of a key file, or ``barbican:ID``. A
passphrase is read from the file that ``REFLOAT_BANK_PASSPHRASE_FILE`` names, or asked for on the terminal,
without echo. It is never an argument of a command: those can be seen by everybody on the machine.
"""

from __future__ import annotations

import getpass
import os
import secrets
import sys
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from refloat.bank import (
    Bank,
    BankKey,
    KeySource,
    Passphrase,
    ProjectKey,
    create_key,
    load_any_key,
    load_passphrase,
)
from refloat.bank.descriptor import refuse_taken
from refloat.bank.mount import caching_at
from refloat.bank.opening import open_store
from refloat.bank.urls import parse
from refloat.errors import InvalidInput, NoBank, NotFound

if TYPE_CHECKING:
    from refloat.cloud.barbican import KeyManager

BARBICAN = "barbican:"
FILE_VARIABLE = "REFLOAT_BANK_PASSPHRASE_FILE"


class BarbicanKey:
    """A :class:`refloat.bank.KeySource`: a key that is kept in Barbican.

    :param secret_id: the secret's id, or its URL; empty: :meth:`new` makes one, and sets it.
    :param manager: the key manager; None: the one of the cloud that ``OS_CLOUD`` or ``OS_*`` name.
    """

    kind = "barbican"

    def __init__(self, secret_id: str = "", manager: KeyManager | None = None) -> None:
        self.secret_id = secret_id
        self._manager = manager

    def candidates(self, slots: Sequence[Mapping[str, Any]]) -> Iterable[BankKey]:
        return [self._fetch()] if self.secret_id else []

    def new(self) -> tuple[BankKey, Mapping[str, Any] | None]:
        """The key that is in Barbican; made there if there is none yet."""
        if not self.secret_id:
            self.secret_id = self._keys().store(secrets.token_bytes(32), "Refloat bank key")
        return self._fetch(), None

    def _fetch(self) -> BankKey:
        return BankKey(self._keys().fetch(self.secret_id), self.kind)

    def _keys(self) -> KeyManager:
        if self._manager is None:
            from refloat.cloud.barbican import KeyManager

            self._manager = KeyManager()
        return self._manager


def open_bank(
    url: str, key: str | Path, *, expect: str = "", environ: Mapping[str, str] = os.environ
) -> Bank:
    """Open the bank at ``url``.

    :param key: where its key is: the path of a key file, or ``barbican:ID``.
    :param expect: the id of the bank that has to be there; empty: any.
    :raises NoBank: there is no bank, and none was expected.
    :raises WrongBank: the expected bank is not there.
    :raises InvalidInput: its key is not there.
    :raises BankError: the key does not open it.
    """
    source = find_key(key, environ)
    if source is not None:
        return Bank.open(url, source, expect=expect)
    slots = Bank.look(url, expect=expect)
    if slots is None:
        raise NoBank(f"there is no bank in {url}")
    if any(slot.kdf for slot in slots) and sys.stdin.isatty():
        return Bank.open(url, ask_passphrase(f"Passphrase of the bank {url}: "), expect=expect)
    way = f", or its passphrase with {FILE_VARIABLE}" if any(slot.kdf for slot in slots) else ""
    raise InvalidInput(
        f"the bank {url} cannot be read without its key",
        reason=f"there is no file {key}",
        advice=f"Put the copy of the key back, or name it with REFLOAT_BANK_KEY{way}",
    )


def make_bank(url: str, key: str | Path, environ: Mapping[str, str] = os.environ) -> tuple[str, bool]:
    """Make a bank, and its key where there is none: its id, and whether there is a new key file.

    :param key: as for :func:`open_bank`.
    :raises Conflict: there is a bank.
    :raises InvalidInput: there is something else, or the key is no key of a bank.
    """
    if (found := parse(url)).scheme == "file" and (caching := caching_at(Path(found.prefix))).needed:
        raise InvalidInput(f"no bank is made in {url}", reason=f"it is on {caching.text}")
    source = find_key(key, environ)
    if isinstance(source, ProjectKey):
        raise InvalidInput(f"{key} is the key of one project, not of a bank")
    if source is not None:
        return Bank.create(url, source), False
    with suppress(NotFound):
        refuse_taken(open_store(url))  # before a key is made that would open nothing
    path = Path(key)
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    return Bank.create(url, create_key(path)), True


def find_key(key: str | Path, environ: Mapping[str, str] = os.environ) -> KeySource | ProjectKey | None:
    """The key that the user has without being asked; None: there is none."""
    if named := environ.get(FILE_VARIABLE):
        try:
            return load_passphrase(named)
        except NotFound as error:
            raise InvalidInput(error.message, advice=f"It is named by {FILE_VARIABLE}") from error
    if str(key).startswith(BARBICAN):
        return BarbicanKey(str(key).removeprefix(BARBICAN))
    return load_any_key(key) if Path(key).exists() else None


def ask_passphrase(prompt: str, *, twice: bool = False) -> Passphrase:
    """Ask for a passphrase on the terminal, without echo.

    :param twice: ask again, for a new one.
    :raises InvalidInput: there is no terminal, or the two differ.
    """
    if not sys.stdin.isatty():
        raise InvalidInput("there is no terminal to ask for a passphrase", advice="Name a file that has it")
    text = getpass.getpass(prompt)
    if twice and getpass.getpass("The same again: ") != text:
        raise InvalidInput("the two passphrases differ")
    return Passphrase(text)
