"""From a store and a key to an open bank: which bank it is, or a new one, and its secrets."""

from __future__ import annotations

from blake3 import blake3

from refloat.bank.descriptor import Descriptor, create_bank, read_descriptor
from refloat.bank.identity import DESCRIPTOR, what_is_in, wrong
from refloat.bank.keyring import Keyring
from refloat.bank.keys import KeySource, ProjectKey
from refloat.bank.objects import Objects
from refloat.bank.opening import open_store
from refloat.bank.sealing import Sealer, damaged
from refloat.bank.slots import open_root
from refloat.bank.store import Store
from refloat.bank.wrapper import ReadOnly
from refloat.errors import BankError, NotFound


def find_bank(url: str | Store, *, create: KeySource | None, expect: str) -> tuple[Store, Descriptor]:
    """The store, and what the descriptor of its bank says. See :meth:`refloat.bank.Bank.open`.

    :param create: make a bank with this key if there is none.
    """
    if expect:
        create = None
    try:
        store = open_store(url, create=create is not None) if isinstance(url, str) else url
    except NotFound as error:
        if expect:
            raise wrong(str(url), expect, "nothing") from error
        raise
    descriptor = read_descriptor(store)
    if expect and (descriptor is None or descriptor.id != expect):
        raise wrong(store.url, expect, what_is_in(store))
    if descriptor is None and create is not None:
        create_bank(store, create)
        descriptor = read_descriptor(store)
        if descriptor is None:
            raise BankError(f"the bank in {store.url} vanished as soon as it was made")
    if descriptor is None:
        raise NotFound(f"there is no bank in {store.url}")
    return store, descriptor


def unlock(store: Store, descriptor: Descriptor, source: KeySource) -> tuple[Objects, str]:
    """The objects of a bank, and the id of the key that opened it.

    :raises BankError: no key of this source opens the bank.
    """
    bank_id = bytes.fromhex(descriptor.id)
    root, used = open_root(store, bank_id, source)
    keys = Keyring(store, bank_id, root)
    descriptor.authenticate(keys)
    return Objects(store, keys, Sealer(keys, bank_id), descriptor.identity), used.id.hex()


def unlock_project(store: Store, descriptor: Descriptor, key: ProjectKey) -> Objects:
    """The objects of a bank, for reading those of one project."""
    if key.bank_id != descriptor.id:
        raise BankError(
            f"the key does not open the bank {store.url}", reason="it is a project's key of another bank"
        )
    if key.descriptor != blake3(descriptor.raw).hexdigest():
        raise damaged(DESCRIPTOR, "it is not what was written")
    bank_id = bytes.fromhex(descriptor.id)
    looked_at = ReadOnly(store)
    keys = Keyring(looked_at, bank_id, None, key)
    return Objects(looked_at, keys, Sealer(keys, bank_id), descriptor.identity)
